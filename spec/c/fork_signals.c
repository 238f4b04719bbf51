/* fork_signals.c: forks while a signal is caught, and in its callbacks. */
#include "check.h"
#include "check_callbacks.h"
#include "check_fork.h"
#include "check_memory.h"
#include "check_threads.h"

static void handle(int number) { (void)number; }

static bool is_back(int number) {
  struct sigaction now;
  sigaction(number, NULL, &now);
  return now.sa_handler == handle;
}

static desist_source *on_signal(int number) {
  desist_source *source = desist_source_create_signals(&number, 1);
  CHECK(source != NULL);
  return source;
}

static void end_process(void *data, desist_reason *reason) {
  (void)reason;
  CHECK_SOON(calls((int *)data) == 1);
  exit(check.failures != 0);
}

static desist_source *end_source;
static desist_registration end_node;
static int older_ran;
static pid_t forked;

/* The child goes on with this callback, and has a thread of its own besides
** for signals to come. */
static void fork_here(void *data, desist_reason *reason) {
  pid_t pid;
  (void)reason;
  fflush(stdout);
  pid = fork();
  if (pid == 0) {
    check.failures = 0;
    check_watch();
    end_source = desist_source_create();
    desist_register(desist_source_token(end_source), &end_node, end_process,
                    &older_ran);
    CHECK(desist_source_cancel_after(end_source, MS(20)));
    return;
  }
  __atomic_store_n((pid_t *)data, pid, __ATOMIC_SEQ_CST);
}

TEST_WITH_THREADS(a_callback_of_a_signal_forks) {
  desist_source *source, *other;
  desist_registration nodes[2];
  if (CHECK_TSAN) return; /* it does not bear two new threads in such a child */
  source = on_signal(SIGUSR1);
  other = on_signal(SIGUSR2);
  forked = 0;
  older_ran = 0;
  desist_register(desist_source_token(source), &nodes[0], count_call,
                  &older_ran);
  desist_register(desist_source_token(source), &nodes[1], fork_here, &forked);
  raise(SIGUSR1);
  CHECK_SOON(__atomic_load_n(&forked, __ATOMIC_SEQ_CST) > 0);
  end_child(forked);
  CHECK_SOON(calls(&older_ran) == 1);
  desist_source_release(source);
  desist_source_release(other);
}

static const int eight[] = { SIGUSR1, SIGUSR2, SIGHUP,    SIGURG,
                             SIGTERM, SIGQUIT, SIGVTALRM, SIGPROF };

static atomic_bool over;

static void *trap_and_raise(void *unused) {
  while (!atomic_load(&over)) {
    desist_source *source = desist_source_create_signals(eight, COUNT(eight));
    raise(SIGUSR1);
    CHECK(desist_token_wait(desist_source_token(source), MS(10000)));
    desist_source_release(source);
  }
  return unused;
}

/* All of a source's signals are caught, or none. */
static int handlers_back(void) {
  int back = 0;
  size_t i;
  for (i = 0; i < COUNT(eight); i++) back += is_back(eight[i]);
  return back;
}

static void expect_all_or_none(void) {
  int back = handlers_back();
  CHECK(back == 0 || back == (int)COUNT(eight));
}

TEST_WITH_THREADS(forking_while_a_signal_is_caught) {
  pthread_t thread;
  size_t i;
  if (!CHECK_FORKS_ANYTIME) return;
  for (i = 0; i < COUNT(eight); i++) signal(eight[i], handle);
  atomic_init(&over, false);
  thread = thread_start(trap_and_raise, NULL);
  for (i = 0; i < (CHECK_TSAN ? 100 : 1500); i++)
    end_child(start_child(expect_all_or_none));
  atomic_store(&over, true);
  thread_join(thread);
  CHECK_INT(handlers_back(), COUNT(eight));
}

CHECK_MAIN()
