/*
** stress_circle.c: sources whose callbacks wait for each other's
** registrations, cancelled at the same time. It must end; that is all.
** Besides, true from unregister_wait still means that nothing ran.
*/
#include "check.h"
#include "check_memory.h"
#include "check_threads.h"

enum { MOST = 4, EACH = 2 };

struct member {
  desist_registration node;
  atomic_int ran, removed;
  int index;
};

static struct {
  int sources;
  desist_source *source[MOST];
  struct member members[MOST][EACH];
  enum { NEXT, EVERYBODY, ANYBODY } whom;
} now;

static void wait_for(struct member *other) {
  if (desist_unregister_wait(&other->node))
    CHECK_INT(atomic_fetch_add(&other->removed, 1), 0);
}

static void wait_for_others(void *data, desist_reason *reason) {
  struct member *member = data;
  int i, k, index = member->index;
  (void)reason;
  atomic_fetch_add(&member->ran, 1);
  dawdle();
  switch (now.whom) {
  case NEXT:
    wait_for(&now.members[(index + 1) % now.sources][0]);
    break;
  case EVERYBODY:
    for (i = 1; i < now.sources; i++)
      for (k = 0; k < EACH; k++)
        wait_for(&now.members[(index + i) % now.sources][k]);
    break;
  case ANYBODY:
    for (i = 0; i < 3; i++)
      wait_for(&now.members[dice((unsigned)now.sources)][dice(EACH)]);
    break;
  }
}

static void prepare(void *data) {
  int i, k;
  now.sources = *(int *)data;
  now.whom = dice(3) == 0 ? NEXT : dice(2) ? EVERYBODY : ANYBODY;
  for (i = 0; i < now.sources; i++) {
    now.source[i] = desist_source_create();
    for (k = 0; k < EACH; k++) {
      struct member *member = &now.members[i][k];
      member->index = i;
      atomic_init(&member->ran, 0);
      atomic_init(&member->removed, 0);
    }
  }
  /* All are there before the first can look at them. */
  for (i = 0; i < now.sources; i++)
    for (k = 0; k < EACH; k++)
      desist_register(desist_source_token(now.source[i]),
                      &now.members[i][k].node, wait_for_others,
                      &now.members[i][k]);
}

/* One thread for each source; one more that waits from outside. */
static void cancel_or_wait(int party, void *data) {
  (void)data;
  dawdle();
  if (party < now.sources)
    desist_source_cancel(now.source[party], NULL);
  else
    wait_for(&now.members[dice((unsigned)now.sources)][dice(EACH)]);
}

static void look(void *data) {
  int i, k;
  (void)data;
  for (i = 0; i < now.sources; i++) {
    for (k = 0; k < EACH; k++) {
      struct member *member = &now.members[i][k];
      CHECK_INT(atomic_load(&member->ran) + atomic_load(&member->removed), 1);
    }
    desist_source_release(now.source[i]);
  }
  CHECK_LIVE(0);
}

TEST(two_wait_for_each_other) {
  int sources = 2;
  race_repeat(3, prepare, cancel_or_wait, look, &sources);
}

TEST(three_wait_for_each_other) {
  int sources = 3;
  race_repeat(4, prepare, cancel_or_wait, look, &sources);
}

TEST(four_wait_for_each_other) {
  int sources = 4;
  race_repeat(5, prepare, cancel_or_wait, look, &sources);
}

/* --- Nested cancellations ----------------------------------------------- */

/* The callback of each source cancels the next one and then waits for its
** registration: cancellations and waits run into each other. */
static void cancel_next_and_wait(void *data, desist_reason *reason) {
  struct member *member = data;
  int next = (member->index + 1) % now.sources;
  (void)reason;
  atomic_fetch_add(&member->ran, 1);
  if (dice(2)) desist_source_cancel(now.source[next], NULL);
  wait_for(&now.members[next][dice(EACH)]);
}

static void prepare_nested(void *data) {
  int i, k;
  prepare(data);
  for (i = 0; i < now.sources; i++)
    for (k = 0; k < EACH; k++) {
      struct member *member = &now.members[i][k];
      CHECK(desist_unregister(&member->node));
    }
  for (i = 0; i < now.sources; i++)
    for (k = 0; k < EACH; k++)
      desist_register(desist_source_token(now.source[i]),
                      &now.members[i][k].node, cancel_next_and_wait,
                      &now.members[i][k]);
}

TEST(nested_cancellations_wait_for_each_other) {
  int sources = 3;
  race_repeat(4, prepare_nested, cancel_or_wait, look, &sources);
}

CHECK_MAIN()
