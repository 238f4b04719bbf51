/* reentrancy.c: what callbacks may do: everything. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"

static desist_source *source;
static desist_token *token;
static desist_registration nodes[8];

static void begin(void) {
  source = desist_source_create();
  token = desist_source_token(source);
  trail_begin();
}

/* --- Registrations ----------------------------------------------------- */

static void look_at_own_node(void *data, desist_reason *reason) {
  CHECK(!desist_is_registered(&nodes[0]));
  CHECK(!desist_unregister(&nodes[0]));
  CHECK(!desist_unregister_wait(&nodes[0]));
  CHECK(!desist_source_cancel(source, NULL));
  count_call(data, reason);
}

TEST(inside_its_own_callback_a_registration_is_not_active) {
  int ran = 0;
  begin();
  desist_register(token, &nodes[0], look_at_own_node, &ran);
  desist_source_cancel(source, NULL);
  desist_register(token, &nodes[0], look_at_own_node, &ran);
  CHECK_INT(ran, 2);
  desist_source_release(source);
}

static void free_node(void *data, desist_reason *reason) {
  (void)reason;
  memset(data, 0xDD, sizeof(desist_registration));
  free(data);
}

TEST(a_callback_may_free_its_node) {
  int i;
  begin();
  for (i = 0; i < 12; i++) {
    desist_registration *node = malloc(sizeof *node);
    if (!CHECK(node)) return;
    if (i == 10) desist_source_cancel(source, NULL);
    desist_register(token, node, free_node, node);
  }
  desist_source_release(source);
}

static void move_to(void *data, desist_reason *reason) {
  (void)reason;
  desist_register(desist_source_token((desist_source *)data), &nodes[0],
                  leave_data, data);
  leave("m");
}

TEST(a_callback_may_register_its_node_again) {
  desist_source *other = desist_source_create();
  begin();
  desist_register(token, &nodes[0], move_to, other);
  register_letter(token, &nodes[1], "b");
  desist_source_cancel(source, NULL);
  CHECK_TEXT(trail, "bm");
  CHECK(desist_is_registered(&nodes[0]));
  CHECK(desist_unregister_wait(&nodes[0]));
  desist_source_release(other);
  desist_source_release(source);
}

static void register_inside(void *data, desist_reason *reason) {
  (void)data, (void)reason;
  leave("a");
  register_letter(token, &nodes[1], "i");
  leave("A");
}

TEST(registering_inside_a_callback_runs_nested) {
  begin();
  register_letter(token, &nodes[2], "c");
  desist_register(token, &nodes[0], register_inside, NULL);
  desist_source_cancel(source, NULL);
  CHECK_TEXT(trail, "aiAc");
  desist_source_release(source);
}

/* --- Cancelling, closing, releasing ------------------------------------- */

static desist_reason *second;

static void cancel_data(void *data, desist_reason *reason) {
  (void)reason;
  leave("<");
  CHECK(desist_source_cancel((desist_source *)data, second));
  leave(">");
}

TEST(a_callback_cancels_another_source) {
  struct noted other;
  begin();
  note(&other, desist_source_create(), "o");
  register_letter(token, &nodes[0], "a");
  desist_register(token, &nodes[1], cancel_data, other.source);
  desist_source_cancel(source, NULL);
  CHECK_TEXT(trail, "<o>a");
  desist_source_release(other.source);
  desist_source_release(source);
}

TEST(a_callback_cancels_the_other_input_of_a_link) {
  struct noted other, link;
  begin();
  second = desist_reason_create(2, "second");
  note(&other, desist_source_create(), "o");
  note(&link, link_any(token, other.token), "l");
  desist_register(token, &nodes[0], cancel_data, other.source);
  desist_source_cancel(source, NULL);
  CHECK_TEXT(trail, "<o>l");
  CHECK_TEXT(desist_reason_text(desist_token_reason(link.token)), "cancelled");
  CHECK(desist_token_origin(link.token) == token);
  CHECK(desist_token_reason(other.token) == second);
  desist_reason_release(second);
  second = NULL;
  desist_source_release(link.source);
  desist_source_release(other.source);
  desist_source_release(source);
}

static void close_data(void *data, desist_reason *reason) {
  (void)reason;
  leave("c");
  desist_source_close((desist_source *)data);
}

TEST(closing_during_delivery_drops_own_callbacks_only) {
  struct noted link;
  begin();
  register_letter(token, &nodes[0], "a");
  note(&link, link_any(token, NULL), "l");
  register_letter(token, &nodes[1], "b");
  desist_register(token, &nodes[2], close_data, source);
  desist_source_cancel(source, NULL);
  CHECK_TEXT(trail, "cl");
  CHECK(!desist_is_registered(&nodes[0]));
  CHECK(!desist_unregister(&nodes[0]));
  CHECK(desist_token_is_cancelled(token));
  desist_source_release(link.source);
  desist_source_release(source);
}

TEST(closing_a_link_during_delivery_leaves_what_is_below_it) {
  struct noted link, below;
  begin();
  note(&link, link_any(token, NULL), "l");
  note(&below, link_any(link.token, NULL), "x");
  register_letter(token, &nodes[0], "a");
  desist_register(token, &nodes[1], close_data, link.source);
  desist_source_cancel(source, NULL);
  CHECK_TEXT(trail, "cax");
  CHECK(desist_token_is_cancelled(link.token));
  desist_source_release(below.source);
  desist_source_release(link.source);
  desist_source_release(source);
}

static void release_data(void *data, desist_reason *reason) {
  (void)reason;
  leave("r");
  desist_source_release((desist_source *)data);
}

TEST(the_last_reference_may_go_in_a_callback) {
  struct noted link, below;
  begin();
  register_letter(token, &nodes[0], "a");
  note(&link, link_any(token, NULL), "l");
  note(&below, link_any(link.token, NULL), "x");
  desist_register(below.token, &nodes[4], release_data, below.source);
  desist_register(token, &nodes[1], release_data, link.source);
  desist_register(token, &nodes[2], release_data, source);
  desist_source_cancel(source, NULL);
  CHECK_TEXT(trail, "rrrxla");
}

TEST(nothing_is_left) { CHECK_LIVE(0); }

CHECK_MAIN()
