/* signals.c: sources that a signal of the process cancels. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"
#include "check_threads.h"

#include <sys/wait.h>

static atomic_int handled; /* also by handlers on other threads */

static void handle(int number) { handled = number; }

/* Our own handler, to be found and put back. */
static void install(int number) {
  struct sigaction action = { 0 };
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGWINCH);
  CHECK_INT(sigaction(number, &action, NULL), 0);
  handled = 0;
}

static bool is_ours(int number) {
  struct sigaction now;
  sigaction(number, NULL, &now);
  return now.sa_handler == handle && (now.sa_flags & SA_RESTART) != 0 &&
         sigismember(&now.sa_mask, SIGWINCH) == 1;
}

static desist_source *on_signal(int number) {
  desist_source *source = desist_source_create_signals(&number, 1);
  CHECK(source != NULL);
  return source;
}

static bool cancelled(desist_source *source) {
  return desist_token_is_cancelled(desist_source_token(source));
}

TEST_WITH_THREADS(the_first_signal_cancels) {
  static const struct {
    int number;
    const char *name;
  } known[] = { { SIGINT, "SIGINT" },   { SIGTERM, "SIGTERM" },
                { SIGHUP, "SIGHUP" },   { SIGUSR1, "SIGUSR1" },
                { SIGUSR2, "SIGUSR2" }, { SIGQUIT, "SIGQUIT" } };
  size_t i;
  for (i = 0; i < COUNT(known); i++) {
    desist_source *source;
    desist_registration node;
    desist_reason *reason;
    int ran = 0;
    install(known[i].number);
    source = on_signal(known[i].number);
    desist_register(desist_source_token(source), &node, count_call, &ran);
    CHECK(!cancelled(source));
    raise(known[i].number);
    CHECK_SOON(calls(&ran) == 1);
    reason = desist_token_reason(desist_source_token(source));
    CHECK_INT(desist_reason_kind(reason), DESIST_KIND_CANCELLED);
    CHECK_INT(desist_reason_code(reason), known[i].number);
    CHECK_TEXT(desist_reason_text(reason), known[i].name);
    CHECK_INT(handled, 0);
    CHECK_SOON(is_ours(known[i].number));
    raise(known[i].number);
    CHECK_INT(handled, known[i].number);
    desist_unregister_wait(&node);
    desist_source_release(source);
    CHECK(is_ours(known[i].number));
  }
}

TEST_WITH_THREADS(callbacks_run_on_another_thread_at_once) {
  desist_source *source = on_signal(SIGUSR1);
  kill(getpid(), SIGUSR1);
  CHECK(desist_token_wait(desist_source_token(source), MS(10000)));
  desist_source_release(source);
}

TEST_WITH_THREADS(close_and_release_put_the_handler_back) {
  desist_source *source;
  install(SIGUSR1);
  source = on_signal(SIGUSR1);
  CHECK(!is_ours(SIGUSR1));
  desist_source_close(source);
  CHECK(is_ours(SIGUSR1));
  raise(SIGUSR1);
  CHECK_INT(handled, SIGUSR1);
  check_sleep(MS(10));
  CHECK(!cancelled(source));
  desist_source_release(source);
  source = on_signal(SIGUSR1);
  desist_source_release(source);
  CHECK(is_ours(SIGUSR1));
}

TEST_WITH_THREADS(any_of_several_signals_cancels_and_all_are_put_back) {
  static const int numbers[] = { SIGUSR1, SIGUSR2, SIGHUP };
  desist_source *source;
  size_t i;
  for (i = 0; i < 3; i++) install(numbers[i]);
  source = desist_source_create_signals(numbers, 3);
  for (i = 0; i < 3; i++) CHECK(!is_ours(numbers[i]));
  raise(SIGUSR2);
  CHECK(desist_token_wait(desist_source_token(source), MS(10000)));
  CHECK_INT(
      desist_reason_code(desist_token_reason(desist_source_token(source))),
      SIGUSR2);
  for (i = 0; i < 3; i++) CHECK_SOON(is_ours(numbers[i]));
  CHECK_INT(handled, 0);
  raise(SIGHUP);
  CHECK_INT(handled, SIGHUP);
  desist_source_release(source);
}

TEST_WITH_THREADS(a_number_given_twice_counts_once) {
  static const int numbers[] = { SIGUSR1, SIGUSR1 };
  desist_source *source;
  install(SIGUSR1);
  source = desist_source_create_signals(numbers, 2);
  raise(SIGUSR1);
  CHECK(desist_token_wait(desist_source_token(source), MS(10000)));
  CHECK_SOON(is_ours(SIGUSR1));
  desist_source_release(source);
}

/* --- Several sources --------------------------------------------------- */

TEST_WITH_THREADS(the_newest_source_is_served_first) {
  desist_source *old, *new_one;
  install(SIGUSR1);
  old = on_signal(SIGUSR1);
  new_one = on_signal(SIGUSR1);
  raise(SIGUSR1);
  CHECK(desist_token_wait(desist_source_token(new_one), MS(10000)));
  check_sleep(MS(10));
  CHECK(!cancelled(old));
  CHECK(!is_ours(SIGUSR1));
  raise(SIGUSR1);
  CHECK(desist_token_wait(desist_source_token(old), MS(10000)));
  CHECK_SOON(is_ours(SIGUSR1));
  CHECK_INT(handled, 0);
  raise(SIGUSR1);
  CHECK_INT(handled, SIGUSR1);
  desist_source_release(old);
  desist_source_release(new_one);
}

TEST_WITH_THREADS(closing_one_leaves_the_other_at_work) {
  int way;
  for (way = 0; way < 2; way++) {
    desist_source *s[2];
    install(SIGUSR1);
    s[0] = on_signal(SIGUSR1);
    s[1] = on_signal(SIGUSR1);
    desist_source_close(s[way]);
    CHECK(!is_ours(SIGUSR1));
    raise(SIGUSR1);
    CHECK(desist_token_wait(desist_source_token(s[1 - way]), MS(10000)));
    CHECK_SOON(is_ours(SIGUSR1));
    CHECK_INT(handled, 0);
    desist_source_release(s[0]);
    desist_source_release(s[1]);
  }
}

TEST_WITH_THREADS(
    an_explicit_cancel_puts_the_handler_back_at_the_latest_at_release) {
  desist_source *source;
  install(SIGUSR1);
  source = on_signal(SIGUSR1);
  CHECK(desist_source_cancel(source, NULL));
  desist_source_release(source);
  CHECK(is_ours(SIGUSR1));
}

TEST_WITH_THREADS(a_signal_source_is_a_source_like_any) {
  desist_source *source = on_signal(SIGUSR1);
  desist_source *link = link_any(desist_source_token(source), NULL);
  CHECK(desist_source_cancel_after(source, MS(3600000)));
  raise(SIGUSR1);
  CHECK(desist_token_wait(desist_source_token(link), MS(10000)));
  CHECK_TEXT(desist_reason_text(desist_token_reason(desist_source_token(link))),
             "SIGUSR1");
  desist_source_release(link);
  desist_source_release(source);
}

/* --- Closing when the signal has come ----------------------------------- */

static atomic_bool over;

static void keep_relay(void *data, desist_reason *reason) {
  count_call(data, reason);
  while (!atomic_load(&over)) check_sleep(MS(1) / 10);
}

/* The thread that serves signals, held up in a callback: what comes meanwhile
** is caught and not served yet. */
struct held_up {
  desist_source *source;
  desist_registration node;
  int ran;
};

static void hold_up(struct held_up *relay) {
  atomic_init(&over, false);
  relay->ran = 0;
  relay->source = on_signal(SIGUSR2);
  desist_register(desist_source_token(relay->source), &relay->node, keep_relay,
                  &relay->ran);
  raise(SIGUSR2);
  CHECK_SOON(calls(&relay->ran) == 1);
}

static void let_on(struct held_up *relay) {
  atomic_store(&over, true);
  desist_unregister_wait(&relay->node);
  desist_source_release(relay->source);
}

TEST_WITH_THREADS(closing_sends_on_a_signal_that_was_not_served) {
  void (*const ends[])(desist_source *) = { desist_source_close,
                                            desist_source_release,
                                            desist_source_detach };
  struct held_up relay;
  size_t i;
  for (i = 0; i < COUNT(ends); i++) {
    desist_source *source;
    hold_up(&relay);
    install(SIGUSR1);
    source = on_signal(SIGUSR1);
    raise(SIGUSR1);
    CHECK_INT(handled, 0);
    CHECK(!cancelled(source));
    ends[i](source);
    CHECK_SOON(handled == SIGUSR1);
    CHECK(is_ours(SIGUSR1));
    if (ends[i] == desist_source_close) desist_source_release(source);
    let_on(&relay);
  }
}

TEST_WITH_THREADS(closing_sends_it_on_to_the_older_source) {
  struct held_up relay;
  desist_source *old, *new_one;
  hold_up(&relay);
  install(SIGUSR1);
  old = on_signal(SIGUSR1);
  new_one = on_signal(SIGUSR1);
  raise(SIGUSR1);
  desist_source_close(new_one);
  CHECK_SOON(is_ours(SIGUSR1));
  let_on(&relay);
  CHECK(desist_token_wait(desist_source_token(old), MS(10000)));
  CHECK_INT(handled, 0);
  desist_source_release(old);
  desist_source_release(new_one);
}

TEST_WITH_THREADS(a_cancelled_source_has_had_its_signal) {
  struct held_up relay;
  desist_source *source;
  hold_up(&relay);
  install(SIGUSR1);
  source = on_signal(SIGUSR1);
  raise(SIGUSR1);
  CHECK(desist_source_cancel(source, NULL));
  desist_source_release(source);
  let_on(&relay);
  CHECK_INT(handled, 0);
}

static desist_source *raced;

static void race_prepare(void *data) {
  (void)data;
  handled = 0;
  raced = on_signal(SIGUSR1);
}

static void race_step(int party, void *data) {
  (void)data;
  dawdle();
  if (party == 0)
    desist_source_close(raced);
  else
    raise(SIGUSR1);
}

static void race_look(void *data) {
  (void)data;
  CHECK_SOON(handled == SIGUSR1 || cancelled(raced));
  CHECK(handled != SIGUSR1 || !cancelled(raced));
  desist_source_release(raced);
}

TEST_WITH_THREADS(a_signal_cancels_or_goes_to_the_handler_before) {
  install(SIGUSR1);
  race_repeat(2, race_prepare, race_step, race_look, NULL);
}

TEST(closing_at_once_does_not_swallow_the_signal) {
  desist_source *source;
  install(SIGUSR1);
  source = on_signal(SIGUSR1);
  raise(SIGUSR1);
  desist_source_close(source);
  CHECK_SOON(handled == SIGUSR1 || cancelled(source));
  desist_source_release(source);
}

/* --- In child processes ------------------------------------------------ */

TEST_WITH_THREADS(the_second_signal_ends_the_process_as_before) {
  int status = 0;
  pid_t child = fork();
  if (child == 0) {
    desist_source *source;
    check_watch();
    signal(SIGTERM, SIG_DFL);
    source = on_signal(SIGTERM);
    raise(SIGTERM);
    if (!desist_token_wait(desist_source_token(source), MS(10000))) _exit(2);
    check_sleep(MS(20));
    raise(SIGTERM);
    _exit(3);
  }
  CHECK_INT(waitpid(child, &status, 0), child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

TEST_WITH_THREADS(what_was_ignored_is_ignored_again) {
  struct sigaction now;
  desist_source *source;
  signal(SIGUSR2, SIG_IGN);
  source = on_signal(SIGUSR2);
  raise(SIGUSR2);
  CHECK(desist_token_wait(desist_source_token(source), MS(10000)));
  desist_source_release(source);
  sigaction(SIGUSR2, NULL, &now);
  CHECK(now.sa_handler == SIG_IGN);
}

/* --- Misuse ------------------------------------------------------------ */

TEST_WITH_THREADS(what_cannot_be_caught_is_refused) {
  static const int bad[] = { SIGKILL, SIGSTOP, 0, -1, 1000, INT_MAX, INT_MIN };
  size_t i;
  install(SIGUSR1);
  for (i = 0; i < COUNT(bad); i++) {
    int mixed[2];
    errno = 0;
    CHECK(desist_source_create_signals(&bad[i], 1) == NULL);
    CHECK_INT(errno, EINVAL);
    mixed[0] = SIGUSR1, mixed[1] = bad[i];
    errno = 0;
    CHECK(desist_source_create_signals(mixed, 2) == NULL);
    CHECK_INT(errno, EINVAL);
    CHECK(is_ours(SIGUSR1));
  }
  errno = 0;
  CHECK(desist_source_create_signals(bad, 0) == NULL);
  CHECK_INT(errno, EINVAL);
  errno = 0;
  CHECK(desist_source_create_signals(NULL, 0) == NULL);
  CHECK_INT(errno, EINVAL);
}

static struct sigaction below;
static volatile sig_atomic_t chained;

static void chain(int number) {
  if (++chained < 100) below.sa_handler(number);
}

/* As hosts do that keep the handler they found: ours among others. */
TEST(a_handler_that_goes_on_to_ours_does_not_run_in_a_circle) {
  struct sigaction action = { 0 };
  desist_source *source;
  install(SIGUSR1);
  source = on_signal(SIGUSR1);
  action.sa_handler = chain;
  CHECK_INT(sigaction(SIGUSR1, &action, &below), 0);
  chained = 0;
  raise(SIGUSR1);
  CHECK_SOON(cancelled(source));
  raise(SIGUSR1);
  CHECK_INT(chained, 2);
  CHECK_INT(handled, SIGUSR1);
  desist_source_release(source);
  signal(SIGUSR1, SIG_DFL);
}

TEST(such_a_handler_goes_on_to_what_ours_was_put_over_last) {
  struct sigaction action = { 0 };
  desist_source *source;
  signal(SIGURG, SIG_IGN);
  desist_source_release(on_signal(SIGURG));
  install(SIGURG);
  source = on_signal(SIGURG);
  action.sa_handler = chain;
  CHECK_INT(sigaction(SIGURG, &action, &below), 0);
  desist_source_close(source);
  chained = 0;
  raise(SIGURG);
  CHECK_INT(chained, 1);
  CHECK_INT(handled, SIGURG);
  desist_source_release(source);
  signal(SIGURG, SIG_DFL);
}

static void handle_informed(int number, siginfo_t *info, void *context) {
  if (info != NULL && context != NULL) handled = info->si_signo == number;
}

/* As when the system has chosen our handler and the last source goes before it
** begins. */
TEST(a_handler_that_wants_to_be_informed_gets_what_came_too_late_for_us) {
  struct sigaction action = { 0 };
  desist_source *source;
  sigset_t all, before;
  action.sa_sigaction = handle_informed;
  action.sa_flags = SA_SIGINFO;
  CHECK_INT(sigaction(SIGHUP, &action, NULL), 0);
  source = on_signal(SIGHUP);
  CHECK_INT(sigaction(SIGHUP, NULL, &below), 0);
  desist_source_close(source);
  handled = 0;
  sigfillset(&all);
  CHECK_INT(sigprocmask(SIG_SETMASK, &all, &before), 0);
  below.sa_handler(SIGHUP);
  CHECK_INT(handled, 0);
  CHECK_INT(sigprocmask(SIG_SETMASK, &before, NULL), 0);
  CHECK_INT(handled, 1);
  CHECK(!cancelled(source));
  desist_source_release(source);
  signal(SIGHUP, SIG_DFL);
}

/* --- Hosts that change handlers too -------------------------------------- */

TEST(a_handler_that_somebody_has_installed_since_stays) {
  desist_source *source;
  signal(SIGUSR1, SIG_IGN);
  source = on_signal(SIGUSR1);
  install(SIGUSR1);
  desist_source_close(source);
  CHECK(is_ours(SIGUSR1));
  desist_source_release(source);
}

TEST(a_source_hears_although_an_older_ones_handler_was_replaced) {
  desist_source *old, *new_one;
  signal(SIGUSR1, SIG_IGN);
  old = on_signal(SIGUSR1);
  install(SIGUSR1);
  raise(SIGUSR1);
  CHECK_INT(handled, SIGUSR1); /* the host has the last word */
  handled = 0;
  new_one = on_signal(SIGUSR1);
  raise(SIGUSR1);
  CHECK_SOON(cancelled(new_one));
  CHECK(!cancelled(old));
  raise(SIGUSR1); /* the older one hears again, too */
  CHECK_SOON(cancelled(old));
  CHECK_INT(handled, 0);
  CHECK(is_ours(SIGUSR1));
  raise(SIGUSR1);
  CHECK_INT(handled, SIGUSR1);
  desist_source_release(old);
  desist_source_release(new_one);
}

TEST(signals_that_nobody_sees_are_let_go) {
  desist_source *source;
  install(SIGUSR1);
  source = on_signal(SIGUSR1);
  CHECK(desist_source_cancel_after(source, MS(3600000)));
  desist_source_detach(source);
  CHECK(is_ours(SIGUSR1));
  CHECK_LIVE(0);
  signal(SIGUSR1, SIG_DFL);
}

CHECK_MAIN()
