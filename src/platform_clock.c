/*
** platform_clock.c: the monotonic clock and random bytes of POSIX.
*/
#include "platform.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__)
#  include <sys/random.h>
#endif

int64_t desist__clock_monotonic(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool read_device(unsigned char *bytes, size_t size) {
  int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  while (size > 0) {
    ssize_t got = read(fd, bytes, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    bytes += got;
    size -= (size_t)got;
  }
  (void)close(fd);
  return size == 0;
}

bool desist__random(void *bytes, size_t size) {
#if defined(__linux__)
  if (getrandom(bytes, size, 0) == (ssize_t)size) return true;
#endif
  return read_device((unsigned char *)bytes, size);
}
