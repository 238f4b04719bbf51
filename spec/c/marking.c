/*
** marking.c: late registrations, while another thread is marking a graph.
**
** Flags flip from the leaves up, so who sees a leaf cancelled finds most of a
** large graph live still, if it is quick. A callback that is registered then
** runs at once, and must see the whole graph cancelled all the same.
*/
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"
#include "check_threads.h"

#include <poll.h>

enum { MANY = 200000, ROUNDS = 4 };

/* Links in the order in which they are marked: the root is the last. */
static struct graph {
  desist_source *root;
  desist_source *links[MANY];
  int count;
  atomic_int started;
} graph;

/* All on the root, whose newest link is marked first. */
static void widen(void) {
  int i;
  for (i = 0; i < graph.count; i++)
    graph.links[i] = link_any(desist_source_token(graph.root), NULL);
}

/* A chain, which is marked from its end. */
static void deepen(void) {
  desist_source *at = graph.root;
  int i;
  for (i = 0; i < graph.count; i++)
    at = graph.links[i] = link_any(desist_source_token(at), NULL);
}

static bool cancelled(desist_source *source) {
  return desist_token_is_cancelled(desist_source_token(source));
}

/* The root's descriptor is raised after all flags are flipped. */
static void look_around(void *data, desist_reason *reason) {
  struct pollfd one = { -1, POLLIN, 0 };
  int i, live = !cancelled(graph.root);
  one.fd = desist_token_fd(desist_source_token(graph.root));
  for (i = 0; i < graph.count; i++) live += !cancelled(graph.links[i]);
  CHECK_INT(live, 0);
  CHECK_INT(poll(&one, 1, 0), 1);
  count_call(data, reason);
}

static void *cancel_root(void *unused) {
  atomic_store(&graph.started, 1);
  CHECK(desist_source_cancel(graph.root, NULL));
  return unused;
}

static void register_late(void (*build)(void)) {
  int round, i;
  for (round = 0; round < ROUNDS; round++) {
    desist_registration node;
    pthread_t thread;
    desist_token *first;
    int ran = 0;
    graph.count = check_size(CHECK_TSAN ? MANY / 10 : MANY);
    graph.root = desist_source_create();
    CHECK(desist_token_fd(desist_source_token(graph.root)) >= 0);
    build();
    first = desist_source_token(graph.links[graph.count - 1]);
    atomic_init(&graph.started, 0);
    thread = thread_start(cancel_root, NULL);
    while (!atomic_load(&graph.started)) sched_yield();
    while (!desist_token_is_cancelled(first)) {
    }
    desist_register(first, &node, look_around, &ran);
    CHECK_INT(ran, 1);
    thread_join(thread);
    for (i = 0; i < graph.count; i++) desist_source_release(graph.links[i]);
    desist_source_release(graph.root);
  }
}

TEST_WITH_THREADS(a_late_registration_sees_a_wide_graph_whole) {
  register_late(widen);
}

TEST_WITH_THREADS(a_late_registration_sees_a_deep_graph_whole) {
  register_late(deepen);
}

CHECK_MAIN()
