/*
** stress_graph.c: random graphs of links, cancelled at several places at
** once. No callback sees a graph that is half cancelled, each runs once, and
** what a source says about its cancellation follows from its inputs.
*/
#include "check.h"
#include "check_memory.h"
#include "check_threads.h"

enum { MOST = 32, ROOTS = 4, MOST_INPUTS = 5, PARTIES = 4 };

struct vertex {
  desist_source *source;
  desist_token *token;
  desist_registration node;
  desist_reason *reason; /* that it is cancelled with, if it is */
  atomic_int ran;
  atomic_bool did_it; /* its own cancel did it */
  bool all;
  int inputs[MOST_INPUTS], count; /* vertices before it; none: a root */
  bool below[MOST];               /* reached through links of any alone */
};

static struct {
  struct vertex vertices[MOST];
  int count;
  bool strict;
} graph;

static bool cancelled(int i) {
  return desist_token_is_cancelled(graph.vertices[i].token);
}

/* What is below this source reads cancelled. In a strict graph: what is below
** any source that reads cancelled does. */
static void look_below(int i) {
  int k;
  if (!cancelled(i)) return;
  for (k = i + 1; k < graph.count; k++)
    if (graph.vertices[i].below[k]) CHECK(cancelled(k));
}

static void look_around(void *data, desist_reason *reason) {
  struct vertex *vertex = data;
  int i, index = (int)(vertex - graph.vertices);
  CHECK_INT(atomic_fetch_add(&vertex->ran, 1), 0);
  CHECK(cancelled(index));
  CHECK(desist_token_reason(vertex->token) == reason);
  look_below(index);
  if (graph.strict)
    for (i = 0; i < graph.count; i++) look_below(i);
}

/* --- Building ----------------------------------------------------------- */

static void choose_inputs(int index) {
  struct vertex *vertex = &graph.vertices[index];
  desist_token *tokens[MOST_INPUTS];
  int i, k;
  vertex->count = 1 + (int)dice(MOST_INPUTS);
  vertex->all = dice(4) == 0;
  for (i = 0; i < vertex->count; i++) {
    vertex->inputs[i] = (int)dice((unsigned)index);
    tokens[i] = graph.vertices[vertex->inputs[i]].token;
  }
  vertex->source = desist_source_create_linked(tokens, (size_t)vertex->count,
                                               vertex->all ? DESIST_LINK_ALL
                                                           : DESIST_LINK_ANY);
  if (vertex->all) return;
  for (i = 0; i < vertex->count; i++)
    for (k = 0; k < index; k++)
      if (k == vertex->inputs[i] || graph.vertices[k].below[vertex->inputs[i]])
        graph.vertices[k].below[index] = true;
}

static void prepare(void *data) {
  int i;
  graph.strict = *(bool *)data;
  graph.count = ROOTS + 1 + (int)dice(MOST - ROOTS);
  for (i = 0; i < graph.count; i++) {
    struct vertex *vertex = &graph.vertices[i];
    memset(vertex->below, 0, sizeof vertex->below);
    atomic_init(&vertex->ran, 0);
    atomic_init(&vertex->did_it, false);
    vertex->reason = desist_reason_create(i, "of its own");
    vertex->count = 0;
    vertex->all = false;
    if (i < ROOTS)
      vertex->source = desist_source_create();
    else
      choose_inputs(i);
    vertex->token = desist_source_token(vertex->source);
  }
  for (i = 0; i < graph.count; i++)
    desist_register(graph.vertices[i].token, &graph.vertices[i].node,
                    look_around, &graph.vertices[i]);
}

/* --- Cancelling --------------------------------------------------------- */

static void cancel_some(int party, void *data) {
  int i, times = 1 + (int)dice(3);
  (void)party, (void)data;
  dawdle();
  for (i = 0; i < times; i++) {
    unsigned most = (unsigned)(dice(3) ? ROOTS : graph.count);
    struct vertex *vertex = &graph.vertices[dice(most)];
    if (desist_source_cancel(vertex->source, vertex->reason)) {
      CHECK(!atomic_exchange(&vertex->did_it, true));
      look_below((int)(vertex - graph.vertices));
    }
  }
}

/* --- Looking ------------------------------------------------------------ */

/* Whether some input has just this reason and origin. */
static bool agrees_with_an_input(const struct vertex *vertex) {
  int i;
  for (i = 0; i < vertex->count; i++) {
    struct vertex *input = &graph.vertices[vertex->inputs[i]];
    if (desist_token_reason(input->token) ==
            desist_token_reason(vertex->token) &&
        desist_token_origin(input->token) == desist_token_origin(vertex->token))
      return true;
  }
  return false;
}

static void look_at(int index) {
  struct vertex *vertex = &graph.vertices[index];
  int i, inputs = 0;
  bool expected;
  for (i = 0; i < vertex->count; i++) inputs += cancelled(vertex->inputs[i]);
  expected =
      atomic_load(&vertex->did_it) ||
      (vertex->all ? vertex->count > 0 && inputs == vertex->count : inputs > 0);
  CHECK_INT(cancelled(index), expected);
  CHECK_INT(atomic_load(&vertex->ran), expected);
  if (!expected)
    CHECK(desist_token_reason(vertex->token) == NULL);
  else if (atomic_load(&vertex->did_it)) {
    CHECK(desist_token_reason(vertex->token) == vertex->reason);
    CHECK(desist_token_origin(vertex->token) == vertex->token);
  } else
    CHECK(agrees_with_an_input(vertex));
}

static void look(void *data) {
  int i, k;
  (void)data;
  for (i = 0; i < graph.count; i++) look_at(i);
  for (i = 0; i < graph.count; i++) { /* in any order */
    k = i * 7 % graph.count;
    if (graph.count % 7 == 0) k = i;
    desist_source_release(graph.vertices[k].source);
    desist_reason_release(graph.vertices[k].reason);
  }
  CHECK_LIVE(0);
}

TEST(no_callback_sees_what_is_below_it_half_cancelled) {
  bool strict = false;
  race_repeat(PARTIES, prepare, cancel_some, look, &strict);
}

TEST(no_callback_sees_any_part_half_cancelled) {
  bool strict = true;
  race_repeat(PARTIES, prepare, cancel_some, look, &strict);
}

CHECK_MAIN()
