/* link.c: sources that are cancelled when their inputs are. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"

/* `count` new sources with their tokens. */
static desist_source *sources[100];
static desist_token *tokens[100];

static void make(int count) {
  int i;
  for (i = 0; i < count; i++) {
    sources[i] = desist_source_create();
    tokens[i] = desist_source_token(sources[i]);
  }
}

static void drop(int count) {
  int i;
  for (i = 0; i < count; i++) desist_source_release(sources[i]);
}

static bool cancelled(desist_source *source) {
  return desist_token_is_cancelled(desist_source_token(source));
}

/* --- Any --------------------------------------------------------------- */

TEST(any_input_cancels_a_link_of_any) {
  static const int sizes[] = { 1, 2, 3, 100 };
  size_t s;
  int i, k, ran;
  for (s = 0; s < COUNT(sizes); s++)
    for (i = 0; i<sizes[s]; i += sizes[s]> 10 ? 33 : 1) {
      desist_source *link;
      desist_registration node;
      ran = 0;
      make(sizes[s]);
      link = desist_source_create_linked(tokens, (size_t)sizes[s],
                                         DESIST_LINK_ANY);
      desist_register(desist_source_token(link), &node, count_call, &ran);
      CHECK(!cancelled(link));
      desist_source_cancel(sources[i], NULL);
      CHECK(cancelled(link));
      CHECK(desist_token_origin(desist_source_token(link)) == tokens[i]);
      /* It has left all the others. */
      for (k = 0; k < sizes[s]; k++)
        CHECK_INT(desist_source_try_reset(sources[k]), k != i);
      for (k = 0; k < sizes[s]; k++) desist_source_cancel(sources[k], NULL);
      CHECK_INT(ran, 1);
      desist_source_release(link);
      drop(sizes[s]);
    }
}

TEST(a_link_does_not_cancel_its_inputs) {
  desist_source *link;
  make(2);
  link = link_any(tokens[0], tokens[1]);
  CHECK(desist_source_cancel(link, NULL));
  CHECK(!cancelled(sources[0]) && !cancelled(sources[1]));
  desist_source_release(link);
  drop(2);
}

TEST(an_input_that_is_given_up_cancels_nothing) {
  desist_source *link;
  make(2);
  link = link_any(tokens[0], tokens[1]);
  desist_source_close(sources[0]);
  CHECK(!cancelled(link));
  drop(1);
  CHECK(desist_source_cancel(sources[1], NULL));
  CHECK(cancelled(link));
  desist_source_release(sources[1]);
  desist_source_release(link);
  make(1);
  link = link_any(tokens[0], NULL);
  drop(1);
  CHECK(desist_token_can_be_cancelled(desist_source_token(link)));
  CHECK(desist_source_cancel(link, NULL));
  desist_source_release(link);
}

TEST(no_inputs_make_a_plain_source) {
  desist_token *nothing[3] = { NULL, NULL, NULL };
  desist_source *link =
      desist_source_create_linked(nothing, 3, DESIST_LINK_ANY);
  CHECK(link && !cancelled(link));
  CHECK(desist_source_cancel(link, NULL));
  desist_source_release(link);
  link = desist_source_create_linked(NULL, 0, DESIST_LINK_ANY);
  CHECK(link && desist_source_try_reset(link));
  CHECK(desist_source_cancel(link, NULL));
  desist_source_release(link);
  make(1);
  desist_source_close(sources[0]);
  link = link_any(tokens[0], NULL);
  CHECK(link && desist_source_cancel(link, NULL));
  desist_source_release(link);
  drop(1);
}

TEST(a_link_of_any_is_born_cancelled_by_the_first_in_the_array) {
  desist_source *link;
  desist_token *inputs[4];
  desist_reason *one = desist_reason_create(1, "one");
  desist_reason *two = desist_reason_create(2, "two");
  int ran = 0;
  desist_registration node;
  make(3);
  desist_source_cancel(sources[2], two);
  desist_source_cancel(sources[1], one);
  inputs[0] = NULL, inputs[1] = tokens[0];
  inputs[2] = tokens[1], inputs[3] = tokens[2];
  link = desist_source_create_linked(inputs, 4, DESIST_LINK_ANY);
  CHECK(cancelled(link));
  CHECK(desist_token_reason(desist_source_token(link)) == one);
  CHECK(desist_token_origin(desist_source_token(link)) == tokens[1]);
  CHECK(desist_source_try_reset(sources[0]));
  CHECK(!desist_source_cancel(link, NULL));
  desist_register(desist_source_token(link), &node, count_call, &ran);
  CHECK_INT(ran, 1);
  desist_reason_release(one);
  desist_reason_release(two);
  desist_source_release(link);
  drop(3);
}

TEST(a_link_born_cancelled_knows_where_it_began) {
  desist_source *root = desist_source_create();
  desist_source *middle = link_any(desist_source_token(root), NULL);
  desist_source *late;
  desist_source_cancel(root, NULL);
  late = link_any(desist_source_token(middle), NULL);
  CHECK(desist_token_origin(desist_source_token(late)) ==
        desist_source_token(root));
  desist_source_release(late);
  desist_source_release(middle);
  desist_source_release(root);
}

TEST(duplicates_count_once) {
  desist_source *any, *all;
  desist_token *inputs[5];
  desist_registration node;
  int ran = 0;
  make(2);
  inputs[0] = inputs[2] = inputs[3] = tokens[0];
  inputs[1] = inputs[4] = tokens[1];
  any = desist_source_create_linked(inputs, 5, DESIST_LINK_ANY);
  all = desist_source_create_linked(inputs, 5, DESIST_LINK_ALL);
  desist_register(desist_source_token(any), &node, count_call, &ran);
  desist_source_cancel(sources[0], NULL);
  CHECK(cancelled(any));
  CHECK_INT(ran, 1);
  CHECK(!cancelled(all));
  desist_source_cancel(sources[1], NULL);
  CHECK(cancelled(all));
  desist_source_release(any);
  desist_source_release(all);
  drop(2);
}

/* --- All --------------------------------------------------------------- */

TEST(the_last_input_cancels_a_link_of_all) {
  static const int sizes[] = { 1, 2, 3, 100 };
  size_t s;
  int i, ran;
  for (s = 0; s < COUNT(sizes); s++) {
    desist_source *link;
    desist_reason *last = desist_reason_create(5, "last");
    desist_registration node;
    ran = 0;
    make(sizes[s]);
    link =
        desist_source_create_linked(tokens, (size_t)sizes[s], DESIST_LINK_ALL);
    desist_register(desist_source_token(link), &node, count_call, &ran);
    for (i = sizes[s] - 1; i > 0; i--) desist_source_cancel(sources[i], NULL);
    CHECK(!cancelled(link) && ran == 0);
    desist_source_cancel(sources[0], last);
    CHECK(cancelled(link) && ran == 1);
    CHECK(desist_token_reason(desist_source_token(link)) == last);
    desist_reason_release(last);
    desist_source_release(link);
    drop(sizes[s]);
  }
}

TEST(a_link_of_all_is_born_cancelled_by_the_last_in_the_array) {
  desist_source *link;
  desist_token *inputs[3];
  make(2);
  desist_source_cancel(sources[1], NULL);
  desist_source_cancel(sources[0], NULL);
  inputs[0] = inputs[2] = tokens[0]; /* its place is its first one */
  inputs[1] = tokens[1];
  link = desist_source_create_linked(inputs, 3, DESIST_LINK_ALL);
  CHECK(cancelled(link));
  CHECK(desist_token_origin(desist_source_token(link)) == tokens[1]);
  desist_source_release(link);
  drop(2);
}

TEST(inputs_cancelled_before_count_for_a_link_of_all) {
  desist_source *link;
  make(2);
  desist_source_cancel(sources[0], NULL);
  link = link_all(tokens[0], tokens[1]);
  CHECK(!cancelled(link));
  desist_source_cancel(sources[1], NULL);
  CHECK(cancelled(link));
  CHECK(desist_token_origin(desist_source_token(link)) == tokens[1]);
  desist_source_release(link);
  drop(2);
}

TEST(a_link_of_all_needs_an_input) {
  CHECK(desist_source_create_linked(NULL, 0, DESIST_LINK_ALL) == NULL);
}

TEST(an_input_out_of_reach_puts_a_link_of_all_out_of_reach) {
  desist_source *links[3];
  int i;
  make(2);
  links[0] = link_all(tokens[0], NULL);
  links[1] = link_all(tokens[0], tokens[1]);
  desist_source_close(sources[1]); /* now the second, too */
  links[2] = link_all(tokens[1], tokens[0]);
  desist_source_cancel(sources[0], NULL);
  for (i = 0; i < 3; i++) {
    CHECK(links[i] && !cancelled(links[i]));
    CHECK(desist_token_can_be_cancelled(desist_source_token(links[i])));
    CHECK(desist_source_cancel(links[i], NULL));
    desist_source_release(links[i]);
  }
  drop(2);
}

TEST(nothing_is_left) { CHECK_LIVE(0); }

CHECK_MAIN()
