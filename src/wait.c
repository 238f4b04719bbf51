/*
** wait.c: blocking waits and descriptors.
**
** A waiting thread is a node in the source's list. It is woken when the source
** is marked, under the source's lock, which the waiter takes before it leaves:
** so what is woken is still there. Waiting needs no memory.
*/
#include "core.h"

#include <errno.h>

void desist__waiter_wake(desist__waiter *waiter) {
  desist__mutex_lock(waiter->lock);
  waiter->woken = true;
  desist__cond_wake_all(waiter->wake);
  desist__mutex_unlock(waiter->lock);
}

/* Waiters stand on their threads' stacks, which a child of fork has not. */
static desist__mutex waiters_lock = DESIST__MUTEX_INIT;
static desist__waiter *waiters;

desist__enlisted desist__waiter_begin(desist__waiter *waiter,
                                      desist_source *source,
                                      desist__mutex *lock, desist__cond *wake) {
  waiter->lock = lock;
  waiter->wake = wake;
  waiter->woken = false;
  waiter->registration.state_ = DESIST__IDLE;
  waiter->previous = NULL;
  desist__mutex_lock(&waiters_lock);
  waiter->next = waiters;
  if (waiters != NULL) waiters->previous = waiter;
  waiters = waiter;
  desist__mutex_unlock(&waiters_lock);
  return source == NULL
             ? DESIST__IS_DEAD
             : desist__enlist(source, &waiter->registration, DESIST__WAITER);
}

void desist__waiter_end(desist__waiter *waiter, desist_source *source) {
  (void)desist_unregister(&waiter->registration);
  if (source != NULL) { /* who woke us has let go */
    desist__lock_acquire(&source->lock);
    desist__lock_release(&source->lock);
  }
  desist__mutex_lock(&waiters_lock);
  if (waiter->next != NULL) waiter->next->previous = waiter->previous;
  if (waiter->previous != NULL)
    waiter->previous->next = waiter->next;
  else
    waiters = waiter->next;
  desist__mutex_unlock(&waiters_lock);
}

void desist__waiters_before_fork(void) { desist__mutex_lock(&waiters_lock); }

void desist__waiters_after_fork(bool child) {
  if (child) {
    for (; waiters != NULL; waiters = waiters->next)
      (void)desist_unregister(&waiters->registration);
  }
  desist__mutex_unlock(&waiters_lock);
}

#if !defined(DESIST_NO_THREADS)

static int64_t moment_after(int64_t nanoseconds) {
  int64_t now = desist_now();
  return nanoseconds >= DESIST_NEVER - now ? DESIST_NEVER : now + nanoseconds;
}

/* Sleeps until `until`, or for ever. */
static bool wait_until(desist_token *token, int64_t until) {
  desist_source *source = desist__source_of(token);
  bool serving = desist__service_is_self();
  desist__mutex own_lock;
  desist__cond own_wake;
  desist__mutex *lock;
  desist__cond *wake;
  desist__waiter waiter;
  bool forever = until == DESIST_NEVER;
  bool limited = true;
  desist__mutex_init(&own_lock);
  desist__cond_init(&own_wake);
  lock = serving ? &desist__real.lock.mutex : &own_lock;
  wake = serving ? &desist__service_wake : &own_wake;
  (void)desist__waiter_begin(&waiter, source, lock, wake);
  desist__mutex_lock(lock);
  while (!desist_token_is_cancelled(token) && limited) {
    if (forever && !desist_token_can_be_cancelled(token)) break;
    if (serving)
      limited = desist__service_turn_locked(until) && desist_now() < until;
    else if (forever)
      desist__cond_wait(wake, lock);
    else
      limited = desist__cond_wait_until(wake, lock, until);
  }
  desist__mutex_unlock(lock);
  desist__waiter_end(&waiter, source);
  desist__cond_destroy(&own_wake);
  desist__mutex_destroy(&own_lock);
  return desist_token_is_cancelled(token);
}

bool desist_token_wait(desist_token *token, int64_t nanoseconds) {
  if (desist_token_is_cancelled(token)) return true;
  if (nanoseconds == 0) return false;
  if (nanoseconds >= 0) return wait_until(token, moment_after(nanoseconds));
  if (!desist_token_can_be_cancelled(token)) return false;
  return wait_until(token, DESIST_NEVER);
}

#else

/* Only deadlines and signals can cancel it while this, the only thread, waits:
** it looks for them itself. */
bool desist_token_wait(desist_token *token, int64_t nanoseconds) {
  int64_t now = desist_now();
  int64_t until = nanoseconds < 0 || nanoseconds >= DESIST_NEVER - now
                      ? DESIST_NEVER
                      : now + nanoseconds;
  for (;;) {
    desist__service_poll();
    if (desist_token_is_cancelled(token)) return true;
    if (until == DESIST_NEVER &&
        (!desist_token_can_be_cancelled(token) ||
         (desist__wheel_next(&desist__real.wheel) == DESIST_NEVER &&
          !desist__signals_expected())))
      return false;
    if (desist_now() >= until) return false;
    desist__service_sleep(until);
  }
}

#endif

/* --- Descriptors --- */

/* One at a time makes one: so a source has one. */
static desist__mutex descriptor_lock = DESIST__MUTEX_INIT;

static int make_event(desist_source *source, desist__extra *extra) {
  int error = desist__event_create(&extra->event, true);
  if (error != 0) return -error;
  desist__lock_acquire(&source->lock);
  desist__store_release(&extra->has_event, true);
  desist__lock_release(&source->lock);
  return 0;
}

int desist_token_fd(desist_token *token) {
  desist_source *source = desist__source_of(token);
  desist__extra *extra;
  int error = 0;
  if (token == NULL || desist__is_dead(token)) return -EINVAL;
  extra = desist__extra_make(source);
  if (extra == NULL) return -ENOMEM;
  if (!desist__load_acquire(&extra->has_event)) {
    desist__mutex_lock(&descriptor_lock);
    if (!extra->has_event) error = make_event(source, extra);
    desist__mutex_unlock(&descriptor_lock);
    if (error != 0) return error;
  }
  /* Who marks it may have flipped the flag and not come to this yet. */
  if ((desist__flags(source) & DESIST__CANCELLED) != 0)
    desist__event_set(&extra->event, true);
  return extra->event.fd < 0 ? -EMFILE : extra->event.fd;
}

void desist__descriptor_before_fork(void) {
  desist__mutex_lock(&descriptor_lock);
}

void desist__descriptor_after_fork(void) {
  desist__mutex_unlock(&descriptor_lock);
}
