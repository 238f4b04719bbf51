/*
** platform_interrupt.c: running a function on a thread that is busy.
**
** By a signal directed to that thread, as Go preempts goroutines: SIGURG, which
** debuggers let pass, which does nothing by default, and which nobody sends by
** accident. Timers send it too: by the thread's number, so no other thread is
** needed.
**
** Who had a handler for it before keeps getting what is not ours: ours carries
** an address of ours. (One that the system has merged with somebody else's
** does not; so whatever comes, what is entered runs.) He who put a handler over
** ours may pass on what he gets to the one he found there: then it is for the
** one that was there before his.
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
#  define THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))

enum { HANDLERS = 8 };

static THREAD_LOCAL desist__interrupt *entered;
static THREAD_LOCAL int passing; /* to whom of befores, from 1 on; 0: to none */
static THREAD_LOCAL uint64_t serial; /* no other thread's, ever; 0: none yet */
static THREAD_LOCAL int thread_number;

static const char mark = 0; /* ours carry its address */

/* Whose signal it was before us, each once, in that order. */
static struct sigaction befores[HANDLERS]; /* whole before `known` says so */
static int known, last;   /* how many; whose it was last; atomic */
static desist__lock lock; /* for writing all of them */
static uint64_t serials;  /* under it */

static sigset_t only_ours(void) {
  sigset_t set;
  (void)sigemptyset(&set);
  (void)sigaddset(&set, SIGNAL);
  return set;
}

/* The system's number for it. */
static int this_thread(void) {
  if (thread_number == 0) thread_number = (int)syscall(SYS_gettid);
  return thread_number;
}

/* The system gives a thread's number to another one when it has ended. */
static uint64_t this_serial(void) {
  if (serial == 0) {
    desist__lock_acquire(&lock);
    serial = ++serials;
    desist__lock_release(&lock);
  }
  return serial;
}

/* --- The handler --- */

static void on_signal(int signal, siginfo_t *info, void *context);

static bool is_ours(const struct sigaction *action) {
  return (action->sa_flags & SA_SIGINFO) != 0 &&
         action->sa_sigaction == on_signal;
}

static bool is_same(const struct sigaction *a, const struct sigaction *b) {
  if (((a->sa_flags ^ b->sa_flags) & SA_SIGINFO) != 0) return false;
  return (a->sa_flags & SA_SIGINFO) != 0 ? a->sa_sigaction == b->sa_sigaction
                                         : a->sa_handler == b->sa_handler;
}

static bool is_function(const struct sigaction *action) {
  return (action->sa_flags & SA_SIGINFO) != 0 ||
         (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

/* Where it is among them, or how many there are. */
static int find_before(const struct sigaction *action) {
  int i, count = desist__load_acquire(&known);
  for (i = 0; i < count && !is_same(&befores[i], action); i++) continue;
  return i;
}

/* Whom what comes now is for, that is not ours; -1: nobody. */
static int whose(void) {
  struct sigaction now;
  int i;
  if (passing != 0) return passing - 2; /* he passes it on */
  if (sigaction(SIGNAL, NULL, &now) != 0 || is_ours(&now))
    return desist__load_acquire(&last);
  i = find_before(&now);
  return i < desist__load_acquire(&known) ? i - 1 : desist__load_acquire(&last);
}

static void pass_on(int number, siginfo_t *info, void *context) {
  int from = passing, to = whose();
  if (to < 0 || !is_function(&befores[to])) return;
  passing = to + 1;
  if ((befores[to].sa_flags & SA_SIGINFO) != 0)
    befores[to].sa_sigaction(number, info, context);
  else
    befores[to].sa_handler(number);
  passing = from;
}

static bool is_marked(const siginfo_t *info) {
  return (info->si_code == SI_QUEUE || info->si_code == SI_TIMER) &&
         info->si_value.sival_ptr == &mark;
}

static void on_signal(int number, siginfo_t *info, void *context) {
  int saved = errno;
  desist__interrupt *at;
  for (at = entered; at != NULL; at = at->below) at->run(at);
  if (!is_marked(info)) pass_on(number, info, context);
  errno = saved;
}

/* Calls of the system go on after it, and the stack is that of the code, unless
** who was there wanted otherwise. */
static void describe(struct sigaction *ours, const struct sigaction *now) {
  memset(ours, 0, sizeof *ours);
  ours->sa_sigaction = on_signal;
  ours->sa_flags = SA_SIGINFO | SA_RESTART;
  (void)sigemptyset(&ours->sa_mask);
  if (!is_function(now)) return;
  ours->sa_mask = now->sa_mask;
  ours->sa_flags = SA_SIGINFO | (now->sa_flags & (SA_RESTART | SA_ONSTACK));
}

/* False: there have been too many. */
static bool note_locked(const struct sigaction *now) {
  int i = find_before(now);
  if (i == HANDLERS) return false;
  if (i == known) {
    befores[i] = *now;
    desist__store_release(&known, i + 1);
  }
  desist__store_release(&last, i);
  return true;
}

/* Puts ours in place, unless it is there. */
static bool install(void) {
  struct sigaction ours, now;
  bool done = true;
  if (sigaction(SIGNAL, NULL, &now) == 0 && is_ours(&now)) return true;
  desist__stay_loaded();
  desist__lock_acquire(&lock);
  if (sigaction(SIGNAL, NULL, &now) != 0) {
    done = false;
  } else if (!is_ours(&now)) {
    describe(&ours, &now);
    done = note_locked(&now) && sigaction(SIGNAL, &ours, NULL) == 0;
  }
  desist__lock_release(&lock);
  return done;
}

void desist__interrupts_stop(void) {
  struct sigaction now;
  desist__lock_acquire(&lock);
  if (sigaction(SIGNAL, NULL, &now) == 0 && is_ours(&now))
    (void)sigaction(SIGNAL, &befores[last], NULL);
  desist__lock_release(&lock);
}

/* --- Sending --- */

/* A thread that has ended since is no error; one that has got its number since
** finds nothing entered. */
static void send(int thread, siginfo_t *info) {
  (void)syscall(SYS_rt_tgsigqueueinfo, getpid(), thread, SIGNAL, info);
}

static void describe_mark(siginfo_t *info) {
  memset(info, 0, sizeof *info);
  info->si_signo = SIGNAL;
  info->si_code = SI_QUEUE;
  info->si_pid = getpid();
  info->si_uid = getuid();
  info->si_value.sival_ptr = (void *)(uintptr_t)&mark;
}

static void send_mark(int thread) {
  siginfo_t info;
  describe_mark(&info);
  send(thread, &info);
}

/* One that waits for this thread. Not by sigtimedwait, where a thread may be
** cancelled. */
static bool take(siginfo_t *info) {
  sigset_t set = only_ours();
  struct timespec none = { 0, 0 };
  return syscall(SYS_rt_sigtimedwait, &set, info, &none, (size_t)_NSIG / 8) ==
         SIGNAL;
}

/*
** Takes what waits, and sends one for all. New kernels (6.13 on) throw away the
** tick of a timer that has been set anew while it waited, and with it what was
** merged with it: signals of ours, for anything that is entered here.
*/
static void send_anew(void) {
  siginfo_t one, waiting;
  bool needed = entered != NULL;
  describe_mark(&one);
  while (take(&waiting)) {
    if (is_marked(&waiting)) continue;
    one = waiting;
    needed = true;
  }
  if (needed) send(this_thread(), &one);
}

/* --- Timers --- */

static void drop_timer(desist__interrupt *self) {
  if (self->tells != 0 && self->generation == desist__generation)
    (void)timer_delete(self->timer);
  self->tells = 0;
  self->moment = 0;
}

/* It tells this thread. */
static bool make_timer(desist__interrupt *self, int thread) {
  struct sigevent event;
  if (self->tells == this_serial() && self->generation == desist__generation)
    return true;
  drop_timer(self);
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGNAL;
  event.sigev_value.sival_ptr = (void *)(uintptr_t)&mark;
  event.sigev_notify_thread_id = thread;
  if (timer_create(CLOCK_MONOTONIC, &event, &self->timer) != 0) return false;
  self->tells = this_serial();
  self->generation = desist__generation;
  return true;
}

static void set_part(struct timespec *part, int64_t nanoseconds) {
  part->tv_sec = (time_t)(nanoseconds / 1000000000);
  part->tv_nsec = (long)(nanoseconds % 1000000000);
}

/* The first time in the past: it runs at once. */
static void set_timer(const desist__interrupt *self) {
  struct itimerspec times;
  set_part(&times.it_value, self->moment);
  set_part(&times.it_interval, self->moment != 0 ? self->every : 0);
  (void)timer_settime(self->timer, TIMER_ABSTIME, &times, NULL);
}

void desist__interrupt_at(desist__interrupt *self, int64_t moment,
                          int64_t every) {
  bool was_set = self->moment != 0;
  if (!was_set && moment == 0) return;
  self->moment = moment;
  self->every = every;
  set_timer(self);
  if (was_set) send_anew();
}

/* --- Entering and leaving --- */

bool desist__interrupt_enter(desist__interrupt *self) {
  int thread = this_thread();
  sigset_t set = only_ours(), mask;
  if (!install() || !make_timer(self, thread)) return false;
  if (pthread_sigmask(SIG_BLOCK, NULL, &mask) != 0) return false;
  self->blocked = sigismember(&mask, SIGNAL) == 1;
  if (entered == NULL) passing = 0; /* a handler may have left by longjmp */
  self->below = entered;
  desist__store_release(&entered, self);
  desist__store(&self->thread, thread);
  if (self->blocked) (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  return true;
}

void desist__interrupt_leave(desist__interrupt *self) {
  desist__interrupt **at = &entered;
  desist__store(&self->thread, 0);
  while (*at != self) at = &(*at)->below;
  desist__store_release(at, self->below);
  desist__interrupt_at(self, 0, 0);
  if (self->blocked) {
    sigset_t set = only_ours();
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
  }
}

void desist__interrupt_raise(desist__interrupt *self) {
  int thread = desist__load(&self->thread);
  if (thread != 0) send_mark(thread);
}

void desist__interrupt_end(desist__interrupt *self) { drop_timer(self); }

/* In the child: the thread that forked has another number, no timers, and none
** of the signals that were on their way to it. */
void desist__interrupts_after_fork(void) {
  desist__interrupt *at;
  thread_number = 0;
  for (at = entered; at != NULL; at = at->below) {
    int64_t moment = at->moment;
    desist__store(&at->thread, this_thread());
    at->tells = 0;
    if (!make_timer(at, at->thread)) continue;
    at->moment = moment;
    set_timer(at);
  }
  if (entered != NULL) send_mark(this_thread());
}

int64_t desist__thread_time(void) {
  struct timespec now;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) return 0;
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
