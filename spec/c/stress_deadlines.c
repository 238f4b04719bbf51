/*
** stress_deadlines.c: arming, disarming, cancelling, closing and releasing
** against the thread that serves the deadlines, and against a manual clock
** that another thread moves.
*/
#include "check.h"
#include "check_memory.h"
#include "check_threads.h"

/* --- Each thread its own source ----------------------------------------- */

static void prepare_nothing(void *data) { (void)data; }

/* What was disarmed in time is never cancelled; what was not is. */
static void arm_and_disarm(int party, void *data) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  bool armed = true;
  int i;
  (void)party, (void)data;
  for (i = 0; i < 4 && armed; i++) {
    CHECK(desist_source_cancel_after(source, 1 + dice(100000)) ||
          desist_token_is_cancelled(token));
    dawdle();
    if (dice(3))
      armed = desist_source_cancel_after(source, DESIST_NEVER);
    else
      armed = desist_source_try_reset(source);
    CHECK(armed != desist_token_is_cancelled(token));
  }
  if (armed) {
    check_sleep(150000);
    CHECK(!desist_token_is_cancelled(token));
  } else {
    CHECK_INT(desist_reason_kind(desist_token_reason(token)),
              DESIST_KIND_DEADLINE);
  }
  desist_source_release(source);
}

TEST(what_is_disarmed_in_time_never_fires) {
  race_repeat(3, prepare_nothing, arm_and_disarm, prepare_nothing, NULL);
}

/* The reason is the deadline's or the caller's, as the call's result says. */
static void arm_and_cancel(int party, void *data) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  bool by_us;
  (void)party, (void)data;
  desist_source_cancel_after(source, 1 + dice(60000));
  while (dice(16)) dawdle();
  by_us = desist_source_cancel(source, NULL);
  CHECK(desist_token_is_cancelled(token));
  CHECK_INT(desist_reason_kind(desist_token_reason(token)),
            by_us ? DESIST_KIND_CANCELLED : DESIST_KIND_DEADLINE);
  CHECK_INT(desist_token_deadline(token), DESIST_NEVER);
  desist_source_release(source);
}

TEST(a_deadline_or_a_cancel_wins) {
  race_repeat(3, prepare_nothing, arm_and_cancel, prepare_nothing, NULL);
}

/* --- Sources that all threads do everything to -------------------------- */

enum { SLOTS = 16, PARTIES = 4, STEPS = 40 };

struct slot {
  desist_source *source;
  desist_token *token;
  desist_registration node;
  atomic_int ran;
};

static struct {
  struct slot slots[SLOTS];
  desist_clock *clock; /* NULL: the real one */
} now;

static void run_once(void *data, desist_reason *reason) {
  CHECK(reason != NULL);
  CHECK_INT(atomic_fetch_add((atomic_int *)data, 1), 0);
}

static void prepare(void *data) {
  int i;
  now.clock = *(bool *)data ? desist_clock_create(0) : NULL;
  for (i = 0; i < SLOTS; i++) {
    struct slot *slot = &now.slots[i];
    slot->source = desist_source_create_on(now.clock);
    if (i > 1 && dice(2)) {
      desist_token *inputs[2];
      inputs[0] = now.slots[dice((unsigned)i)].token;
      inputs[1] = now.slots[dice((unsigned)i)].token;
      desist_source_release(slot->source);
      slot->source = desist_source_create_linked(
          inputs, 2, dice(3) ? DESIST_LINK_ANY : DESIST_LINK_ALL);
    }
    slot->token = desist_source_token(slot->source);
    desist_token_retain(slot->token);
    atomic_init(&slot->ran, 0);
    desist_register(slot->token, &slot->node, run_once, &slot->ran);
  }
}

static void do_something(struct slot *slot) {
  switch (dice(12)) {
  case 0:
    desist_source_cancel(slot->source, NULL);
    break;
  case 1:
    if (dice(4) == 0) desist_source_close(slot->source);
    break;
  case 2:
    desist_source_cancel_after(slot->source, DESIST_NEVER);
    break;
  case 3:
    desist_source_cancel_after(slot->source, 0);
    break;
  case 4:
    desist_source_cancel_at(slot->source, desist_clock_now(now.clock));
    break;
  case 5:
    CHECK(desist_token_remaining(slot->token) >= 0);
    break;
  case 6:
    desist_token_wait(slot->token, dice(20000));
    break;
  case 7:
    desist_source_retain(slot->source);
    desist_source_detach(slot->source);
    break;
  default:
    desist_source_cancel_after(slot->source, 1 + dice(30000));
    break;
  }
}

static void do_all(int party, void *data) {
  int i;
  (void)data;
  for (i = 0; i < STEPS; i++) {
    if (party == 0 && now.clock)
      desist_clock_advance(now.clock, dice(9000));
    else
      do_something(&now.slots[dice(SLOTS)]);
  }
  if (party != 1) return;
  /* Only one thread gives back, while the others still hold the tokens. */
  for (i = 0; i < SLOTS; i++) desist_source_retain(now.slots[i].source);
  for (i = 0; i < SLOTS; i++) desist_source_release(now.slots[i].source);
}

static void look(void *data) {
  int i;
  (void)data;
  for (i = 0; i < SLOTS; i++)
    if (dice(2))
      desist_source_release(now.slots[i].source);
    else
      desist_source_detach(now.slots[i].source);
  if (now.clock) desist_clock_advance(now.clock, 10000);
  for (i = 0; i < SLOTS; i++) {
    struct slot *slot = &now.slots[i];
    desist_unregister_wait(&slot->node);
    CHECK(atomic_load(&slot->ran) <= 1);
    if (atomic_load(&slot->ran) == 1)
      CHECK(desist_token_is_cancelled(slot->token));
    desist_token_release(slot->token);
  }
  desist_clock_release(now.clock);
}

TEST(everything_at_once_on_the_real_clock) {
  bool manual = false;
  race_repeat(PARTIES, prepare, do_all, look, &manual);
}

TEST(everything_at_once_on_a_manual_clock) {
  bool manual = true;
  race_repeat(PARTIES, prepare, do_all, look, &manual);
}

/* --- The end of a clock ------------------------------------------------- */

static void end_clock(int party, void *data) {
  int i;
  (void)data;
  dawdle();
  if (party == 0) {
    desist_clock_advance(now.clock, 10000);
    desist_clock_release(now.clock);
    now.clock = NULL;
  } else {
    for (i = 0; i < SLOTS; i++) {
      struct slot *slot = &now.slots[i];
      desist_source_cancel_after(slot->source, 1 + dice(20000));
    }
  }
}

TEST(a_clock_goes_while_it_is_armed) {
  bool manual = true;
  race_repeat(2, prepare, end_clock, look, &manual);
}

TEST(nothing_grows) {
  long live;
  bool manual = false;
  check_sleep(MS(20));
  live = MEMORY_GET(live);
  race_repeat(PARTIES, prepare, do_all, look, &manual);
  CHECK_LIVE(live);
}

CHECK_MAIN()
