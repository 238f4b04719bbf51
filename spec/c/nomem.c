/*
** nomem.c: every allocation failing in turn: the first one, the second one,
** and so on until the program gets through; once with only that one failing,
** once with all after it. Each try has a process of its own, so that what the
** library makes once a process (thread, tables) fails as well.
*/
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"
#include "check_threads.h"

#include <sys/mman.h>
#include <sys/wait.h>

/* How a try ends, besides the checks of it. */
enum { FAILED_CHECK = 1, NO_FAILURE_LEFT = 42, NEVER_FAIL = 1000000 };

/* Shared with the children: how much stays when nothing fails, because the
** library made it once for the process. */
static long *stays;

static void one_try(void (*scenario)(void), long at, bool all) {
  bool failed;
  check_watch();
  check.failures = 0;
  memory_fail(at, all);
  scenario();
  failed = memory_works_again();
  scenario();
  if (at == NEVER_FAIL) {
    check_sleep(MS(200)); /* the service thread may be a moment behind */
    *stays = MEMORY_GET(live);
  }
  scenario();
  CHECK_LIVE(*stays);
  if (check.failures) _exit(FAILED_CHECK);
  _exit(failed ? 0 : NO_FAILURE_LEFT);
}

static int try_in_child(void (*scenario)(void), long at, bool all) {
  int status = 0;
  pid_t child;
  fflush(stdout);
  child = fork();
  if (child == 0) one_try(scenario, at, all);
  CHECK_INT(waitpid(child, &status, 0), child);
  if (!CHECK(WIFEXITED(status))) return FAILED_CHECK;
  return WEXITSTATUS(status);
}

static void try_all(void (*scenario)(void)) {
  int all, status;
  long at;
  stays = mmap(NULL, sizeof *stays, PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK_INT(try_in_child(scenario, NEVER_FAIL, false), NO_FAILURE_LEFT);
  for (all = 0; all < 2; all++)
    for (at = 0;; at++) {
      status = try_in_child(scenario, at, all);
      if (status == NO_FAILURE_LEFT) break;
      if (!CHECK_INT(status, 0) || !CHECK(at < 1000)) return;
    }
  munmap(stays, sizeof *stays);
}

/* --- What allocates ----------------------------------------------------- */

static void make_named(void) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  if (!source) return;
  if (desist_source_set_name(source, "first")) {
    if (!desist_source_set_name(source, "a name that is longer than that"))
      CHECK_TEXT(desist_token_name(token), "first");
  } else {
    CHECK(desist_token_name(token) == NULL);
  }
  CHECK(desist_source_cancel(source, NULL));
  desist_source_release(source);
}

static void make_reason(void) {
  desist_reason *reason = desist_reason_create(1, "one");
  desist_reason *other =
      desist_reason_create_kind(DESIST_KIND_FAILURE, 2, NULL);
  if (reason) CHECK_TEXT(desist_reason_text(reason), "one");
  if (other) CHECK_INT(desist_reason_code(other), 2);
  desist_reason_release(reason);
  desist_reason_release(other);
}

static void make_links(void) {
  enum { MOST = 100 };
  static const size_t counts[] = { 1, 2, 3, MOST };
  desist_source *sources[MOST];
  desist_token *tokens[MOST];
  size_t i, c;
  for (i = 0; i < MOST; i++) {
    sources[i] = desist_source_create();
    tokens[i] = desist_source_token(sources[i]);
  }
  for (c = 0; c < COUNT(counts); c++) {
    desist_source *any =
        desist_source_create_linked(tokens, counts[c], DESIST_LINK_ANY);
    desist_source *all =
        desist_source_create_linked(tokens, counts[c], DESIST_LINK_ALL);
    if (!any && !all)
      for (i = 0; i < counts[c]; i++)
        if (sources[i]) CHECK(desist_source_try_reset(sources[i]));
    desist_source_release(any);
    desist_source_release(all);
    for (i = 0; i < counts[c]; i++)
      if (sources[i]) CHECK(desist_source_try_reset(sources[i]));
  }
  for (i = 0; i < MOST; i++) desist_source_release(sources[i]);
}

static void arm_by_hand(void) {
  desist_clock *clock = desist_clock_create(0);
  desist_source *source;
  if (!clock) return;
  source = desist_source_create_on(clock);
  if (source) {
    desist_token *token = desist_source_token(source);
    int64_t before = DESIST_NEVER, time;
    for (time = 10; time < 13; time++) {
      if (desist_source_cancel_at(source, time)) before = time;
      CHECK_INT(desist_token_deadline(token), before);
    }
    CHECK(desist_clock_advance(clock, 20));
    CHECK(desist_token_is_cancelled(token) == (before != DESIST_NEVER));
  }
  desist_source_release(source);
  desist_clock_release(clock);
}

static void arm_real(void) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  desist_registration node;
  int ran = 0;
  bool armed;
  if (!source) return;
  desist_register(token, &node, count_call, &ran);
  armed = desist_source_cancel_after(source, MS(2));
  CHECK(armed || desist_token_deadline(token) == DESIST_NEVER);
  CHECK(desist_token_wait(token, armed ? MS(10000) : MS(3)) == armed);
  if (armed)
    CHECK_SOON(calls(&ran) == 1);
  else
    CHECK(desist_source_cancel(source, NULL));
  desist_unregister_wait(&node);
  desist_source_release(source);
}

static void take_handles(void) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  char of_source[DESIST_HANDLE_SIZE], of_token[DESIST_HANDLE_SIZE];
  if (!source) return;
  if (desist_source_handle(source, of_source)) {
    desist_source *found = desist_source_from_handle(of_source);
    CHECK(found == source);
    desist_source_release(found);
  }
  if (desist_token_handle(token, of_token)) {
    desist_token *found = desist_token_from_handle(of_token);
    CHECK(found == token);
    desist_token_release(found);
  }
  CHECK(desist_token_fd(token) >= 0 || desist_token_fd(token) == -ENOMEM);
  CHECK(desist_source_cancel(source, NULL));
  desist_source_release(source);
}

static void catch_signals(void) {
  static const int numbers[] = { SIGUSR1, SIGUSR2 };
  struct sigaction before, now;
  desist_source *source;
  sigaction(SIGUSR1, NULL, &before);
  errno = 0;
  source = desist_source_create_signals(numbers, 2);
  if (source) {
    raise(SIGUSR1);
    CHECK(desist_token_wait(desist_source_token(source), MS(10000)));
    desist_source_release(source);
  } else {
    CHECK_INT(errno, ENOMEM);
  }
  sigaction(SIGUSR1, NULL, &now);
  CHECK(now.sa_handler == before.sa_handler);
}

static void look_far(void) {
  enum { DEEP = 200 };
  desist_clock *clock = desist_clock_create(0);
  desist_source *chain[DEEP];
  int i;
  if (!clock) return;
  chain[0] = desist_source_create_on(clock);
  if (chain[0] && !desist_source_cancel_at(chain[0], 10)) {
    desist_source_release(chain[0]);
    chain[0] = NULL;
  }
  for (i = 1; i < DEEP; i++)
    chain[i] = link_any(desist_source_token(chain[i - 1]),
                        desist_source_token(chain[i / 2]));
  if (chain[DEEP - 1]) {
    int64_t deadline =
        desist_token_deadline(desist_source_token(chain[DEEP - 1]));
    CHECK(deadline == 10 || deadline == DESIST_NEVER);
  }
  for (i = 0; i < DEEP; i++) desist_source_release(chain[i]);
  desist_clock_release(clock);
}

TEST(sources_and_names) { try_all(make_named); }
TEST(reasons) { try_all(make_reason); }
TEST(links) { try_all(make_links); }
TEST(manual_deadlines) { try_all(arm_by_hand); }
TEST(real_deadlines) { try_all(arm_real); }
TEST(handles) { try_all(take_handles); }
TEST_WITH_SIGNALS(signals) { try_all(catch_signals); }
TEST(effective_deadlines) { try_all(look_far); }

CHECK_MAIN()
