/*
** platform.h: what the core needs of the system, and all of it.
**
** One small file each implements it: platform_threads.c, platform_clock.c,
** platform_event.c, platform_signal.c, platform_interrupt.c. Another system is
** five other files.
** With DESIST_NO_THREADS mutexes and conditions do nothing and there are no
** threads and no fork handlers; signals are looked for by polls and waits.
** With DESIST_NO_SIGNALS there is no platform_signal.c.
*/
#ifndef DESIST_PLATFORM_H
#define DESIST_PLATFORM_H

#ifndef _GNU_SOURCE
#  define _GNU_SOURCE
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(DESIST_NO_THREADS)
#  include <pthread.h>
#  if !defined(DESIST_NO_SIGNALS)
#    include <semaphore.h>
#  endif
#endif

/* Whether code that runs can be interrupted from outside: it takes signals and
** timers that are directed to one thread. */
#if defined(__linux__) && !defined(DESIST_NO_THREADS) && \
    !defined(DESIST_NO_SIGNALS) && !defined(DESIST_NO_GUARD)
#  define DESIST__INTERRUPTS 1
#  include <time.h>
#else
#  define DESIST__INTERRUPTS 0
#endif

/* Around what one file of ours declares for the others: C names, not exported
** (LuaRocks compiles without -fvisibility=hidden; C++ hosts say it). */
#if defined(__cplusplus)
#  define DESIST__BEGIN extern "C" {
#  define DESIST__END }
#elif defined(__GNUC__) && !defined(_WIN32)
#  define DESIST__BEGIN _Pragma("GCC visibility push(hidden)")
#  define DESIST__END _Pragma("GCC visibility pop")
#else
#  define DESIST__BEGIN
#  define DESIST__END
#endif

DESIST__BEGIN

/* --- Threads (platform_threads.c) --- */

#if defined(DESIST_NO_THREADS)
typedef int desist__mutex;
typedef int desist__cond;
typedef int desist__thread;
#  define DESIST__MUTEX_INIT 0
#  define DESIST__COND_INIT 0
#else
typedef pthread_mutex_t desist__mutex;
typedef pthread_cond_t desist__cond;
typedef pthread_t desist__thread;
#  define DESIST__MUTEX_INIT PTHREAD_MUTEX_INITIALIZER
#  define DESIST__COND_INIT PTHREAD_COND_INITIALIZER
#endif

void desist__mutex_init(desist__mutex *mutex);
void desist__mutex_destroy(desist__mutex *mutex);
void desist__mutex_lock(desist__mutex *mutex);
void desist__mutex_unlock(desist__mutex *mutex);

/* A condition made by init waits on the real clock; the static one only
** without a limit. */
void desist__cond_init(desist__cond *cond);
void desist__cond_destroy(desist__cond *cond);
void desist__cond_wait(desist__cond *cond, desist__mutex *mutex);
/* Until a moment of desist_now(); false when it has come. */
bool desist__cond_wait_until(desist__cond *cond, desist__mutex *mutex,
                             int64_t time);
void desist__cond_wake_all(desist__cond *cond);

/* 0 or an errno. The thread has every signal blocked. */
int desist__thread_start(desist__thread *thread, void *(*run)(void *),
                         void *data);
void desist__thread_join(desist__thread thread);
/* A number no other living thread has; never 0. */
uintptr_t desist__thread_self(void);
/* Somewhat less eager with each turn of a waiting loop. */
void desist__relax(unsigned turn);

/* What a signal handler may ring to wake a thread. The only thread there is
** sleeps on it in any case. */
#if defined(DESIST_NO_THREADS)
typedef int desist__bell;
/* Until it has been rung since init, any signal came, or the moment has. */
void desist__bell_wait_until(desist__bell *bell, int64_t time);
#elif !defined(DESIST_NO_SIGNALS)
typedef sem_t desist__bell;
void desist__bell_wait(desist__bell *bell);
#endif
#if defined(DESIST_NO_THREADS) || !defined(DESIST_NO_SIGNALS)
void desist__bell_init(desist__bell *bell);
void desist__bell_ring(desist__bell *bell); /* async-signal-safe */
#endif

/* --- Clock and chance (platform_clock.c) --- */

int64_t desist__clock_monotonic(void);
/* False: none to be had. */
bool desist__random(void *bytes, size_t size);

/* --- Descriptors (platform_event.c) --- */

/* A descriptor that reads ready while it is set. */
typedef struct desist__event desist__event;
struct desist__event {
  desist__event *next, *previous; /* all of the process, for fork */
  int fd;                         /* to be polled */
  int write_fd;                   /* its other end, or the same */
  bool lasting;                   /* once set it stays so, read or not */
  bool set;                       /* under the list's lock */
};

/* 0 or an errno. The event stays where it is until it is destroyed. */
int desist__event_create(desist__event *event, bool lasting);
void desist__event_destroy(desist__event *event);
void desist__event_set(desist__event *event, bool set);
/* Around fork: before, in the parent after, in the child after. A child gets
** descriptors of its own under the same numbers. */
void desist__event_before_fork(void);
void desist__event_after_fork(bool child);

/* --- Signals (platform_signal.c) --- */

#if !defined(DESIST_NO_SIGNALS)

#  define DESIST__SIGNALS_MAX 8

/* Waits for the first of some signals. Belongs to its user; stays put. */
typedef struct desist__trap desist__trap;
struct desist__trap {
  desist__trap *below[DESIST__SIGNALS_MAX]; /* older trap of that signal */
  int signals[DESIST__SIGNALS_MAX];
  int count;
  int caught; /* the signal, or 0; atomic */
};

/*
** From here on the library is not unloaded before the process ends. Before the
** first handler is set: the system may have chosen it for a thread, or be about
** to return into it, when another thread unloads; and who was put over it goes
** on to it. Call it with no lock held.
*/
void desist__stay_loaded(void);
/* 0 or an errno: EINVAL for a number that cannot be caught. */
int desist__trap_set(desist__trap *trap);
/* Puts the handlers back. Safe after the signal too. */
void desist__trap_clear(desist__trap *trap);
/* In a child of fork: ends what a handler on a lost thread was at. */
void desist__traps_after_fork(void);
/* "INT" or "SIGINT" to its number; 0: no such signal; -1: one that cannot be
** caught. */
int desist__signal_number(const char *name);
/* "SIGINT" and so on; "signal" for an unknown one. */
const char *desist__signal_name(int signal);
/* Sends the process a signal that was caught in vain. */
void desist__signal_again(int signal);
/* Called in the handler: wakes the relay; async-signal-safe. */
void desist__trap_caught(void);

#endif

/* --- Interrupts (platform_interrupt.c) --- */

#if DESIST__INTERRUPTS

/*
** Lets a function run on a thread in the middle of whatever it does there, in
** a signal handler. Belongs to its user, who sets `run` and zeros the rest.
*/
typedef struct desist__interrupt desist__interrupt;
struct desist__interrupt {
  void (*run)(desist__interrupt *self);
  desist__interrupt *below; /* entered before it on this thread */
  int thread;               /* atomic: that it is entered on; 0: none */
  bool blocked;             /* the signal was, on this thread */
  timer_t timer;
  uint64_t tells; /* the timer, which thread, by its serial; 0: no timer */
  int64_t moment, every; /* it is set to; 0: it is not set */
  uint8_t generation;    /* a child of fork has not its parent's timers */
};

/* From now on it may run on this thread. False: not to be had here. */
bool desist__interrupt_enter(desist__interrupt *self);
/* On the same thread: it does not run any more. */
void desist__interrupt_leave(desist__interrupt *self);
/* Soon it runs on its thread, if it is entered on one. Any thread, also in a
** signal handler. */
void desist__interrupt_raise(desist__interrupt *self);
/* It runs at that moment of the monotonic clock, and then again each `every`
** nanoseconds; 0: not any more. On its thread, also from `run`. */
void desist__interrupt_at(desist__interrupt *self, int64_t moment,
                          int64_t every);
/* Gives back what it has of the system's. Not entered. */
void desist__interrupt_end(desist__interrupt *self);
/* The processor time this thread has used; async-signal-safe. */
int64_t desist__thread_time(void);
void desist__interrupts_after_fork(void);
/* At the end of the library. */
void desist__interrupts_stop(void);

#endif

DESIST__END

#endif
