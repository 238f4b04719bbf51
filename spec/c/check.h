/*
** check.h: the harness of the C programs in this folder.
**
** A program is a list of TEST(name) { ... } and CHECK_MAIN() at its end. Tests
** run in the order of the file. The last line is `ok N` (tests) and the status
** 0, or `failed N of M` and 1. A test that hangs is a failure too: an alarm
** ends the program and names it.
**
**   program [seconds] [path]
**
** `seconds` (or $STRESS_SECONDS, default 1) is for the stress programs, which
** share it among their tests: while (check_time_is_left()) { ... }.
** $CHECK_ONLY runs one test. $CHECK_SLOWER=20 makes the big numbers 20 times
** smaller, for valgrind. $CHECK_TIMEOUT is the alarm's limit in seconds.
**
** CHECK may be used on any thread. Include this first: it asks the system
** headers for everything.
*/
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "desist.h"

#if defined(__SANITIZE_THREAD__)
#  define CHECK_TSAN 1
#elif defined(__has_feature)
#  if __has_feature(thread_sanitizer)
#    define CHECK_TSAN 1
#  endif
#endif
#ifndef CHECK_TSAN
#  define CHECK_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__)
#  define CHECK_ASAN 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define CHECK_ASAN 1
#  endif
#endif
#ifndef CHECK_ASAN
#  define CHECK_ASAN 0
#endif

/* It ends a child of fork that starts threads, unless told not to. */
#if CHECK_TSAN
#  ifdef __cplusplus
extern "C" {
#  endif
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "die_after_fork=0"; }
#  ifdef __cplusplus
}
#  endif
#endif

#define MS(n) ((int64_t)(n)*1000000)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct check_test {
  const char *name;
  void (*run)(void);
  struct check_test *next;
};

static struct check_state {
  struct check_test *first, *last;
  const char *current; /* atomic */
  const char *path;
  int tests, failures; /* failures: atomic */
  int64_t end;         /* of the running test's share of the seconds */
  double seconds;
} check;

static inline void check_add(struct check_test *test) {
  if (check.last)
    check.last->next = test;
  else
    check.first = test;
  check.last = test;
}

#define TEST(name)                                                       \
  static void test_##name(void);                                         \
  __attribute__((constructor)) static void add_##name(void) {            \
    static struct check_test test_of_##name = { #name, test_##name, 0 }; \
    check_add(&test_of_##name);                                          \
  }                                                                      \
  static void test_##name(void)

/* One that needs a library with threads, or signals; left out where it has
** none. */
#define TEST_LEFT_OUT(name) \
  __attribute__((unused)) static void test_##name(void)
#if defined(DESIST_NO_THREADS)
#  define TEST_WITH_THREADS(name) TEST_LEFT_OUT(name)
#else
#  define TEST_WITH_THREADS(name) TEST(name)
#endif
#if defined(DESIST_NO_SIGNALS)
#  define TEST_WITH_SIGNALS(name) TEST_LEFT_OUT(name)
#else
#  define TEST_WITH_SIGNALS(name) TEST(name)
#endif

/* --- Checking ---------------------------------------------------------- */

static inline bool check_failed(const char *file, int line, const char *what,
                                const char *more) {
  if (__atomic_add_fetch(&check.failures, 1, __ATOMIC_RELAXED) <= 20)
    fprintf(stderr, "%s:%d: %s: %s%s\n", file, line,
            __atomic_load_n(&check.current, __ATOMIC_RELAXED), what, more);
  return false;
}

static inline bool check_equal(long long a, long long b, const char *file,
                               int line, const char *what) {
  char more[64];
  if (a == b) return true;
  snprintf(more, sizeof more, " (%lld, %lld)", a, b);
  return check_failed(file, line, what, more);
}

static inline bool check_text(const char *a, const char *b, const char *file,
                              int line, const char *what) {
  char more[256];
  if (a && b && strcmp(a, b) == 0) return true;
  snprintf(more, sizeof more, " (\"%.99s\", \"%.99s\")", a ? a : "(null)",
           b ? b : "(null)");
  return check_failed(file, line, what, more);
}

#define CHECK(what) \
  ((what) ? true : check_failed(__FILE__, __LINE__, #what, " is false"))
#define CHECK_INT(a, b)                                           \
  check_equal((long long)(a), (long long)(b), __FILE__, __LINE__, \
              #a " is not " #b)
#define CHECK_TEXT(a, b) \
  check_text((a), (b), __FILE__, __LINE__, #a " is not " #b)

/* --- Time -------------------------------------------------------------- */

/* Not desist_now: the harness does not lean on what it proves. */
static inline int64_t check_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline void check_sleep(int64_t nanoseconds) {
  struct timespec left;
  left.tv_sec = (time_t)(nanoseconds / 1000000000);
  left.tv_nsec = (long)(nanoseconds % 1000000000);
  while (nanosleep(&left, &left) == -1 && errno == EINTR) {
  }
}

/* For what another thread does: true within ten seconds. */
#define CHECK_SOON(what)                                       \
  do {                                                         \
    int64_t soon_ = check_now() + MS(10000);                   \
    while (!(what) && check_now() < soon_) check_sleep(MS(1)); \
    CHECK(what);                                               \
  } while (0)

static inline bool check_time_is_left(void) {
  return check_now() < check.end &&
         __atomic_load_n(&check.failures, __ATOMIC_RELAXED) < 20;
}

/* A big number, smaller where everything is slow. */
static inline int check_size(int size) {
  const char *slower = getenv("CHECK_SLOWER");
  int by = slower ? atoi(slower) : 1;
  return by > 1 ? size / by : size;
}

/* --- Running ----------------------------------------------------------- */

static void check_hangs(int number) {
  const char *name = __atomic_load_n(&check.current, __ATOMIC_RELAXED);
  static const char text[] = ": hangs\nfailed: the time is up\n";
  if (name && write(2, name, strlen(name)) < 0) _exit(3);
  if (write(2, text, sizeof text - 1) < 0) _exit(3);
  _exit(number == SIGALRM ? 1 : 3);
}

/* Also for a child after fork, which inherits no alarm. */
static inline void check_watch(void) {
  const char *limit = getenv("CHECK_TIMEOUT");
  signal(SIGALRM, check_hangs);
  alarm(limit ? (unsigned)atoi(limit) : 120 + (unsigned)check.seconds);
}

static inline int check_main(int argc, char **argv) {
  const char *seconds = getenv("STRESS_SECONDS"), *only = getenv("CHECK_ONLY");
  struct check_test *test;
  int i, all = 0;
  for (i = 1; i < argc; i++)
    if (argv[i][0] >= '0' && argv[i][0] <= '9')
      seconds = argv[i];
    else
      check.path = argv[i];
  check.seconds = seconds ? atof(seconds) : 1;
  check_watch();
  for (test = check.first; test; test = test->next) all++;
  for (test = check.first; test; test = test->next) {
    if (only && strcmp(only, test->name) != 0) continue;
    __atomic_store_n(&check.current, test->name, __ATOMIC_RELAXED);
    check.end = check_now() + (int64_t)(check.seconds * 1e9 / (only ? 1 : all));
    test->run();
    check.tests++;
  }
  if (check.failures)
    printf("failed %d of %d\n", check.failures, check.tests);
  else
    printf("ok %d\n", check.tests);
  return check.failures != 0;
}

#define CHECK_MAIN() \
  int main(int argc, char **argv) { return check_main(argc, argv); }

#endif
