/* effective_deadline.c: the nearest deadline over a source and its inputs. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"

static desist_clock *hand;

static desist_source *on(desist_clock *clock, int64_t time) {
  desist_source *source = desist_source_create_on(clock);
  if (time != DESIST_NEVER) CHECK(desist_source_cancel_at(source, time));
  return source;
}

static int64_t deadline(desist_source *source) {
  return desist_token_deadline(desist_source_token(source));
}

static int64_t remaining(desist_source *source) {
  return desist_token_remaining(desist_source_token(source));
}

static desist_source *any(desist_source *a, desist_source *b) {
  return link_any(desist_source_token(a), b ? desist_source_token(b) : NULL);
}

static desist_source *all(desist_source *a, desist_source *b) {
  return link_all(desist_source_token(a), desist_source_token(b));
}

TEST(a_sources_own_deadline_counts) {
  desist_source *source;
  hand = desist_clock_create(100);
  source = on(hand, DESIST_NEVER);
  CHECK_INT(deadline(source), DESIST_NEVER);
  CHECK_INT(remaining(source), DESIST_NEVER);
  desist_source_cancel_after(source, 50);
  CHECK_INT(deadline(source), 150);
  CHECK_INT(remaining(source), 50);
  desist_clock_advance(hand, 20);
  CHECK_INT(deadline(source), 150);
  CHECK_INT(remaining(source), 30);
  desist_source_cancel(source, NULL);
  CHECK_INT(deadline(source), DESIST_NEVER);
  CHECK_INT(remaining(source), 0);
  desist_source_release(source);
  source = on(hand, 200);
  desist_source_close(source);
  CHECK_INT(deadline(source), DESIST_NEVER);
  CHECK_INT(remaining(source), DESIST_NEVER);
  desist_source_release(source);
  desist_clock_release(hand);
}

TEST(the_nearest_counts_for_a_link_of_any) {
  desist_source *a, *b, *link, *below;
  hand = desist_clock_create(0);
  a = on(hand, 30), b = on(hand, 20);
  link = any(a, b);
  below = any(link, NULL);
  CHECK_INT(deadline(link), 20);
  CHECK_INT(deadline(below), 20);
  CHECK(desist_source_cancel_at(below, 25));
  CHECK_INT(deadline(below), 20);
  CHECK(desist_source_cancel_at(below, 10));
  CHECK_INT(deadline(below), 10);
  CHECK_INT(deadline(link), 20);
  desist_source_cancel_at(b, DESIST_NEVER);
  CHECK_INT(deadline(link), 30);
  desist_source_close(a);
  CHECK_INT(deadline(link), DESIST_NEVER);
  CHECK_INT(deadline(below), 10);
  desist_source_release(below);
  desist_source_release(link);
  desist_source_release(a);
  desist_source_release(b);
  desist_clock_release(hand);
}

TEST(the_farthest_counts_for_a_link_of_all) {
  desist_source *a, *b, *link;
  hand = desist_clock_create(0);
  a = on(hand, 30), b = on(hand, DESIST_NEVER);
  link = all(a, b);
  CHECK_INT(deadline(link), DESIST_NEVER);
  CHECK_INT(remaining(link), DESIST_NEVER);
  desist_source_cancel_at(b, 40);
  CHECK_INT(deadline(link), 40);
  CHECK(desist_source_cancel_at(link, 50));
  CHECK_INT(deadline(link), 40);
  CHECK(desist_source_cancel_at(link, 35));
  CHECK_INT(deadline(link), 35);
  CHECK(desist_source_cancel_at(link, DESIST_NEVER));
  /* One that is cancelled already no longer stands in the way. */
  desist_source_cancel(b, NULL);
  CHECK_INT(deadline(link), 30);
  desist_clock_set(hand, 30);
  CHECK_INT(remaining(link), 0);
  desist_source_release(link);
  desist_source_release(a);
  desist_source_release(b);
  desist_clock_release(hand);
}

TEST(out_of_its_inputs_reach_a_link_of_all_has_its_own_alone) {
  desist_source *a, *b, *link;
  hand = desist_clock_create(0);
  a = on(hand, 30), b = on(hand, 40);
  link = all(a, b);
  desist_source_close(b);
  CHECK_INT(deadline(link), DESIST_NEVER);
  CHECK(desist_source_cancel_at(link, 99));
  CHECK_INT(deadline(link), 99);
  desist_source_release(link);
  desist_source_release(a);
  desist_source_release(b);
  desist_clock_release(hand);
}

TEST(any_and_all_may_be_mixed) {
  desist_source *s[4], *left, *right, *both;
  int i;
  hand = desist_clock_create(0);
  s[0] = on(hand, 10), s[1] = on(hand, 40);
  s[2] = on(hand, 20), s[3] = on(hand, 30);
  left = any(s[0], s[1]);  /* 10 */
  right = any(s[2], s[3]); /* 20 */
  both = all(left, right); /* 20 */
  CHECK_INT(deadline(both), 20);
  desist_source_release(both);
  desist_source_release(left);
  left = all(s[0], s[1]);  /* 40 */
  both = any(left, right); /* 20 */
  CHECK_INT(deadline(both), 20);
  desist_clock_set(hand, 15);
  CHECK_INT(remaining(both), 5);
  desist_source_release(both);
  both = all(left, right);
  CHECK_INT(deadline(both), 40);
  desist_source_release(both);
  desist_source_release(left);
  desist_source_release(right);
  for (i = 0; i < 4; i++) desist_source_release(s[i]);
  desist_clock_release(hand);
}

/* --- Clocks ------------------------------------------------------------ */

TEST(what_is_left_decides_between_clocks) {
  desist_clock *early = desist_clock_create(0);
  desist_clock *late = desist_clock_create(1000000);
  desist_source *a = on(early, 300), *b = on(late, 1000200);
  desist_source *link = any(a, b), *both = all(a, b);
  CHECK_INT(deadline(link), 1000200);
  CHECK_INT(remaining(link), 200);
  CHECK_INT(deadline(both), 300);
  CHECK_INT(remaining(both), 300);
  desist_clock_advance(early, 250);
  CHECK_INT(deadline(link), 300);
  CHECK_INT(remaining(link), 50);
  CHECK_INT(deadline(both), 1000200);
  /* Clocks differ: a link's own deadline is on the real one. */
  CHECK(desist_source_cancel_after(link, MS(3600000)));
  CHECK_INT(deadline(link), 300);
  desist_source_cancel_at(a, DESIST_NEVER);
  desist_source_cancel_at(b, DESIST_NEVER);
  CHECK(deadline(link) > desist_now());
  CHECK(remaining(link) > MS(3500000));
  desist_source_release(link);
  desist_source_release(both);
  desist_source_release(a);
  desist_source_release(b);
  desist_clock_release(early);
  desist_clock_release(late);
}

TEST(a_links_own_deadline_is_on_the_clock_its_inputs_share) {
  desist_source *a, *b, *link, *below;
  hand = desist_clock_create(7);
  a = on(hand, DESIST_NEVER), b = on(hand, DESIST_NEVER);
  link = any(a, b);
  below = all(link, a);
  CHECK(desist_source_cancel_after(below, 3));
  CHECK_INT(deadline(below), 10);
  desist_clock_advance(hand, 3);
  CHECK(desist_token_is_cancelled(desist_source_token(below)));
  desist_source_release(below);
  desist_source_release(link);
  desist_source_release(a);
  desist_source_release(b);
  desist_clock_release(hand);
}

TEST(the_real_clock_runs_down) {
  desist_source *a = desist_source_create();
  desist_source *link = any(a, NULL);
  int64_t first, second;
  desist_source_cancel_after(a, MS(3600000));
  first = remaining(link);
  check_sleep(MS(2));
  second = remaining(link);
  CHECK(first <= MS(3600000) && second <= first - MS(2));
  CHECK(second > MS(3500000));
  desist_source_release(link);
  desist_source_release(a);
}

/* --- Big graphs -------------------------------------------------------- */

TEST(a_ladder_of_diamonds_is_looked_through_once) {
  enum { LAYERS = 60 };
  desist_source *s[LAYERS + 1][2];
  int i, k;
  hand = desist_clock_create(0);
  s[0][0] = on(hand, 50), s[0][1] = on(hand, 60);
  for (i = 1; i <= LAYERS; i++)
    for (k = 0; k < 2; k++)
      s[i][k] = (i + k) % 2 ? any(s[i - 1][0], s[i - 1][1])
                            : all(s[i - 1][0], s[i - 1][1]);
  CHECK(deadline(s[LAYERS][0]) == 50 || deadline(s[LAYERS][0]) == 60);
  CHECK_INT(deadline(s[1][0]), 50);
  CHECK_INT(deadline(s[1][1]), 60);
  for (i = 0; i <= LAYERS; i++)
    for (k = 0; k < 2; k++) desist_source_release(s[i][k]);
  desist_clock_release(hand);
}

TEST(a_thousand_inputs_are_looked_through) {
  enum { WIDE = 1000 };
  static desist_source *s[WIDE], *any_link, *all_link;
  static desist_token *tokens[WIDE];
  int i;
  hand = desist_clock_create(0);
  for (i = 0; i < WIDE; i++) {
    s[i] = on(hand, 5000 + (i * 617) % WIDE);
    tokens[i] = desist_source_token(s[i]);
  }
  any_link = desist_source_create_linked(tokens, WIDE, DESIST_LINK_ANY);
  all_link = desist_source_create_linked(tokens, WIDE, DESIST_LINK_ALL);
  CHECK_INT(deadline(any_link), 5000);
  CHECK_INT(deadline(all_link), 5999);
  for (i = 0; i < WIDE; i++) desist_source_release(s[i]);
  desist_source_release(any_link);
  desist_source_release(all_link);
  desist_clock_release(hand);
}

TEST(without_a_token_there_is_no_deadline) {
  CHECK_INT(desist_token_deadline(NULL), DESIST_NEVER);
  CHECK_INT(desist_token_remaining(NULL), DESIST_NEVER);
}

TEST(what_is_left_of_the_longest_deadline_is_not_never) {
  desist_source *source;
  hand = desist_clock_create(-1);
  source = desist_source_create_on(hand);
  CHECK(desist_source_cancel_at(source, INT64_MAX - 1));
  CHECK_INT(deadline(source), INT64_MAX - 1);
  CHECK_INT(desist_token_remaining(desist_source_token(source)), INT64_MAX - 1);
  desist_source_release(source);
  desist_clock_release(hand);
}

CHECK_MAIN()
