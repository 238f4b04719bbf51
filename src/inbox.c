/*
** inbox.c: what waits for a lua_State's thread. See queue.h.
**
** The watches are chained by their registrations' nodes, which are in no
** source's list any more. The inbox lives as long as its state or a thread
** that is about to tell its host.
**
** Telling the host. Who fills the inbox calls the host's function when all
** locks are gone, with a reference. One thread at a time does so, it is the
** fork lock's worker; what others want told meanwhile it tells as well, so
** none is lost. Whoever changes the function waits for that thread, unless it
** is himself. A child of fork that has not that thread tells anew.
*/
#include "core.h"

#include <errno.h>
#include <string.h>

typedef struct queue {
  desist__watch *first, *last;
  size_t count;
} queue;

struct desist__inbox {
  uint32_t refs; /* atomic */
  desist__fork_lock lock;
  desist__cond wake;
  /* Under the lock. */
  queue to_run, dropped;
  bool has_event, closed;
  bool woken; /* whoever waits shall look around */
  desist__event event;
  /* Under the lock: to tell the host. The lock's worker is who tells. */
  desist__wakeup wakeup; /* NULL: nobody is to be told */
  void *wakeup_data;
  uint8_t told; /* the generation in which what is queued was, or 0 */
  bool again;   /* the worker tells once more */
};

enum { NOT_QUEUED, TO_RUN, DROPPED }; /* desist__watch.queued */

static desist__watch *next_of(const desist__watch *watch) {
  return (desist__watch *)(void *)watch->registration.node_.next;
}

static desist__node *node_of(desist__watch *watch) {
  return watch == NULL ? NULL : &watch->registration.node_;
}

static void append(queue *to, desist__watch *watch) {
  desist__node *node = node_of(watch);
  node->next = NULL;
  node->previous = node_of(to->last);
  if (to->last == NULL)
    to->first = watch;
  else
    node_of(to->last)->next = node;
  to->last = watch;
  to->count++;
}

static void take_out(queue *from, desist__watch *watch) {
  desist__node *node = node_of(watch);
  desist__watch *next = next_of(watch);
  desist__watch *previous = (desist__watch *)(void *)node->previous;
  if (next == NULL)
    from->last = previous;
  else
    node_of(next)->previous = node->previous;
  if (previous == NULL)
    from->first = next;
  else
    node_of(previous)->next = node->next;
  from->count--;
  watch->queued = NOT_QUEUED;
}

/* --- Life --- */

desist__inbox *desist__inbox_create(void) {
  desist__inbox *inbox = (desist__inbox *)desist__allocate(sizeof *inbox);
  if (inbox == NULL) return NULL;
  memset(inbox, 0, sizeof *inbox);
  inbox->refs = 1;
  desist__fork_lock_init(&inbox->lock);
  desist__cond_init(&inbox->wake);
  return inbox;
}

static void release(desist__inbox *inbox) {
  if (desist__count_down(&inbox->refs, 1) != 0) return;
  if (inbox->has_event) desist__event_destroy(&inbox->event);
  desist__cond_destroy(&inbox->wake);
  desist__fork_lock_destroy(&inbox->lock);
  desist__free(inbox, sizeof *inbox);
}

/* --- Telling the host --- */

static bool is_told_by_other(const desist__inbox *inbox) {
  return inbox->lock.worker != 0 && inbox->lock.worker != desist__thread_self();
}

/* True: the caller tells, when the lock is gone; it has a reference for it. */
static bool must_tell_locked(desist__inbox *inbox) {
  if (inbox->wakeup == NULL || inbox->to_run.first == NULL ||
      inbox->told == desist__generation)
    return false;
  inbox->told = desist__generation;
  desist__count_up(&inbox->refs);
  return true;
}

void desist__inbox_tell(desist__inbox *inbox) {
  uintptr_t self = desist__thread_self();
  desist__mutex_lock(&inbox->lock.mutex);
  inbox->again = true;
  if (inbox->lock.worker == 0) {
    inbox->lock.worker = self;
    while (inbox->again && inbox->wakeup != NULL) {
      desist__wakeup wakeup = inbox->wakeup;
      void *data = inbox->wakeup_data;
      inbox->again = false;
      desist__mutex_unlock(&inbox->lock.mutex);
      wakeup(data);
      desist__mutex_lock(&inbox->lock.mutex);
    }
    inbox->lock.worker = 0;
    desist__cond_wake_all(&inbox->wake);
  }
  desist__mutex_unlock(&inbox->lock.mutex);
  release(inbox);
}

static void set_wakeup_locked(desist__inbox *inbox, desist__wakeup wakeup,
                              void *data) {
  inbox->wakeup = NULL; /* from here on none begins */
  while (is_told_by_other(inbox))
    desist__cond_wait(&inbox->wake, &inbox->lock.mutex);
  inbox->wakeup = wakeup;
  inbox->wakeup_data = data;
  inbox->told = 0;
}

void desist__inbox_on_wakeup(desist__inbox *inbox, desist__wakeup wakeup,
                             void *data) {
  bool tell;
  desist__mutex_lock(&inbox->lock.mutex);
  set_wakeup_locked(inbox, wakeup, data);
  tell = must_tell_locked(inbox);
  desist__mutex_unlock(&inbox->lock.mutex);
  if (tell) desist__inbox_tell(inbox);
}

void desist__inbox_close(desist__inbox *inbox) {
  desist__mutex_lock(&inbox->lock.mutex);
  inbox->closed = true;
  set_wakeup_locked(inbox, NULL, NULL);
  desist__mutex_unlock(&inbox->lock.mutex);
  release(inbox);
}

/* --- Filling it, from any thread --- */

bool desist__inbox_push(desist__watch *watch, bool dropped) {
  desist__inbox *inbox = watch->inbox;
  bool tell = false;
  desist__mutex_lock(&inbox->lock.mutex);
  /* Under this lock: as soon as it is gone the state may take the watch out
  ** and free it; before it is in, nobody may think it is not to come. */
  desist__store_release(&watch->registration.state_,
                        (uintptr_t)(dropped ? DESIST__IDLE : DESIST__TAKEN));
  if (!inbox->closed) {
    if (dropped) {
      append(&inbox->dropped, watch);
      watch->queued = DROPPED;
    } else {
      bool was_empty = inbox->to_run.first == NULL;
      append(&inbox->to_run, watch);
      watch->queued = TO_RUN;
      if (was_empty) {
        inbox->told = 0;
        if (inbox->has_event) desist__event_set(&inbox->event, true);
        desist__cond_wake_all(&inbox->wake);
      }
      tell = must_tell_locked(inbox);
    }
  }
  desist__mutex_unlock(&inbox->lock.mutex);
  return tell;
}

void desist__watch_later(desist__watch *watch) {
  if (desist__inbox_push(watch, false)) desist__inbox_tell(watch->inbox);
}

/* --- Emptying it, on the state's thread --- */

static void lower_event_locked(desist__inbox *inbox) {
  if (inbox->has_event && inbox->to_run.first == NULL)
    desist__event_set(&inbox->event, false);
}

bool desist__watch_remove(desist__watch *watch) {
  desist__inbox *inbox = watch->inbox;
  bool result = desist_unregister(&watch->registration);
  if (result) return true;
  desist__mutex_lock(&inbox->lock.mutex);
  if (watch->queued == TO_RUN) {
    take_out(&inbox->to_run, watch);
    lower_event_locked(inbox);
    result = true;
  } else if (watch->queued == DROPPED) {
    take_out(&inbox->dropped, watch);
  }
  desist__mutex_unlock(&inbox->lock.mutex);
  return result;
}

size_t desist__inbox_begin(desist__inbox *inbox) {
  size_t count;
  desist__look();
  desist__mutex_lock(&inbox->lock.mutex);
  count = inbox->to_run.count;
  inbox->told = 0;
  desist__mutex_unlock(&inbox->lock.mutex);
  return count;
}

void desist__inbox_end(desist__inbox *inbox) {
  bool tell;
  desist__mutex_lock(&inbox->lock.mutex);
  tell = must_tell_locked(inbox);
  desist__mutex_unlock(&inbox->lock.mutex);
  if (tell) desist__inbox_tell(inbox);
}

bool desist__inbox_is_empty(desist__inbox *inbox) {
  bool empty;
  desist__look();
  desist__mutex_lock(&inbox->lock.mutex);
  empty = inbox->to_run.first == NULL && inbox->dropped.first == NULL;
  desist__mutex_unlock(&inbox->lock.mutex);
  return empty;
}

desist__watch *desist__inbox_first(desist__inbox *inbox) {
  desist__watch *first;
  desist__mutex_lock(&inbox->lock.mutex);
  first = inbox->to_run.first;
  desist__mutex_unlock(&inbox->lock.mutex);
  return first;
}

void desist__inbox_take(desist__inbox *inbox, desist__watch *watch) {
  desist__mutex_lock(&inbox->lock.mutex);
  take_out(&inbox->to_run, watch);
  lower_event_locked(inbox);
  desist__mutex_unlock(&inbox->lock.mutex);
}

desist__watch *desist__inbox_take_dropped(desist__inbox *inbox) {
  desist__watch *first;
  desist__mutex_lock(&inbox->lock.mutex);
  first = inbox->dropped.first;
  if (first != NULL) take_out(&inbox->dropped, first);
  desist__mutex_unlock(&inbox->lock.mutex);
  return first;
}

int desist__inbox_fd(desist__inbox *inbox) {
  int result;
  desist__mutex_lock(&inbox->lock.mutex);
  if (!inbox->has_event) {
    result = -desist__event_create(&inbox->event, false);
    inbox->has_event = result == 0;
    if (inbox->has_event && inbox->to_run.first != NULL)
      desist__event_set(&inbox->event, true);
  }
  if (inbox->has_event) /* fork may have lost it */
    result = inbox->event.fd < 0 ? -EMFILE : inbox->event.fd;
  desist__mutex_unlock(&inbox->lock.mutex);
  return result;
}

void desist__inbox_wake(desist__inbox *inbox) {
  desist__mutex_lock(&inbox->lock.mutex);
  inbox->woken = true;
  desist__cond_wake_all(&inbox->wake);
  desist__mutex_unlock(&inbox->lock.mutex);
}

#if !defined(DESIST_NO_THREADS)

void desist__inbox_wait(desist__inbox *inbox, desist_token *token,
                        int64_t until) {
  desist_source *source = desist__source_of(token);
  desist__waiter waiter;
  desist__enlisted how =
      desist__waiter_begin(&waiter, source, &inbox->lock.mutex, &inbox->wake);
  bool more = how != DESIST__WAS_CANCELLED;
  desist__mutex_lock(&inbox->lock.mutex);
  while (inbox->to_run.first == NULL && !waiter.woken && !inbox->woken &&
         more) {
    if (until != DESIST_NEVER)
      more = desist__cond_wait_until(&inbox->wake, &inbox->lock.mutex, until);
    else if (how == DESIST__ENLISTED)
      desist__cond_wait(&inbox->wake, &inbox->lock.mutex);
    else
      more = false; /* it died meanwhile */
  }
  inbox->woken = false;
  desist__mutex_unlock(&inbox->lock.mutex);
  desist__waiter_end(&waiter, source);
}

#else

/* No thread can wake this one: it looks itself, when this returns. */
void desist__inbox_wait(desist__inbox *inbox, desist_token *token,
                        int64_t until) {
  (void)token;
  if (inbox->to_run.first == NULL) desist__service_sleep(until);
}

#endif
