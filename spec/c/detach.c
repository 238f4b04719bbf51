/* detach.c: sources that live on without a source reference. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"

TEST(detaching_what_nothing_can_cancel_closes_it) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  desist_token_retain(token);
  desist_source_detach(source);
  CHECK(!desist_token_can_be_cancelled(token));
  desist_token_release(token);
}

TEST(detaching_one_of_two_references_gives_back_one) {
  desist_source *source = desist_source_create();
  desist_source_retain(source);
  desist_source_detach(source);
  CHECK(desist_source_cancel(source, NULL));
  desist_source_detach(source);
}

TEST(a_detached_deadline_cancels_its_token) {
  desist_clock *clock = desist_clock_create(0);
  desist_source *source = desist_source_create_on(clock);
  desist_token *token = desist_source_token(source);
  desist_token_retain(token);
  CHECK(desist_source_cancel_after(source, 10));
  desist_source_detach(source);
  CHECK(desist_token_can_be_cancelled(token));
  CHECK_INT(desist_token_deadline(token), 10);
  CHECK(desist_clock_advance(clock, 10));
  CHECK(desist_token_is_cancelled(token));
  desist_token_release(token);
  desist_clock_release(clock);
}

TEST(a_detached_deadline_runs_its_registration) {
  desist_clock *clock = desist_clock_create(0);
  desist_source *source = desist_source_create_on(clock);
  desist_registration node;
  int ran = 0;
  desist_source_cancel_after(source, 10);
  desist_register(desist_source_token(source), &node, count_call, &ran);
  desist_source_detach(source);
  desist_clock_advance(clock, 9);
  CHECK_INT(ran, 0);
  desist_clock_advance(clock, 1);
  CHECK_INT(ran, 1);
  desist_clock_release(clock);
}

TEST(a_detached_link_is_cancelled_through_its_input) {
  desist_source *input = desist_source_create();
  desist_source *link = link_any(desist_source_token(input), NULL);
  desist_source *below = link_any(desist_source_token(link), NULL);
  desist_token *token = desist_source_token(below);
  desist_token_retain(token);
  desist_source_detach(link);
  desist_source_detach(below);
  CHECK(desist_token_can_be_cancelled(token));
  desist_source_cancel(input, NULL);
  CHECK(desist_token_is_cancelled(token));
  desist_token_release(token);
  desist_source_release(input);
}

TEST(a_detached_deadline_goes_when_nobody_sees_it_any_more) {
  desist_clock *clock = desist_clock_create(0);
  long live = MEMORY_GET(live);
  int way, ran = 0;
  for (way = 0; way < 2; way++) {
    desist_source *source = desist_source_create_on(clock);
    desist_token *token = desist_source_token(source);
    desist_registration node;
    desist_token_retain(token);
    desist_source_cancel_after(source, 10);
    desist_register(token, &node, count_call, &ran);
    desist_source_detach(source);
    if (way == 0) CHECK(desist_unregister(&node));
    desist_token_release(token);
    if (way == 1) CHECK(desist_unregister(&node));
    CHECK_LIVE(live);
  }
  desist_clock_release(clock);
  CHECK_INT(ran, 0);
}

TEST(a_detached_deadline_goes_with_the_link_that_saw_it) {
  desist_clock *clock = desist_clock_create(0);
  long live = MEMORY_GET(live);
  int way;
  for (way = 0; way < 4; way++) {
    desist_source *source = desist_source_create_on(clock);
    desist_source *link = link_any(desist_source_token(source), NULL);
    desist_source_cancel_after(source, 10);
    desist_source_detach(source);
    CHECK_INT(desist_token_deadline(desist_source_token(link)), 10);
    if (way == 1) desist_source_close(link);
    if (way == 2) desist_source_cancel(link, NULL);
    if (way == 3)
      desist_source_detach(link);
    else
      desist_source_release(link);
    CHECK_LIVE(live);
  }
  desist_clock_release(clock);
}

TEST(a_detached_link_runs_its_registration) {
  desist_source *input = desist_source_create();
  desist_source *link = link_any(desist_source_token(input), NULL);
  desist_registration node;
  int ran = 0;
  desist_register(desist_source_token(link), &node, count_call, &ran);
  desist_source_detach(link);
  desist_source_cancel(input, NULL);
  CHECK_INT(ran, 1);
  desist_source_release(input);
}

TEST(what_nobody_can_see_is_gone) {
  desist_source *input = desist_source_create();
  long live = MEMORY_GET(live);
  desist_source *link = link_any(desist_source_token(input), NULL);
  desist_token *token = desist_source_token(link);
  desist_registration node;
  int ran = 0;
  desist_token_retain(token);
  desist_source_detach(link);
  desist_register(token, &node, count_call, &ran);
  desist_token_release(token);
  CHECK(!desist_source_try_reset(input));
  CHECK(desist_is_registered(&node));
  CHECK(desist_unregister(&node));
  CHECK_LIVE(live);
  CHECK(desist_source_try_reset(input));
  desist_source_release(input);
}

TEST(a_detached_link_whose_inputs_are_gone_is_given_up) {
  desist_source *input = desist_source_create();
  desist_source *link = link_any(desist_source_token(input), NULL);
  desist_token *token = desist_source_token(link);
  desist_token_retain(token);
  desist_source_detach(link);
  desist_source_release(input);
  CHECK(!desist_token_can_be_cancelled(token));
  CHECK(!desist_token_wait(token, -1));
  desist_token_release(token);
}

TEST(nothing_is_left) { CHECK_LIVE(0); }

TEST(a_deadline_goes_with_the_last_link_that_saw_it) {
  desist_clock *clock = desist_clock_create(0);
  long live = MEMORY_GET(live);
  desist_source *source = desist_source_create_on(clock);
  desist_source *link = link_any(desist_source_token(source), NULL);
  desist_source_cancel_after(source, 10);
  desist_source_detach(source);
  desist_source_release(link);
  CHECK_LIVE(live);
  desist_clock_release(clock);
}

CHECK_MAIN()
