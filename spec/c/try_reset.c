/* try_reset.c: a source as good as new. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"
#include "check_threads.h"

#include <poll.h>

static desist_source *source;
static desist_token *token;
static desist_registration node;
static int ran;

static void begin(void) {
  source = desist_source_create();
  token = desist_source_token(source);
  ran = 0;
  desist_register(token, &node, count_call, &ran);
}

static void end(void) { desist_source_release(source); }

TEST(it_drops_registrations_and_disarms) {
  begin();
  desist_source_cancel_after(source, MS(100));
  CHECK(desist_source_try_reset(source));
  CHECK(!desist_is_registered(&node));
  CHECK(!desist_unregister(&node));
  CHECK_INT(desist_token_deadline(token), DESIST_NEVER);
  check_sleep(MS(130));
  CHECK(!desist_token_is_cancelled(token));
  CHECK(desist_token_can_be_cancelled(token));
  CHECK(desist_source_token(source) == token);
  desist_register(token, &node, count_call, &ran);
  CHECK(desist_source_cancel(source, NULL));
  CHECK_INT(ran, 1);
  end();
}

TEST(a_cancelled_source_stays_cancelled) {
  begin();
  desist_source_cancel(source, NULL);
  CHECK(!desist_source_try_reset(source));
  CHECK(desist_token_is_cancelled(token));
  end();
  begin();
  desist_source_cancel_after(source, 0);
  CHECK(!desist_source_try_reset(source));
  end();
  begin();
  desist_source_close(source);
  CHECK(!desist_source_try_reset(source));
  CHECK(!desist_token_can_be_cancelled(token));
  end();
}

TEST(with_a_link_on_it_nothing_changes) {
  desist_source *link;
  int64_t moment = desist_now() + MS(3600000);
  begin();
  desist_source_cancel_at(source, moment);
  link = link_any(token, NULL);
  CHECK(!desist_source_try_reset(source));
  CHECK(desist_is_registered(&node));
  CHECK_INT(desist_token_deadline(token), moment);
  desist_source_cancel(link, NULL);
  CHECK(desist_source_try_reset(source));
  desist_source_release(link);
  end();
}

TEST(a_link_stays_linked) {
  desist_source *link;
  desist_registration of_link;
  int dropped = 0;
  begin();
  link = link_any(token, NULL);
  desist_register(desist_source_token(link), &of_link, count_call, &dropped);
  CHECK(desist_source_try_reset(link));
  CHECK(!desist_source_try_reset(source));
  CHECK(desist_source_cancel(source, NULL));
  CHECK(desist_token_is_cancelled(desist_source_token(link)));
  CHECK_INT(dropped, 0);
  CHECK_INT(ran, 1);
  desist_source_release(link);
  end();
}

static void reset_inside(void *data, desist_reason *reason) {
  CHECK(!desist_source_try_reset(source));
  count_call(data, reason);
}

TEST(not_from_inside_its_own_cancellation) {
  desist_registration inside;
  int inside_ran = 0;
  begin();
  desist_register(token, &inside, reset_inside, &inside_ran);
  desist_source_cancel(source, NULL);
  CHECK_INT(inside_ran, 1);
  CHECK_INT(ran, 1);
  end();
}

TEST(dropped_nodes_are_the_callers_again) {
  desist_registration *dropped[20];
  int i;
  begin();
  for (i = 0; i < 20; i++) {
    dropped[i] = malloc(sizeof **dropped);
    if (!CHECK(dropped[i])) return;
    desist_register(token, dropped[i], count_call, &ran);
  }
  CHECK(desist_source_try_reset(source));
  for (i = 0; i < 20; i++) {
    memset(dropped[i], 0xDD, sizeof **dropped);
    free(dropped[i]);
  }
  desist_register(token, &node, count_call, &ran);
  desist_source_cancel(source, NULL);
  CHECK_INT(ran, 1);
  end();
}

static void *wait_for_it(void *data) {
  atomic_store((atomic_int *)data, 1);
  CHECK(desist_token_wait(token, -1));
  return NULL;
}

TEST_WITH_THREADS(waits_go_on) {
  pthread_t waiter;
  atomic_int started;
  atomic_init(&started, 0);
  begin();
  waiter = thread_start(wait_for_it, &started);
  CHECK_SOON(atomic_load(&started) == 1);
  check_sleep(MS(10));
  CHECK(desist_source_try_reset(source));
  check_sleep(MS(10));
  desist_source_cancel(source, NULL);
  thread_join(waiter);
  end();
}

TEST(the_descriptor_stays) {
  struct pollfd one;
  begin();
  one.fd = desist_token_fd(token);
  one.events = POLLIN;
  CHECK(desist_source_try_reset(source));
  CHECK_INT(desist_token_fd(token), one.fd);
  CHECK_INT(poll(&one, 1, 0), 0);
  desist_source_cancel(source, NULL);
  CHECK_INT(poll(&one, 1, 0), 1);
  end();
}

TEST(a_pooled_source_needs_no_memory) {
  long before;
  int i;
  desist_clock *clock = desist_clock_create(0);
  begin();
  desist_source_release(source);
  source = desist_source_create_on(clock);
  token = desist_source_token(source);
  desist_source_cancel_after(source, 10);
  CHECK(desist_source_try_reset(source));
  before = MEMORY_GET(calls);
  for (i = 0; i < 10000; i++) {
    desist_register(token, &node, count_call, &ran);
    desist_source_cancel_after(source, 10);
    if (!CHECK(desist_source_try_reset(source))) break;
  }
  CHECK_INT(MEMORY_GET(calls), before);
  desist_clock_release(clock);
  end();
}

TEST(nothing_is_left) { CHECK_LIVE(0); }

CHECK_MAIN()
