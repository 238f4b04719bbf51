/*
** stress_link_close.c: links that are closed, dropped or made while their
** inputs are being cancelled.
*/
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"
#include "check_threads.h"

enum { PARTIES = 4, MADE = 3 };

static void run_once(void *data, desist_reason *reason) {
  CHECK(reason != NULL);
  atomic_fetch_add((atomic_int *)data, 1);
}

static void watch(desist_source *source, desist_registration *node,
                  atomic_int *ran) {
  atomic_init(ran, 0);
  desist_register(desist_source_token(source), node, run_once, ran);
}

/* --- Ending a link that is being cancelled ------------------------------ */

/* Two inputs, a link over both, and one below it. */
static struct {
  desist_source *inputs[2], *link, *below;
  desist_token *link_token;
  desist_registration link_node, below_node;
  atomic_int link_ran, below_ran;
  desist_link_mode mode;
} now;

static void prepare(void *data) {
  desist_token *tokens[2];
  int i;
  (void)data;
  for (i = 0; i < 2; i++) {
    now.inputs[i] = desist_source_create();
    tokens[i] = desist_source_token(now.inputs[i]);
  }
  now.mode = dice(2) ? DESIST_LINK_ANY : DESIST_LINK_ALL;
  now.link = desist_source_create_linked(tokens, 2, now.mode);
  now.link_token = desist_source_token(now.link);
  now.below = link_any(now.link_token, NULL);
  desist_token_retain(now.link_token);
  watch(now.link, &now.link_node, &now.link_ran);
  watch(now.below, &now.below_node, &now.below_ran);
}

static void end_link(void) {
  switch (dice(4)) {
  case 0:
    desist_source_close(now.link);
    break;
  case 1:
    desist_source_cancel(now.link, NULL);
    break;
  case 2:
    desist_source_try_reset(now.link);
    break;
  default:
    break;
  }
  if (dice(2))
    desist_source_release(now.link);
  else
    desist_source_detach(now.link);
}

static void end_below(void) {
  switch (dice(3)) {
  case 0:
    desist_source_close(now.below);
    break;
  case 1:
    desist_unregister_wait(&now.below_node);
    break;
  default:
    break;
  }
  desist_source_release(now.below);
}

static void end_all(int party, void *data) {
  (void)data;
  dawdle();
  if (party == 2) {
    end_link();
    return;
  }
  if (party == 3) {
    end_below();
    return;
  }
  if (dice(8) != 0) desist_source_cancel(now.inputs[party], NULL);
  if (dice(2)) desist_source_close(now.inputs[party]);
  desist_source_release(now.inputs[party]);
}

static void look(void *data) {
  (void)data;
  desist_unregister_wait(&now.link_node);
  desist_unregister_wait(&now.below_node);
  CHECK(atomic_load(&now.link_ran) <= 1);
  CHECK(atomic_load(&now.below_ran) <= 1);
  if (atomic_load(&now.link_ran) == 1)
    CHECK(desist_token_is_cancelled(now.link_token));
  desist_token_release(now.link_token);
  CHECK_LIVE(0);
}

TEST(a_link_ends_while_its_inputs_are_cancelled) {
  race_repeat(PARTIES, prepare, end_all, look, NULL);
}

/* --- Making links on what is being cancelled ---------------------------- */

struct made {
  desist_source *source;
  desist_registration node;
  atomic_int ran;
};

static struct {
  desist_source *root, *middle, *other;
  desist_reason *reason;
  struct made made[PARTIES][MADE];
} born;

static void prepare_roots(void *data) {
  (void)data;
  born.root = desist_source_create();
  born.other = desist_source_create();
  born.middle = link_any(desist_source_token(born.root), NULL);
  born.reason = desist_reason_create(1, "root");
}

static void make_or_cancel(int party, void *data) {
  int i;
  (void)data;
  dawdle();
  if (party == 0) {
    desist_source_cancel(born.root, born.reason);
    return;
  }
  for (i = 0; i < MADE; i++) {
    struct made *made = &born.made[party][i];
    desist_token *middle = desist_source_token(born.middle);
    desist_token *root = desist_source_token(born.root);
    desist_token *other = desist_source_token(born.other);
    switch (dice(4)) {
    case 0:
      made->source = link_any(middle, other);
      break;
    case 1:
      made->source = link_any(other, root);
      break;
    case 2:
      made->source = link_all(middle, root);
      break;
    default:
      made->source = link_any(middle, root);
      break;
    }
    watch(made->source, &made->node, &made->ran);
    if (dice(3) == 0) dawdle();
  }
}

static void look_at_made(void *data) {
  int party, i;
  (void)data;
  for (party = 1; party < PARTIES; party++)
    for (i = 0; i < MADE; i++) {
      struct made *made = &born.made[party][i];
      desist_token *token = desist_source_token(made->source);
      CHECK(desist_token_is_cancelled(token));
      CHECK_INT(atomic_load(&made->ran), 1);
      CHECK(desist_token_reason(token) == born.reason);
      CHECK(desist_token_origin(token) == desist_source_token(born.root));
      desist_source_release(made->source);
    }
  /* They have all left the input that was not cancelled. */
  CHECK(desist_source_try_reset(born.other));
  desist_source_release(born.other);
  desist_source_release(born.middle);
  desist_source_release(born.root);
  desist_reason_release(born.reason);
  CHECK_LIVE(0);
}

TEST(a_link_made_around_the_cancel_is_cancelled_by_it) {
  race_repeat(PARTIES, prepare_roots, make_or_cancel, look_at_made, NULL);
}

/* --- Coming and going on long-lived inputs ------------------------------ */

static void prepare_inputs(void *data) {
  (void)data;
  now.inputs[0] = desist_source_create();
  now.inputs[1] = desist_source_create();
}

static void come_and_go(int party, void *data) {
  int i;
  (void)data;
  for (i = 0; i < 20; i++) {
    desist_token *a = desist_source_token(now.inputs[party % 2]);
    desist_token *b = desist_source_token(now.inputs[1 - party % 2]);
    desist_source *link = dice(2) ? link_any(a, b) : link_all(a, b);
    if (dice(2))
      desist_source_cancel(link, NULL);
    else if (dice(2))
      desist_source_close(link);
    desist_source_release(link);
  }
}

static void look_at_inputs(void *data) {
  (void)data;
  CHECK(desist_source_try_reset(now.inputs[0]));
  CHECK(desist_source_try_reset(now.inputs[1]));
  desist_source_release(now.inputs[0]);
  desist_source_release(now.inputs[1]);
  CHECK_LIVE(0);
}

TEST(links_come_and_go_on_the_same_inputs) {
  race_repeat(PARTIES, prepare_inputs, come_and_go, look_at_inputs, NULL);
}

CHECK_MAIN()
