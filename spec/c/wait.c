/* wait.c: threads that sleep until a token is cancelled. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"
#include "check_threads.h"

#include <sys/resource.h>
#include <sys/wait.h>

/* A thread in desist_token_wait, and what came of it. */
struct waiter {
  pthread_t thread;
  desist_token *token;
  int64_t limit, waited;
  bool result;
  atomic_int started, ended;
};

static void *wait_run(void *data) {
  struct waiter *waiter = data;
  int64_t start = check_now();
  atomic_store(&waiter->started, 1);
  waiter->result = desist_token_wait(waiter->token, waiter->limit);
  waiter->waited = check_now() - start;
  atomic_store(&waiter->ended, 1);
  return NULL;
}

static void wait_start(struct waiter *waiter, desist_token *token,
                       int64_t limit) {
  waiter->token = token;
  waiter->limit = limit;
  atomic_init(&waiter->started, 0);
  atomic_init(&waiter->ended, 0);
  waiter->thread = thread_start(wait_run, waiter);
  CHECK_SOON(atomic_load(&waiter->started));
  check_sleep(MS(10));
  CHECK(!atomic_load(&waiter->ended));
}

static void wait_end(struct waiter *waiter, bool expected) {
  thread_join(waiter->thread);
  CHECK(waiter->result == expected);
}

static desist_source *source;
static desist_token *token;

static void begin(void) {
  source = desist_source_create();
  token = desist_source_token(source);
}

static void end(void) { desist_source_release(source); }

/* --- Without sleeping -------------------------------------------------- */

TEST(on_a_cancelled_token_it_returns_at_once) {
  begin();
  desist_source_cancel(source, NULL);
  CHECK(desist_token_wait(token, -1));
  CHECK(desist_token_wait(token, 0));
  CHECK(desist_token_wait(token, MS(10000)));
  CHECK(desist_token_wait(token, DESIST_NEVER));
  end();
}

TEST(without_a_limit_what_cannot_be_cancelled_is_not_waited_for) {
  CHECK(!desist_token_wait(NULL, -1));
  CHECK(!desist_token_wait(NULL, INT64_MIN));
  begin();
  desist_source_close(source);
  CHECK(!desist_token_wait(token, -1));
  desist_token_retain(token);
  end();
  CHECK(!desist_token_wait(token, -1));
  desist_token_release(token);
}

TEST(a_limit_of_zero_only_looks) {
  begin();
  CHECK(!desist_token_wait(token, 0));
  CHECK(!desist_token_wait(NULL, 0));
  end();
}

static void wait_inside(void *data, desist_reason *reason) {
  CHECK(desist_token_wait(token, -1));
  count_call(data, reason);
}

TEST(inside_a_callback_the_own_token_is_cancelled) {
  desist_registration node;
  int ran = 0;
  begin();
  desist_register(token, &node, wait_inside, &ran);
  desist_source_cancel(source, NULL);
  CHECK_INT(ran, 1);
  end();
}

/* --- Limits ------------------------------------------------------------ */

static void check_limit(desist_token *of) {
  int64_t start = check_now();
  CHECK(!desist_token_wait(of, MS(30)));
  CHECK(check_now() - start >= MS(30));
  CHECK(check_now() - start < MS(10000));
}

TEST(a_limit_is_waited_out) {
  begin();
  check_limit(token);
  desist_source_close(source);
  check_limit(token);
  check_limit(NULL);
  end();
}

TEST(a_deadline_ends_the_wait) {
  begin();
  desist_source_cancel_after(source, MS(20));
  CHECK(desist_token_wait(token, -1));
  end();
  begin();
  desist_source_cancel_after(source, MS(20));
  CHECK(desist_token_wait(token, MS(10000)));
  end();
}

TEST(waiting_does_not_tick) {
  struct rusage before, after;
  begin();
  desist_source_cancel_after(source, MS(3600000));
  getrusage(RUSAGE_SELF, &before);
  CHECK(!desist_token_wait(token, MS(300)));
  getrusage(RUSAGE_SELF, &after);
  CHECK(after.ru_nvcsw - before.ru_nvcsw < (CHECK_TSAN ? 16 : 8));
  end();
}

TEST_WITH_SIGNALS(a_signal_ends_the_wait) {
  int i, number = SIGUSR1;
  for (i = 0; i < 20; i++) {
    pid_t child;
    source = desist_source_create_signals(&number, 1);
    token = desist_source_token(source);
    fflush(stdout);
    child = fork();
    if (child == 0) {
      check_sleep(MS(1));
      kill(getppid(), SIGUSR1);
      _exit(0);
    }
    CHECK(desist_token_wait(token, -1));
    CHECK_INT(waitpid(child, NULL, 0), child);
    end();
  }
}

/* --- In callbacks of deadlines ------------------------------------------- */

static desist_source *later;
static desist_registration later_node;
static int later_ran;

static void wait_in_callback(void *data, desist_reason *reason) {
  desist_token *of = desist_source_token(later);
  int64_t start;
  desist_register(of, &later_node, count_call, &later_ran);
  desist_source_cancel_after(later, MS(20));
  CHECK(desist_token_wait(of, -1));
  CHECK(desist_token_wait(of, MS(10000)));
  desist_source_release(later);
  later = desist_source_create();
  of = desist_source_token(later);
  desist_source_cancel_after(later, MS(20));
  CHECK(desist_token_wait(of, MS(10000)));
  desist_source_release(later);
  later = desist_source_create();
  of = desist_source_token(later);
  start = check_now();
  CHECK(!desist_token_wait(of, MS(5)));
  CHECK(check_now() - start >= MS(5));
  desist_source_close(later);
  CHECK(!desist_token_wait(of, -1));
  CHECK_INT(later_ran, 0); /* it has its turn when this is over */
  count_call(data, reason);
}

TEST(a_callback_of_a_deadline_may_wait_for_another) {
  desist_registration node;
  int ran = 0;
  begin();
  later = desist_source_create();
  later_ran = 0;
  desist_register(token, &node, wait_in_callback, &ran);
  desist_source_cancel_after(source, MS(5));
  CHECK(desist_token_wait(token, -1));
  CHECK_SOON(calls(&ran) == 1);
  CHECK_SOON(calls(&later_ran) == 1);
  desist_source_release(later);
  end();
}

static desist_source *third;

static void *cancel_later(void *data) {
  CHECK_SOON(desist_token_is_cancelled(desist_source_token(third)));
  desist_source_cancel(later, NULL);
  return data;
}

static void wait_for_thread(void *data, desist_reason *reason) {
  pthread_t thread;
  third = desist_source_create();
  desist_source_cancel_after(third, MS(10));
  thread = thread_start(cancel_later, NULL);
  CHECK(desist_token_wait(desist_source_token(later), -1));
  CHECK(desist_token_is_cancelled(desist_source_token(third)));
  thread_join(thread);
  desist_source_release(third);
  count_call(data, reason);
}

TEST_WITH_THREADS(such_a_callback_is_woken_by_another_thread) {
  desist_registration node;
  int ran = 0;
  begin();
  later = desist_source_create();
  desist_register(token, &node, wait_for_thread, &ran);
  desist_source_cancel_after(source, MS(5));
  CHECK_SOON(calls(&ran) == 1);
  desist_source_release(later);
  end();
}

#if defined(DESIST_NO_THREADS)
static void poll_in_callback(void *data, desist_reason *reason) {
  int64_t limit = check_now() + MS(10000);
  desist_source_cancel_after(later, MS(5));
  while (!desist_token_is_cancelled(desist_source_token(later)) &&
         check_now() < limit) {
  }
  CHECK(check_now() < limit);
  count_call(data, reason);
}

TEST(a_callback_of_a_deadline_may_poll_for_another) {
  desist_registration node;
  int ran = 0;
  begin();
  later = desist_source_create();
  desist_register(token, &node, poll_in_callback, &ran);
  desist_source_cancel_after(source, MS(5));
  CHECK(desist_token_wait(token, -1));
  CHECK_INT(ran, 1);
  desist_source_release(later);
  end();
}
#endif

/* --- Waking ------------------------------------------------------------ */

TEST_WITH_THREADS(cancelling_wakes_all_waiters) {
  static const int64_t limits[] = { -1, DESIST_NEVER, MS(60000), INT64_MIN };
  struct waiter waiters[8];
  int i;
  begin();
  for (i = 0; i < 8; i++) wait_start(&waiters[i], token, limits[i % 4]);
  desist_source_cancel(source, NULL);
  for (i = 0; i < 8; i++) wait_end(&waiters[i], true);
  end();
}

TEST_WITH_THREADS(an_input_wakes_those_who_wait_for_a_link) {
  struct waiter waiter;
  desist_source *link, *below;
  begin();
  link = link_any(token, NULL);
  below = link_any(desist_source_token(link), NULL);
  wait_start(&waiter, desist_source_token(below), -1);
  desist_source_cancel(source, NULL);
  wait_end(&waiter, true);
  desist_source_release(below);
  desist_source_release(link);
  end();
}

TEST_WITH_THREADS(a_clock_wakes_waiters) {
  struct waiter waiter;
  desist_clock *clock = desist_clock_create(0);
  source = desist_source_create_on(clock);
  desist_source_cancel_after(source, 10);
  wait_start(&waiter, desist_source_token(source), -1);
  desist_clock_advance(clock, 10);
  wait_end(&waiter, true);
  desist_clock_release(clock);
  end();
}

TEST_WITH_THREADS(closing_wakes_those_without_a_limit) {
  struct waiter waiters[4];
  int i;
  begin();
  for (i = 0; i < 4; i++) wait_start(&waiters[i], token, -1);
  desist_source_close(source);
  for (i = 0; i < 4; i++) wait_end(&waiters[i], false);
  end();
}

TEST_WITH_THREADS(closing_leaves_those_with_a_limit_waiting) {
  struct waiter waiter;
  begin();
  wait_start(&waiter, token, MS(500));
  desist_source_close(source);
  wait_end(&waiter, false);
  CHECK(waiter.waited >= MS(500));
  end();
}

TEST_WITH_THREADS(the_last_release_wakes_waiters) {
  struct waiter waiter;
  begin();
  desist_token_retain(token);
  wait_start(&waiter, token, -1);
  end();
  wait_end(&waiter, false);
  desist_token_release(token);
}

TEST_WITH_THREADS(losing_its_inputs_wakes_who_waits_for_a_detached_link) {
  struct waiter waiter;
  desist_source *link;
  desist_token *of_link;
  begin();
  link = link_any(token, NULL);
  of_link = desist_source_token(link);
  desist_token_retain(of_link);
  desist_source_detach(link);
  wait_start(&waiter, of_link, -1);
  end();
  wait_end(&waiter, false);
  desist_token_release(of_link);
}

static void let_them_wait(void *data, desist_reason *reason) {
  struct waiter *waiter = data;
  (void)reason;
  /* The waiter may return while callbacks still run. */
  CHECK_SOON(atomic_load(&waiter->ended));
}

TEST_WITH_THREADS(waiters_need_not_wait_for_callbacks_of_others) {
  struct waiter waiter;
  desist_source *link;
  desist_registration node;
  begin();
  link = link_any(token, NULL);
  wait_start(&waiter, token, -1);
  desist_register(desist_source_token(link), &node, let_them_wait, &waiter);
  desist_source_cancel(source, NULL);
  wait_end(&waiter, true);
  desist_source_release(link);
  end();
}

TEST_WITH_THREADS(waiting_allocates_nothing) {
  struct waiter waiter;
  long before;
  begin();
  before = MEMORY_GET(calls);
  wait_start(&waiter, token, -1);
  desist_source_cancel(source, NULL);
  wait_end(&waiter, true);
  CHECK_INT(MEMORY_GET(calls), before);
  end();
}

CHECK_MAIN()
