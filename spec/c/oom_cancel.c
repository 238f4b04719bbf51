/* oom_cancel.c: what needs no memory, where every allocation fails. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"
#include "check_threads.h"

static void *wake_up(void *data) {
  CHECK(desist_token_wait(data, -1));
  return NULL;
}

TEST_WITH_THREADS(cancelling_needs_no_memory) {
  desist_clock *clock = desist_clock_create(0);
  desist_source *root = desist_source_create_on(clock);
  desist_source *side = desist_source_create_on(clock);
  desist_token *inputs[3];
  desist_source *any, *all, *below;
  desist_registration nodes[10];
  pthread_t waiter;
  int ran = 0, i;
  inputs[0] = desist_source_token(root);
  any = desist_source_create_linked(inputs, 1, DESIST_LINK_ANY);
  inputs[1] = desist_source_token(side);
  inputs[2] = desist_source_token(any);
  all = desist_source_create_linked(inputs, 3, DESIST_LINK_ALL);
  below = link_any(desist_source_token(all), desist_source_token(any));
  CHECK(desist_source_cancel_at(side, 10));
  CHECK(desist_source_cancel_at(all, 50));
  waiter = thread_start(wake_up, desist_source_token(all));
  memory_fail(0, true);
  for (i = 0; i < 10; i++)
    desist_register(i % 2 ? inputs[0] : desist_source_token(below), &nodes[i],
                    count_call, &ran);
  CHECK(desist_unregister(&nodes[0]));
  CHECK(desist_unregister_wait(&nodes[1]));
  CHECK(!desist_token_wait(inputs[0], MS(1)));
  CHECK(desist_token_deadline(inputs[1]) == 10);
  CHECK(desist_clock_advance(clock, 10));
  CHECK(desist_token_is_cancelled(inputs[1]));
  CHECK(desist_source_cancel(root, NULL));
  CHECK_INT(ran, 8);
  CHECK(desist_token_is_cancelled(desist_source_token(all)));
  CHECK(desist_token_is_cancelled(desist_source_token(below)));
  thread_join(waiter);
  desist_source_close(any);
  desist_source_release(below);
  desist_source_release(all);
  desist_source_detach(any);
  desist_source_release(side);
  desist_source_release(root);
  desist_clock_release(clock);
  CHECK(!memory_works_again());
  CHECK_LIVE(0);
}

CHECK_MAIN()
