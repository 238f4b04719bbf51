/* link_graph.c: links of links: trees, diamonds, chains of any length. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"
#include "check_threads.h"

enum { SMALL_STACK = 64 * 1024, CHAIN = 100000 };

static bool cancelled(desist_source *source) {
  return desist_token_is_cancelled(desist_source_token(source));
}

static desist_source *child(desist_source *of) {
  return link_any(desist_source_token(of), NULL);
}

TEST(cancelling_takes_exactly_the_subtree) {
  /*      0
  **    1   2
  **   3 4   5
  **   6   7 (4 and 5) */
  desist_source *s[8];
  int i, taken = 0;
  s[0] = desist_source_create();
  s[1] = child(s[0]), s[2] = child(s[0]);
  s[3] = child(s[1]), s[4] = child(s[1]), s[5] = child(s[2]);
  s[6] = child(s[3]);
  s[7] = link_any(desist_source_token(s[4]), desist_source_token(s[5]));
  desist_source_cancel(s[1], NULL);
  for (i = 0; i < 8; i++) taken = taken * 10 + cancelled(s[i]);
  CHECK_INT(taken, 1011011);
  desist_source_cancel(s[0], NULL);
  CHECK(cancelled(s[0]) && cancelled(s[2]) && cancelled(s[5]));
  CHECK(desist_token_origin(desist_source_token(s[7])) ==
        desist_source_token(s[1]));
  for (i = 0; i < 8; i++) desist_source_release(s[i]);
}

TEST(a_finished_child_leaves_its_siblings_alone) {
  desist_source *parent = desist_source_create();
  desist_source *a = child(parent), *b = child(parent), *late;
  desist_source_cancel(a, NULL);
  late = child(parent);
  CHECK(!cancelled(parent) && !cancelled(b) && !cancelled(late));
  desist_source_cancel(parent, NULL);
  CHECK(cancelled(b) && cancelled(late));
  desist_source_release(parent);
  desist_source_release(a);
  desist_source_release(b);
  desist_source_release(late);
}

TEST(inner_links_hold_together_when_only_the_ends_are_held) {
  desist_source *root = desist_source_create();
  desist_source *middle = child(root);
  desist_source *leaf = child(middle);
  desist_source_detach(middle);
  CHECK(!cancelled(leaf));
  desist_source_cancel(root, NULL);
  CHECK(cancelled(leaf));
  desist_source_release(leaf);
  desist_source_release(root);
}

TEST(releasing_an_inner_link_cuts_the_chain) {
  desist_source *root = desist_source_create();
  desist_source *middle = child(root);
  desist_source *leaf = child(middle);
  desist_source_release(middle);
  desist_source_cancel(root, NULL);
  CHECK(!cancelled(leaf));
  CHECK(desist_source_cancel(leaf, NULL));
  desist_source_release(leaf);
  desist_source_release(root);
}

/* --- Diamonds ---------------------------------------------------------- */

/* Two links a layer, each over both of the layer above: 2^layers paths. */
static void ladder(desist_link_mode mode) {
  enum { LAYERS = 60 };
  desist_source *s[LAYERS + 1][2];
  desist_registration nodes[LAYERS + 1][2];
  int layer, side, ran = 0;
  s[0][0] = desist_source_create();
  s[0][1] = desist_source_create();
  for (layer = 1; layer <= LAYERS; layer++)
    for (side = 0; side < 2; side++) {
      desist_token *inputs[2];
      inputs[0] = desist_source_token(s[layer - 1][0]);
      inputs[1] = desist_source_token(s[layer - 1][1]);
      s[layer][side] = desist_source_create_linked(inputs, 2, mode);
      desist_register(desist_source_token(s[layer][side]), &nodes[layer][side],
                      count_call, &ran);
    }
  desist_source_cancel(s[0][0], NULL);
  CHECK_INT(ran, mode == DESIST_LINK_ANY ? 2 * LAYERS : 0);
  desist_source_cancel(s[0][1], NULL);
  CHECK_INT(ran, 2 * LAYERS);
  for (layer = 0; layer <= LAYERS; layer++) {
    desist_source_release(s[layer][0]);
    desist_source_release(s[layer][1]);
  }
}

TEST(a_ladder_of_diamonds_is_walked_once) {
  ladder(DESIST_LINK_ANY);
  ladder(DESIST_LINK_ALL);
}

TEST(a_wide_fan_is_cancelled_in_order) {
  enum { WIDE = 1000 };
  desist_source *root = desist_source_create(), *all;
  desist_source *s[WIDE];
  desist_token *tokens[WIDE];
  int i;
  for (i = 0; i < WIDE; i++) {
    s[i] = child(root);
    tokens[i] = desist_source_token(s[i]);
  }
  all = desist_source_create_linked(tokens, WIDE, DESIST_LINK_ALL);
  desist_source_cancel(s[17], NULL);
  CHECK(!cancelled(all));
  desist_source_cancel(root, NULL);
  CHECK(cancelled(all));
  CHECK(desist_token_origin(desist_source_token(all)) ==
        desist_source_token(root));
  for (i = 0; i < WIDE; i++) desist_source_release(s[i]);
  desist_source_release(all);
  desist_source_release(root);
}

/* --- Chains ------------------------------------------------------------ */

struct chain {
  desist_source *first, *last; /* the links between are detached */
  desist_registration *nodes;
  int length, ran;
};

static void count_link(void *data, desist_reason *reason) {
  struct chain *chain = data;
  (void)reason;
  chain->ran++;
}

static void *build(void *data) {
  struct chain *chain = data;
  int i;
  chain->ran = 0;
  chain->first = chain->last = desist_source_create();
  for (i = 0; i < chain->length; i++) {
    desist_source *next = child(chain->last);
    if (chain->nodes)
      desist_register(desist_source_token(next), &chain->nodes[i], count_link,
                      chain);
    if (chain->last != chain->first) desist_source_detach(chain->last);
    chain->last = next;
  }
  return NULL;
}

static void *cancel_chain(void *data) {
  struct chain *chain = data;
  CHECK(desist_source_cancel(chain->first, NULL));
  CHECK(cancelled(chain->last));
  CHECK_INT(chain->ran, chain->nodes ? chain->length : 0);
  return NULL;
}

static void *drop_from_the_end(void *data) {
  struct chain *chain = data;
  desist_source_release(chain->first);
  desist_source_release(chain->last);
  return NULL;
}

static void *drop_from_the_start(void *data) {
  struct chain *chain = data;
  desist_source_release(chain->last);
  desist_source_release(chain->first);
  return NULL;
}

TEST(a_chain_of_any_length_takes_a_small_stack) {
  struct chain chain;
  int way, length = check_size(CHAIN);
  desist_registration *nodes = calloc((size_t)length, sizeof *nodes);
  long live = MEMORY_GET(live);
  if (!CHECK(nodes)) return;
  for (way = 0; way < 8; way++) {
    chain.length = length;
    chain.nodes = way & 1 ? nodes : NULL;
    thread_on_stack(SMALL_STACK, build, &chain);
    if (way & 2) thread_on_stack(SMALL_STACK, cancel_chain, &chain);
    thread_on_stack(SMALL_STACK,
                    way & 4 ? drop_from_the_start : drop_from_the_end, &chain);
    CHECK_LIVE(live);
  }
  free(nodes);
}

static void *read_chain(void *data) {
  struct chain *chain = data;
  desist_token *token = desist_source_token(chain->last);
  CHECK_INT(desist_token_deadline(token), DESIST_NEVER);
  CHECK(desist_source_cancel_after(chain->first, MS(3600000)));
  CHECK(desist_token_remaining(token) <= MS(3600000));
  CHECK(desist_source_cancel_after(chain->first, 0));
  CHECK_INT(desist_token_remaining(token), 0);
  return NULL;
}

TEST(looking_through_a_chain_takes_a_small_stack_too) {
  struct chain chain;
  chain.length = check_size(CHAIN);
  chain.nodes = NULL;
  build(&chain);
  thread_on_stack(SMALL_STACK, read_chain, &chain);
  drop_from_the_end(&chain);
}

TEST(closing_the_root_of_a_chain_gives_all_of_it_up) {
  struct chain chain;
  desist_token *token;
  long live = MEMORY_GET(live);
  chain.length = check_size(CHAIN);
  chain.nodes = NULL;
  build(&chain);
  token = desist_source_token(chain.last);
  desist_token_retain(token);
  desist_source_detach(chain.last);
  CHECK(desist_token_can_be_cancelled(token));
  desist_source_release(chain.first);
  CHECK(!desist_token_can_be_cancelled(token));
  desist_token_release(token);
  CHECK_LIVE(live);
}

CHECK_MAIN()
