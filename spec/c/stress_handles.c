/*
** stress_handles.c: handles looked up while the last reference goes. What is
** found is a reference like any: alive until it is given back.
*/
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"
#include "check_threads.h"

enum { PARTIES = 4 };

static struct {
  desist_source *source;
  desist_token *token;
  char of_source[DESIST_HANDLE_SIZE], of_token[DESIST_HANDLE_SIZE];
  char taken[PARTIES][2][DESIST_HANDLE_SIZE];
  long live; /* with the tables of the library */
  atomic_int cancels, found;
} now;

static void prepare(void *data) {
  (void)data;
  now.source = desist_source_create();
  now.token = desist_source_token(now.source);
  CHECK(desist_source_handle(now.source, now.of_source));
  CHECK(desist_token_handle(now.token, now.of_token));
  atomic_init(&now.cancels, 0);
  atomic_init(&now.found, 0);
}

static void look_up_source(void) {
  desist_source *found = desist_source_from_handle(now.of_source);
  if (!found) return;
  atomic_fetch_add(&now.found, 1);
  CHECK(desist_token_can_be_cancelled(desist_source_token(found)));
  dawdle();
  if (dice(2)) {
    if (desist_source_cancel(found, NULL)) atomic_fetch_add(&now.cancels, 1);
    CHECK(desist_token_is_cancelled(desist_source_token(found)));
  }
  desist_source_release(found);
}

static void look_up_token(void) {
  desist_token *found = desist_token_from_handle(now.of_token);
  desist_registration node;
  int ran = 0;
  if (!found) return;
  desist_register(found, &node, count_call, &ran);
  dawdle();
  desist_unregister_wait(&node);
  if (calls(&ran)) CHECK(desist_token_is_cancelled(found));
  desist_token_release(found);
}

static void look_up_or_release(int party, void *data) {
  (void)data;
  dawdle();
  if (party == 0) {
    desist_source_release(now.source);
    return;
  }
  if (party == 1 || dice(2))
    look_up_source();
  else
    look_up_token();
}

static void look(void *data) {
  (void)data;
  CHECK(atomic_load(&now.cancels) <= 1);
  CHECK(desist_source_from_handle(now.of_source) == NULL);
  CHECK(desist_token_from_handle(now.of_token) == NULL);
  if (now.live == 0) now.live = MEMORY_GET(live);
  CHECK_LIVE(now.live);
}

TEST(a_handle_is_looked_up_while_the_last_reference_goes) {
  race_repeat(PARTIES, prepare, look_up_or_release, look, NULL);
}

/* --- Asking for the handle ----------------------------------------------- */

static void prepare_bare(void *data) {
  (void)data;
  now.source = desist_source_create();
  now.token = desist_source_token(now.source);
  desist_token_retain(now.token);
  memset(now.taken, 0, sizeof now.taken);
}

static void ask_or_cancel(int party, void *data) {
  (void)data;
  dawdle();
  if (party == 0) {
    desist_source_cancel(now.source, NULL);
    return;
  }
  CHECK(desist_source_handle(now.source, now.taken[party][0]));
  CHECK(desist_token_handle(now.token, now.taken[party][1]));
}

static void look_at_taken(void *data) {
  desist_source *found;
  int i;
  (void)data;
  for (i = 2; i < PARTIES; i++) {
    CHECK_TEXT(now.taken[i][0], now.taken[1][0]);
    CHECK_TEXT(now.taken[i][1], now.taken[1][1]);
  }
  found = desist_source_from_handle(now.taken[1][0]);
  CHECK(found == now.source);
  desist_source_release(found);
  desist_source_release(now.source);
  CHECK(desist_source_from_handle(now.taken[1][0]) == NULL);
  desist_token_release(now.token);
  CHECK(desist_token_from_handle(now.taken[1][1]) == NULL);
}

TEST(all_are_given_the_same_handle) {
  race_repeat(PARTIES, prepare_bare, ask_or_cancel, look_at_taken, NULL);
}

/* --- Closing ------------------------------------------------------------- */

static void look_up_or_close(int party, void *data) {
  (void)data;
  dawdle();
  if (party == 0)
    desist_source_close(now.source);
  else if (party == 1)
    look_up_token();
  else {
    desist_source *found = desist_source_from_handle(now.of_source);
    if (found && dice(2)) desist_source_close(found);
    desist_source_release(found);
  }
}

static void look_closed(void *data) {
  desist_source_release(now.source);
  look(data);
}

TEST(a_handle_is_looked_up_while_the_source_is_closed) {
  race_repeat(PARTIES, prepare, look_up_or_close, look_closed, NULL);
}

CHECK_MAIN()
