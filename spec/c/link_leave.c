/* link_leave.c: links that are over leave their inputs, by themselves. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"

/* `count` new sources with their tokens. */
static desist_source *sources[3];
static desist_token *tokens[3];

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

TEST(a_link_leaves_all_inputs_when_it_is_over) {
  int way;
  for (way = 0; way < 4; way++) {
    desist_source *link;
    make(3);
    link = desist_source_create_linked(
        tokens, 3, way % 2 ? DESIST_LINK_ALL : DESIST_LINK_ANY);
    CHECK(!desist_source_try_reset(sources[1]));
    if (way == 0) desist_source_cancel(link, NULL);
    if (way == 1) desist_source_close(link);
    if (way == 2) desist_source_cancel_after(link, 0);
    if (way == 3) desist_source_release(link), link = NULL;
    CHECK(desist_source_try_reset(sources[0]));
    CHECK(desist_source_try_reset(sources[1]));
    CHECK(desist_source_try_reset(sources[2]));
    desist_source_release(link);
    drop(3);
  }
}

TEST(a_million_links_leave_a_long_lived_input_as_small_as_before) {
  int i, n = check_size(1000000);
  long live;
  make(2);
  live = MEMORY_GET(live);
  for (i = 0; i < n; i++) {
    desist_source *link =
        i % 2 ? link_any(tokens[0], tokens[1]) : link_all(tokens[1], tokens[0]);
    if (i % 3 == 0) desist_source_cancel(link, NULL);
    if (i % 3 == 1) desist_source_close(link);
    desist_source_release(link);
  }
  CHECK_INT(MEMORY_GET(live), live);
  drop(2);
}

TEST(links_do_not_keep_their_inputs_sources) {
  desist_source *link;
  make(2);
  desist_token_retain(tokens[0]);
  link = link_any(tokens[0], tokens[1]);
  drop(1);
  CHECK(!desist_token_can_be_cancelled(tokens[0]));
  desist_token_release(tokens[0]);
  CHECK(desist_source_cancel(sources[1], NULL));
  CHECK(cancelled(link));
  desist_source_release(link);
  desist_source_release(sources[1]);
}

TEST(a_link_of_one_or_two_is_one_allocation) {
  long before;
  desist_source *one, *two;
  make(2);
  before = MEMORY_GET(calls);
  one = link_any(tokens[0], NULL);
  two = link_all(tokens[0], tokens[1]);
  CHECK_INT(MEMORY_GET(calls) - before, 2);
  desist_source_release(one);
  desist_source_release(two);
  drop(2);
}

TEST(nothing_is_left) { CHECK_LIVE(0); }

CHECK_MAIN()
