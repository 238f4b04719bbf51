/* check_fork.h: children of fork whose checks count here. */
#ifndef CHECK_FORK_H
#define CHECK_FORK_H

#include "check.h"

#include <poll.h>
#include <sys/wait.h>

/* The allocator of gcc's ASan is no match for a fork while another thread is in
** it: the child's next thread waits for its lock for ever. */
#define CHECK_FORKS_ANYTIME (!CHECK_ASAN)

/* Runs `child` in a child process; what it checks counts here. Where a fork
** must not come at any time, threads that have just been started are waited
** for. */
static inline pid_t start_child(void (*child)(void)) {
  pid_t pid;
  fflush(stdout);
  if (!CHECK_FORKS_ANYTIME) check_sleep(MS(100));
  pid = fork();
  if (pid == 0) {
    check.failures = 0;
    check_watch();
    child();
    _exit(check.failures != 0);
  }
  CHECK(pid > 0);
  return pid;
}

static inline void end_child(pid_t pid) {
  int status = -1;
  while (waitpid(pid, &status, 0) == -1 && errno == EINTR) {
  }
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static inline bool readable(desist_token *token) {
  struct pollfd one;
  one.fd = desist_token_fd(token);
  one.events = POLLIN;
  CHECK(one.fd >= 0);
  return poll(&one, 1, 0) == 1;
}

#endif
