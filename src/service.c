/*
** service.c: the real clock and the one thread that serves its deadlines.
**
** The thread is started by the first deadline that is armed. It sleeps until
** the next one is due, or until an earlier one is armed; it does not tick.
** Disarming does not wake it: at worst it wakes once for what is gone.
**
** When the library is unloaded (lua_close unloads C modules, dlclose does),
** the thread is stopped and joined first. A child of fork gets a new one.
**
** A callback on that thread may wait for a token. It is the thread itself then
** that marks what comes due; callbacks of that run when the first is over. So
** too without threads, for whoever waits or polls.
*/
#include "core.h"

desist_clock desist__real = { 1, 1,     { DESIST__MUTEX_INIT, NULL, NULL, 0 },
                              0, false, { 0, { 0 }, { { NULL } } } };

uint8_t desist__generation = 1;

int64_t desist_now(void) { return desist__clock_monotonic(); }

/* Moves an empty wheel to now, so that what comes stands where it belongs. */
desist__extra *desist__service_take(void) {
  desist__extra *due;
  desist__mutex_lock(&desist__real.lock.mutex);
  due = desist__take_due_locked(&desist__real, desist_now(), false);
  desist__mutex_unlock(&desist__real.lock.mutex);
  return due;
}

#if defined(DESIST_NO_THREADS)

bool desist__service_start(void) { return true; }
void desist__service_hurry_locked(int64_t time) { (void)time; }

void desist__service_poll(void) {
  desist__signals_serve();
  if (desist__wheel_next(&desist__real.wheel) <= desist_now())
    (void)desist__fire_real();
}

void desist__service_sleep(int64_t until) {
  int64_t next = desist__wheel_next(&desist__real.wheel);
  desist__signals_wait(next < until ? next : until);
}

void desist__look(void) { desist__service_poll(); }

#else

/* All under the real clock's lock; `running` read by anybody. */
static desist__thread thread;
desist__cond desist__service_wake;
static bool running, stopping;
static int64_t sleeps_until; /* the thread needs no waking before */

void desist__look(void) {}

bool desist__service_is_self(void) {
  bool is;
  if (!desist__load_acquire(&running)) return false;
  desist__mutex_lock(&desist__real.lock.mutex);
  is = running && (uintptr_t)thread == desist__thread_self();
  desist__mutex_unlock(&desist__real.lock.mutex);
  return is;
}

static bool fire_locked(void) {
  bool whole;
  sleeps_until = INT64_MIN; /* awake */
  desist__mutex_unlock(&desist__real.lock.mutex);
  whole = desist__fire_real();
  desist__mutex_lock(&desist__real.lock.mutex);
  return whole;
}

bool desist__service_turn_locked(int64_t until) {
  int64_t now = desist_now();
  int64_t next = desist__wheel_next(&desist__real.wheel);
  if (stopping) return false;
  if (next <= now) return fire_locked();
  (void)desist__wheel_take(&desist__real.wheel, now);
  sleeps_until = desist__wheel_next(&desist__real.wheel);
  if (until < sleeps_until) sleeps_until = until;
  if (sleeps_until == DESIST_NEVER)
    desist__cond_wait(&desist__service_wake, &desist__real.lock.mutex);
  else
    (void)desist__cond_wait_until(&desist__service_wake,
                                  &desist__real.lock.mutex, sleeps_until);
  return true;
}

static void *serve(void *unused) {
  (void)unused;
  desist__mutex_lock(&desist__real.lock.mutex);
  while (!stopping &&
         (desist__has_in_hand() ? fire_locked()
                                : desist__service_turn_locked(DESIST_NEVER)))
    continue;
  desist__mutex_unlock(&desist__real.lock.mutex);
  return NULL;
}

static bool start_locked(void) {
  bool started;
  if (running) return true;
  if (stopping) return false;
  desist__cond_init(&desist__service_wake);
  sleeps_until = INT64_MIN;
  started = desist__thread_start(&thread, serve, NULL) == 0;
  if (!started) desist__cond_destroy(&desist__service_wake);
  desist__store_release(&running, started);
  return started;
}

bool desist__service_start(void) {
  bool started;
  if (desist__load_acquire(&running)) return true;
  desist__mutex_lock(&desist__real.lock.mutex);
  started = start_locked();
  desist__mutex_unlock(&desist__real.lock.mutex);
  return started;
}

void desist__service_hurry_locked(int64_t time) {
  if (time >= sleeps_until) return;
  sleeps_until = time;
  desist__cond_wake_all(&desist__service_wake);
}

/* --- Fork, and the end of the library --- */

static void service_after_fork(bool child) {
  if (child && running) {
    desist__store_release(&running, false);
    if (desist__wheel_next(&desist__real.wheel) != DESIST_NEVER ||
        desist__has_in_hand())
      (void)start_locked();
  }
  desist__mutex_unlock(&desist__real.lock.mutex);
}

/* In lock order, see core.h and cancel.c. */
static void before_fork(void) {
  desist__cancel_before_fork();
  desist__waiters_before_fork();
  desist__descriptor_before_fork();
  desist__handles_before_fork();
  desist__running_before_fork();
  desist__signals_before_fork();
  desist__fork_locks_before_fork();
  desist__mutex_lock(&desist__real.lock.mutex);
  desist__event_before_fork();
}

static void after_fork(bool child) {
  if (child && ++desist__generation == 0) desist__generation = 1;
#  if DESIST__INTERRUPTS
  if (child) desist__interrupts_after_fork();
#  endif
  desist__waiters_after_fork(child); /* before any thread is started */
  desist__event_after_fork(child);
  service_after_fork(child);
  desist__fork_locks_after_fork(child);
  desist__signals_after_fork(child);
  desist__running_after_fork(child);
  desist__handles_after_fork();
  desist__descriptor_after_fork();
  desist__cancel_after_fork();
}

static void after_fork_parent(void) { after_fork(false); }
static void after_fork_child(void) { after_fork(true); }

__attribute__((constructor)) static void loaded(void) {
  (void)pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

__attribute__((destructor)) static void unloading(void) {
  bool join;
#  if DESIST__INTERRUPTS
  desist__interrupts_stop();
#  endif
  desist__signals_stop();
  desist__mutex_lock(&desist__real.lock.mutex);
  stopping = true;
  /* exit() may be called by a callback, on that very thread */
  join = running && (uintptr_t)thread != desist__thread_self();
  desist__store_release(&running, false);
  if (join) desist__cond_wake_all(&desist__service_wake);
  desist__mutex_unlock(&desist__real.lock.mutex);
  if (join) desist__thread_join(thread);
}

#endif
