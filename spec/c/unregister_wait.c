/* unregister_wait.c: who waits for a running callback, and who must not. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"
#include "check_threads.h"

/* A callback that reports its start and runs until it is let go. */
struct slow {
  desist_source *source;
  desist_registration node;
  pthread_t thread;
  atomic_int running, go;
  int done; /* plain: read only by whom the library made wait */
};

static void run_slowly(void *data, desist_reason *reason) {
  struct slow *slow = data;
  (void)reason;
  atomic_store(&slow->running, 1);
  while (!atomic_load(&slow->go)) check_sleep(MS(1));
  check_sleep(MS(5));
  slow->done = 1;
}

static void *cancel_it(void *data) {
  CHECK(desist_source_cancel(((struct slow *)data)->source, NULL));
  return NULL;
}

static void slow_start(struct slow *slow) {
  slow->source = desist_source_create();
  slow->done = 0;
  atomic_init(&slow->running, 0);
  atomic_init(&slow->go, 0);
  desist_register(desist_source_token(slow->source), &slow->node, run_slowly,
                  slow);
  slow->thread = thread_start(cancel_it, slow);
  CHECK_SOON(atomic_load(&slow->running));
}

static void slow_end(struct slow *slow) {
  thread_join(slow->thread);
  desist_source_release(slow->source);
}

static void *let_go(void *data) {
  check_sleep(MS(20));
  atomic_store(&((struct slow *)data)->go, 1);
  return NULL;
}

TEST_WITH_THREADS(unregister_does_not_wait) {
  struct slow slow;
  slow_start(&slow);
  CHECK(!desist_unregister(&slow.node));
  CHECK(!desist_is_registered(&slow.node));
  CHECK(!desist_source_cancel(slow.source, NULL));
  atomic_store(&slow.go, 1);
  slow_end(&slow);
}

TEST_WITH_THREADS(close_and_release_do_not_wait) {
  struct slow slow;
  slow_start(&slow);
  desist_source_retain(slow.source);
  desist_source_close(slow.source);
  desist_source_release(slow.source);
  atomic_store(&slow.go, 1);
  slow_end(&slow);
}

TEST_WITH_THREADS(unregister_wait_waits_until_it_has_ended) {
  struct slow slow;
  pthread_t helper;
  slow_start(&slow);
  helper = thread_start(let_go, &slow);
  CHECK(!desist_unregister_wait(&slow.node));
  CHECK_INT(slow.done, 1);
  thread_join(helper);
  slow_end(&slow);
}

static void *wait_too(void *data) {
  struct slow *slow = data;
  CHECK(!desist_unregister_wait(&slow->node));
  CHECK_INT(slow->done, 1);
  return NULL;
}

TEST_WITH_THREADS(many_threads_may_wait_for_one) {
  struct slow slow;
  pthread_t threads[6];
  int i;
  slow_start(&slow);
  for (i = 0; i < 6; i++) threads[i] = thread_start(wait_too, &slow);
  check_sleep(MS(20));
  atomic_store(&slow.go, 1);
  for (i = 0; i < 6; i++) thread_join(threads[i]);
  slow_end(&slow);
}

TEST_WITH_THREADS(it_waits_on_a_closed_source_too) {
  struct slow slow;
  pthread_t helper;
  slow_start(&slow);
  desist_source_close(slow.source);
  helper = thread_start(let_go, &slow);
  CHECK(!desist_unregister_wait(&slow.node));
  CHECK_INT(slow.done, 1);
  thread_join(helper);
  slow_end(&slow);
}

/* The canceller's reference is the last: the caller's goes first. */
TEST_WITH_THREADS(it_waits_when_the_source_has_been_released) {
  struct slow slow;
  pthread_t helper;
  slow_start(&slow);
  desist_source_release(slow.source);
  helper = thread_start(let_go, &slow);
  CHECK(!desist_unregister_wait(&slow.node));
  CHECK_INT(slow.done, 1);
  thread_join(helper);
  thread_join(slow.thread);
}

/* --- From callbacks ---------------------------------------------------- */

static void wait_for_slow(void *data, desist_reason *reason) {
  struct slow *slow = data;
  (void)reason;
  CHECK(!desist_unregister_wait(&slow->node));
  CHECK_INT(slow->done, 1);
}

TEST_WITH_THREADS(from_inside_another_callback_it_waits) {
  struct slow slow;
  pthread_t helper;
  desist_source *source = desist_source_create();
  desist_registration node;
  slow_start(&slow);
  desist_register(desist_source_token(source), &node, wait_for_slow, &slow);
  helper = thread_start(let_go, &slow);
  desist_source_cancel(source, NULL);
  thread_join(helper);
  slow_end(&slow);
  desist_source_release(source);
}

TEST_WITH_THREADS(a_late_callback_waits_as_well) {
  struct slow slow;
  pthread_t helper;
  desist_registration late;
  desist_source *source = desist_source_create();
  desist_source_cancel(source, NULL);
  slow_start(&slow);
  helper = thread_start(let_go, &slow);
  desist_register(desist_source_token(source), &late, wait_for_slow, &slow);
  thread_join(helper);
  slow_end(&slow);
  desist_source_release(source);
}

/* One thread: the callback of `outer` cancels `inner`, whose callback asks
** about a callback further up on its own stack. */
static desist_registration outer_node, inner_node;

static void ask_about_outer(void *data, desist_reason *reason) {
  CHECK(!desist_unregister_wait(&outer_node));
  CHECK(!desist_unregister_wait(&inner_node));
  count_call(data, reason);
}

static void cancel_inner(void *data, desist_reason *reason) {
  (void)reason;
  CHECK(desist_source_cancel((desist_source *)data, NULL));
}

TEST(a_callback_further_up_the_stack_is_not_waited_for) {
  desist_source *outer = desist_source_create();
  desist_source *inner = desist_source_create();
  int ran = 0;
  desist_register(desist_source_token(outer), &outer_node, cancel_inner, inner);
  desist_register(desist_source_token(inner), &inner_node, ask_about_outer,
                  &ran);
  desist_source_cancel(outer, NULL);
  CHECK_INT(ran, 1);
  desist_source_release(outer);
  desist_source_release(inner);
}

/* --- Circles ----------------------------------------------------------- */

enum { MOST = 5 };

struct member {
  desist_source *source;
  desist_registration node;
  struct member *next; /* whom its callback waits for */
  pthread_t thread;
  struct meeting *meeting;
  atomic_int left;
};

static void wait_for_next(void *data, desist_reason *reason) {
  struct member *member = data;
  (void)reason;
  meet(member->meeting); /* all callbacks of the circle run by now */
  CHECK(!desist_unregister_wait(&member->next->node));
  atomic_store(&member->left, 1);
}

static void *cancel_member(void *data) {
  desist_source_cancel(((struct member *)data)->source, NULL);
  return NULL;
}

static void circle(int size) {
  struct member members[MOST];
  struct meeting meeting;
  int i;
  meeting_init(&meeting, size);
  for (i = 0; i < size; i++) {
    struct member *member = &members[i];
    member->source = desist_source_create();
    member->next = &members[(i + 1) % size];
    member->meeting = &meeting;
    atomic_init(&member->left, 0);
    desist_register(desist_source_token(member->source), &member->node,
                    wait_for_next, member);
  }
  for (i = 0; i < size; i++)
    members[i].thread = thread_start(cancel_member, &members[i]);
  for (i = 0; i < size; i++) thread_join(members[i].thread);
  for (i = 0; i < size; i++) CHECK(atomic_load(&members[i].left));
  for (i = 0; i < size; i++) desist_source_release(members[i].source);
}

TEST_WITH_THREADS(a_circle_of_callbacks_that_wait_is_broken) {
  int size, i;
  for (size = 2; size <= MOST; size++)
    for (i = 0; i < 50; i++) circle(size);
}

CHECK_MAIN()
