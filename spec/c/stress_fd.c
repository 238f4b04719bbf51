/*
** stress_fd.c: descriptors made while the token is being cancelled or closed:
** in the end each is readable, and nobody gets a different one.
*/
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"
#include "check_threads.h"

#include <fcntl.h>
#include <poll.h>

enum { PARTIES = 4 };

static struct {
  desist_source *source, *link;
  desist_token *token, *link_token;
  int fds[PARTIES][2];
  bool closes;
} now;

static bool readable(int fd) {
  struct pollfd one;
  one.fd = fd;
  one.events = POLLIN;
  return poll(&one, 1, 0) == 1 && (one.revents & POLLIN) != 0;
}

static void prepare(void *data) {
  now.closes = *(bool *)data;
  now.source = desist_source_create();
  now.token = desist_source_token(now.source);
  now.link = link_any(now.token, NULL);
  now.link_token = desist_source_token(now.link);
  memset(now.fds, -1, sizeof now.fds);
}

static void take_or_cancel(int party, void *data) {
  (void)data;
  dawdle();
  if (party == 0) {
    if (now.closes) {
      desist_source_close(now.link);
      desist_source_close(now.source);
    } else {
      CHECK(desist_source_cancel(now.source, NULL));
      CHECK(readable(desist_token_fd(now.link_token)));
    }
    return;
  }
  now.fds[party][0] = desist_token_fd(now.token);
  now.fds[party][1] = desist_token_fd(now.link_token);
}

static void look(void *data) {
  desist_token *tokens[2];
  int i, k, last = -1;
  (void)data;
  tokens[0] = now.token;
  tokens[1] = now.link_token;
  for (k = 0; k < 2; k++) {
    int fd = now.closes ? -EINVAL : desist_token_fd(tokens[k]);
    for (i = 1; i < PARTIES; i++) {
      int its = now.fds[i][k];
      if (!now.closes) {
        CHECK_INT(its, fd);
        CHECK(readable(its));
      } else if (its != -EINVAL) {
        CHECK(its >= 0 && (fd == -EINVAL || fd == its));
        CHECK(!readable(its));
        fd = its;
      }
    }
    last = fd;
  }
  desist_source_release(now.link);
  desist_source_release(now.source);
  if (last >= 0) CHECK(fcntl(last, F_GETFD) == -1);
  CHECK_LIVE(0);
}

TEST(made_around_the_cancel_it_is_readable) {
  bool closes = false;
  race_repeat(PARTIES, prepare, take_or_cancel, look, &closes);
}

TEST(made_around_the_close_it_is_one_or_none) {
  bool closes = true;
  race_repeat(PARTIES, prepare, take_or_cancel, look, &closes);
}

/* --- Sleeping on it ------------------------------------------------------ */

static void sleep_or_cancel(int party, void *data) {
  struct pollfd one;
  (void)data;
  dawdle();
  if (party == 0) {
    if (dice(4) == 0) check_sleep(dice(100000));
    CHECK(desist_source_cancel(now.source, NULL));
    return;
  }
  one.fd = desist_token_fd(party % 2 ? now.token : now.link_token);
  one.events = POLLIN;
  CHECK_INT(poll(&one, 1, 60000), 1);
  CHECK(desist_token_is_cancelled(party % 2 ? now.token : now.link_token));
}

static void look_after_sleep(void *data) {
  (void)data;
  desist_source_release(now.link);
  desist_source_release(now.source);
  CHECK_LIVE(0);
}

TEST(it_wakes_who_polls_it) {
  bool closes = false;
  race_repeat(PARTIES, prepare, sleep_or_cancel, look_after_sleep, &closes);
}

/* --- The last reference -------------------------------------------------- */

static void prepare_references(void *data) {
  int i;
  prepare(data);
  for (i = 1; i < PARTIES; i++) desist_token_retain(now.token);
}

static void take_and_release(int party, void *data) {
  int fd;
  (void)data;
  dawdle();
  if (party == 0) {
    if (dice(2)) desist_source_cancel(now.source, NULL);
    desist_source_release(now.link);
    desist_source_release(now.source);
    return;
  }
  fd = desist_token_fd(now.token);
  CHECK(fd >= 0 || fd == -EINVAL);
  if (fd >= 0) CHECK(fcntl(fd, F_GETFD) != -1);
  if (desist_token_is_cancelled(now.token))
    CHECK(readable(desist_token_fd(now.token)));
  desist_token_release(now.token);
}

static void look_for_leaks(void *data) {
  static int lowest = -1;
  int fd = dup(0);
  (void)data;
  if (lowest < 0) lowest = fd;
  CHECK_INT(fd, lowest);
  close(fd);
  CHECK_LIVE(0);
}

TEST(it_is_open_as_long_as_somebody_holds_the_token) {
  bool closes = false;
  race_repeat(PARTIES, prepare_references, take_and_release, look_for_leaks,
              &closes);
}

CHECK_MAIN()
