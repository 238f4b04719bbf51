/* deadline.c: deadlines on the real clock, and the thread that serves them. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"
#include "check_threads.h"

#include <dirent.h>

/* The threads of this process, the sanitizer's included. */
static int count_threads(void) {
  DIR *tasks = opendir("/proc/self/task");
  int count = 0;
  if (!tasks) return -1;
  while (readdir(tasks)) count++;
  closedir(tasks);
  return count;
}

static desist_source *source;
static desist_token *token;

static void begin(void) {
  source = desist_source_create();
  token = desist_source_token(source);
}

static void end(void) { desist_source_release(source); }

static void check_deadline_was_it(void) {
  CHECK(desist_token_is_cancelled(token));
  CHECK_INT(desist_reason_kind(desist_token_reason(token)),
            DESIST_KIND_DEADLINE);
  CHECK_INT(desist_reason_code(desist_token_reason(token)), 0);
  CHECK_TEXT(desist_reason_text(desist_token_reason(token)),
             "deadline exceeded");
}

static void *do_nothing(void *data) { return data; }

/* First, while there is no service thread; but a sanitizer may start one of
** its own with the first thread of ours. */
TEST_WITH_THREADS(only_a_real_deadline_starts_a_thread) {
  void *joined = thread_join(thread_start(do_nothing, NULL));
  int before = (check_sleep(MS(20)), count_threads()); /* it has left by then */
  desist_clock *clock = desist_clock_create(0);
  desist_source *manual = desist_source_create_on(clock);
  desist_registration node;
  int ran = 0;
  CHECK(joined == NULL);
  begin();
  desist_register(token, &node, count_call, &ran);
  desist_source_cancel_after(manual, MS(1));
  CHECK(!desist_token_wait(token, MS(1)));
  desist_clock_advance(clock, MS(1));
  CHECK(desist_source_cancel_after(source, DESIST_NEVER));
  CHECK(desist_source_cancel_after(source, 0));
  check_deadline_was_it();
  CHECK_INT(ran, 1);
  CHECK_INT(count_threads(), before);
  end();
  begin();
  CHECK(desist_source_cancel_after(source, MS(3600000)));
  CHECK_INT(count_threads(), before + 1);
  end();
  begin();
  CHECK(desist_source_cancel_after(source, MS(3600000)));
  CHECK_INT(count_threads(), before + 1);
  end();
  desist_source_release(manual);
  desist_clock_release(clock);
}

/* --- One deadline ------------------------------------------------------ */

struct seen {
  pthread_t thread;
  int64_t time;
  int ran; /* atomic */
};

static void see(void *data, desist_reason *reason) {
  struct seen *seen = data;
  seen->time = desist_now();
  seen->thread = pthread_self();
  count_call(&seen->ran, reason);
}

TEST_WITH_THREADS(a_deadline_cancels_when_its_time_has_come) {
  struct seen seen = { 0 };
  desist_registration node;
  int64_t start = desist_now();
  begin();
  desist_register(token, &node, see, &seen);
  CHECK(desist_source_cancel_after(source, MS(100)));
  CHECK(!desist_token_is_cancelled(token));
  CHECK(desist_token_deadline(token) >= start + MS(100));
  CHECK_SOON(calls(&seen.ran) == 1);
  CHECK(seen.time >= start + MS(100));
  CHECK(!pthread_equal(seen.thread, pthread_self()));
  check_deadline_was_it();
  CHECK(!desist_source_cancel_after(source, MS(1)));
  CHECK(!desist_source_cancel_after(source, DESIST_NEVER));
  end();
}

TEST(zero_cancels_here_and_now) {
  struct seen seen = { 0 };
  desist_registration node;
  begin();
  desist_register(token, &node, see, &seen);
  CHECK(desist_source_cancel_after(source, 0));
  CHECK_INT(seen.ran, 1);
  CHECK(pthread_equal(seen.thread, pthread_self()));
  check_deadline_was_it();
  CHECK(!desist_source_cancel_after(source, 0));
  end();
}

TEST(a_moment_that_has_gone_cancels_here_and_now) {
  int64_t moments[] = { INT64_MIN, -1, 0, 1, 0 };
  size_t i;
  moments[4] = desist_now();
  for (i = 0; i < COUNT(moments); i++) {
    begin();
    CHECK(desist_source_cancel_at(source, moments[i]));
    check_deadline_was_it();
    CHECK(!desist_source_cancel_at(source, moments[i]));
    end();
  }
}

TEST(a_moment_to_come_is_waited_for) {
  int64_t moment = desist_now() + MS(3600000);
  begin();
  CHECK(desist_source_cancel_at(source, moment));
  CHECK_INT(desist_token_deadline(token), moment);
  moment = desist_now() + MS(30);
  CHECK(desist_source_cancel_at(source, moment));
  CHECK(desist_token_wait(token, MS(10000)));
  CHECK(desist_now() >= moment);
  check_deadline_was_it();
  end();
}

TEST(a_negative_duration_changes_nothing) {
  begin();
  CHECK(!desist_source_cancel_after(source, -1));
  CHECK(!desist_source_cancel_after(source, INT64_MIN));
  CHECK_INT(desist_token_deadline(token), DESIST_NEVER);
  CHECK(desist_source_cancel_at(source, desist_now() + MS(20)));
  CHECK(!desist_source_cancel_after(source, -MS(1)));
  CHECK(desist_token_wait(token, MS(10000)));
  end();
}

TEST(more_than_the_clock_can_hold_disarms) {
  int64_t durations[] = { DESIST_NEVER, DESIST_NEVER - 1 };
  size_t i;
  for (i = 0; i < COUNT(durations); i++) {
    begin();
    CHECK(desist_source_cancel_after(source, durations[i]));
    CHECK(desist_source_cancel_after(source, MS(100)));
    CHECK(desist_source_cancel_after(source, durations[i]));
    CHECK_INT(desist_token_deadline(token), DESIST_NEVER);
    CHECK_INT(desist_token_remaining(token), DESIST_NEVER);
    CHECK(!desist_token_wait(token, MS(130)));
    CHECK(desist_source_cancel_at(source, desist_now() + MS(100)));
    CHECK(desist_source_cancel_at(source, DESIST_NEVER));
    CHECK(!desist_token_wait(token, MS(130)));
    end();
  }
}

TEST(the_last_moment_of_the_clock_can_be_armed) {
  begin();
  CHECK(desist_source_cancel_at(source, DESIST_NEVER - 1));
  CHECK_INT(desist_token_deadline(token), DESIST_NEVER - 1);
  CHECK(!desist_token_wait(token, MS(5)));
  CHECK(desist_source_cancel_after(source, MS(5)));
  CHECK(desist_token_wait(token, MS(10000)));
  end();
}

TEST(arming_anew_replaces_the_deadline) {
  begin();
  CHECK(desist_source_cancel_after(source, MS(100)));
  CHECK(desist_source_cancel_after(source, MS(3600000)));
  CHECK(!desist_token_wait(token, MS(130)));
  CHECK(desist_source_cancel_after(source, MS(10)));
  CHECK(desist_token_wait(token, MS(10000)));
  check_deadline_was_it();
  end();
}

TEST(an_explicit_cancel_wins_for_ever) {
  begin();
  desist_source_cancel_after(source, MS(100));
  CHECK(desist_source_cancel(source, NULL));
  CHECK_INT(desist_token_deadline(token), DESIST_NEVER);
  check_sleep(MS(130));
  CHECK_INT(desist_reason_kind(desist_token_reason(token)),
            DESIST_KIND_CANCELLED);
  end();
}

TEST(close_and_release_disarm) {
  desist_registration node;
  int ran = 0;
  begin();
  desist_register(token, &node, count_call, &ran);
  desist_source_cancel_after(source, MS(100));
  desist_source_close(source);
  check_sleep(MS(130));
  CHECK(!desist_token_is_cancelled(token));
  end();
  begin();
  desist_token_retain(token);
  desist_register(token, &node, count_call, &ran);
  desist_source_cancel_after(source, MS(100));
  end();
  check_sleep(MS(130));
  CHECK(!desist_token_is_cancelled(token));
  CHECK_INT(calls(&ran), 0);
  desist_token_release(token);
}

CHECK_MAIN()
