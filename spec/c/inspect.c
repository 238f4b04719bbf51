/*
** inspect.c: what the core tells of a source (queue.h), and what it notes of
** one that is traced.
*/
#include "check.h"

#include "queue.h"

enum { ROOM = 32 };

static struct {
  desist__facts facts;
  desist__item items[ROOM];
  size_t count;
} seen;

static void forget(void) {
  size_t i;
  for (i = 0; i < seen.count && i < ROOM; i++)
    if (seen.items[i].sort == DESIST__INPUT ||
        seen.items[i].sort == DESIST__BELOW)
      desist_token_release((desist_token *)seen.items[i].what);
  seen.count = 0;
}

static size_t look(desist_source *source, const desist__inbox *state) {
  forget();
  seen.count = desist__inspect(desist_source_token(source), state, &seen.facts,
                               seen.items, ROOM);
  return seen.count;
}

static void nothing(void *data, desist_reason *reason) {
  (void)data, (void)reason;
}

TEST(a_source_is_seen_with_its_flags_and_its_name) {
  desist_source *source = desist_source_create();
  CHECK_INT(look(source, NULL), 0);
  CHECK(!seen.facts.cancelled && !seen.facts.closed);
  CHECK_INT(seen.facts.form, DESIST__NO_LINK);
  CHECK_INT(seen.facts.left, DESIST_NEVER);
  CHECK_INT(seen.facts.age, DESIST_NEVER);
  CHECK_TEXT(seen.facts.name, "");
  desist_source_set_name(source, "level");
  desist_source_cancel(source, NULL);
  look(source, NULL);
  CHECK(seen.facts.cancelled && !seen.facts.closed);
  CHECK_TEXT(seen.facts.name, "level");
  desist_source_close(source);
  look(source, NULL);
  CHECK(seen.facts.cancelled && seen.facts.closed);
  desist_source_release(source);
}

TEST(a_long_name_is_cut) {
  desist_source *source = desist_source_create();
  char name[DESIST__NAME_SIZE * 2];
  size_t length;
  for (length = DESIST__NAME_SIZE - 3; length < sizeof name; length++) {
    memset(name, 'n', length);
    name[length] = '\0';
    desist_source_set_name(source, name);
    look(source, NULL);
    if (length < DESIST__NAME_SIZE) {
      CHECK_TEXT(seen.facts.name, name);
    } else {
      CHECK_INT(strlen(seen.facts.name), DESIST__NAME_SIZE - 1);
      CHECK_TEXT(seen.facts.name + DESIST__NAME_SIZE - 5, "n...");
    }
  }
  desist_source_release(source);
}

TEST(items_come_in_running_order_neighbours_of_C_are_counted) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  desist__inbox *ours = desist__inbox_create();
  desist__inbox *other = desist__inbox_create();
  desist_registration callbacks[3];
  desist__watch watches[4];
  desist_source *link;
  int i;
  memset(watches, 0, sizeof watches);
  for (i = 0; i < 4; i++) watches[i].inbox = i < 2 ? ours : other;
  desist__watch_add(token, &watches[0]);
  desist__watch_add(token, &watches[1]);
  desist_register(token, &callbacks[0], nothing, NULL);
  desist__watch_add(token, &watches[2]);
  desist__watch_add(token, &watches[3]);
  link = desist_source_create_linked(&token, 1, DESIST_LINK_ANY);
  desist_register(token, &callbacks[1], nothing, NULL);
  desist_register(token, &callbacks[2], nothing, NULL);
  CHECK_INT(look(source, ours), 6);
  CHECK_INT(seen.items[0].sort, DESIST__OF_C);
  CHECK_INT(seen.items[0].count, 2);
  CHECK_INT(seen.items[1].sort, DESIST__BELOW);
  CHECK(seen.items[1].what == (void *)desist_source_token(link));
  CHECK_INT(seen.items[2].sort, DESIST__OF_OTHERS);
  CHECK_INT(seen.items[2].count, 2);
  CHECK_INT(seen.items[3].sort, DESIST__OF_C);
  CHECK_INT(seen.items[3].count, 1);
  CHECK_INT(seen.items[4].sort, DESIST__OF_STATE);
  CHECK(seen.items[4].what == (void *)&watches[1]);
  CHECK(seen.items[5].what == (void *)&watches[0]);
  CHECK_INT(look(source, NULL), 5);
  CHECK_INT(seen.items[4].sort, DESIST__OF_OTHERS);
  CHECK_INT(seen.items[4].count, 2);
  forget();
  for (i = 0; i < 4; i++) desist__watch_remove(&watches[i]);
  for (i = 0; i < 3; i++) desist_unregister(&callbacks[i]);
  desist_source_release(link);
  CHECK_INT(look(source, ours), 0);
  desist__inbox_close(ours);
  desist__inbox_close(other);
  desist_source_release(source);
}

TEST(a_link_shows_its_inputs_and_what_it_waits_for) {
  desist_source *inputs[3], *link;
  desist_token *tokens[3];
  int i;
  for (i = 0; i < 3; i++) {
    inputs[i] = desist_source_create();
    tokens[i] = desist_source_token(inputs[i]);
  }
  link = desist_source_create_linked(tokens, 3, DESIST_LINK_ALL);
  CHECK_INT(look(link, NULL), 3);
  CHECK_INT(seen.facts.form, DESIST__OF_ALL);
  CHECK_INT(seen.facts.wanted, 3);
  for (i = 0; i < 3; i++) {
    CHECK_INT(seen.items[i].sort, DESIST__INPUT);
    CHECK(seen.items[i].what == (void *)tokens[i]);
  }
  desist_source_cancel(inputs[1], NULL);
  look(link, NULL);
  CHECK_INT(seen.facts.wanted, 2);
  desist_source_cancel(inputs[0], NULL);
  desist_source_cancel(inputs[2], NULL);
  CHECK_INT(look(link, NULL), 0);
  CHECK(seen.facts.cancelled);
  desist_source_release(link);
  for (i = 0; i < 3; i++) desist_source_release(inputs[i]);
}

TEST(without_room_things_are_counted_and_not_held) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  desist_source *links[5];
  desist__facts facts;
  desist__item items[2];
  int i;
  for (i = 0; i < 5; i++)
    links[i] = desist_source_create_linked(&token, 1, DESIST_LINK_ANY);
  CHECK_INT(desist__inspect(token, NULL, &facts, NULL, 0), 5);
  CHECK_INT(desist__inspect(token, NULL, &facts, items, 2), 5);
  for (i = 0; i < 5; i++) desist_source_release(links[i]);
  CHECK(!desist_token_can_be_cancelled((desist_token *)items[0].what));
  desist_token_release((desist_token *)items[0].what);
  desist_token_release((desist_token *)items[1].what);
  CHECK_INT(look(source, NULL), 0);
  desist_source_release(source);
}

TEST(a_traced_source_knows_when_and_where) {
  desist_clock *clock = desist_clock_create(MS(1000));
  desist_source *source = desist_source_create_on(clock);
  char place[DESIST__PLACE_SIZE * 2];
  memset(place, 'p', sizeof place);
  place[sizeof place - 1] = '\0';
  CHECK(desist__trace_source(source, place));
  CHECK(desist__trace_source(source, "again"));
  desist_clock_advance(clock, MS(3));
  look(source, NULL);
  CHECK_INT(seen.facts.age, MS(3));
  CHECK_INT(seen.facts.since, DESIST_NEVER);
  CHECK_INT(strlen(seen.facts.place), DESIST__PLACE_SIZE - 1);
  desist_source_cancel_after(source, MS(4));
  desist_clock_advance(clock, MS(10));
  look(source, NULL);
  CHECK_INT(seen.facts.age, MS(13));
  CHECK_INT(seen.facts.since, MS(6));
  desist_source_release(source);
  desist_clock_release(clock);
}

TEST(what_is_traced_after_its_cancellation_was_cancelled_at_once) {
  desist_source *source = desist_source_create();
  desist_source_cancel(source, NULL);
  CHECK(desist__trace_source(source, ""));
  look(source, NULL);
  CHECK(seen.facts.since >= 0 && seen.facts.since < MS(10000));
  desist_source_release(source);
}

TEST(a_chain_of_any_length_is_seen_one_by_one) {
  desist_source *top = desist_source_create();
  desist_source *last = top;
  int i, length = check_size(100000);
  for (i = 0; i < length; i++) {
    desist_token *token = desist_source_token(last);
    desist_source *next =
        desist_source_create_linked(&token, 1, DESIST_LINK_ANY);
    if (last != top) desist_source_detach(last);
    last = next;
  }
  CHECK_INT(look(top, NULL), 1);
  CHECK_INT(look(last, NULL), 1);
  forget();
  desist_source_release(last);
  CHECK_INT(look(top, NULL), 0);
  desist_source_release(top);
}

CHECK_MAIN()
