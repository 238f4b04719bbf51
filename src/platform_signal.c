/*
** platform_signal.c: catching the first of some signals, on POSIX.
**
** Each signal has a stack of traps; the newest gets it. What a trap covers, its
** handler included, is back before the handler returns. The stacks are guarded
** by a spin lock that is only taken with all signals blocked, so the handler
** may take it: whoever holds it runs on.
**
** Others change handlers too. Setting a trap makes sure that our handler is the
** one in place, and keeps what it takes the place of; the end of the last trap
** puts that back only if ours is still in place.
*/
#include "platform.h"

#if !defined(DESIST_NO_SIGNALS)

#  include <dlfcn.h>
#  include <errno.h>
#  include <signal.h>
#  include <string.h>
#  include <unistd.h>

#  include "atomic.h"

#  if defined(NSIG)
#    define SIGNALS NSIG
#  else
#    define SIGNALS 65
#  endif

static desist__lock lock;
static desist__trap *tops[SIGNALS];
static bool trapping;                     /* there has been a trap */
static struct sigaction befores[SIGNALS]; /* what ours took the place of */
/* The same, but never one that was put over ours, which it may go on to. */
static struct sigaction bottoms[SIGNALS];
static bool covered[SIGNALS]; /* there was one */
/* Ours was in place until the last trap went, and only the system calls it. */
static bool just_gone[SIGNALS];
/* What a handler is at, for a child of fork; NULL: nothing. */
static desist__trap *catching;
static int catching_number;

static const struct {
  int number;
  const char *name;
} names[] = {
  { SIGKILL, "SIGKILL" },     { SIGSTOP, "SIGSTOP" }, { SIGHUP, "SIGHUP" },
  { SIGINT, "SIGINT" },       { SIGQUIT, "SIGQUIT" }, { SIGILL, "SIGILL" },
  { SIGTRAP, "SIGTRAP" },     { SIGABRT, "SIGABRT" }, { SIGBUS, "SIGBUS" },
  { SIGFPE, "SIGFPE" },       { SIGUSR1, "SIGUSR1" }, { SIGSEGV, "SIGSEGV" },
  { SIGUSR2, "SIGUSR2" },     { SIGPIPE, "SIGPIPE" }, { SIGALRM, "SIGALRM" },
  { SIGTERM, "SIGTERM" },     { SIGCHLD, "SIGCHLD" }, { SIGCONT, "SIGCONT" },
  { SIGTSTP, "SIGTSTP" },     { SIGTTIN, "SIGTTIN" }, { SIGTTOU, "SIGTTOU" },
  { SIGURG, "SIGURG" },       { SIGXCPU, "SIGXCPU" }, { SIGXFSZ, "SIGXFSZ" },
  { SIGVTALRM, "SIGVTALRM" }, { SIGPROF, "SIGPROF" }, { SIGSYS, "SIGSYS" },
#  if defined(SIGWINCH)
  { SIGWINCH, "SIGWINCH" },
#  endif
#  if defined(SIGIO)
  { SIGIO, "SIGIO" },
#  endif
#  if defined(SIGPWR)
  { SIGPWR, "SIGPWR" },
#  endif
};

const char *desist__signal_name(int number) {
  size_t i;
  for (i = 0; i < sizeof names / sizeof names[0]; i++)
    if (names[i].number == number) return names[i].name;
  return "signal";
}

int desist__signal_number(const char *name) {
  size_t i;
  if (strncmp(name, "SIG", 3) == 0) name += 3;
  for (i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcmp(names[i].name + 3, name) == 0)
      return names[i].number == SIGKILL || names[i].number == SIGSTOP
                 ? -1
                 : names[i].number;
  return 0;
}

/* The trap below this one on the stack of that signal. */
static desist__trap **below(desist__trap *trap, int number) {
  int i = 0;
  while (trap->signals[i] != number) i++;
  return &trap->below[i];
}

static void on_signal(int number);

static bool is_in_place(int number) {
  struct sigaction now;
  return sigaction(number, NULL, &now) == 0 && now.sa_handler == on_signal;
}

/* The last trap goes: puts the handler back, if ours is still in place. */
static void put_back_locked(int number) {
  if (is_in_place(number)) {
    just_gone[number] = !covered[number];
    (void)sigaction(number, &befores[number], NULL);
  } else {
    covered[number] = true;
  }
}

/* Takes the trap from the stack, if it is there. */
static void remove_locked(desist__trap *trap, int number) {
  desist__trap **at = &tops[number];
  while (*at != NULL && *at != trap) at = below(*at, number);
  if (*at == NULL) return;
  if (tops[number] == trap && *below(trap, number) == NULL)
    put_back_locked(number);
  *at = *below(trap, number);
}

static void catch_locked(desist__trap *trap, int number) {
  int i;
  catching_number = number;
  desist__store_release(&catching, trap);
  for (i = 0; i < trap->count; i++) remove_locked(trap, trap->signals[i]);
  desist__store_release(&trap->caught, number);
  desist__store_release(&catching, (desist__trap *)NULL);
}

/*
** There is no trap:
**   Ours is in place, because somebody has put it there again. What was there
**   before us comes back, and gets the signal.
**   The last trap went just now, when the system had chosen ours already: who
**   is in place now gets it.
**   A handler that was put over ours goes on to the one it found: the next one
**   down gets it, not by way of the handler in place, which would come back
**   here.
** Returns whom to call, after `again`: whether to raise it again.
*/
static void (*pass_on_locked(int number, bool *again))(int) {
  const struct sigaction *bottom = &bottoms[number];
  bool informed = (bottom->sa_flags & SA_SIGINFO) != 0;
  bool in_place = is_in_place(number);
  bool gone = just_gone[number] && !in_place;
  just_gone[number] = false; /* at most once: so there is no circle */
  *again = gone || in_place || (bottom->sa_handler == SIG_DFL && !informed);
  if (*again && !gone) (void)sigaction(number, bottom, NULL);
  if (*again || informed) return SIG_IGN; /* there is no siginfo here */
  return bottom->sa_handler;
}

static void on_signal(int number) {
  int error = errno;
  void (*next)(int) = SIG_IGN;
  bool again = false;
  desist__trap *trap;
  desist__lock_acquire(&lock);
  trap = tops[number];
  if (trap != NULL) {
    catch_locked(trap, number);
  } else {
    next = pass_on_locked(number, &again);
  }
  desist__lock_release(&lock);
  if (trap != NULL) desist__trap_caught();
  if (again) (void)raise(number); /* once we have returned */
  if (next != SIG_IGN) next(number);
  errno = error;
}

/* It is loaded already, so this finds it by its name alone. In a program that
** it is part of there is nothing to find, and nothing to do. */
void desist__stay_loaded(void) {
  static bool done; /* atomic */
  Dl_info self;
  if (desist__load_acquire(&done)) return;
  if (dladdr(&trapping, &self) != 0 && self.dli_fname != NULL)
    (void)dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
  desist__store_release(&done, true);
}

void desist__signal_again(int number) { (void)kill(getpid(), number); }

static void acquire(sigset_t *before) {
  sigset_t all;
  (void)sigfillset(&all);
#  if defined(DESIST_NO_THREADS)
  (void)sigprocmask(SIG_SETMASK, &all, before);
#  else
  (void)pthread_sigmask(SIG_SETMASK, &all, before);
#  endif
  desist__lock_acquire(&lock);
}

static void release(const sigset_t *before) {
  desist__lock_release(&lock);
#  if defined(DESIST_NO_THREADS)
  (void)sigprocmask(SIG_SETMASK, before, NULL);
#  else
  (void)pthread_sigmask(SIG_SETMASK, before, NULL);
#  endif
}

static int push_locked(desist__trap *trap, int number) {
  if (!is_in_place(number)) {
    struct sigaction ours;
    ours.sa_handler = on_signal;
    ours.sa_flags = SA_RESTART;
    (void)sigfillset(&ours.sa_mask);
    if (sigaction(number, &ours, &befores[number]) != 0) return errno;
    if (tops[number] != NULL) covered[number] = true;
    if (!covered[number]) bottoms[number] = befores[number];
  }
  trapping = true;
  just_gone[number] = false;
  *below(trap, number) = tops[number];
  tops[number] = trap;
  return 0;
}

int desist__trap_set(desist__trap *trap) {
  sigset_t before;
  int error = 0;
  int i;
  for (i = 0; i < trap->count; i++)
    if (trap->signals[i] <= 0 || trap->signals[i] >= SIGNALS) return EINVAL;
  acquire(&before);
  for (i = 0; i < trap->count && error == 0; i++) {
    error = push_locked(trap, trap->signals[i]);
    if (error != 0)
      while (i-- > 0) remove_locked(trap, trap->signals[i]);
  }
  release(&before);
  return error;
}

void desist__trap_clear(desist__trap *trap) {
  sigset_t before;
  int i;
  acquire(&before);
  for (i = 0; i < trap->count; i++) remove_locked(trap, trap->signals[i]);
  release(&before);
}

/*
** Fork does not wait for a handler: that may have interrupted who holds what
** fork waits for, the allocator's locks say. So the child ends what a handler
** has begun, and the source is cancelled there as in its parent. The child's
** handlers may be older than its memory.
*/
void desist__traps_after_fork(void) {
  sigset_t before;
  int i;
  acquire(&before);
  if (catching != NULL) catch_locked(catching, catching_number);
  for (i = 1; i < SIGNALS && trapping; i++)
    if (tops[i] == NULL && is_in_place(i))
      (void)sigaction(i, &befores[i], NULL);
  release(&before);
}

#endif
