/* fork_descriptor.c: after fork, each side's descriptors are its own. */
#include "check.h"
#include "check_callbacks.h"
#include "check_fork.h"
#include "check_memory.h"

static desist_source *source;
static desist_token *token;
static desist_registration node;
static int ran;

static void begin(void) {
  source = desist_source_create();
  token = desist_source_token(source);
  ran = 0;
  desist_register(token, &node, count_call, &ran);
}

static void end(void) {
  desist_unregister_wait(&node);
  desist_source_release(source);
}

static int pipes[2];

static void cancel_here(void) {
  CHECK(!readable(token));
  CHECK(desist_source_cancel(source, NULL));
  CHECK_INT(ran, 1);
  CHECK(readable(token));
}

TEST_WITH_THREADS(a_childs_cancel_is_its_own) {
  begin();
  CHECK(!readable(token));
  end_child(start_child(cancel_here));
  CHECK(!desist_token_is_cancelled(token));
  CHECK_INT(ran, 0);
  CHECK(!readable(token));
  cancel_here();
  end();
}

static void look_later(void) {
  char byte;
  CHECK_INT(read(pipes[0], &byte, 1), 1);
  CHECK(!desist_token_is_cancelled(token));
  CHECK(!readable(token));
  cancel_here();
}

TEST_WITH_THREADS(a_parents_cancel_is_its_own) {
  pid_t child;
  begin();
  CHECK(!readable(token));
  CHECK_INT(pipe(pipes), 0);
  child = start_child(look_later);
  cancel_here();
  CHECK_INT(write(pipes[1], "x", 1), 1);
  end_child(child);
  close(pipes[0]);
  close(pipes[1]);
  end();
}

static void still_readable(void) {
  CHECK(desist_token_is_cancelled(token));
  CHECK(readable(token));
}

TEST_WITH_THREADS(what_was_cancelled_before_is_readable_on_both_sides) {
  begin();
  CHECK(!readable(token));
  desist_source_cancel(source, NULL);
  end_child(start_child(still_readable));
  still_readable();
  end();
}

CHECK_MAIN()
