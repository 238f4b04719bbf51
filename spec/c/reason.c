/* reason.c: what a cancellation says about itself. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"

#include <limits.h>

static void check_reason(const desist_token *token, desist_kind kind, int code,
                         const char *text) {
  desist_reason *reason = desist_token_reason(token);
  CHECK(reason != NULL);
  CHECK_INT(desist_reason_kind(reason), kind);
  CHECK_INT(desist_reason_code(reason), code);
  CHECK_TEXT(desist_reason_text(reason), text);
}

TEST(a_reason_has_code_text_and_kind) {
  char text[] = "user pressed c";
  desist_reason *reason = desist_reason_create(-7, text);
  text[0] = 'X';
  CHECK_INT(desist_reason_code(reason), -7);
  CHECK_TEXT(desist_reason_text(reason), "user pressed c");
  CHECK_INT(desist_reason_kind(reason), DESIST_KIND_CANCELLED);
  desist_reason_release(reason);
  reason = desist_reason_create_kind(DESIST_KIND_FAILURE, INT_MIN, "sibling");
  CHECK_INT(desist_reason_kind(reason), DESIST_KIND_FAILURE);
  CHECK_INT(desist_reason_code(reason), INT_MIN);
  CHECK_TEXT(desist_reason_text(reason), "sibling");
  desist_reason_release(reason);
}

TEST(no_text_reads_as_an_empty_one) {
  desist_reason *reason = desist_reason_create(INT_MAX, NULL);
  CHECK_TEXT(desist_reason_text(reason), "");
  CHECK_INT(desist_reason_code(reason), INT_MAX);
  desist_reason_release(reason);
  reason = desist_reason_create_kind(DESIST_KIND_DEADLINE, 0, NULL);
  CHECK_TEXT(desist_reason_text(reason), "");
  CHECK_INT(desist_reason_kind(reason), DESIST_KIND_DEADLINE);
  desist_reason_release(reason);
}

TEST(a_long_text_is_kept_whole) {
  static char text[100001];
  desist_reason *reason;
  memset(text, 'x', sizeof text - 1);
  reason = desist_reason_create(0, text);
  CHECK(strcmp(desist_reason_text(reason), text) == 0);
  desist_reason_release(reason);
}

TEST(null_is_the_default_reason) {
  desist_source *source = desist_source_create();
  desist_source *other = desist_source_create();
  desist_token *token = desist_source_token(source);
  desist_source_cancel(source, NULL);
  desist_source_cancel(other, NULL);
  check_reason(token, DESIST_KIND_CANCELLED, 0, "cancelled");
  CHECK(desist_token_reason(token) == desist_token_reason(token));
  /* Retaining it is as good as retaining any other. */
  desist_reason_retain(desist_token_reason(token));
  desist_reason_release(desist_token_reason(token));
  check_reason(token, DESIST_KIND_CANCELLED, 0, "cancelled");
  desist_source_release(source);
  desist_source_release(other);
}

TEST(a_passed_deadline_is_the_reason) {
  desist_source *source = desist_source_create();
  desist_source_cancel_after(source, 0);
  check_reason(desist_source_token(source), DESIST_KIND_DEADLINE, 0,
               "deadline exceeded");
  CHECK(!desist_source_cancel(source, NULL));
  check_reason(desist_source_token(source), DESIST_KIND_DEADLINE, 0,
               "deadline exceeded");
  desist_source_release(source);
}

TEST(cancel_retains_the_reason) {
  long live = MEMORY_GET(live);
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  desist_reason *reason = desist_reason_create(3, "three");
  desist_source_cancel(source, reason);
  desist_reason_release(reason);
  CHECK(desist_token_reason(token) == reason);
  check_reason(token, DESIST_KIND_CANCELLED, 3, "three");
  desist_token_retain(token);
  desist_source_release(source);
  check_reason(token, DESIST_KIND_CANCELLED, 3, "three");
  desist_reason_retain(reason);
  desist_token_release(token);
  CHECK_INT(desist_reason_code(reason), 3);
  desist_reason_release(reason);
  CHECK_LIVE(live);
}

TEST(the_first_reason_stays) {
  desist_source *source = desist_source_create();
  desist_reason *first = desist_reason_create(1, "first");
  desist_reason *second = desist_reason_create(2, "second");
  CHECK(desist_source_cancel(source, first));
  CHECK(!desist_source_cancel(source, second));
  CHECK(!desist_source_cancel(source, NULL));
  CHECK(desist_token_reason(desist_source_token(source)) == first);
  desist_reason_release(first);
  desist_reason_release(second);
  desist_source_release(source);
}

TEST(no_reason_first_blocks_a_later_one) {
  desist_source *source = desist_source_create();
  desist_reason *late = desist_reason_create(2, "late");
  desist_source_cancel(source, NULL);
  desist_source_cancel(source, late);
  check_reason(desist_source_token(source), DESIST_KIND_CANCELLED, 0,
               "cancelled");
  desist_reason_release(late);
  desist_source_release(source);
}

static void same_reason(void *data, desist_reason *reason) {
  CHECK(reason == *(desist_reason **)data);
}

TEST(one_reason_goes_through_all_links) {
  desist_source *root = desist_source_create();
  desist_source *middle = link_any(desist_source_token(root), NULL);
  desist_source *leaf = link_all(desist_source_token(middle), NULL);
  desist_source *end = link_any(desist_source_token(middle), NULL);
  desist_reason *reason = desist_reason_create(9, "nine");
  desist_registration nodes[2];
  desist_register(desist_source_token(root), &nodes[0], same_reason, &reason);
  desist_register(desist_source_token(end), &nodes[1], same_reason, &reason);
  desist_source_cancel(root, reason);
  CHECK(desist_token_reason(desist_source_token(middle)) == reason);
  CHECK(desist_token_reason(desist_source_token(end)) == reason);
  CHECK(desist_token_origin(desist_source_token(end)) ==
        desist_source_token(root));
  /* NULL among the inputs of a link of all: out of its inputs' reach. */
  CHECK(!desist_token_is_cancelled(desist_source_token(leaf)));
  desist_reason_release(reason);
  desist_source_release(root);
  CHECK_INT(desist_reason_code(desist_token_reason(desist_source_token(end))),
            9);
  desist_source_release(middle);
  desist_source_release(leaf);
  desist_source_release(end);
}

TEST(parent_then_child_is_the_parents) {
  desist_source *parent = desist_source_create();
  desist_source *child = link_any(desist_source_token(parent), NULL);
  desist_reason *first = desist_reason_create(1, "parent");
  desist_reason *second = desist_reason_create(2, "child");
  desist_source_cancel(parent, first);
  CHECK(!desist_source_cancel(child, second));
  CHECK(desist_token_reason(desist_source_token(child)) == first);
  desist_reason_release(first);
  desist_reason_release(second);
  desist_source_release(parent);
  desist_source_release(child);
}

TEST(child_then_parent_is_the_childs) {
  desist_source *parent = desist_source_create();
  desist_source *child = link_any(desist_source_token(parent), NULL);
  desist_reason *first = desist_reason_create(1, "child");
  desist_reason *second = desist_reason_create(2, "parent");
  CHECK(desist_source_cancel(child, first));
  CHECK(desist_source_cancel(parent, second));
  CHECK(desist_token_reason(desist_source_token(child)) == first);
  CHECK(desist_token_reason(desist_source_token(parent)) == second);
  CHECK(desist_token_origin(desist_source_token(child)) ==
        desist_source_token(child));
  desist_reason_release(first);
  desist_reason_release(second);
  desist_source_release(parent);
  desist_source_release(child);
}

TEST(nothing_is_left) { CHECK_LIVE(0); }

CHECK_MAIN()
