/*
** core.c: a host without Lua, in C and C++ alike. It is built with whatever
** made the library (the amalgamation, CMake), and with its switches.
*/
#include <desist.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000000000)

static int failures;

static void check(bool good, const char *what) {
  if (good) return;
  failures++;
  fprintf(stderr, "not so: %s\n", what);
}

static void note(void *data, desist_reason *reason) {
  *(int *)data = desist_reason_code(reason);
}

static void cancel(void) {
  desist_source *source = desist_source_create();
  desist_reason *reason = desist_reason_create(7, "seven");
  desist_registration node;
  int seen = 0;
  desist_register(desist_source_token(source), &node, note, &seen);
  check(desist_source_cancel(source, reason), "the first cancel does it");
  check(seen == 7, "the callback got the reason");
  desist_reason_release(reason);
  desist_source_release(source);
}

/* Polls, so that in a build without threads this looks for the deadline. */
static void poll_for_deadline(void) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  int64_t limit = desist_now() + 10 * SECOND;
  check(desist_source_cancel_after(source, SECOND / 100), "armed");
  while (!desist_token_is_cancelled(token) && desist_now() < limit) continue;
  check(desist_token_is_cancelled(token), "the deadline came");
  desist_source_release(source);
}

static void wait_for_deadline(void) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  check(desist_source_cancel_after(source, SECOND / 100), "armed");
  check(desist_token_wait(token, 10 * SECOND), "the deadline ends the wait");
  check(strcmp(desist_reason_text(desist_token_reason(token)),
               "deadline exceeded") == 0,
        "it says so");
  desist_source_release(source);
}

static void catch_signal(void) {
  int number = SIGINT;
  desist_source *source;
#if defined(DESIST_NO_SIGNALS)
  struct sigaction before, after;
  sigaction(number, NULL, &before);
  errno = 0;
  source = desist_source_create_signals(&number, 1);
  check(source == NULL && errno == ENOSYS, "no signals in this build");
  sigaction(number, NULL, &after);
  check(before.sa_handler == after.sa_handler, "no handler is installed");
#else
  source = desist_source_create_signals(&number, 1);
  check(source != NULL, "the signal can be caught");
  raise(number);
  check(desist_token_wait(desist_source_token(source), 10 * SECOND),
        "the signal cancels");
  desist_source_release(source);
#endif
}

int main(void) {
  check(strcmp(desist_version(), DESIST_VERSION) == 0, "one version");
  cancel();
  poll_for_deadline();
  wait_for_deadline();
  catch_signal();
  return failures != 0;
}
