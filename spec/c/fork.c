/* fork.c: the child of a process with armed deadlines and busy threads. */
#include "check.h"
#include "check_callbacks.h"
#include "check_fork.h"
#include "check_memory.h"
#include "check_threads.h"

static desist_source *source, *other;
static desist_token *token;
static desist_registration node;
static int ran;

static void begin(void) {
  source = desist_source_create();
  token = desist_source_token(source);
  ran = 0;
  desist_register(token, &node, count_call, &ran);
}

static void end(void) {
  desist_unregister_wait(&node);
  desist_source_release(source);
}

/* --- Deadlines --------------------------------------------------------- */

static void use_everything(void) {
  desist_source *mine = desist_source_create();
  desist_source *link = link_any(desist_source_token(mine), NULL);
  CHECK(desist_source_cancel_after(mine, MS(10)));
  CHECK(desist_token_wait(desist_source_token(link), MS(20000)));
  CHECK(readable(desist_source_token(link)));
  desist_source_release(link);
  desist_source_release(mine);
}

TEST_WITH_THREADS(a_child_arms_its_first_deadline) {
  begin();
  end_child(start_child(use_everything));
  end();
}

static void expect_deadline(void) {
  CHECK(desist_token_wait(token, MS(20000)));
  CHECK_SOON(calls(&ran) == 1);
  CHECK_INT(desist_reason_kind(desist_token_reason(token)),
            DESIST_KIND_DEADLINE);
}

TEST_WITH_THREADS(deadlines_armed_before_the_fork_fire_on_both_sides) {
  pid_t child;
  begin();
  desist_source_cancel_after(source, MS(200));
  child = start_child(expect_deadline);
  expect_deadline();
  end_child(child);
  end();
}

static void expect_callback(void) { CHECK_SOON(calls(&ran) == 1); }

TEST_WITH_THREADS(a_child_that_only_waits_gets_its_callbacks) {
  pid_t child;
  begin();
  desist_source_cancel_after(source, MS(200));
  child = start_child(expect_callback);
  end_child(child);
  expect_deadline();
  end();
}

static void arm_more(void) {
  CHECK(desist_source_cancel_after(other, MS(10)));
  CHECK(desist_token_wait(desist_source_token(other), MS(20000)));
  CHECK(desist_source_cancel_after(source, MS(10)));
  expect_deadline();
  use_everything();
}

TEST_WITH_THREADS(a_child_arms_new_deadlines) {
  begin();
  other = desist_source_create();
  desist_source_cancel_after(source, MS(3600000));
  end_child(start_child(arm_more));
  CHECK(!desist_token_is_cancelled(token));
  CHECK(!desist_token_is_cancelled(desist_source_token(other)));
  desist_source_release(other);
  end();
}

static void fork_again(void) {
  end_child(start_child(arm_more));
  arm_more();
}

TEST_WITH_THREADS(a_grandchild_works_as_well) {
  begin();
  other = desist_source_create();
  desist_source_cancel_after(source, MS(3600000));
  end_child(start_child(fork_again));
  desist_source_release(other);
  end();
}

/* --- In a callback ------------------------------------------------------- */

static desist_source *below;
static desist_registration older_node, below_node, end_node;
static int ran_older, ran_below;
static pid_t forked;

static void end_child_here(void *data, desist_reason *reason) {
  (void)data;
  (void)reason;
  CHECK_INT(calls(&ran_older), 1);
  CHECK_INT(calls(&ran_below), 1);
  CHECK_INT(desist_reason_kind(desist_token_reason(token)),
            DESIST_KIND_DEADLINE);
  use_everything();
  _exit(check.failures != 0);
}

/* The child has a service thread of its own for what is left to be done; this
** one, which it was, has nothing more to do there. */
static void fork_here(void *data, desist_reason *reason) {
  pid_t pid;
  (void)reason;
  fflush(stdout);
  pid = fork();
  if (pid == 0) {
    check.failures = 0;
    check_watch();
    use_everything();
    desist_register(desist_source_token(other), &end_node, end_child_here,
                    NULL);
    CHECK(desist_source_cancel_after(other, MS(20)));
    return;
  }
  __atomic_store_n((pid_t *)data, pid, __ATOMIC_SEQ_CST);
}

TEST_WITH_THREADS(a_callback_of_a_deadline_forks) {
  begin();
  other = desist_source_create();
  below = link_any(token, NULL);
  ran_older = ran_below = 0;
  forked = 0;
  desist_register(desist_source_token(below), &below_node, count_call,
                  &ran_below);
  desist_register(token, &older_node, count_call, &ran_older);
  desist_unregister(&node);
  desist_register(token, &node, fork_here, &forked);
  desist_source_cancel_after(source, MS(10));
  CHECK_SOON(__atomic_load_n(&forked, __ATOMIC_SEQ_CST) > 0);
  end_child(forked);
  CHECK_SOON(calls(&ran_older) == 1 && calls(&ran_below) == 1);
  desist_source_release(below);
  desist_source_release(other);
  end();
}

/* --- While other threads are at work ------------------------------------ */

static atomic_bool over;

/* Nothing of it is on the thread's stack, which no child has. */
struct busy {
  pthread_t thread;
  desist_source *root, *link;
  desist_registration node;
  int count;
};

/* On sources of its own: a child can do nothing with one that a thread which
** it has not was just working on. But their deadlines may fire in it. */
static void *be_busy(void *data) {
  struct busy *busy = data;
  while (!atomic_load(&over)) {
    busy->root = desist_source_create();
    busy->link = link_any(desist_source_token(busy->root), NULL);
    desist_register(desist_source_token(busy->link), &busy->node, count_call,
                    &busy->count);
    desist_source_cancel_after(busy->link, dice(2) ? MS(1) / 20 : MS(1));
    dawdle();
    desist_unregister_wait(&busy->node);
    desist_source_cancel(busy->root, NULL);
    desist_source_release(busy->link);
    desist_source_release(busy->root);
  }
  return NULL;
}

static void *wait_for_it(void *data) {
  atomic_fetch_add((atomic_int *)data, 1);
  CHECK(desist_token_wait(token, MS(20000)));
  return NULL;
}

/* The child has the deadline, but not the threads that wait for it. */
TEST_WITH_THREADS(a_deadline_fires_where_the_waiting_threads_are_gone) {
  pthread_t threads[8];
  atomic_int started;
  pid_t child;
  int i;
  atomic_init(&started, 0);
  begin();
  for (i = 0; i < 8; i++) threads[i] = thread_start(wait_for_it, &started);
  CHECK_SOON(atomic_load(&started) == 8);
  check_sleep(MS(20));
  desist_source_cancel_after(source, MS(200));
  child = start_child(expect_deadline);
  expect_deadline();
  end_child(child);
  for (i = 0; i < 8; i++) thread_join(threads[i]);
  end();
}

/* A callback that the service thread had taken is lost with it. */
static void use_what_was_armed(void) {
  bool is_mine = desist_is_registered(&node);
  CHECK(desist_token_wait(token, MS(20000)));
  if (is_mine) expect_deadline();
  CHECK(calls(&ran) <= 1);
  use_everything();
}

TEST_WITH_THREADS(forking_in_the_middle_of_everything) {
  static struct busy busy[3];
  pid_t child;
  int i, rounds = CHECK_TSAN ? 3 : 100;
  if (!CHECK_FORKS_ANYTIME) return;
  atomic_init(&over, false);
  for (i = 0; i < 3; i++) busy[i].thread = thread_start(be_busy, &busy[i]);
  for (i = 0; i < rounds; i++) {
    begin();
    desist_source_cancel_after(source, MS(1));
    /* About then: the service thread may be at any point of its work. */
    if (i % 2)
      while (desist_token_remaining(token) > dice(20000)) {
      }
    child = start_child(use_what_was_armed);
    end_child(child);
    expect_deadline();
    end();
  }
  atomic_store(&over, true);
  for (i = 0; i < 3; i++) thread_join(busy[i].thread);
}

CHECK_MAIN()
