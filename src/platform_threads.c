/*
** platform_threads.c: mutexes, conditions and threads of POSIX.
*/
#include "platform.h"

#if !defined(DESIST_NO_THREADS)

#  include <errno.h>
#  include <sched.h>
#  include <signal.h>
#  include <time.h>

void desist__mutex_init(desist__mutex *mutex) {
  (void)pthread_mutex_init(mutex, NULL);
}

void desist__mutex_destroy(desist__mutex *mutex) {
  (void)pthread_mutex_destroy(mutex);
}

void desist__mutex_lock(desist__mutex *mutex) {
  (void)pthread_mutex_lock(mutex);
}

void desist__mutex_unlock(desist__mutex *mutex) {
  (void)pthread_mutex_unlock(mutex);
}

void desist__cond_init(desist__cond *cond) {
  pthread_condattr_t attributes;
  (void)pthread_condattr_init(&attributes);
  (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  (void)pthread_cond_init(cond, &attributes);
  (void)pthread_condattr_destroy(&attributes);
}

void desist__cond_destroy(desist__cond *cond) {
  (void)pthread_cond_destroy(cond);
}

void desist__cond_wait(desist__cond *cond, desist__mutex *mutex) {
  (void)pthread_cond_wait(cond, mutex);
}

bool desist__cond_wait_until(desist__cond *cond, desist__mutex *mutex,
                             int64_t time) {
  struct timespec limit;
  if (time < 0) time = 0;
  limit.tv_sec = (time_t)(time / 1000000000);
  limit.tv_nsec = (long)(time % 1000000000);
  return pthread_cond_timedwait(cond, mutex, &limit) != ETIMEDOUT;
}

void desist__cond_wake_all(desist__cond *cond) {
  (void)pthread_cond_broadcast(cond);
}

int desist__thread_start(desist__thread *thread, void *(*run)(void *),
                         void *data) {
  sigset_t all, before;
  int error;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  error = pthread_create(thread, NULL, run, data);
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

void desist__thread_join(desist__thread thread) {
  (void)pthread_join(thread, NULL);
}

uintptr_t desist__thread_self(void) { return (uintptr_t)pthread_self(); }

#  if !defined(DESIST_NO_SIGNALS)
void desist__bell_init(desist__bell *bell) { (void)sem_init(bell, 0, 0); }
void desist__bell_ring(desist__bell *bell) { (void)sem_post(bell); }
void desist__bell_wait(desist__bell *bell) {
  while (sem_wait(bell) != 0 && errno == EINTR) continue;
}
#  endif

void desist__relax(unsigned turn) {
#  if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#  endif
  if (turn < 2) return;
  if (turn < 256) {
    (void)sched_yield();
  } else { /* the holder may have a lower priority: let it run */
    struct timespec nap = { 0, 50000 };
    (void)nanosleep(&nap, NULL);
  }
}

#else

#  include <signal.h>
#  include <sys/select.h>

#  include "atomic.h"

void desist__mutex_init(desist__mutex *mutex) { *mutex = 0; }
void desist__mutex_destroy(desist__mutex *mutex) { (void)mutex; }
void desist__mutex_lock(desist__mutex *mutex) { (void)mutex; }
void desist__mutex_unlock(desist__mutex *mutex) { (void)mutex; }
void desist__cond_init(desist__cond *cond) { *cond = 0; }
void desist__cond_destroy(desist__cond *cond) { (void)cond; }
void desist__cond_wait(desist__cond *cond, desist__mutex *mutex) {
  (void)cond;
  (void)mutex;
}
bool desist__cond_wait_until(desist__cond *cond, desist__mutex *mutex,
                             int64_t time) {
  (void)cond;
  (void)mutex;
  (void)time;
  return false;
}
void desist__cond_wake_all(desist__cond *cond) { (void)cond; }
uintptr_t desist__thread_self(void) { return 1; }
void desist__relax(unsigned turn) { (void)turn; }

void desist__bell_init(desist__bell *bell) { desist__store(bell, 0); }
void desist__bell_ring(desist__bell *bell) { desist__store(bell, 1); }

/* What comes between the look and the sleep is kept back until it sleeps. */
void desist__bell_wait_until(desist__bell *bell, int64_t time) {
  int64_t left = time - desist__clock_monotonic();
  struct timespec limit;
  sigset_t all, before;
  if (left <= 0) return;
  limit.tv_sec = (time_t)(left / 1000000000);
  limit.tv_nsec = (long)(left % 1000000000);
  (void)sigfillset(&all);
  (void)sigprocmask(SIG_SETMASK, &all, &before);
  if (desist__load(bell) == 0)
    (void)pselect(0, NULL, NULL, NULL, time == INT64_MAX ? NULL : &limit,
                  &before);
  (void)sigprocmask(SIG_SETMASK, &before, NULL);
}

#endif
