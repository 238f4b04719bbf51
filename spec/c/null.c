/* null.c: NULL tokens, sources, reasons, clocks, and nodes of zeroes. */
#include "check.h"
#include "check_callbacks.h"

TEST(a_null_token_is_never_cancelled) {
  desist_registration node;
  char handle[DESIST_HANDLE_SIZE];
  int ran = 0;
  desist_token_retain(NULL);
  desist_token_release(NULL);
  CHECK(!desist_token_poll(NULL));
  CHECK(!desist_token_is_cancelled(NULL));
  CHECK(!desist_token_can_be_cancelled(NULL));
  CHECK(desist_token_reason(NULL) == NULL);
  CHECK(desist_token_origin(NULL) == NULL);
  CHECK(!desist_token_wait(NULL, -1));
  CHECK(!desist_token_wait(NULL, 0));
  CHECK(!desist_token_wait(NULL, MS(1)));
  CHECK_INT(desist_token_fd(NULL), -EINVAL);
  CHECK_INT(desist_token_deadline(NULL), DESIST_NEVER);
  CHECK_INT(desist_token_remaining(NULL), DESIST_NEVER);
  CHECK(desist_token_name(NULL) == NULL);
  CHECK(!desist_token_handle(NULL, handle));
  desist_register(NULL, &node, count_call, &ran);
  CHECK(!desist_is_registered(&node));
  CHECK(!desist_unregister(&node));
  CHECK(!desist_unregister_wait(&node));
  CHECK_INT(ran, 0);
}

TEST(a_null_source_answers_false_or_null) {
  desist_reason *reason = desist_reason_create(1, "unused");
  char handle[DESIST_HANDLE_SIZE];
  desist_source_retain(NULL);
  desist_source_release(NULL);
  desist_source_detach(NULL);
  desist_source_close(NULL);
  CHECK(desist_source_token(NULL) == NULL);
  CHECK(!desist_source_cancel(NULL, NULL));
  CHECK(!desist_source_cancel(NULL, reason));
  CHECK(!desist_source_cancel_after(NULL, 0));
  CHECK(!desist_source_cancel_after(NULL, 1));
  CHECK(!desist_source_cancel_after(NULL, DESIST_NEVER));
  CHECK(!desist_source_cancel_at(NULL, 0));
  CHECK(!desist_source_cancel_at(NULL, DESIST_NEVER));
  CHECK(!desist_source_try_reset(NULL));
  CHECK(!desist_source_set_name(NULL, "name"));
  CHECK(!desist_source_set_name(NULL, NULL));
  CHECK(!desist_source_handle(NULL, handle));
  desist_reason_release(reason);
}

TEST(a_null_name_is_refused) {
  desist_source *source = desist_source_create();
  CHECK(!desist_source_set_name(source, NULL));
  CHECK(desist_source_set_name(source, ""));
  CHECK_TEXT(desist_token_name(desist_source_token(source)), "");
  desist_source_release(source);
}

TEST(a_null_reason_reads_as_cancelled) {
  CHECK_INT(desist_reason_kind(NULL), DESIST_KIND_CANCELLED);
  CHECK_INT(desist_reason_code(NULL), 0);
  CHECK_TEXT(desist_reason_text(NULL), "");
  desist_reason_retain(NULL);
  desist_reason_release(NULL);
}

TEST(a_null_clock_is_the_real_one) {
  int64_t before = desist_now();
  desist_source *source = desist_source_create_on(NULL);
  CHECK(desist_clock_now(NULL) >= before);
  CHECK(!desist_clock_advance(NULL, 1));
  CHECK(!desist_clock_advance(NULL, 0));
  CHECK(!desist_clock_set(NULL, INT64_MAX));
  desist_clock_retain(NULL);
  desist_clock_release(NULL);
  CHECK(desist_source_cancel_at(source, before + MS(20)));
  CHECK(desist_token_wait(desist_source_token(source), MS(10000)));
  desist_source_release(source);
}

TEST(null_and_empty_handles_find_nothing) {
  CHECK(desist_source_from_handle(NULL) == NULL);
  CHECK(desist_token_from_handle(NULL) == NULL);
  CHECK(desist_source_from_handle("") == NULL);
  CHECK(desist_token_from_handle("") == NULL);
}

TEST(null_inputs_are_none) {
  desist_token *inputs[2] = { NULL, NULL };
  desist_source *link = desist_source_create_linked(inputs, 2, DESIST_LINK_ANY);
  CHECK(desist_source_cancel(link, NULL));
  desist_source_release(link);
  link = desist_source_create_linked(inputs, 2, DESIST_LINK_ALL);
  CHECK(link && !desist_token_is_cancelled(desist_source_token(link)));
  CHECK(desist_source_cancel(link, NULL));
  desist_source_release(link);
  link = desist_source_create_linked(NULL, 0, DESIST_LINK_ANY);
  CHECK(desist_source_cancel(link, NULL));
  desist_source_release(link);
  CHECK(desist_source_create_linked(NULL, 0, DESIST_LINK_ALL) == NULL);
}

TEST(a_node_of_zeroes_is_not_registered) {
  static desist_registration node;
  CHECK(!desist_is_registered(&node));
  CHECK(!desist_unregister(&node));
  CHECK(!desist_unregister_wait(&node));
  CHECK(!desist_unregister(&node));
}

static int null_calls;

static void expect_null(void *data, desist_reason *reason) {
  CHECK(data == NULL && reason != NULL);
  null_calls++;
}

TEST(a_callbacks_data_may_be_null) {
  desist_source *source = desist_source_create();
  desist_registration node;
  desist_register(desist_source_token(source), &node, expect_null, NULL);
  desist_source_cancel(source, NULL);
  CHECK_INT(null_calls, 1);
  desist_source_release(source);
}

CHECK_MAIN()
