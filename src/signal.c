/*
** signal.c: sources that a signal of the process cancels.
**
** Nothing of a cancellation is allowed in a signal handler. So the handler
** notes the signal in its trap and rings a bell, and a thread that slept on
** that bell cancels the source, at once. The reasons are made beforehand.
**
** A source may be closed between the two. Then the signal is sent once more:
** the handlers that were there before are back since it was caught.
**
** With DESIST_NO_SIGNALS no source has a catcher.
*/
#include "core.h"

#include <errno.h>
#include <string.h>

#if !defined(DESIST_NO_SIGNALS)

typedef struct desist__catcher catcher;
struct desist__catcher {
  catcher *next; /* under catchers_lock */
  bool active;   /* under catchers_lock: in the list, with a reference */
  desist_source *source;
  desist__trap trap;
  desist_reason *reasons[DESIST__SIGNALS_MAX];
};

static desist__mutex catchers_lock = DESIST__MUTEX_INIT;
static catcher *catchers;

bool desist__catcher_end(catcher *self, bool unheard) {
  bool was;
  int number = 0;
  desist__mutex_lock(&catchers_lock);
  was = self->active;
  if (was) {
    catcher **at = &catchers;
    while (*at != self) at = &(*at)->next;
    *at = self->next;
    self->active = false;
    desist__trap_clear(&self->trap);
    number = desist__load_acquire(&self->trap.caught);
  }
  desist__mutex_unlock(&catchers_lock);
  if (unheard && number != 0) desist__signal_again(number);
  return was;
}

void desist__catcher_free(catcher *self) {
  int i;
  for (i = 0; i < self->trap.count; i++)
    desist_reason_release(self->reasons[i]);
  desist__free(self, sizeof *self);
}

static desist_reason *reason_for(const catcher *self, int number) {
  int i = 0;
  while (self->trap.signals[i] != number) i++;
  return self->reasons[i];
}

/* One whose signal has come, its source retained; or NULL. */
static catcher *next_caught(int *number) {
  catcher *at;
  desist__mutex_lock(&catchers_lock);
  for (at = catchers; at != NULL; at = at->next) {
    *number = desist__load_acquire(&at->trap.caught);
    if (*number != 0) {
      desist__store_relaxed(&at->trap.caught, 0);
      desist__retain(at->source);
      break;
    }
  }
  desist__mutex_unlock(&catchers_lock);
  return at;
}

static void serve(void) {
  catcher *caught;
  int number;
  while ((caught = next_caught(&number)) != NULL) {
    desist_source *source = caught->source;
    if (!desist__cancel(source, reason_for(caught, number), NULL) &&
        desist__is_dead(desist__token_of(source)))
      desist__signal_again(number);
    desist__release(source);
  }
}

/* --- The relay --- */

static desist__bell bell;

void desist__trap_caught(void) { desist__bell_ring(&bell); }

#  if defined(DESIST_NO_THREADS)

static int relay_start_locked(void) { return 0; }

void desist__signals_serve(void) {
  desist__bell_init(&bell); /* rung from here on: something to serve */
  serve();
}

bool desist__signals_expected(void) { return catchers != NULL; }

void desist__signals_wait(int64_t until) {
  desist__bell_wait_until(&bell, until);
}

#  else

static desist__thread relay;
static bool relaying; /* under catchers_lock */
static bool stopping; /* atomic */

/* A callback may fork here. The child has a relay of its own, or needs none. */
static void *run_relay(void *unused) {
  uint8_t generation = desist__generation;
  (void)unused;
  while (!desist__load_acquire(&stopping)) {
    serve(); /* at once too: fork may have lost a ring */
    if (generation != desist__generation) break;
    desist__bell_wait(&bell);
  }
  return NULL;
}

static int relay_start_locked(void) {
  int error;
  if (relaying) return 0;
  desist__bell_init(&bell);
  error = desist__thread_start(&relay, run_relay, NULL);
  relaying = error == 0;
  return error;
}

/* The signal the newest had caught, 0: none; -1: there are no more. */
static int stop_one(void) {
  int number = -1;
  desist__mutex_lock(&catchers_lock);
  if (catchers != NULL) {
    desist__trap_clear(&catchers->trap);
    number = desist__load_acquire(&catchers->trap.caught);
    catchers->active = false;
    catchers = catchers->next;
  }
  desist__mutex_unlock(&catchers_lock);
  return number;
}

void desist__signals_stop(void) {
  bool join;
  int number;
  while ((number = stop_one()) >= 0) /* no handler may outlive our code */
    if (number != 0) desist__signal_again(number);
  desist__mutex_lock(&catchers_lock);
  join = relaying && (uintptr_t)relay != desist__thread_self();
  relaying = false;
  desist__mutex_unlock(&catchers_lock);
  if (!join) return;
  desist__store_release(&stopping, true);
  desist__bell_ring(&bell);
  desist__thread_join(relay);
}

void desist__signals_before_fork(void) { desist__mutex_lock(&catchers_lock); }

void desist__signals_after_fork(bool child) {
  if (child) desist__traps_after_fork();
  if (child && relaying) {
    relaying = false;
    if (catchers != NULL) (void)relay_start_locked();
  }
  desist__mutex_unlock(&catchers_lock);
}

#  endif

/* --- Public --- */

/* False: out of memory. Signals named twice count once. */
static bool fill(catcher *self, const int *signals, size_t count) {
  size_t i;
  for (i = 0; i < count; i++) {
    int j = 0;
    while (j < self->trap.count && self->trap.signals[j] != signals[i]) j++;
    if (j < self->trap.count) continue;
    self->reasons[j] =
        desist_reason_create(signals[i], desist__signal_name(signals[i]));
    if (self->reasons[j] == NULL) return false;
    self->trap.signals[self->trap.count++] = signals[i];
  }
  return true;
}

static int start(catcher *self) {
  int error;
  desist__mutex_lock(&catchers_lock);
  error = relay_start_locked();
  if (error == 0) error = desist__trap_set(&self->trap);
  if (error == 0) {
    self->active = true;
    self->next = catchers;
    catchers = self;
    desist__retain(self->source);
  }
  desist__mutex_unlock(&catchers_lock);
  return error;
}

desist_source *desist_source_create_signals(const int *signals, size_t count) {
  desist_source *source;
  desist__extra *extra = NULL;
  catcher *self;
  int error = ENOMEM;
  if (count == 0 || count > DESIST__SIGNALS_MAX) {
    errno = EINVAL;
    return NULL;
  }
  desist__stay_loaded();
  source = desist_source_create();
  self = (catcher *)desist__allocate(sizeof *self);
  if (source != NULL) extra = desist__extra_make(source);
  if (self != NULL) {
    memset(self, 0, sizeof *self);
    self->source = source;
    if (extra != NULL && fill(self, signals, count)) {
      extra->catcher = self; /* before the first signal can come */
      error = start(self);
    }
  }
  if (error == 0) return source;
  if (extra != NULL) extra->catcher = NULL;
  if (self != NULL) desist__catcher_free(self);
  desist_source_release(source);
  errno = error;
  return NULL;
}

#else

bool desist__catcher_end(struct desist__catcher *self, bool unheard) {
  (void)self;
  (void)unheard;
  return false;
}

void desist__catcher_free(struct desist__catcher *self) { (void)self; }

#  if defined(DESIST_NO_THREADS)

void desist__signals_serve(void) {}
bool desist__signals_expected(void) { return false; }

void desist__signals_wait(int64_t until) {
  desist__bell silent;
  desist__bell_init(&silent);
  desist__bell_wait_until(&silent, until);
}

#  else

void desist__signals_stop(void) {}
void desist__signals_before_fork(void) {}
void desist__signals_after_fork(bool child) { (void)child; }

#  endif

desist_source *desist_source_create_signals(const int *signals, size_t count) {
  (void)signals;
  (void)count;
  errno = ENOSYS;
  return NULL;
}

#endif
