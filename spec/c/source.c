/* source.c: making, cancelling, closing, releasing and detaching sources. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"

TEST(a_new_source_is_live) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  CHECK(source && token);
  CHECK(!desist_token_is_cancelled(token));
  CHECK(!desist_token_poll(token));
  CHECK(desist_token_can_be_cancelled(token));
  CHECK(desist_token_reason(token) == NULL);
  CHECK(desist_token_origin(token) == NULL);
  CHECK(desist_token_name(token) == NULL);
  desist_source_release(source);
}

TEST(only_the_first_cancel_did_it) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  CHECK(desist_source_cancel(source, NULL));
  CHECK(desist_token_is_cancelled(token));
  CHECK(desist_token_poll(token));
  CHECK(desist_token_can_be_cancelled(token));
  CHECK(desist_token_origin(token) == token);
  CHECK(!desist_source_cancel(source, NULL));
  desist_source_release(source);
}

TEST(the_token_is_the_same_at_every_call) {
  desist_source *source = desist_source_create();
  desist_source *other = desist_source_create();
  desist_token *token = desist_source_token(source);
  CHECK(token != desist_source_token(other));
  CHECK(token == desist_source_token(source));
  desist_source_cancel(source, NULL);
  CHECK(token == desist_source_token(source));
  desist_source_close(source);
  CHECK(token == desist_source_token(source));
  desist_source_release(source);
  desist_source_release(other);
}

TEST(a_closed_source_does_nothing_more) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  desist_registration node;
  int ran = 0;
  desist_register(token, &node, count_call, &ran);
  desist_source_close(source);
  desist_source_close(source);
  CHECK(!desist_source_cancel(source, NULL));
  CHECK(!desist_source_cancel_after(source, 0));
  CHECK(!desist_source_cancel_after(source, MS(1)));
  CHECK(!desist_source_cancel_after(source, DESIST_NEVER));
  CHECK(!desist_source_cancel_at(source, 0));
  CHECK(!desist_source_try_reset(source));
  CHECK(!desist_token_is_cancelled(token));
  CHECK(!desist_token_can_be_cancelled(token));
  CHECK(desist_token_reason(token) == NULL);
  CHECK(!desist_is_registered(&node));
  CHECK(!desist_unregister(&node));
  CHECK_INT(ran, 0);
  desist_source_release(source);
}

TEST(closing_after_a_cancellation_leaves_it_cancelled) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  desist_source_cancel(source, NULL);
  desist_source_close(source);
  CHECK(desist_token_is_cancelled(token));
  CHECK(desist_token_can_be_cancelled(token));
  CHECK(desist_token_reason(token) != NULL);
  desist_source_release(source);
}

TEST(the_last_release_closes_what_is_not_cancelled) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  desist_registration node;
  int ran = 0;
  desist_token_retain(token);
  desist_register(token, &node, count_call, &ran);
  desist_source_retain(source);
  desist_source_release(source);
  CHECK(desist_token_can_be_cancelled(token));
  CHECK(desist_is_registered(&node));
  desist_source_release(source);
  CHECK(!desist_token_can_be_cancelled(token));
  CHECK(!desist_token_is_cancelled(token));
  CHECK(!desist_is_registered(&node));
  desist_token_release(token);
  CHECK(!desist_unregister(&node));
  CHECK_INT(ran, 0);
}

TEST(a_cancelled_token_outlives_its_source) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  desist_token_retain(token);
  desist_source_cancel(source, NULL);
  desist_source_release(source);
  CHECK(desist_token_is_cancelled(token));
  CHECK(desist_token_can_be_cancelled(token));
  CHECK_TEXT(desist_reason_text(desist_token_reason(token)), "cancelled");
  CHECK(desist_token_origin(token) == token);
  desist_token_release(token);
}

/* --- Names and memory -------------------------------------------------- */

TEST(a_name_is_copied_and_can_be_changed) {
  char name[] = "first";
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  CHECK(desist_source_set_name(source, name));
  name[0] = 'X';
  CHECK_TEXT(desist_token_name(token), "first");
  CHECK(desist_source_set_name(source, "a longer name than the first"));
  CHECK_TEXT(desist_token_name(token), "a longer name than the first");
  desist_source_release(source);
}

TEST(a_source_is_one_allocation) {
  long calls_before = MEMORY_GET(calls), bytes = MEMORY_GET(bytes);
  desist_source *source = desist_source_create();
  CHECK_INT(MEMORY_GET(calls) - calls_before, 1);
  CHECK(MEMORY_GET(bytes) - bytes <= 64);
  CHECK_INT(sizeof(desist_registration), 48);
  desist_source_release(source);
}

TEST(the_version_is_the_headers) {
  CHECK_TEXT(desist_version(), DESIST_VERSION);
}

TEST(nothing_is_left) { CHECK_LIVE(0); }

TEST(cancelling_lets_go_of_the_deadline) {
  desist_clock *clock = desist_clock_create(0);
  long live = MEMORY_GET(live);
  desist_source *source = desist_source_create_on(clock);
  desist_source *link = link_any(desist_source_token(source), NULL);
  CHECK(desist_source_cancel_after(source, 10));
  CHECK(desist_source_cancel_after(link, 10));
  CHECK(desist_source_cancel(source, NULL));
  CHECK(desist_token_deadline(desist_source_token(link)) == DESIST_NEVER);
  desist_source_release(link);
  desist_source_release(source);
  CHECK_LIVE(live);
  desist_clock_release(clock);
}

CHECK_MAIN()
