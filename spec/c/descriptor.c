/* descriptor.c: tokens among the descriptors of poll, select and epoll. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>

static desist_source *source;
static desist_token *token;

static void begin(void) {
  source = desist_source_create();
  token = desist_source_token(source);
}

static void end(void) { desist_source_release(source); }

static bool readable(int fd) {
  struct pollfd one;
  one.fd = fd;
  one.events = POLLIN;
  CHECK(fd >= 0);
  return poll(&one, 1, 0) == 1 && (one.revents & POLLIN) != 0;
}

static bool is_open(int fd) { return fcntl(fd, F_GETFD) != -1; }

TEST(it_is_made_once) {
  int fd;
  begin();
  fd = desist_token_fd(token);
  CHECK(fd >= 0 && is_open(fd));
  CHECK_INT(desist_token_fd(token), fd);
  desist_source_cancel(source, NULL);
  CHECK_INT(desist_token_fd(token), fd);
  end();
}

TEST(it_has_the_flags) {
  int fd;
  begin();
  fd = desist_token_fd(token);
  CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
  end();
}

TEST(it_is_readable_once_cancelled) {
  int fd;
  begin();
  fd = desist_token_fd(token);
  CHECK(!readable(fd));
  desist_source_cancel(source, NULL);
  CHECK(readable(fd));
  CHECK(readable(fd));
  end();
}

TEST(made_late_it_is_readable_at_once) {
  begin();
  desist_source_cancel(source, NULL);
  CHECK(readable(desist_token_fd(token)));
  desist_source_close(source);
  CHECK(readable(desist_token_fd(token)));
  desist_token_retain(token);
  end();
  CHECK(readable(desist_token_fd(token)));
  desist_token_release(token);
}

TEST(reading_does_not_use_it_up) {
  char bytes[64];
  int fd, i;
  begin();
  fd = desist_token_fd(token);
  CHECK(read(fd, bytes, sizeof bytes) == -1 && errno == EAGAIN);
  desist_source_cancel(source, NULL);
  for (i = 0; i < 5; i++) {
    ssize_t got = read(fd, bytes, sizeof bytes);
    CHECK(got >= 0 || errno == EAGAIN);
    CHECK(readable(fd));
  }
  CHECK(readable(desist_token_fd(token)));
  end();
}

TEST(it_works_with_select_and_epoll) {
  int fd, set = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = { 0 }, got;
  struct timeval now = { 0, 0 };
  fd_set read_set;
  begin();
  fd = desist_token_fd(token);
  event.events = EPOLLIN;
  event.data.fd = fd;
  CHECK_INT(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
  CHECK_INT(epoll_wait(set, &got, 1, 0), 0);
  desist_source_cancel(source, NULL);
  CHECK_INT(epoll_wait(set, &got, 1, 0), 1);
  CHECK_INT(epoll_wait(set, &got, 1, 0), 1);
  FD_ZERO(&read_set);
  FD_SET(fd, &read_set);
  CHECK_INT(select(fd + 1, &read_set, NULL, NULL, &now), 1);
  close(set);
  end();
}

TEST_WITH_THREADS(a_deadline_makes_it_readable) {
  struct pollfd one;
  begin();
  one.fd = desist_token_fd(token);
  one.events = POLLIN;
  desist_source_cancel_after(source, MS(20));
  CHECK_INT(poll(&one, 1, 10000), 1);
  CHECK(desist_token_is_cancelled(token));
  end();
}

TEST(an_input_makes_a_links_readable) {
  desist_source *link;
  int fd;
  begin();
  link = link_any(token, NULL);
  fd = desist_token_fd(desist_source_token(link));
  CHECK(fd != desist_token_fd(token));
  desist_source_cancel(source, NULL);
  CHECK(readable(fd));
  CHECK(readable(desist_token_fd(token)));
  desist_source_release(link);
  link = link_any(token, NULL); /* born cancelled */
  CHECK(readable(desist_token_fd(desist_source_token(link))));
  desist_source_release(link);
  end();
}

/* --- The end of it ----------------------------------------------------- */

TEST(it_stays_open_until_source_and_token_are_gone) {
  int fd;
  begin();
  fd = desist_token_fd(token);
  desist_token_retain(token);
  desist_source_close(source);
  CHECK(is_open(fd) && !readable(fd));
  end();
  CHECK(is_open(fd));
  desist_token_release(token);
  CHECK(!is_open(fd));
  begin();
  fd = desist_token_fd(token);
  desist_token_retain(token);
  desist_token_release(token);
  CHECK(is_open(fd));
  desist_source_cancel(source, NULL);
  CHECK(readable(fd));
  end();
  CHECK(!is_open(fd));
}

TEST(what_cannot_be_cancelled_has_none) {
  CHECK_INT(desist_token_fd(NULL), -EINVAL);
  begin();
  desist_source_close(source);
  CHECK_INT(desist_token_fd(token), -EINVAL);
  end();
  begin();
  CHECK(desist_token_fd(token) >= 0);
  desist_source_close(source);
  CHECK_INT(desist_token_fd(token), -EINVAL);
  desist_token_retain(token);
  end();
  CHECK_INT(desist_token_fd(token), -EINVAL);
  desist_token_release(token);
}

TEST(without_descriptors_the_token_works_on) {
  struct rlimit before, low;
  int taken[64], count = 0;
  desist_registration node;
  int ran = 0, fd;
  CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
  begin();
  low = before;
  low.rlim_cur = 40;
  CHECK_INT(setrlimit(RLIMIT_NOFILE, &low), 0);
  while (count < 64 && (taken[count] = dup(0)) >= 0) count++;
  CHECK_INT(errno, EMFILE);
  CHECK_INT(desist_token_fd(token), -EMFILE);
  CHECK_INT(desist_token_fd(token), -EMFILE);
  desist_register(token, &node, count_call, &ran);
  CHECK(!desist_token_wait(token, MS(1)));
  CHECK(desist_source_cancel(source, NULL));
  CHECK_INT(ran, 1);
  CHECK(desist_token_wait(token, -1));
  while (count > 0) close(taken[--count]);
  CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
  fd = desist_token_fd(token);
  CHECK(readable(fd));
  end();
  CHECK(!is_open(fd));
}

TEST(descriptors_do_not_leak) {
  int i, lowest = dup(0), now;
  close(lowest);
  for (i = 0; i < 1000; i++) {
    begin();
    CHECK(desist_token_fd(token) >= 0);
    if (i % 2) desist_source_cancel(source, NULL);
    end();
  }
  now = dup(0);
  CHECK_INT(now, lowest);
  close(now);
}

TEST(nothing_is_left) { CHECK_LIVE(0); }

CHECK_MAIN()
