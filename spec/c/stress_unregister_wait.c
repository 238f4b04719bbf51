/*
** stress_unregister_wait.c: when unregister_wait has returned, node and data
** are the caller's: they are poisoned and freed while others still cancel.
** What a callback wrote, in plain memory, is seen by who waited for it.
*/
#include "check.h"
#include "check_memory.h"
#include "check_threads.h"

enum { PARTIES = 4, ITEMS = 6, ALIVE = 0x600D };

struct item {
  desist_registration node;
  int mark, ran; /* plain memory */
};

static void touch(void *data, desist_reason *reason) {
  struct item *item = data;
  CHECK_INT(item->mark, ALIVE);
  CHECK(reason != NULL);
  item->ran++;
  if (dice(8) == 0) sched_yield();
}

static struct item *item_create(desist_token *token) {
  struct item *item = malloc(sizeof *item);
  if (!item) abort();
  item->mark = ALIVE;
  item->ran = 0;
  desist_register(token, &item->node, touch, item);
  return item;
}

static void item_free(struct item *item, bool may_be_dropped) {
  bool removed = desist_unregister_wait(&item->node);
  if (removed)
    CHECK_INT(item->ran, 0);
  else if (!may_be_dropped)
    CHECK_INT(item->ran, 1);
  CHECK(item->ran <= 1);
  memset(item, 0xDD, sizeof *item);
  free(item);
}

/* --- Threads that wait -------------------------------------------------- */

enum { CANCEL, CANCEL_AND_RELEASE, CLOSE, RELEASE, CANCEL_AND_CLOSE, WAYS };

static struct {
  desist_source *source;
  desist_token *token;
  int way;
} now;

static void prepare(void *data) {
  (void)data;
  now.source = desist_source_create();
  now.token = desist_source_token(now.source);
  desist_token_retain(now.token);
  now.way = (int)dice(WAYS);
}

static void end_source(void) {
  dawdle();
  if (now.way == CLOSE)
    desist_source_close(now.source);
  else if (now.way != RELEASE)
    desist_source_cancel(now.source, NULL);
  if (now.way == CANCEL_AND_CLOSE) desist_source_close(now.source);
  if (now.way == CANCEL_AND_RELEASE || now.way == RELEASE)
    desist_source_release(now.source);
}

static void wait_and_free(int party, void *data) {
  struct item *items[ITEMS];
  int i;
  (void)data;
  if (party == 0) {
    end_source();
    return;
  }
  for (i = 0; i < ITEMS; i++) items[i] = item_create(now.token);
  dawdle();
  for (i = 0; i < ITEMS; i++) item_free(items[i], now.way >= CLOSE);
}

static void look(void *data) {
  (void)data;
  desist_token_release(now.token);
  if (now.way != CANCEL_AND_RELEASE && now.way != RELEASE)
    desist_source_release(now.source);
  CHECK_LIVE(0);
}

TEST(node_and_data_may_go) {
  race_repeat(PARTIES, prepare, wait_and_free, look, NULL);
}

/* --- Callbacks that wait ------------------------------------------------ */

/* The callback of one source frees the items of another, which a second
** thread cancels meanwhile. Nothing of the second waits: no circle. */
static struct {
  desist_source *first, *second;
  desist_registration node;
  struct item *items[ITEMS];
  atomic_int freed;
} two;

static void free_all(void *data, desist_reason *reason) {
  int i;
  (void)data, (void)reason;
  for (i = 0; i < ITEMS; i++) item_free(two.items[i], false);
  atomic_fetch_add(&two.freed, 1);
}

static void prepare_two(void *data) {
  int i;
  (void)data;
  two.first = desist_source_create();
  two.second = desist_source_create();
  atomic_init(&two.freed, 0);
  desist_register(desist_source_token(two.first), &two.node, free_all, NULL);
  for (i = 0; i < ITEMS; i++)
    two.items[i] = item_create(desist_source_token(two.second));
}

static void cancel_one(int party, void *data) {
  (void)data;
  dawdle();
  desist_source_cancel(party == 0 ? two.first : two.second, NULL);
}

static void look_at_two(void *data) {
  (void)data;
  CHECK_INT(atomic_load(&two.freed), 1);
  desist_source_release(two.first);
  desist_source_release(two.second);
  CHECK_LIVE(0);
}

TEST(a_callback_may_wait_and_free_too) {
  race_repeat(2, prepare_two, cancel_one, look_at_two, NULL);
}

/* --- Deadlines ---------------------------------------------------------- */

static void prepare_nothing(void *data) { (void)data; }

/* The service thread runs the callback, or does not. */
static void arm_wait_and_free(int party, void *data) {
  desist_source *source = desist_source_create();
  struct item *item = item_create(desist_source_token(source));
  (void)party, (void)data;
  desist_source_cancel_after(source, 1 + dice(60000));
  while (dice(20) != 0) dawdle();
  item_free(item, false);
  desist_source_release(source);
}

TEST(so_it_is_with_the_service_thread) {
  race_repeat(2, prepare_nothing, arm_wait_and_free, prepare_nothing, NULL);
}

CHECK_MAIN()
