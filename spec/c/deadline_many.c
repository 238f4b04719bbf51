/* deadline_many.c: many deadlines on the real clock, and one. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"
#include "check_threads.h"

enum { TOGETHER = 100 };
static desist_source *together[TOGETHER];
static atomic_int not_marked;

static void look_at_all(void *data, desist_reason *reason) {
  int i;
  for (i = 0; i < TOGETHER; i++)
    if (!desist_token_is_cancelled(desist_source_token(together[i])))
      atomic_fetch_add(&not_marked, 1);
  count_call(data, reason);
}

TEST_WITH_THREADS(all_that_is_due_is_marked_before_the_first_callback) {
  desist_registration nodes[TOGETHER];
  int64_t moment = desist_now() + MS(200);
  int i, ran = 0;
  for (i = 0; i < TOGETHER; i++) {
    together[i] = desist_source_create();
    desist_register(desist_source_token(together[i]), &nodes[i], look_at_all,
                    &ran);
  }
  for (i = 0; i < TOGETHER; i++)
    CHECK(desist_source_cancel_at(together[i], moment));
  CHECK_SOON(calls(&ran) == TOGETHER);
  CHECK_INT(atomic_load(&not_marked), 0);
  for (i = 0; i < TOGETHER; i++) desist_unregister_wait(&nodes[i]);
  for (i = 0; i < TOGETHER; i++) desist_source_release(together[i]);
}

TEST(a_million_armed_do_not_hold_up_one) {
  desist_source *source;
  int i, n = check_size(1000000);
  desist_source **many = calloc((size_t)n, sizeof(desist_source *));
  if (!CHECK(many)) return;
  for (i = 0; i < n; i++) {
    many[i] = desist_source_create();
    desist_source_cancel_after(many[i], MS(3600000) + i * (int64_t)1000);
  }
  source = desist_source_create();
  CHECK(desist_source_cancel_after(source, MS(20)));
  CHECK(desist_token_wait(desist_source_token(source), MS(10000)));
  desist_source_release(source);
  for (i = 0; i < n; i += 2) desist_source_cancel_after(many[i], DESIST_NEVER);
  for (i = 0; i < n; i++) desist_source_release(many[i]);
  free(many);
}

/* Sources that are armed but far away cost no processor time. */
TEST(the_service_sleeps_without_ticking) {
  desist_source *source;
  clock_t used;
  source = desist_source_create();
  desist_source_cancel_after(source, MS(3600000));
  check_sleep(MS(20));
  used = clock();
  check_sleep(MS(200));
  CHECK(clock() - used < CLOCKS_PER_SEC / 50);
  desist_source_release(source);
}

CHECK_MAIN()
