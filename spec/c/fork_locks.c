/*
** fork_locks.c: clocks and queues that other threads are busy with at the
** moment of a fork.
*/
#include "check.h"
#include "check_callbacks.h"
#include "check_fork.h"
#include "check_memory.h"
#include "check_threads.h"

#include <sys/resource.h>

#include "queue.h"

enum { ROUNDS = 100 };

static desist_clock *hand;
static desist__inbox *inbox;
static atomic_bool over;
static atomic_int at_it;

/* --- Moving ------------------------------------------------------------ */

static void stay(void *data, desist_reason *reason) {
  count_call(data, reason);
  atomic_store(&at_it, 1);
  while (!atomic_load(&over)) check_sleep(MS(1));
}

static void *move(void *unused) {
  CHECK(desist_clock_advance(hand, 10));
  return unused;
}

static void move_on(void) {
  desist_source *source = desist_source_create_on(hand);
  desist_registration node;
  int ran = 0;
  desist_register(desist_source_token(source), &node, count_call, &ran);
  CHECK_INT(desist_clock_now(hand), 5);
  CHECK(desist_source_cancel_after(source, 7));
  CHECK(desist_clock_advance(hand, 7));
  CHECK_INT(ran, 1);
  CHECK_INT(desist_clock_now(hand), 12);
  desist_source_release(source);
}

TEST_WITH_THREADS(a_child_moves_a_clock_that_a_lost_thread_was_moving) {
  desist_source *source;
  desist_registration node;
  pthread_t thread;
  int ran = 0;
  hand = desist_clock_create(0);
  source = desist_source_create_on(hand);
  desist_register(desist_source_token(source), &node, stay, &ran);
  desist_source_cancel_after(source, 5);
  atomic_init(&over, false);
  atomic_init(&at_it, 0);
  thread = thread_start(move, NULL);
  CHECK_SOON(atomic_load(&at_it));
  CHECK(!desist_clock_advance(hand, 1));
  end_child(start_child(move_on));
  atomic_store(&over, true);
  thread_join(thread);
  CHECK_INT(desist_clock_now(hand), 10);
  desist_source_release(source);
  desist_clock_release(hand);
}

static void move_no_further(void) {
  CHECK_INT(desist_clock_now(hand), 5);
  CHECK(!desist_clock_advance(hand, 1));
}

static void fork_inside(void *data, desist_reason *reason) {
  end_child(start_child(move_no_further));
  count_call(data, reason);
}

TEST_WITH_THREADS(the_thread_that_forks_is_moving_the_clock_still) {
  desist_source *source;
  desist_registration node;
  int ran = 0;
  hand = desist_clock_create(0);
  source = desist_source_create_on(hand);
  desist_register(desist_source_token(source), &node, fork_inside, &ran);
  desist_source_cancel_after(source, 5);
  CHECK(desist_clock_advance(hand, 10));
  CHECK_INT(ran, 1);
  desist_source_release(source);
  desist_clock_release(hand);
}

/* --- In the middle of anything ------------------------------------------ */

static void *arm_and_look(void *data) {
  desist_source *source = data;
  while (!atomic_load(&over)) {
    desist_source_cancel_after(source, 1 + (int64_t)dice(1000));
    (void)desist_clock_now(hand);
    desist_source_cancel_after(source, DESIST_NEVER);
  }
  return NULL;
}

static void use_clock(void) {
  desist_source *source = desist_source_create_on(hand);
  CHECK(desist_source_cancel_after(source, 5000));
  CHECK(desist_clock_advance(hand, 5000));
  CHECK(desist_token_is_cancelled(desist_source_token(source)));
  desist_source_release(source);
}

TEST_WITH_THREADS(forking_while_others_arm_on_a_clock) {
  desist_source *sources[2];
  pthread_t threads[2];
  int i;
  hand = desist_clock_create(0);
  atomic_init(&over, false);
  for (i = 0; i < 2; i++) {
    sources[i] = desist_source_create_on(hand);
    threads[i] = thread_start(arm_and_look, sources[i]);
  }
  for (i = 0; i < ROUNDS; i++) end_child(start_child(use_clock));
  atomic_store(&over, true);
  for (i = 0; i < 2; i++) {
    thread_join(threads[i]);
    desist_source_release(sources[i]);
  }
  desist_clock_release(hand);
}

static void *fill_and_empty(void *unused) {
  desist__watch watch;
  watch.inbox = inbox;
  while (!atomic_load(&over)) {
    desist_source *source = desist_source_create();
    CHECK_INT(desist__watch_add(desist_source_token(source), &watch),
              DESIST__WATCHING);
    CHECK(desist_source_cancel(source, NULL));
    desist_source_release(source);
    CHECK(desist__watch_remove(&watch)); /* out of the inbox */
  }
  return unused;
}

static void use_inbox(void) {
  desist_source *source = desist_source_create();
  desist__watch watch;
  size_t before = desist__inbox_begin(inbox);
  watch.inbox = inbox;
  CHECK(before <= 2);
  CHECK_INT(desist__watch_add(desist_source_token(source), &watch),
            DESIST__WATCHING);
  CHECK(desist_source_cancel(source, NULL));
  CHECK_INT(desist__inbox_begin(inbox), before + 1);
  while (before-- > 0) desist__inbox_take(inbox, desist__inbox_first(inbox));
  CHECK(desist__inbox_first(inbox) == &watch);
  CHECK(desist__watch_remove(&watch));
  desist_source_release(source);
}

TEST_WITH_THREADS(forking_while_others_fill_an_inbox) {
  pthread_t threads[2];
  int i;
  if (!CHECK_FORKS_ANYTIME) return;
  inbox = desist__inbox_create();
  CHECK(desist__inbox_fd(inbox) >= 0);
  atomic_init(&over, false);
  for (i = 0; i < 2; i++) threads[i] = thread_start(fill_and_empty, NULL);
  for (i = 0; i < ROUNDS; i++) end_child(start_child(use_inbox));
  atomic_store(&over, true);
  for (i = 0; i < 2; i++) thread_join(threads[i]);
  desist__inbox_close(inbox);
}

/* --- Without descriptors ------------------------------------------------- */

static void ask_for_descriptor(void) {
  CHECK_INT(desist__inbox_fd(inbox), -EMFILE);
}

TEST_WITH_THREADS(a_child_that_gets_no_descriptor_says_so) {
  struct rlimit limit, none;
  pid_t child;
  inbox = desist__inbox_create();
  CHECK(desist__inbox_fd(inbox) >= 0);
  CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
  none = limit;
  none.rlim_cur = 0;
  CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
  child = start_child(ask_for_descriptor);
  CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
  end_child(child);
  desist__inbox_close(inbox);
}

CHECK_MAIN()
