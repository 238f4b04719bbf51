/* order.c: the order of a cancellation, and what callbacks may do in it. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"

#include <poll.h>

static desist_source *source;
static desist_token *token;
static desist_registration nodes[8];

static void begin(void) {
  source = desist_source_create();
  token = desist_source_token(source);
  trail_begin();
}

static bool readable(desist_token *of) {
  struct pollfd one = { desist_token_fd(of), POLLIN, 0 };
  return one.fd >= 0 && poll(&one, 1, 0) == 1;
}

TEST(the_newest_runs_first) {
  begin();
  register_letter(token, &nodes[0], "a");
  register_letter(token, &nodes[1], "b");
  register_letter(token, &nodes[2], "c");
  desist_unregister(&nodes[1]);
  register_letter(token, &nodes[1], "d");
  desist_source_cancel(source, NULL);
  CHECK_TEXT(trail, "dca");
  desist_source_release(source);
}

TEST(a_link_takes_its_turn_as_a_callback) {
  struct noted link, other, below;
  begin();
  register_letter(token, &nodes[0], "a");
  note(&link, link_any(token, NULL), "l");
  register_letter(token, &nodes[1], "b");
  note(&other, link_any(token, NULL), "o");
  register_letter(link.token, &nodes[2], "m");
  note(&below, link_any(link.token, NULL), "x");
  register_letter(link.token, &nodes[3], "n");
  register_letter(token, &nodes[4], "c");
  desist_source_cancel(source, NULL);
  CHECK_TEXT(trail, "cobnxmla");
  desist_source_release(below.source);
  desist_source_release(other.source);
  desist_source_release(link.source);
  desist_source_release(source);
}

TEST(a_link_to_several_takes_the_first_of_its_turns) {
  struct noted left, right, bottom;
  begin();
  note(&left, link_any(token, NULL), "l");
  note(&right, link_any(token, NULL), "r");
  note(&bottom, link_any(left.token, right.token), "x");
  /* Right is newer and goes first, and in it the link is newer than "r". */
  desist_source_cancel(source, NULL);
  CHECK_TEXT(trail, "xrl");
  desist_source_release(bottom.source);
  desist_source_release(right.source);
  desist_source_release(left.source);
  desist_source_release(source);
}

/* --- Two phases -------------------------------------------------------- */

static struct noted graph[4];

static void look_at_graph(void *data, desist_reason *reason) {
  int i;
  for (i = 0; i < 4; i++) {
    CHECK(desist_token_is_cancelled(graph[i].token));
    CHECK(desist_token_reason(graph[i].token) == reason);
    CHECK(desist_token_origin(graph[i].token) == token);
    CHECK(readable(graph[i].token));
    CHECK(desist_token_wait(graph[i].token, -1));
    CHECK(!desist_source_cancel(graph[i].source, NULL));
  }
  /* Registering below runs at once, before the turn of that source. */
  if (data) register_letter(graph[2].token, &nodes[7], "!");
}

TEST(the_whole_graph_is_cancelled_before_the_first_callback) {
  desist_registration first;
  int i;
  begin();
  note(&graph[0], link_any(token, NULL), "0");
  note(&graph[1], link_any(token, NULL), "1");
  note(&graph[2], link_all(graph[0].token, graph[1].token), "2");
  note(&graph[3], link_any(graph[2].token, NULL), "3");
  CHECK(desist_token_fd(graph[2].token) >= 0);
  CHECK(!readable(graph[2].token));
  desist_register(graph[3].token, &nodes[1], look_at_graph, NULL);
  desist_register(token, &first, look_at_graph, &first);
  desist_source_cancel(source, NULL);
  CHECK_TEXT(trail, "!3210");
  for (i = 3; i >= 0; i--) desist_source_release(graph[i].source);
  desist_source_release(source);
}

/* --- Unregistering from callbacks -------------------------------------- */

static void unregister_neighbours(void *data, desist_reason *reason) {
  (void)data, (void)reason;
  leave("1");
  CHECK(!desist_unregister(&nodes[2]));
  CHECK(!desist_unregister(&nodes[1]));
  CHECK(desist_unregister(&nodes[0]));
  CHECK(!desist_unregister(&nodes[0]));
}

TEST(a_callback_unregisters_one_that_has_not_started) {
  begin();
  register_letter(token, &nodes[0], "0");
  desist_register(token, &nodes[1], unregister_neighbours, NULL);
  register_letter(token, &nodes[2], "2");
  desist_source_cancel(source, NULL);
  CHECK_TEXT(trail, "21");
  CHECK(!desist_unregister(&nodes[0]));
  desist_source_release(source);
}

static void wait_for_oldest(void *data, desist_reason *reason) {
  (void)reason;
  leave((const char *)data);
  if (desist_unregister_wait(&nodes[0])) leave("+");
}

TEST(two_callbacks_take_out_a_third) {
  static char a[] = "a", b[] = "b";
  begin();
  register_letter(token, &nodes[0], "0");
  desist_register(token, &nodes[1], wait_for_oldest, a);
  desist_register(token, &nodes[2], wait_for_oldest, b);
  desist_source_cancel(source, NULL);
  CHECK_TEXT(trail, "b+a");
  desist_source_release(source);
}

static void unregister_data(void *data, desist_reason *reason) {
  (void)reason;
  CHECK(desist_unregister((desist_registration *)data));
}

TEST(a_callback_unregisters_one_of_a_link) {
  struct noted link;
  begin();
  note(&link, link_any(token, NULL), "l");
  desist_register(token, &nodes[0], unregister_data, &link.node);
  desist_source_cancel(source, NULL);
  CHECK_TEXT(trail, "");
  desist_source_release(link.source);
  desist_source_release(source);
}

TEST(nothing_is_left) { CHECK_LIVE(0); }

CHECK_MAIN()
