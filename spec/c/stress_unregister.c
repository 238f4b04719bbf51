/*
** stress_unregister.c: "true from unregister" and "the callback ran" exclude
** each other, and one of them is always the case.
*/
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"
#include "check_threads.h"

enum { NODES = 24, PARTIES = 3 };

struct item {
  desist_registration node;
  atomic_int ran, removed; /* calls; trues from unregister */
};

static struct {
  desist_source *source;
  desist_token *token;
  struct item items[NODES];
  atomic_int cancels;
} now;

static void ran(void *data, desist_reason *reason) {
  struct item *item = data;
  CHECK(reason != NULL);
  atomic_fetch_add(&item->ran, 1);
}

static void register_item(struct item *item) {
  desist_register(now.token, &item->node, ran, item);
}

static void remove_item(struct item *item) {
  bool removed = dice(4) ? desist_unregister(&item->node)
                         : desist_unregister_wait(&item->node);
  if (removed) atomic_fetch_add(&item->removed, 1);
}

static void cancel(void) {
  if (desist_source_cancel(now.source, NULL)) atomic_fetch_add(&now.cancels, 1);
}

static void prepare_empty(void *data) {
  int i;
  (void)data;
  now.source = desist_source_create();
  now.token = desist_source_token(now.source);
  desist_token_retain(now.token);
  atomic_init(&now.cancels, 0);
  for (i = 0; i < NODES; i++) {
    atomic_init(&now.items[i].ran, 0);
    atomic_init(&now.items[i].removed, 0);
  }
}

static void prepare(void *data) {
  int i;
  prepare_empty(data);
  for (i = 0; i < NODES; i++) register_item(&now.items[i]);
}

/* Each item was removed or ran, just once; or neither, where it may have been
** dropped. */
static void look_at_items(bool dropped) {
  int i, once;
  for (i = 0; i < NODES; i++) {
    struct item *item = &now.items[i];
    once = atomic_load(&item->ran) + atomic_load(&item->removed);
    CHECK(once == 1 || (dropped && once == 0));
    CHECK(!desist_is_registered(&item->node));
    CHECK(!desist_unregister(&item->node));
  }
  desist_token_release(now.token);
  CHECK_LIVE(0);
}

/* --- Against cancel ----------------------------------------------------- */

static void cancel_or_remove(int party, void *data) {
  int i;
  (void)data;
  dawdle();
  if (party == 0) cancel();
  if (party == 1)
    for (i = 0; i < NODES; i++) remove_item(&now.items[i]);
  if (party == 2)
    for (i = NODES; i-- > 0;) remove_item(&now.items[i]);
}

static void look(void *data) {
  (void)data;
  CHECK_INT(atomic_load(&now.cancels), 1);
  desist_source_release(now.source);
  look_at_items(false);
}

TEST(unregister_is_true_or_the_callback_ran) {
  race_repeat(PARTIES, prepare, cancel_or_remove, look, NULL);
}

/* --- Against the end of the source -------------------------------------- */

static void release_or_remove(int party, void *data) {
  int i;
  (void)data;
  dawdle();
  if (party == 0)
    desist_source_release(now.source);
  else
    for (i = 0; i < NODES; i++)
      remove_item(&now.items[party == 1 ? i : NODES - 1 - i]);
}

static void look_dropped(void *data) {
  int i;
  (void)data;
  for (i = 0; i < NODES; i++) CHECK_INT(atomic_load(&now.items[i].ran), 0);
  look_at_items(true);
}

TEST(the_last_release_drops_or_unregister_is_true) {
  race_repeat(PARTIES, prepare, release_or_remove, look_dropped, NULL);
}

/* The token too, so that the memory goes while nodes are asked about. */
static void release_all_or_remove(int party, void *data) {
  if (party != 0) {
    release_or_remove(party, data);
    return;
  }
  dawdle();
  if (dice(2)) cancel();
  desist_token_release(now.token);
  desist_source_release(now.source);
}

static void look_gone(void *data) {
  (void)data;
  now.token = NULL;
  look_at_items(atomic_load(&now.cancels) == 0);
}

TEST(unregister_works_while_the_last_reference_goes) {
  race_repeat(PARTIES, prepare, release_all_or_remove, look_gone, NULL);
}

static void cancel_close_or_remove(int party, void *data) {
  int i;
  (void)data;
  dawdle();
  if (party == 0) cancel();
  if (party == 1) desist_source_close(now.source);
  if (party == 2)
    for (i = 0; i < NODES; i++) remove_item(&now.items[i]);
}

static void look_closed(void *data) {
  (void)data;
  desist_source_release(now.source);
  look_at_items(true);
}

TEST(close_drops_or_unregister_is_true_or_the_callback_ran) {
  race_repeat(PARTIES, prepare, cancel_close_or_remove, look_closed, NULL);
}

/* --- Against register --------------------------------------------------- */

static void cancel_or_register(int party, void *data) {
  int i;
  (void)data;
  dawdle();
  if (party == 0)
    cancel();
  else
    for (i = party - 1; i < NODES; i += 2) {
      register_item(&now.items[i]);
      if (dice(3) == 0) remove_item(&now.items[i]);
    }
}

TEST(what_is_registered_around_the_cancel_runs_once) {
  race_repeat(PARTIES, prepare_empty, cancel_or_register, look, NULL);
}

static void reset_or_register(int party, void *data) {
  int i;
  (void)data;
  dawdle();
  if (party == 0) {
    for (i = 0; i < 4; i++) desist_source_try_reset(now.source);
    cancel();
  } else {
    for (i = party - 1; i < NODES; i += 2) {
      register_item(&now.items[i]);
      if (dice(3) == 0) remove_item(&now.items[i]);
    }
  }
}

TEST(what_is_registered_around_a_reset_runs_once_or_is_dropped) {
  race_repeat(PARTIES, prepare_empty, reset_or_register, look_closed, NULL);
}

CHECK_MAIN()
