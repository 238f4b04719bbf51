/* clock_callbacks.c: callbacks of a manual clock, while it moves. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"

static desist_clock *hand;

static void begin(int64_t start) {
  hand = desist_clock_create(start);
  trail_begin();
}

/* A source with a letter on it, armed. */
static void armed(int64_t time, const char *letter, struct noted *noted) {
  note(noted, desist_source_create_on(hand), letter);
  CHECK(desist_source_cancel_at(noted->source, time));
}

static bool cancelled(const struct noted *noted) {
  return desist_token_is_cancelled(noted->token);
}

static struct noted others[3];

static void look(void *data, desist_reason *reason) {
  (void)data, (void)reason;
  CHECK_INT(desist_clock_now(hand), 10);
  CHECK(cancelled(&others[0])); /* due at the same moment */
  CHECK(!cancelled(&others[1]));
  CHECK(!desist_clock_advance(hand, 1));
  CHECK(!desist_clock_set(hand, 1000));
  CHECK_INT(desist_clock_now(hand), 10);
  leave("a");
  armed(15, "n", &others[2]);                           /* within the span */
  CHECK(desist_source_cancel_at(others[1].source, 10)); /* now */
}

TEST(a_callback_sees_the_moment_of_its_deadline) {
  desist_registration node;
  desist_source *first;
  int i;
  begin(0);
  first = desist_source_create_on(hand);
  desist_register(desist_source_token(first), &node, look, NULL);
  desist_source_cancel_at(first, 10);
  armed(10, "b", &others[0]);
  armed(20, "c", &others[1]);
  CHECK(desist_clock_advance(hand, 100));
  CHECK_TEXT(trail, "acbn");
  CHECK_INT(desist_clock_now(hand), 100);
  for (i = 0; i < 3; i++) desist_source_release(others[i].source);
  desist_source_release(first);
  desist_clock_release(hand);
}

static void arm_again(void *data, desist_reason *reason) {
  static struct noted chain[10];
  int *depth = data;
  (void)reason;
  if (*depth > 0) desist_source_release(chain[*depth - 1].source);
  if (*depth == 10) return;
  chain[*depth].source = desist_source_create_on(hand);
  desist_register(desist_source_token(chain[*depth].source),
                  &chain[*depth].node, arm_again, depth);
  desist_source_cancel_after(chain[(*depth)++].source, 10);
}

TEST(what_callbacks_arm_within_the_span_fires_in_the_same_call) {
  int depth = 0;
  begin(0);
  arm_again(&depth, NULL);
  desist_clock_advance(hand, 95);
  CHECK_INT(depth, 10);
  desist_clock_advance(hand, 5);
  CHECK_LIVE(1);
  desist_clock_release(hand);
}

/* --- Lifetimes --------------------------------------------------------- */

TEST(releasing_the_clock_disarms) {
  struct noted held, seen;
  begin(0);
  armed(10, "h", &held);
  armed(10, "s", &seen);
  desist_token_retain(seen.token);
  desist_source_detach(seen.source);
  CHECK(desist_token_can_be_cancelled(seen.token));
  desist_clock_retain(hand);
  desist_clock_release(hand);
  CHECK_INT(desist_token_deadline(held.token), 10);
  desist_clock_release(hand);
  CHECK_INT(desist_token_deadline(held.token), DESIST_NEVER);
  CHECK(!desist_token_can_be_cancelled(seen.token));
  CHECK(desist_source_cancel(held.source, NULL));
  CHECK_TEXT(trail, "h");
  desist_token_release(seen.token);
  desist_source_release(held.source);
}

TEST(nothing_is_left) { CHECK_LIVE(0); }

CHECK_MAIN()
