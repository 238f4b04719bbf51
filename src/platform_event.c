/*
** platform_event.c: descriptors that read ready while they are set; eventfd
** on Linux, else a pair of sockets.
**
** After fork, parent and child would share what is behind the numbers, and a
** write in one would make the other's descriptor ready. So all events of the
** process stand in a list, and a child puts descriptors of its own under the
** same numbers.
*/
#include "platform.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#if defined(__linux__)
#  include <sys/eventfd.h>
#else
#  include <sys/socket.h>
#endif

static desist__mutex events_lock = DESIST__MUTEX_INIT;
static desist__event *events; /* under events_lock */

/*
** 0 or an errno; both ends close-on-exec and non-blocking. A lasting event
** must not be used up by reading: a counter that each read lowers by one, from
** a number no reader gets to the end of; or a socket whose other end is shut.
*/
static int open_pair(int ends[2], bool lasting) {
#if defined(__linux__)
  int flags = EFD_CLOEXEC | EFD_NONBLOCK | (lasting ? EFD_SEMAPHORE : 0);
  ends[0] = ends[1] = eventfd(0, flags);
  return ends[0] < 0 ? errno : 0;
#else
  int i;
  (void)lasting;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return errno;
  for (i = 0; i < 2; i++) {
    (void)fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[i], F_SETFL, O_NONBLOCK);
  }
  return 0;
#endif
}

static void raise_locked(desist__event *event) {
#if defined(__linux__)
  uint64_t count = event->lasting ? UINT64_MAX - 1 : 1;
  while (write(event->write_fd, &count, sizeof count) < 0 && errno == EINTR)
    continue;
#else
  if (event->lasting) {
    (void)shutdown(event->write_fd, SHUT_WR);
    return;
  }
  while (write(event->write_fd, "", 1) < 0 && errno == EINTR) continue;
#endif
}

static void lower_locked(desist__event *event) {
  uint64_t seen;
  while (read(event->fd, &seen, sizeof seen) < 0 && errno == EINTR) continue;
}

int desist__event_create(desist__event *event, bool lasting) {
  int ends[2];
  int error = open_pair(ends, lasting);
  if (error != 0) return error;
  event->lasting = lasting;
  event->fd = ends[0];
  event->write_fd = ends[1];
  event->set = false;
  event->previous = NULL;
  desist__mutex_lock(&events_lock);
  event->next = events;
  if (events != NULL) events->previous = event;
  events = event;
  desist__mutex_unlock(&events_lock);
  return 0;
}

static void close_both(desist__event *event) {
  if (event->fd >= 0) (void)close(event->fd);
  if (event->write_fd != event->fd) (void)close(event->write_fd);
  event->fd = event->write_fd = -1;
}

void desist__event_destroy(desist__event *event) {
  desist__mutex_lock(&events_lock);
  if (event->next != NULL) event->next->previous = event->previous;
  if (event->previous != NULL)
    event->previous->next = event->next;
  else
    events = event->next;
  desist__mutex_unlock(&events_lock);
  close_both(event);
}

void desist__event_set(desist__event *event, bool set) {
  desist__mutex_lock(&events_lock);
  if (set != event->set) {
    event->set = set;
    if (event->fd < 0) {
      /* lost in fork */
    } else if (set) {
      raise_locked(event);
    } else {
      lower_locked(event);
    }
  }
  desist__mutex_unlock(&events_lock);
}

void desist__event_before_fork(void) { desist__mutex_lock(&events_lock); }

static void move_fd(int from, int to) {
  (void)dup2(from, to); /* which is open: cannot fail */
  (void)fcntl(to, F_SETFD, FD_CLOEXEC);
}

/* Where none can be had there is none: better than the parent's. */
static void renew(desist__event *event) {
  int ends[2];
  if (event->fd < 0) return;
  if (open_pair(ends, event->lasting) != 0) {
    close_both(event);
    return;
  }
  move_fd(ends[0], event->fd);
  if (event->write_fd != event->fd) move_fd(ends[1], event->write_fd);
  (void)close(ends[0]);
  if (ends[1] != ends[0]) (void)close(ends[1]);
  if (event->set) raise_locked(event);
}

void desist__event_after_fork(bool child) {
  if (child) {
    desist__event *event;
    for (event = events; event != NULL; event = event->next) renew(event);
  }
  desist__mutex_unlock(&events_lock);
}
