/* registration.c: callbacks before, during and after a cancellation. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"

static desist_source *source;
static desist_token *token;

static void begin(void) {
  source = desist_source_create();
  token = desist_source_token(source);
  trail_begin();
}

static void end(void) { desist_source_release(source); }

/* --- Plainly ----------------------------------------------------------- */

static void keep_reason(void *data, desist_reason *reason) {
  *(desist_reason **)data = reason;
}

TEST(a_callback_has_run_when_cancel_returns) {
  desist_registration node;
  desist_reason *seen = NULL;
  begin();
  desist_register(token, &node, keep_reason, &seen);
  CHECK(desist_is_registered(&node));
  CHECK(seen == NULL);
  desist_source_cancel(source, NULL);
  CHECK(seen && seen == desist_token_reason(token));
  CHECK(!desist_is_registered(&node));
  CHECK(!desist_unregister(&node));
  end();
}

TEST(a_callback_runs_once) {
  desist_registration node;
  int ran = 0;
  begin();
  desist_register(token, &node, count_call, &ran);
  desist_source_cancel(source, NULL);
  desist_source_cancel(source, NULL);
  CHECK_INT(ran, 1);
  end();
}

TEST(a_late_registration_runs_at_once) {
  desist_registration node;
  int ran = 0;
  begin();
  desist_source_cancel(source, NULL);
  desist_register(token, &node, count_call, &ran);
  CHECK_INT(ran, 1);
  CHECK(!desist_is_registered(&node));
  CHECK(!desist_unregister(&node));
  CHECK(!desist_unregister_wait(&node));
  desist_source_close(source);
  desist_register(token, &node, count_call, &ran);
  CHECK_INT(ran, 2);
  end();
}

TEST(what_is_unregistered_never_runs) {
  desist_registration one, two;
  int ran = 0, other = 0;
  begin();
  desist_register(token, &one, count_call, &ran);
  desist_register(token, &two, count_call, &other);
  CHECK(desist_unregister(&one));
  CHECK(!desist_is_registered(&one));
  CHECK(!desist_unregister(&one));
  desist_source_cancel(source, NULL);
  CHECK_INT(ran, 0);
  CHECK_INT(other, 1);
  end();
}

TEST(waiting_where_nothing_runs_is_unregistering) {
  desist_registration node;
  int ran = 0;
  begin();
  desist_register(token, &node, count_call, &ran);
  CHECK(desist_unregister_wait(&node));
  CHECK(!desist_unregister_wait(&node));
  desist_source_cancel(source, NULL);
  CHECK_INT(ran, 0);
  end();
}

TEST(any_of_many_can_be_unregistered) {
  desist_registration nodes[50];
  int ran[50] = { 0 }, i;
  begin();
  for (i = 0; i < 50; i++)
    desist_register(token, &nodes[i], count_call, &ran[i]);
  for (i = 0; i < 50; i++)
    if (i % 3 != 1) CHECK(desist_unregister(&nodes[i]));
  desist_source_cancel(source, NULL);
  for (i = 0; i < 50; i++) CHECK_INT(ran[i], i % 3 == 1);
  end();
}

TEST(one_function_may_be_registered_many_times) {
  desist_registration nodes[18];
  int ran = 0, i;
  begin();
  for (i = 0; i < 18; i++) desist_register(token, &nodes[i], count_call, &ran);
  desist_source_cancel(source, NULL);
  CHECK_INT(ran, 18);
  end();
}

TEST(a_node_need_not_be_initialised) {
  desist_registration node;
  int ran = 0;
  begin();
  memset(&node, 0xA5, sizeof node);
  desist_register(token, &node, count_call, &ran);
  CHECK(desist_is_registered(&node));
  CHECK(desist_unregister(&node));
  memset(&node, 0xA5, sizeof node);
  desist_register(NULL, &node, count_call, &ran);
  CHECK(!desist_is_registered(&node));
  CHECK(!desist_unregister(&node));
  memset(&node, 0xA5, sizeof node);
  desist_register(token, &node, count_call, &ran);
  desist_source_cancel(source, NULL);
  CHECK_INT(ran, 1);
  memset(&node, 0xA5, sizeof node);
  desist_register(token, &node, count_call, &ran);
  CHECK_INT(ran, 2);
  CHECK(!desist_unregister_wait(&node));
  end();
}

TEST(a_node_may_be_registered_again) {
  desist_registration node;
  desist_source *other = desist_source_create();
  int ran = 0;
  begin();
  desist_register(token, &node, count_call, &ran);
  CHECK(desist_unregister(&node));
  desist_register(desist_source_token(other), &node, count_call, &ran);
  desist_source_cancel(source, NULL);
  CHECK_INT(ran, 0);
  desist_source_cancel(other, NULL);
  CHECK_INT(ran, 1);
  desist_source_release(other);
  end();
}

TEST(nothing_runs_where_nothing_can_cancel) {
  desist_registration node;
  int ran = 0;
  begin();
  desist_source_close(source);
  desist_register(token, &node, count_call, &ran);
  CHECK(!desist_is_registered(&node));
  CHECK(!desist_unregister(&node));
  CHECK(!desist_unregister_wait(&node));
  desist_register(NULL, &node, count_call, &ran);
  CHECK(!desist_unregister_wait(&node));
  end();
  CHECK_INT(ran, 0);
}

TEST(unregistering_works_after_the_source_is_gone) {
  desist_registration ran_before, dropped;
  int ran = 0;
  begin();
  desist_register(token, &ran_before, count_call, &ran);
  desist_source_cancel(source, NULL);
  end();
  begin();
  desist_register(token, &dropped, count_call, &ran);
  end();
  CHECK(!desist_unregister(&ran_before));
  CHECK(!desist_unregister_wait(&ran_before));
  CHECK(!desist_unregister(&dropped));
  CHECK(!desist_unregister_wait(&dropped));
  CHECK(!desist_is_registered(&dropped));
  CHECK_INT(ran, 1);
}

TEST(registering_allocates_nothing) {
  desist_registration nodes[100];
  int ran = 0, i;
  long before;
  begin();
  before = MEMORY_GET(calls);
  for (i = 0; i < 100; i++) desist_register(token, &nodes[i], count_call, &ran);
  for (i = 0; i < 100; i += 2) desist_unregister(&nodes[i]);
  desist_source_cancel(source, NULL);
  CHECK_INT(MEMORY_GET(calls), before);
  CHECK_INT(ran, 50);
  end();
}

TEST(nothing_is_left) { CHECK_LIVE(0); }

CHECK_MAIN()
