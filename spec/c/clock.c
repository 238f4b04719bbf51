/* clock.c: clocks that move only when told to. */
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

/* --- Moving ------------------------------------------------------------ */

TEST(the_real_clock_goes_forward) {
  int64_t a = desist_now(), b = desist_clock_now(NULL), c;
  check_sleep(MS(2));
  c = desist_now();
  CHECK(a <= b && b + MS(2) <= c);
}

TEST(a_clock_moves_forward_only) {
  begin(-5);
  CHECK_INT(desist_clock_now(hand), -5);
  CHECK(desist_clock_advance(hand, 15));
  CHECK_INT(desist_clock_now(hand), 10);
  CHECK(!desist_clock_advance(hand, -1));
  CHECK(!desist_clock_advance(hand, INT64_MIN));
  CHECK(!desist_clock_set(hand, 9));
  CHECK_INT(desist_clock_now(hand), 10);
  CHECK(desist_clock_advance(hand, 0));
  CHECK(desist_clock_set(hand, 10));
  CHECK(desist_clock_set(hand, 11));
  CHECK_INT(desist_clock_now(hand), 11);
  desist_clock_release(hand);
}

TEST(past_its_end_it_stops_at_its_end) {
  struct noted late;
  int64_t end;
  begin(10);
  armed(DESIST_NEVER - 1, "l", &late);
  CHECK(desist_clock_advance(hand, INT64_MAX));
  end = desist_clock_now(hand);
  CHECK(end >= DESIST_NEVER - 1);
  CHECK(cancelled(&late));
  CHECK(desist_clock_advance(hand, 1));
  CHECK_INT(desist_clock_now(hand), end);
  desist_source_release(late.source);
  desist_clock_release(hand);
}

TEST(a_clock_may_start_anywhere) {
  begin(INT64_MIN);
  CHECK_INT(desist_clock_now(hand), INT64_MIN);
  CHECK(desist_clock_advance(hand, INT64_MAX));
  CHECK_INT(desist_clock_now(hand), -1);
  CHECK(desist_clock_set(hand, 5));
  desist_clock_release(hand);
}

/* --- Firing ------------------------------------------------------------ */

TEST(deadlines_fire_in_their_order_and_ties_in_the_order_of_arming) {
  struct noted s[6];
  int i;
  begin(0);
  armed(30, "f", &s[0]);
  armed(20, "c", &s[1]);
  armed(10, "a", &s[2]);
  armed(20, "d", &s[3]);
  armed(10, "b", &s[4]);
  armed(20, "x", &s[5]);
  /* Arming again counts as arming. */
  CHECK(desist_source_cancel_at(s[1].source, 20));
  CHECK(desist_clock_advance(hand, 29));
  CHECK_TEXT(trail, "abdxc");
  CHECK(desist_clock_set(hand, 30));
  CHECK_TEXT(trail, "abdxcf");
  for (i = 0; i < 6; i++) desist_source_release(s[i].source);
  desist_clock_release(hand);
}

TEST(many_deadlines_fire_in_order) {
  enum { MANY = 2000 };
  static struct noted s[MANY];
  static int64_t last;
  int i;
  begin(0);
  for (i = 0; i < MANY; i++) {
    s[i].source = desist_source_create_on(hand);
    desist_source_cancel_after(s[i].source, 1 + (i * 7919) % MANY);
  }
  for (last = 1; last <= MANY; last++) {
    int due = 0;
    desist_clock_set(hand, last);
    for (i = 0; i < MANY; i++)
      due += desist_token_is_cancelled(desist_source_token(s[i].source));
    if (!CHECK_INT(due, last)) break;
  }
  for (i = 0; i < MANY; i++) desist_source_release(s[i].source);
  desist_clock_release(hand);
}

TEST(far_and_near_deadlines_keep_their_order) {
  static const int64_t times[] = { 1,
                                   63,
                                   64,
                                   65,
                                   4095,
                                   4096,
                                   1000000,
                                   MS(1),
                                   MS(1000),
                                   MS(3600000) * 24,
                                   INT64_MAX / 2,
                                   INT64_MAX - 2 };
  struct noted s[COUNT(times)];
  char expected[COUNT(times) + 1], letters[COUNT(times)][2];
  size_t i;
  begin(0);
  for (i = COUNT(times); i-- > 0;) {
    letters[i][0] = expected[i] = (char)('a' + i);
    letters[i][1] = '\0';
    armed(times[i], letters[i], &s[i]);
  }
  expected[COUNT(times)] = '\0';
  for (i = 0; i < COUNT(times); i++) {
    desist_clock_set(hand, times[i] - 1);
    CHECK(!cancelled(&s[i]));
    if (i % 2) desist_clock_set(hand, times[i]);
  }
  desist_clock_advance(hand, INT64_MAX);
  /* 1000000 and MS(1) are one moment, armed the other way round. */
  expected[6] = 'h', expected[7] = 'g';
  CHECK_TEXT(trail, expected);
  for (i = 0; i < COUNT(times); i++) desist_source_release(s[i].source);
  desist_clock_release(hand);
}

TEST(what_has_come_or_gone_fires_at_once) {
  struct noted s;
  static const int64_t times[] = { 100, 99, 0, -1, INT64_MIN };
  size_t i;
  begin(100);
  for (i = 0; i < COUNT(times); i++) {
    armed(times[i], "x", &s);
    CHECK(cancelled(&s));
    CHECK_INT(desist_reason_kind(desist_token_reason(s.token)),
              DESIST_KIND_DEADLINE);
    desist_source_release(s.source);
  }
  note(&s, desist_source_create_on(hand), "y");
  CHECK(!desist_source_cancel_after(s.source, -1));
  CHECK(desist_source_cancel_after(s.source, INT64_MAX - 1));
  CHECK_INT(desist_token_deadline(s.token), DESIST_NEVER);
  CHECK(desist_source_cancel_after(s.source, 0));
  CHECK_TEXT(trail, "xxxxxy");
  desist_source_release(s.source);
  desist_clock_release(hand);
}

TEST(disarmed_deadlines_do_not_fire) {
  struct noted s[4];
  int i;
  begin(0);
  for (i = 0; i < 4; i++) armed(10, "x", &s[i]);
  CHECK(desist_source_cancel_at(s[0].source, DESIST_NEVER));
  desist_source_close(s[1].source);
  CHECK(desist_source_try_reset(s[2].source));
  CHECK(desist_source_cancel_at(s[3].source, 20));
  desist_clock_set(hand, 19);
  CHECK_TEXT(trail, "");
  desist_clock_set(hand, 20);
  CHECK_TEXT(trail, "x");
  for (i = 0; i < 4; i++) desist_source_release(s[i].source);
  desist_clock_release(hand);
}

TEST(nothing_is_left) { CHECK_LIVE(0); }

CHECK_MAIN()
