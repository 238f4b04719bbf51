/*
** running.c: which callbacks run now, and waiting for one to end.
**
** A node may be freed by its own callback, so nothing in it can tell that it
** runs. Instead every thread that runs callbacks has a `running` on its stack,
** known to a table of shards, with the node it is at. Looking there is the
** price of unregister_wait alone.
**
** A waiter sets `waited`, then looks at `current` again; the runner clears
** `current`, then looks at `waited`. Both in sequentially consistent order, so
** that one of them sees the other (and the waiter holds `waiting_lock` from
** there until it sleeps, which the runner takes to wake it).
**
** Lock order: waiting_lock, then one shard.
*/
#include "core.h"

#define SHARDS 16

static struct shard {
  desist__lock lock;
  desist__running *first;
} shards[SHARDS];

/* A thread in unregister_wait; on its stack. */
typedef struct waiting {
  struct waiting *next;
  uintptr_t thread;
  uintptr_t registration;
} waiting;

static desist__mutex waiting_lock = DESIST__MUTEX_INIT;
static desist__cond waiting_wake = DESIST__COND_INIT;
static waiting *all_waiting; /* under waiting_lock */

static struct shard *shard_of(uintptr_t thread) {
  return &shards[(thread >> 12 ^ thread >> 6) % SHARDS];
}

void desist__running_enter(desist__running *running,
                           desist_registration *registration) {
  if (running->thread == 0) {
    struct shard *shard;
    running->thread = desist__thread_self();
    running->previous = NULL;
    shard = shard_of(running->thread);
    desist__lock_acquire(&shard->lock);
    running->next = shard->first;
    if (running->next != NULL) running->next->previous = running;
    desist__store_release(&shard->first, running);
    desist__lock_release(&shard->lock);
  }
  desist__store_release(&running->current, (uintptr_t)registration);
}

void desist__running_leave(desist__running *running) {
  if (desist__alone()) {
    desist__store_relaxed(&running->current, (uintptr_t)0);
    return;
  }
  desist__store(&running->current, (uintptr_t)0);
  if (desist__load(&running->waited) != 0) {
    desist__mutex_lock(&waiting_lock);
    desist__store_relaxed(&running->waited, 0u);
    desist__cond_wake_all(&waiting_wake);
    desist__mutex_unlock(&waiting_lock);
  }
}

void desist__running_end(desist__running *running) {
  struct shard *shard;
  if (running->thread == 0) return;
  desist__running_leave(running);
  shard = shard_of(running->thread);
  desist__lock_acquire(&shard->lock);
  if (running->next != NULL) running->next->previous = running->previous;
  if (running->previous != NULL)
    running->previous->next = running->next;
  else
    desist__store_release(&shard->first, running->next);
  desist__lock_release(&shard->lock);
}

/*
** The thread that runs it, 0: none. `mark`: that thread shall wake us. Our own
** thread comes first: a node may run on two when it was registered again.
*/
static uintptr_t find(uintptr_t registration, uintptr_t self, bool mark) {
  uintptr_t found = 0;
  size_t i;
  for (i = 0; i < SHARDS && found != self; i++) {
    struct shard *shard = &shards[i];
    desist__running *running;
    if (desist__load_acquire(&shard->first) == NULL) continue;
    desist__lock_acquire(&shard->lock);
    for (running = shard->first; running != NULL; running = running->next) {
      if (desist__load(&running->current) != registration) continue;
      if (mark) desist__store(&running->waited, 1u);
      if (desist__load(&running->current) != registration) continue;
      if (found != self) found = running->thread;
    }
    desist__lock_release(&shard->lock);
  }
  return found;
}

/* Whether `thread` waits, through any number of others, for `self`. */
static bool closes_circle(uintptr_t thread, uintptr_t self) {
  const waiting *steps = all_waiting; /* no longer than there are waiters */
  for (; steps != NULL; steps = steps->next) {
    const waiting *at = all_waiting;
    while (at != NULL && at->thread != thread) at = at->next;
    if (at == NULL) return false;
    thread = find(at->registration, self, false);
    if (thread == 0) return false;
    if (thread == self) return true;
  }
  return false;
}

bool desist_unregister_wait(desist_registration *registration) {
  bool result = desist_unregister(registration);
  waiting me;
  if (desist__alone()) return result;
  me.thread = desist__thread_self();
  me.registration = (uintptr_t)registration;
  if (find(me.registration, me.thread, false) == 0) return result;
  desist__mutex_lock(&waiting_lock);
  for (;;) {
    waiting **at;
    uintptr_t runner = find(me.registration, me.thread, true);
    if (runner == 0 || runner == me.thread) break;
    if (closes_circle(runner, me.thread)) break;
    me.next = all_waiting;
    all_waiting = &me;
    desist__cond_wait(&waiting_wake, &waiting_lock);
    for (at = &all_waiting; *at != &me; at = &(*at)->next) continue;
    *at = me.next;
  }
  desist__mutex_unlock(&waiting_lock);
  return result;
}

/* --- Fork --- */

void desist__running_before_fork(void) {
  size_t i;
  desist__mutex_lock(&waiting_lock);
  for (i = 0; i < SHARDS; i++) desist__lock_acquire(&shards[i].lock);
}

/* In a child only this thread's callbacks go on. */
static void keep_own(struct shard *shard, uintptr_t self) {
  desist__running **at = &shard->first;
  desist__running *previous = NULL;
  while (*at != NULL) {
    if ((*at)->thread != self) {
      *at = (*at)->next;
    } else {
      (*at)->previous = previous;
      previous = *at;
      at = &(*at)->next;
    }
  }
}

void desist__running_after_fork(bool child) {
  size_t i;
  uintptr_t self = child ? desist__thread_self() : 0;
  for (i = 0; i < SHARDS; i++) {
    if (child) keep_own(&shards[i], self);
    desist__lock_release(&shards[i].lock);
  }
  if (child) {
    all_waiting = NULL;
    desist__cond_init(&waiting_wake); /* it counts those who are gone */
  }
  desist__mutex_unlock(&waiting_lock);
}
