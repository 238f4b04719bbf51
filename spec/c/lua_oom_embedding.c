/*
** lua_oom_embedding.c: every allocation in the functions of desist_lua.h
** failing in turn, those of Lua and those of the core alike. Those that never
** raise and those that are protected are called with no protection.
*/
#include "check.h"
#include "check_lua.h"
#include "check_memory.h"

#include <math.h>

#include "desist_lua.h"

enum { QUEUED = 3 };

/* What there is before memory fails: on the stack of the state, and here. */
static struct {
  lua_State *L;
  desist_source *source, *cancelled, *queued[QUEUED];
  desist_reason *reason; /* a long text: pushing it takes memory */
  int woken;
} given;

enum { LOOP = 1, SCRIPT_SOURCE, SCRIPT_TOKEN, OBJECT, FUNCTION, TASK_TOKEN };

static const char prepare[] =
    "desist = require 'desist'\n"
    "async = require 'desist.async'\n"
    "count, ran, errors = 0, false, 0\n"
    "function add() count = count + 1 end\n"
    "desist.on_error(function() errors = errors + 1 end)\n"
    "tied = desist.source()\n"
    "local source = desist.source()\n"
    "local object = setmetatable({}, { __tostring = function()\n"
    "  return ('x'):rep(100) end })\n"
    "return source, source:token(), object,\n"
    "  function(argument) ran = argument async.sleep(1) end, tied:token()\n";

static void open_state(void) {
  lua_State *L = lua_newstate(memory_allocate, &memory);
  int i;
  given.L = L;
  given.woken = 0;
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_pop(L, 1);
  given.source = desist_source_create();
  given.cancelled = desist_source_create();
  CHECK(desist_source_cancel(given.cancelled, NULL));
  given.reason = desist_reason_create(
      0, "a text of more than forty characters, which Lua makes anew");
  CHECK_INT(desist_lua_loop_create(L, "loop", 0), LUA_OK);
  CHECK(lua_do(L, prepare, 5));
  for (i = 0; i < QUEUED; i++) {
    given.queued[i] = desist_source_create();
    desist_lua_push_token(L, desist_source_token(given.queued[i]));
    lua_setglobal(L, "token");
    CHECK(lua_do(L, "token:register(add) token = nil", 0));
  }
}

static void close_state(void) {
  int i;
  lua_close(given.L);
  for (i = 0; i < QUEUED; i++) desist_source_release(given.queued[i]);
  desist_reason_release(given.reason);
  desist_source_release(given.cancelled);
  desist_source_release(given.source);
  CHECK_LIVE(0);
}

static void cancel_queued(void) {
  int i;
  for (i = 0; i < QUEUED; i++)
    CHECK(desist_source_cancel(given.queued[i], given.reason));
}

static bool is_true(const char *expression) {
  bool result = false;
  lua_State *L = given.L;
  lua_pushfstring(L, "return %s", expression);
  if (lua_do(L, lua_tostring(L, -1), 1)) {
    result = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return result;
}

/* --- Functions that raise; in a protected call -------------------------- */

static int push_source(lua_State *L) {
  desist_lua_push_source(L, given.source);
  desist_lua_push_source(L, given.source);
  CHECK(lua_rawequal(L, -1, -2));
  return 0;
}

static int push_token(lua_State *L) {
  desist_lua_push_token(L, NULL);
  desist_lua_push_token(L, desist_source_token(given.source));
  desist_lua_push_token(L, desist_source_token(given.source));
  CHECK(lua_rawequal(L, -1, -2));
  return 0;
}

static int check_them(lua_State *L) {
  CHECK(desist_lua_check_source(L, SCRIPT_SOURCE) != NULL);
  CHECK(desist_lua_check_token(L, SCRIPT_TOKEN) != NULL);
  CHECK(desist_lua_opt_token(L, SCRIPT_TOKEN) != NULL);
  return 0;
}

static int to_reason(lua_State *L) {
  desist_reason *reason = desist_lua_to_reason(L, OBJECT);
  CHECK_INT(strlen(desist_reason_text(reason)), 100);
  desist_reason_release(reason);
  return 0;
}

static int push_reason(lua_State *L) {
  desist_lua_push_reason(L, desist_source_token(given.cancelled));
  CHECK_TEXT(lua_tostring(L, -1), "cancelled");
  return 0;
}

static int push_error(lua_State *L) {
  desist_token *token = desist_source_token(given.cancelled);
  desist_lua_push_error(L, token);
  CHECK(desist_lua_is_cancelled(L, -1, token));
  return 0;
}

/* Its own error, or one of memory. */
static int throw_error(lua_State *L) {
  desist_token *token = desist_source_token(given.cancelled);
  desist_lua_throw_if_cancelled(L, token);
  CHECK(!desist_token_is_cancelled(token));
  return 0;
}

/* --- Functions that never raise, or are protected ----------------------- */

static void call_to(lua_State *L) {
  desist_source *source = desist_lua_to_source(L, SCRIPT_SOURCE);
  CHECK(source != NULL);
  CHECK(desist_lua_to_token(L, SCRIPT_TOKEN) == desist_source_token(source));
}

static void note(void *data) { ++*(int *)data; }

static void call_dispatch(lua_State *L) {
  size_t ran;
  desist_lua_on_wakeup(L, note, &given.woken);
  cancel_queued();
  CHECK_INT(given.woken, 1);
  ran = desist_lua_dispatch(L);
  CHECK_INT(given.woken, ran == QUEUED ? 1 : 2); /* of what is left */
}

static void after_dispatch(lua_State *L) {
  (void)desist_lua_dispatch(L);
  CHECK(is_true("count == 3"));
}

static void call_create(lua_State *L) {
  int status = desist_lua_loop_create(L, "second", 5);
  CHECK(status == LUA_OK || status == LUA_ERRMEM);
}

static void call_spawn(lua_State *L) {
  int status;
  lua_pushvalue(L, FUNCTION);
  lua_pushliteral(L, "argument");
  status = desist_lua_loop_spawn(L, LOOP, 1, "task",
                                 desist_lua_to_token(L, TASK_TOKEN));
  CHECK(status == LUA_OK || status == LUA_ERRMEM);
}

/* The spawned is on top of the stack; what is not there never runs. */
static void after_spawn(lua_State *L) {
  bool spawned = lua_istable(L, -1);
  lua_setglobal(L, "task");
  CHECK_INT(desist_lua_loop_step(L, LOOP, 0, HUGE_VAL), LUA_OK);
  CHECK_INT(is_true("ran == 'argument'"), spawned);
  if (!spawned) return;
  CHECK(is_true("tied:cancel('killed')"));
  CHECK_INT(desist_lua_loop_step(L, LOOP, 0, HUGE_VAL), LUA_OK);
  CHECK(is_true("task:status() == 'cancelled'"));
}

static void spawn_sleeper(lua_State *L) {
  lua_pushvalue(L, FUNCTION);
  CHECK_INT(desist_lua_loop_spawn(L, LOOP, 0, NULL, NULL), LUA_OK);
  lua_setglobal(L, "task");
}

static void spawn_busy(lua_State *L) {
  CHECK_INT(luaL_loadstring(L,
                            "local task = async.spawn(async.sleep, 0.2)\n"
                            "async.spawn(error, 'first')\n"
                            "async.pcall(task.join, task)\n"
                            "async.scope({ timeout = 0.1 }, async.sleep, 5)\n"
                            "error 'second'"),
            LUA_OK);
  CHECK_INT(desist_lua_loop_spawn(L, LOOP, 0, NULL, NULL), LUA_OK);
  lua_pop(L, 1);
}

static void call_step(lua_State *L) {
  (void)desist_lua_loop_step(L, LOOP, 0.5, HUGE_VAL);
  (void)desist_lua_loop_is_idle(L, LOOP);
  (void)desist_lua_loop_next_time(L, LOOP);
}

/* What a task itself raises for want of memory is its own affair. */
static void after_step(lua_State *L) {
  int i;
  for (i = 0; i < 3; i++)
    CHECK_INT(desist_lua_loop_step(L, LOOP, 1, HUGE_VAL), LUA_OK);
  CHECK(desist_lua_loop_is_idle(L, LOOP));
}

/* Memory that ends in the middle of the loop's own work may leave tasks that
** nobody wakes, or steps that fail for it; the loop goes on, and closing it
** ends them. */
static void after_busy_step(lua_State *L) {
  int i;
  for (i = 0; i < 3; i++) {
    if (desist_lua_loop_step(L, LOOP, 1, HUGE_VAL) == LUA_OK) continue;
    CHECK(strstr(lua_tostring(L, -1), "inside itself") == NULL);
    lua_pop(L, 1);
  }
  CHECK_INT(desist_lua_loop_close(L, LOOP), LUA_OK);
  CHECK(desist_lua_loop_is_idle(L, LOOP));
}

static void call_cancel(lua_State *L) {
  (void)desist_lua_loop_cancel(
      L, LOOP, desist_token_reason(desist_source_token(given.cancelled)));
}

static void after_cancel(lua_State *L) {
  (void)desist_lua_loop_cancel(L, LOOP, NULL);
  after_step(L);
}

static void call_close(lua_State *L) { (void)desist_lua_loop_close(L, LOOP); }

static void after_close(lua_State *L) {
  (void)desist_lua_loop_close(L, LOOP);
  CHECK(is_true("true"));
}

/* --- All of them -------------------------------------------------------- */

static void use_after(lua_State *L) {
  lua_settop(L, TASK_TOKEN);
  desist_lua_push_source(L, given.source);
  lua_setglobal(L, "source");
  CHECK(lua_do(L,
               "local before = count\n"
               "source:token():register(add)\n"
               "for _ = 1, 2 do collectgarbage() end\n"
               "assert(source:cancel('x') and count == before + 1)\n"
               "assert(source:token():reason() == 'x')",
               0));
}

static const struct scenario {
  lua_CFunction raising; /* or */
  void (*call)(lua_State *L);
  void (*before)(lua_State *L), (*after)(lua_State *L);
} scenarios[] = {
  { push_source, NULL, NULL, NULL },
  { push_token, NULL, NULL, NULL },
  { check_them, NULL, NULL, NULL },
  { to_reason, NULL, NULL, NULL },
  { push_reason, NULL, NULL, NULL },
  { push_error, NULL, NULL, NULL },
  { throw_error, NULL, NULL, NULL },
  { NULL, call_to, NULL, NULL },
  { NULL, call_dispatch, NULL, after_dispatch },
  { NULL, call_create, NULL, NULL },
  { NULL, call_spawn, NULL, after_spawn },
  { NULL, call_step, spawn_sleeper, after_step },
  { NULL, call_step, spawn_busy, after_busy_step },
  { NULL, call_cancel, spawn_sleeper, after_cancel },
  { NULL, call_close, spawn_sleeper, after_close },
};

/* For the protected call: its arguments are the state's first values. */
static void call_raising(lua_State *L, lua_CFunction function, long n) {
  int i;
  lua_pushcfunction(L, function);
  for (i = 1; i <= TASK_TOKEN; i++) lua_pushvalue(L, i);
  memory_fail(n, true);
  (void)lua_pcall(L, TASK_TOKEN, 0, 0);
}

/* True: memory lasted. */
static bool run_short_of_memory(const struct scenario *scenario, long n) {
  bool failed;
  open_state();
  if (scenario->before != NULL) scenario->before(given.L);
  if (scenario->raising != NULL) {
    call_raising(given.L, scenario->raising, n);
  } else {
    memory_fail(n, true);
    scenario->call(given.L);
  }
  failed = memory_works_again();
  if (scenario->after != NULL) scenario->after(given.L);
  use_after(given.L);
  close_state();
  return !failed;
}

TEST(every_allocation_may_fail) {
  size_t i;
  for (i = 0; i < COUNT(scenarios); i++) {
    long n = 0;
    while (!run_short_of_memory(&scenarios[i], n)) n++;
    CHECK(n > 0);
  }
}

CHECK_MAIN()
