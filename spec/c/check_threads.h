/*
** check_threads.h: threads, a meeting point that lets them start a race
** together, and dice to shift the race about.
*/
#ifndef CHECK_THREADS_H
#define CHECK_THREADS_H

#include "check.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static inline pthread_t thread_start(void *(*run)(void *), void *data) {
  pthread_t thread;
  if (!CHECK_INT(pthread_create(&thread, NULL, run, data), 0)) exit(1);
  return thread;
}

static inline void *thread_join(pthread_t thread) {
  void *result = NULL;
  CHECK_INT(pthread_join(thread, &result), 0);
  return result;
}

/* Runs it on a stack of `size` bytes and waits for it. */
static inline void thread_on_stack(size_t size, void *(*run)(void *),
                                   void *data) {
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  CHECK_INT(pthread_attr_setstacksize(&attributes, size), 0);
  if (CHECK_INT(pthread_create(&thread, &attributes, run, data), 0))
    thread_join(thread);
  pthread_attr_destroy(&attributes);
}

/* --- Meeting ----------------------------------------------------------- */

/* Parties wait here for each other, any number of times. They spin, which
** starts them closer together than a barrier that sleeps. */
struct meeting {
  int parties;
  atomic_int arrived, round;
};

static inline void meeting_init(struct meeting *meeting, int parties) {
  meeting->parties = parties;
  atomic_init(&meeting->arrived, 0);
  atomic_init(&meeting->round, 0);
}

static inline void meet(struct meeting *meeting) {
  int round = atomic_load(&meeting->round), spins = 0;
  if (atomic_fetch_add(&meeting->arrived, 1) + 1 == meeting->parties) {
    atomic_store(&meeting->arrived, 0);
    atomic_fetch_add(&meeting->round, 1);
    return;
  }
  while (atomic_load(&meeting->round) == round)
    if (++spins > 100) sched_yield();
}

/*
** A race: `parties` threads, each of which calls step(party, data) once a
** round. Party 0 is the caller's thread; it prepares before the others start
** and looks at the result when they have ended.
*/
struct race {
  struct meeting meeting;
  void (*step)(int party, void *data);
  void *data;
  atomic_bool over;
  atomic_int next_party;
};

static inline void *race_run(void *data) {
  struct race *race = (struct race *)data;
  int party = atomic_fetch_add(&race->next_party, 1);
  for (;;) {
    meet(&race->meeting);
    if (atomic_load(&race->over)) return NULL;
    race->step(party, race->data);
    meet(&race->meeting);
  }
}

static inline void race_repeat(int parties, void (*prepare)(void *data),
                               void (*step)(int party, void *data),
                               void (*look)(void *data), void *data) {
  struct race race;
  pthread_t threads[16];
  int i;
  meeting_init(&race.meeting, parties);
  race.step = step;
  race.data = data;
  atomic_init(&race.over, false);
  atomic_init(&race.next_party, 1);
  for (i = 1; i < parties; i++) threads[i] = thread_start(race_run, &race);
  do {
    prepare(data);
    meet(&race.meeting);
    step(0, data);
    meet(&race.meeting);
    look(data);
  } while (check_time_is_left());
  atomic_store(&race.over, true);
  meet(&race.meeting);
  for (i = 1; i < parties; i++) thread_join(threads[i]);
}

/* --- Dice -------------------------------------------------------------- */

/* One for each thread. */
static inline unsigned dice(unsigned sides) {
  static _Atomic uint64_t seeds = 0x9E3779B97F4A7C15u;
  static _Thread_local uint64_t state;
  if (state == 0) state = atomic_fetch_add(&seeds, 0xBF58476D1CE4E5B9u) | 1u;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (unsigned)(state >> 33) % sides;
}

/* Some nanoseconds up to some microseconds; now and then a turn is given up. */
static inline void dawdle(void) {
  unsigned i, n = dice(2) ? dice(40) : dice(1500);
  for (i = 0; i < n; i++) atomic_signal_fence(memory_order_seq_cst);
  if (dice(16) == 0) sched_yield();
}

#endif
