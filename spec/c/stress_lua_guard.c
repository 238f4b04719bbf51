/*
** stress_lua_guard.c: endless scripts under guards, deadlines and budgets, on
** several threads, which other threads cancel. The states go from thread to
** thread between two calls, with guards suspended in them.
*/
#include "check.h"
#include "check_lua.h"
#include "check_threads.h"

#include <setjmp.h>

enum { WORKERS = 3, CANCELLERS = 2, STATES = 5, MOST_CALLS = 100 };

/* ThreadSanitizer delivers signals in the C library alone. */
static const char prelude[] =
    "desist = require 'desist'\n"
    "async = require 'desist.async'\n"
    "local function forever()\n"
    "  while true do local _ = ('x'):rep(9) end\n"
    "end\n"
    "local function yielding()\n"
    "  for _ = 1, 3 do coroutine.yield() end\n"
    "  forever()\n"
    "end\n"
    "local function raised(ok, err, ...)\n"
    "  if not ok then error(err, 0) end\n"
    "  return err, ...\n"
    "end\n"
    "suspended = {}\n"
    "jobs = {\n"
    "  forever,\n"
    "  function() while true do pcall(forever) end end,\n"
    "  function() coroutine.wrap(coroutine.wrap(forever))() end,\n"
    "  function()\n"
    "    while true do coroutine.resume(coroutine.create(forever)) end\n"
    "  end,\n"
    "  function()\n"
    "    local inner = desist.after(dice(2000) * 1e-6):token()\n"
    "    while true do desist.guard({ token = inner, grace = 0 }, forever) "
    "end\n"
    "  end,\n"
    "  function()\n"
    "    local sources = {}\n"
    "    local function guard(...)\n"
    "      local source = desist.after(dice(4000) * 1e-6)\n"
    "      local grace = dice(4000) * 1e-6\n"
    "      sources[#sources + 1] = source\n"
    "      desist.guard({ token = source:token(), grace = grace }, ...)\n"
    "    end\n"
    "    guard(guard, guard, function()\n"
    "      for i = 1, 3 do\n"
    "        pcall(function() sources[i]:cancel() forever() end)\n"
    "      end\n"
    "    end)\n"
    "    forever()\n"
    "  end,\n"
    "  function(token)\n"
    "    for i = 1, 10 do\n"
    "      local co = suspended[i] or coroutine.create(function()\n"
    "        raised(desist.guard(token, yielding))\n"
    "      end)\n"
    "      suspended[i] = co\n"
    "      coroutine.resume(co)\n"
    "      if coroutine.status(co) == 'dead' or dice(5) == 1 then\n"
    "        coroutine.close(co)\n"
    "        suspended[i] = nil\n"
    "      end\n"
    "    end\n"
    "    if dice(3) == 1 then suspended = {} collectgarbage() end\n"
    "    forever()\n"
    "  end,\n"
    "  function()\n"
    "    local loop = async.loop()\n"
    "    for _ = 1, 3 do loop:spawn(forever) end\n"
    "    while true do loop:step(0, { budget = dice(300) * 1e-6 }) end\n"
    "  end,\n"
    "  function() desist.source():token():wait() end,\n"
    "  function()\n"
    "    setmetatable({}, { __gc = function()\n"
    "      if guarded then forever() end\n"
    "    end })\n"
    "    collectgarbage()\n"
    "    forever()\n"
    "  end,\n"
    "}\n";

static struct {
  pthread_mutex_t mutex; /* for all but the numbers */
  lua_State *states[STATES];
  desist_source *sources[WORKERS]; /* of what runs, or NULL */
  atomic_bool over;
  atomic_long calls, cancelled;
} shared = { PTHREAD_MUTEX_INITIALIZER, { 0 }, { 0 }, false, 0, 0 };

static int script_dice(lua_State *L) {
  lua_pushinteger(L, 1 + dice((unsigned)luaL_checkinteger(L, 1)));
  return 1;
}

static lua_State *state_open(void) {
  lua_State *L = lua_open();
  lua_global(L, "dice", script_dice);
  CHECK(lua_do(L, prelude, 0));
  return L;
}

static lua_State *state_take(void) {
  lua_State *L = NULL;
  while (L == NULL) {
    unsigned i = dice(STATES);
    pthread_mutex_lock(&shared.mutex);
    L = shared.states[i];
    shared.states[i] = NULL;
    pthread_mutex_unlock(&shared.mutex);
    if (L == NULL) sched_yield();
  }
  return L;
}

static void state_give(lua_State *L) {
  int i;
  pthread_mutex_lock(&shared.mutex);
  for (i = 0; shared.states[i] != NULL; i++) continue;
  shared.states[i] = L;
  pthread_mutex_unlock(&shared.mutex);
}

static void publish(int worker, desist_source *source) {
  pthread_mutex_lock(&shared.mutex);
  shared.sources[worker] = source;
  pthread_mutex_unlock(&shared.mutex);
}

/* Finalizers that run at another time end by themselves. */
static void set_guarded(lua_State *L, bool is) {
  lua_pushboolean(L, is);
  lua_setglobal(L, "guarded");
}

/* One job, which ends by nothing but its guard. */
static void stop_one(int worker) {
  static const int64_t graces[] = { 0, 100000, 1000000 };
  lua_State *L = state_take();
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  lua_getglobal(L, "jobs");
  lua_rawgeti(L, -1, 1 + dice((unsigned)lua_rawlen(L, -1)));
  lua_remove(L, -2);
  desist_lua_push_token(L, token);
  publish(worker, source);
  CHECK(desist_source_cancel_after(source, 1000 * (int64_t)dice(4000)) ||
        desist_token_is_cancelled(token));
  set_guarded(L, true);
  CHECK_INT(desist_lua_pcall(L, 1, 0, 0, token, graces[dice(3)]), LUA_ERRRUN);
  set_guarded(L, false);
  CHECK(desist_lua_is_cancelled(L, -1, token));
  publish(worker, NULL);
  CHECK_INT(lua_gettop(L), 1);
  CHECK(lua_gethook(L) == NULL);
  lua_pop(L, 1);
  desist_source_release(source);
  atomic_fetch_add(&shared.calls, 1);
  if (dice(MOST_CALLS) == 0) {
    lua_close(L);
    L = state_open();
  }
  state_give(L);
}

/* ThreadSanitizer loses a thread's first signal, should that come while the
** thread calls setjmp for the first time. */
static void call_setjmp(void) {
  jmp_buf here;
  if (setjmp(here) != 0) abort();
}

static void *work(void *data) {
  int worker = (int)(intptr_t)data, i;
  sigset_t set, before, after;
  call_setjmp();
  sigemptyset(&set);
  sigaddset(&set, SIGURG);
  pthread_sigmask(worker % 2 ? SIG_BLOCK : SIG_UNBLOCK, &set, &before);
  for (i = 0; i < 1 + (int)dice(20); i++) stop_one(worker);
  pthread_sigmask(SIG_BLOCK, NULL, &after);
  CHECK_INT(sigismember(&after, SIGURG), worker % 2);
  return NULL;
}

/* The threads of work come and go. */
static void *employ(void *data) {
  while (!atomic_load(&shared.over)) thread_join(thread_start(work, data));
  return NULL;
}

static void *cancel(void *data) {
  (void)data;
  while (!atomic_load(&shared.over)) {
    desist_source *source;
    check_sleep(dice(1000) * 1000);
    pthread_mutex_lock(&shared.mutex);
    source = shared.sources[dice(WORKERS)];
    if (source != NULL) desist_source_retain(source);
    pthread_mutex_unlock(&shared.mutex);
    if (source == NULL) continue;
    if (desist_source_cancel(source, NULL))
      atomic_fetch_add(&shared.cancelled, 1);
    desist_source_release(source);
  }
  return NULL;
}

static void stop_many(void) {
  pthread_t workers[WORKERS], cancellers[CANCELLERS];
  long before = atomic_load(&shared.calls);
  int i;
  atomic_store(&shared.over, false);
  for (i = 0; i < STATES; i++) shared.states[i] = state_open();
  for (i = 0; i < WORKERS; i++)
    workers[i] = thread_start(employ, (void *)(intptr_t)i);
  for (i = 0; i < CANCELLERS; i++) cancellers[i] = thread_start(cancel, NULL);
  do check_sleep(MS(1));
  while (check_time_is_left() || atomic_load(&shared.calls) == before);
  atomic_store(&shared.over, true);
  for (i = 0; i < WORKERS; i++) thread_join(workers[i]);
  for (i = 0; i < CANCELLERS; i++) thread_join(cancellers[i]);
  for (i = 0; i < STATES; i++) lua_close(shared.states[i]);
}

TEST(scripts_are_stopped_by_whoever_comes_first) {
  stop_many();
  printf("stopped %ld, %ld of them by a thread\n", atomic_load(&shared.calls),
         atomic_load(&shared.cancelled));
  CHECK(atomic_load(&shared.calls) > 0);
}

/* --- With a host's handler ---------------------------------------------- */

static atomic_long sent, got;

static void on_urgent(int number) {
  (void)number;
  atomic_fetch_add(&got, 1);
}

static void *send_signals(void *data) {
  (void)data;
  while (!atomic_load(&shared.over)) {
    long before = atomic_load(&got);
    kill(getpid(), SIGURG);
    atomic_fetch_add(&sent, 1);
    if (!CHECK_TSAN) CHECK_SOON(atomic_load(&got) > before);
    check_sleep(dice(300) * 1000);
  }
  return NULL;
}

TEST_WITH_SIGNALS(a_host_gets_its_own_signals_meanwhile) {
  struct sigaction action;
  pthread_t sender;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_urgent;
  action.sa_flags = SA_RESTART;
  sigaction(SIGURG, &action, NULL);
  atomic_store(&shared.over, false);
  sender = thread_start(send_signals, NULL);
  stop_many();
  thread_join(sender);
  CHECK(atomic_load(&got) > 0);
  if (!CHECK_TSAN) CHECK(atomic_load(&got) >= atomic_load(&sent));
}

CHECK_MAIN()
