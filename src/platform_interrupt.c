/*
** platform_interrupt.c: running a function on a thread that is busy.
**
** By a signal directed to that thread, as Go preempts goroutines: SIGURG, which
** debuggers let pass, which does nothing by default, and which nobody sends by
** accident. Who had a handler for it before keeps getting what is not ours.
** Timers send it too: by the thread's number, so no other thread is needed.
**
** What is entered on a thread stands in a list of that thread's own, which only
** it touches, its signal handler included.
*/
#include "platform.h"

#if DESIST__INTERRUPTS

#  include <errno.h>
#  include <signal.h>
#  include <string.h>
#  include <sys/syscall.h>
#  include <unistd.h>

#  include "atomic.h"

#  define SIGNAL SIGURG /* the guard's, nobody else's */

#  if !defined(sigev_notify_thread_id)
#    define sigev_notify_thread_id _sigev_un._tid
#  endif

/* In the static block, so that a handler's look at it allocates nothing. */
static __thread desist__interrupt *entered
    __attribute__((tls_model("initial-exec")));

static desist__mutex lock = DESIST__MUTEX_INIT;
static struct sigaction before; /* under the lock, set before ours is there */
static const char mark = 0;     /* our timers carry its address */

static __thread int number __attribute__((tls_model("initial-exec")));

/* The system's number for it. */
static int this_thread(void) {
  if (number == 0) number = (int)syscall(SYS_gettid);
  return number;
}

/* --- The handler --- */

static void on_signal(int signal, siginfo_t *info, void *context) {
  int saved = errno;
  if (info->si_code == SI_TKILL ||
      (info->si_code == SI_TIMER && info->si_value.sival_ptr == &mark)) {
    desist__interrupt *at;
    for (at = entered; at != NULL; at = at->below) at->run(at);
  } else if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  }
  errno = saved;
}

static bool is_ours(const struct sigaction *action) {
  return (action->sa_flags & SA_SIGINFO) != 0 &&
         action->sa_sigaction == on_signal;
}

/* Puts ours in place, unless it is there. */
static bool install(void) {
  struct sigaction ours, now;
  bool done = true;
  if (sigaction(SIGNAL, NULL, &now) == 0 && is_ours(&now)) return true;
  desist__stay_loaded();
  memset(&ours, 0, sizeof ours);
  ours.sa_sigaction = on_signal;
  ours.sa_flags = SA_SIGINFO | SA_RESTART;
  (void)sigemptyset(&ours.sa_mask);
  desist__mutex_lock(&lock);
  if (sigaction(SIGNAL, NULL, &now) != 0) {
    done = false;
  } else if (!is_ours(&now)) {
    before = now;
    done = sigaction(SIGNAL, &ours, NULL) == 0;
  }
  desist__mutex_unlock(&lock);
  return done;
}

void desist__interrupts_stop(void) {
  struct sigaction now;
  desist__mutex_lock(&lock);
  if (sigaction(SIGNAL, NULL, &now) == 0 && is_ours(&now))
    (void)sigaction(SIGNAL, &before, NULL);
  desist__mutex_unlock(&lock);
}

/* --- Timers --- */

static void drop_timer(desist__interrupt *self) {
  if (self->timer_thread != 0 && self->generation == desist__generation)
    (void)timer_delete(self->timer);
  self->timer_thread = 0;
  self->ticking = false;
}

static bool make_timer(desist__interrupt *self, int thread) {
  struct sigevent event;
  if (self->timer_thread == thread && self->generation == desist__generation)
    return true;
  drop_timer(self);
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGNAL;
  event.sigev_value.sival_ptr = (void *)(uintptr_t)&mark;
  event.sigev_notify_thread_id = thread;
  if (timer_create(CLOCK_MONOTONIC, &event, &self->timer) != 0) return false;
  self->timer_thread = thread;
  self->generation = desist__generation;
  return true;
}

static void set_part(struct timespec *part, int64_t nanoseconds) {
  part->tv_sec = (time_t)(nanoseconds / 1000000000);
  part->tv_nsec = (long)(nanoseconds % 1000000000);
}

void desist__interrupt_after(desist__interrupt *self, int64_t first,
                             int64_t every) {
  struct itimerspec times;
  if (first == 0 && !self->ticking) return;
  self->ticking = first != 0;
  set_part(&times.it_value, first);
  set_part(&times.it_interval, every);
  (void)timer_settime(self->timer, 0, &times, NULL);
}

/* --- Entering and leaving --- */

bool desist__interrupt_enter(desist__interrupt *self) {
  int thread = this_thread();
  sigset_t set, mask;
  if (!install() || !make_timer(self, thread)) return false;
  (void)sigemptyset(&set);
  (void)sigaddset(&set, SIGNAL);
  if (pthread_sigmask(SIG_BLOCK, NULL, &mask) != 0) return false;
  self->blocked = sigismember(&mask, SIGNAL) == 1;
  self->below = entered;
  desist__store_release(&entered, self);
  desist__store(&self->thread, thread);
  if (self->blocked) (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  return true;
}

void desist__interrupt_leave(desist__interrupt *self) {
  desist__interrupt **at = &entered;
  desist__interrupt_after(self, 0, 0);
  desist__store(&self->thread, 0);
  while (*at != self) at = &(*at)->below;
  desist__store_release(at, self->below);
  if (self->blocked) {
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGNAL);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
  }
}

/* A thread that has ended since is no error; one that has got its number since
** finds nothing entered. */
void desist__interrupt_raise(desist__interrupt *self) {
  int thread = desist__load(&self->thread);
  if (thread != 0) (void)syscall(SYS_tgkill, getpid(), thread, SIGNAL);
}

void desist__interrupt_end(desist__interrupt *self) { drop_timer(self); }

/* In the child: the thread that forked has another number, and no timers. */
void desist__interrupts_after_fork(void) {
  desist__interrupt *at;
  number = 0;
  for (at = entered; at != NULL; at = at->below) {
    bool ticking = at->ticking;
    desist__store(&at->thread, this_thread());
    at->timer_thread = 0;
    if (make_timer(at, at->thread) && ticking)
      desist__interrupt_after(at, 1, 1000000);
  }
}

int64_t desist__thread_time(void) {
  struct timespec now;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) return 0;
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
