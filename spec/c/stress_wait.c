/*
** stress_wait.c: no waiter loses its wake-up, whoever cancels or closes, and
** whenever.
*/
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"
#include "check_threads.h"

enum { PARTIES = 6 };

static struct {
  desist_source *source, *link;
  desist_token *token, *link_token;
  bool closes;
} now;

static void prepare(void *data) {
  now.closes = *(bool *)data;
  now.source = desist_source_create();
  now.token = desist_source_token(now.source);
  now.link = link_any(now.token, NULL);
  now.link_token = desist_source_token(now.link);
  desist_token_retain(now.token);
  desist_token_retain(now.link_token);
}

/* A limit that is none, or so long that reaching it is a lost wake-up. */
static int64_t limit(void) { return dice(2) ? -1 : MS(3600000); }

static void wait_or_cancel(int party, void *data) {
  (void)data;
  if (party == 0) {
    dawdle();
    if (dice(4) == 0) check_sleep(dice(100000)); /* let them fall asleep */
    if (dice(3) == 0) desist_source_try_reset(now.link);
    if (now.closes && dice(2)) {
      desist_source_close(now.link);
      desist_source_close(now.source);
    } else if (now.closes) {
      desist_source_release(now.link);
      desist_source_release(now.source);
      now.link = now.source = NULL;
    } else {
      CHECK(desist_source_cancel(now.source, NULL));
    }
    return;
  }
  dawdle();
  if (now.closes)
    CHECK(!desist_token_wait(party % 2 ? now.token : now.link_token, -1));
  else
    CHECK(desist_token_wait(party % 2 ? now.token : now.link_token, limit()));
}

static void look(void *data) {
  (void)data;
  desist_source_release(now.link);
  desist_source_release(now.source);
  desist_token_release(now.token);
  desist_token_release(now.link_token);
  CHECK_LIVE(0);
}

TEST(cancelling_wakes_everybody) {
  bool closes = false;
  race_repeat(PARTIES, prepare, wait_or_cancel, look, &closes);
}

TEST(closing_wakes_everybody) {
  bool closes = true;
  race_repeat(PARTIES, prepare, wait_or_cancel, look, &closes);
}

/* --- Limits that run out at the same time -------------------------------- */

static void wait_shortly(int party, void *data) {
  int i;
  (void)data;
  if (party == 0) {
    check_sleep(dice(200000));
    CHECK(desist_source_cancel(now.source, NULL));
    return;
  }
  for (i = 0; i < 20; i++) {
    desist_token *token = party % 2 ? now.token : now.link_token;
    if (desist_token_wait(token, dice(30000)))
      CHECK(desist_token_is_cancelled(token));
  }
  CHECK(desist_token_wait(now.link_token, -1));
}

TEST(a_limit_may_run_out_meanwhile) {
  bool closes = false;
  race_repeat(PARTIES, prepare, wait_shortly, look, &closes);
}

/* --- Ping and pong ------------------------------------------------------- */

/* Two threads take turns: each cancels what the other one waits for. */
enum { TURNS = 50 };
static desist_source *turns[2][TURNS];

static void prepare_turns(void *data) {
  int i;
  (void)data;
  for (i = 0; i < TURNS; i++) {
    turns[0][i] = desist_source_create();
    turns[1][i] = desist_source_create();
  }
}

static void take_turns(int party, void *data) {
  int i;
  (void)data;
  for (i = 0; i < TURNS; i++) {
    if (party == 0) CHECK(desist_source_cancel(turns[0][i], NULL));
    CHECK(desist_token_wait(desist_source_token(turns[1 - party][i]), -1));
    if (party == 1) CHECK(desist_source_cancel(turns[1][i], NULL));
  }
}

static void look_at_turns(void *data) {
  int i;
  (void)data;
  for (i = 0; i < TURNS; i++) {
    desist_source_release(turns[0][i]);
    desist_source_release(turns[1][i]);
  }
}

TEST(two_threads_take_turns) {
  race_repeat(2, prepare_turns, take_turns, look_at_turns, NULL);
}

/* --- Deadlines ----------------------------------------------------------- */

static void wait_for_deadline(int party, void *data) {
  desist_source *source = desist_source_create();
  (void)party, (void)data;
  CHECK(desist_source_cancel_after(source, 1 + dice(50000)));
  CHECK(desist_token_wait(desist_source_token(source), limit()));
  desist_source_release(source);
}

static void nothing(void *data) { (void)data; }

TEST(a_deadline_wakes) {
  race_repeat(3, nothing, wait_for_deadline, nothing, NULL);
}

CHECK_MAIN()
