/*
** lua_wakeup.c: how a host's loop learns that callbacks are queued: from
** several threads, none lost; changing and ending it.
*/
#include "check.h"
#include "check_fork.h"
#include "check_lua.h"
#include "check_threads.h"

#include "desist_lua.h"

static lua_State *open_state(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_setglobal(L, "desist");
  lua_do(L, "count = 0 function add() count = count + 1 end", 0);
  return L;
}

static long count(lua_State *L) {
  long value;
  lua_getglobal(L, "count");
  value = (long)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return value;
}

/* A new source with one callback of the script's. */
static desist_source *watch(lua_State *L) {
  desist_source *source = desist_source_create();
  lua_getglobal(L, "add");
  lua_setglobal(L, "callback");
  desist_lua_push_token(L, desist_source_token(source));
  lua_setglobal(L, "token");
  lua_do(L, "token:register(callback) token = nil", 0);
  return source;
}

static void fire(desist_source *source) {
  CHECK(desist_source_cancel(source, NULL));
  desist_source_release(source);
}

static void note(void *data) { atomic_fetch_add((atomic_int *)data, 1); }

TEST(it_is_called_each_time_the_queue_stops_being_empty) {
  lua_State *L = open_state();
  atomic_int woken = 0;
  desist_lua_on_wakeup(L, note, &woken);
  fire(watch(L));
  CHECK_INT(woken, 1);
  fire(watch(L));
  CHECK_INT(woken, 1);
  CHECK_INT(desist_lua_dispatch(L), 2);
  CHECK_INT(woken, 1);
  fire(watch(L));
  CHECK_INT(woken, 2);
  CHECK(lua_do(L, "assert(desist.dispatch() == 1)", 0));
  CHECK_INT(count(L), 3);
  lua_close(L);
}

TEST(it_is_called_at_once_if_something_is_queued) {
  lua_State *L = open_state();
  atomic_int woken = 0, other = 0;
  fire(watch(L));
  desist_lua_on_wakeup(L, note, &woken);
  CHECK_INT(woken, 1);
  desist_lua_on_wakeup(L, note, &other);
  CHECK_INT(other, 1);
  desist_lua_on_wakeup(L, NULL, NULL);
  CHECK_INT(desist_lua_dispatch(L), 1);
  fire(watch(L));
  CHECK_INT(woken, 1);
  CHECK_INT(other, 1);
  lua_close(L);
}

TEST(an_emptied_queue_counts_as_empty) {
  lua_State *L = open_state();
  atomic_int woken = 0;
  desist_lua_on_wakeup(L, note, &woken);
  CHECK(lua_do(L,
               "source = desist.source()\n"
               "registration = source:token():register(add)\n"
               "source:cancel_async()",
               0));
  CHECK_INT(woken, 1);
  CHECK(lua_do(L, "assert(registration:unregister())", 0));
  fire(watch(L));
  CHECK_INT(woken, 2);
  lua_close(L);
}

/* What is queued behind others while a dispatch runs is not run by it. */
TEST(what_a_dispatch_leaves_is_told_of) {
  lua_State *L = open_state();
  atomic_int woken = 0;
  CHECK(lua_do(L,
               "later = desist.source() later:token():register(add)\n"
               "function add() count = count + 1 later:cancel_async() end",
               0));
  fire(watch(L));
  fire(watch(L));
  desist_lua_on_wakeup(L, note, &woken);
  CHECK_INT(woken, 1);
  CHECK_INT(desist_lua_dispatch(L), 2);
  CHECK_INT(woken, 2);
  CHECK_INT(desist_lua_dispatch(L), 1);
  CHECK_INT(woken, 2);
  fire(watch(L));
  fire(watch(L));
  CHECK_INT(woken, 3);
  CHECK(lua_do(L, "assert(desist.dispatch(1) == 1)", 0));
  CHECK_INT(woken, 4);
  CHECK(lua_do(L, "assert(desist.dispatch(0) == 0)", 0));
  CHECK_INT(woken, 5);
  lua_close(L);
}

TEST(it_is_called_for_deadlines) {
  lua_State *L = open_state();
  atomic_int woken = 0;
  desist_lua_on_wakeup(L, note, &woken);
  CHECK(lua_do(L,
               "source = desist.source() source:token():register(add)\n"
               "source:cancel_after(0.001)",
               0));
  CHECK_SOON(woken == 1);
  CHECK_INT(desist_lua_dispatch(L), 1);
  lua_close(L);
}

static lua_State *of_self;

static void remove_self(void *data) {
  note(data);
  desist_lua_on_wakeup(of_self, NULL, NULL);
}

TEST(it_may_remove_itself) {
  atomic_int woken = 0;
  of_self = open_state();
  desist_lua_on_wakeup(of_self, remove_self, &woken);
  fire(watch(of_self));
  CHECK_INT(woken, 1);
  CHECK_INT(desist_lua_dispatch(of_self), 1);
  fire(watch(of_self));
  CHECK_INT(woken, 1);
  lua_close(of_self);
}

static desist_source *next;

static void cancel_next(void *data) {
  desist_source *source = next;
  next = NULL;
  note(data);
  CHECK_INT(atomic_fetch_sub((atomic_int *)data + 1, 1), 1); /* not nested */
  if (source != NULL) {
    CHECK_INT(desist_lua_dispatch(of_self), 1);
    fire(source);
  }
  atomic_fetch_add((atomic_int *)data + 1, 1);
}

/* A host that dispatches in it does what it is told not to; but what comes
** meanwhile is not lost, and comes after, not inside. */
TEST(calls_do_not_overlap) {
  atomic_int woken[2] = { 0, 1 };
  of_self = open_state();
  next = watch(of_self);
  desist_lua_on_wakeup(of_self, cancel_next, woken);
  fire(watch(of_self));
  CHECK_INT(woken[0], 2);
  CHECK_INT(desist_lua_dispatch(of_self), 1);
  lua_close(of_self);
}

/* --- Other threads ------------------------------------------------------ */

enum { CANCELLERS = 4, EACH = 50 };

/* A host that sleeps until it is woken. */
static struct {
  pthread_mutex_t mutex;
  pthread_cond_t cond;
  bool woken;
  desist_source *sources[CANCELLERS][EACH];
} server = {
  PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, { { NULL } }
};

static void wake_server(void *data) {
  (void)data;
  pthread_mutex_lock(&server.mutex);
  server.woken = true;
  pthread_cond_signal(&server.cond);
  pthread_mutex_unlock(&server.mutex);
}

static void sleep_until_woken(void) {
  pthread_mutex_lock(&server.mutex);
  while (!server.woken) pthread_cond_wait(&server.cond, &server.mutex);
  server.woken = false;
  pthread_mutex_unlock(&server.mutex);
}

static void *cancel_all(void *data) {
  desist_source **sources = (desist_source **)data;
  int i;
  for (i = 0; i < EACH; i++) {
    dawdle();
    fire(sources[i]);
  }
  return NULL;
}

/* The alarm ends it, should a wakeup be lost. */
TEST(none_is_lost) {
  lua_State *L = open_state();
  do {
    pthread_t threads[CANCELLERS];
    size_t ran = 0;
    int i, j;
    CHECK(lua_do(L, "count = 0", 0));
    for (i = 0; i < CANCELLERS; i++)
      for (j = 0; j < EACH; j++) server.sources[i][j] = watch(L);
    desist_lua_on_wakeup(L, wake_server, NULL);
    for (i = 0; i < CANCELLERS; i++)
      threads[i] = thread_start(cancel_all, server.sources[i]);
    while (ran < (size_t)CANCELLERS * EACH) {
      sleep_until_woken();
      ran += desist_lua_dispatch(L);
    }
    for (i = 0; i < CANCELLERS; i++) thread_join(threads[i]);
    CHECK_INT(count(L), CANCELLERS * EACH);
    desist_lua_on_wakeup(L, NULL, NULL);
  } while (check_time_is_left());
  lua_close(L);
}

/* A wakeup that is slow. */
static struct {
  desist_source *source; /* here, so that a child of fork has lost nothing */
  atomic_int began, ended;
} slow;

static void take_long(void *data) {
  (void)data;
  atomic_fetch_add(&slow.began, 1);
  check_sleep(MS(30));
  atomic_fetch_add(&slow.ended, 1);
}

static void *fire_slowly(void *data) {
  fire(slow.source);
  return data;
}

static pthread_t begin_slow_call(lua_State *L) {
  pthread_t thread;
  atomic_store(&slow.began, 0);
  atomic_store(&slow.ended, 0);
  desist_lua_on_wakeup(L, take_long, NULL);
  slow.source = watch(L);
  thread = thread_start(fire_slowly, NULL);
  CHECK_SOON(atomic_load(&slow.began) == 1);
  return thread;
}

TEST(removing_it_waits_for_a_call_on_another_thread) {
  lua_State *L = open_state();
  pthread_t thread = begin_slow_call(L);
  desist_lua_on_wakeup(L, NULL, NULL);
  CHECK_INT(atomic_load(&slow.ended), 1);
  thread_join(thread);
  CHECK_INT(atomic_load(&slow.began), 1);
  lua_close(L);
}

TEST(the_end_of_the_state_waits_for_it) {
  lua_State *L = open_state();
  pthread_t thread = begin_slow_call(L);
  lua_close(L);
  CHECK_INT(atomic_load(&slow.ended), 1);
  thread_join(thread);
}

static struct {
  lua_State *L;
  desist_source *sources[3];
  int *called; /* freed when nobody may call any more */
} race;

static void write_to(void *data) {
  __atomic_add_fetch((int *)data, 1, __ATOMIC_RELAXED);
}

static void prepare_race(void *data) {
  int i;
  (void)data;
  race.L = open_state();
  race.called = (int *)calloc(1, sizeof(int));
  for (i = 0; i < 3; i++) race.sources[i] = watch(race.L);
  desist_lua_on_wakeup(race.L, write_to, race.called);
}

static void run_race(int party, void *data) {
  (void)data;
  dawdle();
  if (party != 0) {
    fire(race.sources[party]);
  } else if (dice(2)) {
    lua_close(race.L);
    race.L = NULL;
    free(race.called);
  } else {
    if (dice(2)) (void)desist_lua_dispatch(race.L);
    desist_lua_on_wakeup(race.L, NULL, NULL);
    free(race.called);
  }
}

static void look_at_race(void *data) {
  (void)data;
  if (race.L != NULL) lua_close(race.L);
  desist_source_release(race.sources[0]);
}

TEST(it_is_removed_while_others_cancel) {
  race_repeat(3, prepare_race, run_race, look_at_race, NULL);
}

/* --- Fork --------------------------------------------------------------- */

static lua_State *forked;
static atomic_int *forked_woken;

static void use_in_child(void) {
  int before = atomic_load(forked_woken);
  fire(watch(forked)); /* behind what the parent was told of */
  CHECK_INT(atomic_load(forked_woken), before + 1);
  CHECK_INT(desist_lua_dispatch(forked), 2);
  atomic_store(forked_woken, 0);
  desist_lua_on_wakeup(forked, note, forked_woken);
  fire(watch(forked));
  CHECK_INT(*forked_woken, 1);
  lua_close(forked);
}

TEST(a_child_of_fork_is_woken) {
  atomic_int woken = 0;
  forked = open_state();
  forked_woken = &woken;
  desist_lua_on_wakeup(forked, note, &woken);
  fire(watch(forked));
  end_child(start_child(use_in_child));
  lua_close(forked);
}

/* The thread that was in the function is not in the child. */
TEST(a_child_of_fork_waits_for_no_lost_thread) {
  lua_State *L = open_state();
  pthread_t thread = begin_slow_call(L);
  forked = L;
  forked_woken = &slow.began;
  if (CHECK_FORKS_ANYTIME) end_child(start_child(use_in_child));
  thread_join(thread);
  CHECK_INT(desist_lua_dispatch(L), 1);
  lua_close(L);
}

CHECK_MAIN()
