/*
** lua_oom_guard.c: every allocation failing in turn while guards are entered,
** fire, are yielded across, resumed, closed and collected, while coroutines are
** tracked, and in steps with a budget.
*/
#include "check.h"
#include "check_lua.h"
#include "check_memory.h"

#include "desist_lua.h"

static const char prelude[] =
    "desist = require 'desist'\n"
    "async = require 'desist.async'\n"
    "function forever() while true do local _ = ('x'):rep(9) end end\n"
    "source = desist.source()\n"
    "token = source:token()\n"
    "loop = async.loop()\n"
    "desist.on_error(function() end)\n";

static const char tracked[] = "desist.track_coroutines()";

/* The token is cancelled inside of it, so all but one end by a guard. */
static const char in_main[] =
    "desist.guard({ token = token, grace = 0 }, function()\n"
    "  source:cancel() forever()\n"
    "end)";
static const char nested[] =
    "local inner = desist.source():token()\n"
    "desist.guard({ token = token, grace = 1000 }, function()\n"
    "  desist.guard(inner, function()\n"
    "    source:cancel() pcall(forever)\n"
    "  end)\n"
    "end)";
static const char in_coroutines[] =
    "local function f(...)\n"
    "  return desist.guard(token, desist.guard, token, coroutine.yield, ...)\n"
    "end\n"
    "local co = coroutine.create(f)\n"
    "coroutine.resume(co, 1, 2, 3)\n"
    "coroutine.resume(co)\n"
    "local wrapped = coroutine.wrap(f)\n"
    "wrapped(1)\n"
    "local closed = coroutine.create(f)\n"
    "coroutine.resume(closed)\n"
    "coroutine.close(closed)\n"
    "kept = coroutine.create(f)\n"
    "coroutine.resume(kept)\n"
    "source:cancel()\n";
static const char finalizers[] =
    "desist.guard({ token = token, grace = 1000 }, function()\n"
    "  setmetatable({}, { __gc = function() return {} end })\n"
    "  source:cancel()\n"
    "  pcall(forever)\n"
    "  setmetatable({}, { __gc = function() error({}) end })\n"
    "  collectgarbage()\n"
    "end)";
static const char budget[] =
    "loop:spawn(function() for _ = 1, 1e4 do local _ = {} end end)\n"
    "loop:spawn(function() coroutine.wrap(function()\n"
    "  for _ = 1, 1e4 do local _ = {} end\n"
    "end)() end)\n"
    "for _ = 1, 5 do loop:step(0, { budget = 0 }) end";

static desist_source *cancelled;

static int call_cancelled(lua_State *L) {
  int status;
  lua_pushboolean(L, 1);
  status = desist_lua_pcall(L, 0, 0, 0, desist_source_token(cancelled), 0);
  CHECK(status == LUA_ERRMEM || status == LUA_ERRRUN);
  CHECK(status == LUA_ERRMEM ||
        desist_lua_is_cancelled(L, -1, desist_source_token(cancelled)));
  CHECK_INT(lua_gettop(L), 1);
  return 0;
}

static int call_guarded(lua_State *L) {
  desist_token *token;
  int status;
  lua_getglobal(L, "token");
  token = desist_lua_to_token(L, -1);
  lua_getglobal(L, "desist");
  lua_pushinteger(L, 5);
  lua_getglobal(L, "type");
  lua_insert(L, -2);
  status = desist_lua_pcall(L, 1, 1, 0, token, 0);
  CHECK(status == LUA_ERRMEM || status == LUA_OK);
  CHECK_INT(lua_gettop(L), 3);
  return 0;
}

static int not_open(lua_State *L) {
  int status;
  lua_pushnil(L);
  status = desist_lua_pcall(L, 0, 0, 0, NULL, 0);
  CHECK(status == LUA_ERRMEM || status == LUA_ERRRUN);
  return 0;
}

static const struct scenario {
  const char *before, *script; /* or */
  lua_CFunction function;
} scenarios[] = {
  { "", in_main, NULL },         { tracked, in_main, NULL },
  { tracked, nested, NULL },     { tracked, in_coroutines, NULL },
  { tracked, finalizers, NULL }, { tracked, budget, NULL },
  { "", tracked, NULL },         { tracked, NULL, call_cancelled },
  { "", NULL, call_guarded },
};

/* Afterwards all works. */
static const char use_after[] =
    "for _ = 1, 2 do collectgarbage() end\n"
    "local source = desist.source()\n"
    "local token = source:token()\n"
    "for _, f in ipairs { forever, function()\n"
    "  coroutine.wrap(forever)()\n"
    "end } do\n"
    "  local source = desist.source()\n"
    "  local token = source:token()\n"
    "  local co = coroutine.wrap(function()\n"
    "    return desist.guard({ token = token, grace = 0 }, function()\n"
    "      coroutine.yield()\n"
    "      source:cancel() f()\n"
    "    end)\n"
    "  end)\n"
    "  co()\n"
    "  local ok, err = co()\n"
    "  assert(not ok and err == token:error())\n"
    "end\n"
    "assert(not debug.gethook())\n";

/* True: memory lasted. */
static bool run_short_of_memory(const struct scenario *scenario, long n,
                                bool all) {
  lua_State *L = lua_newstate(memory_allocate, &memory);
  bool failed;
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_pop(L, 1);
  CHECK(lua_do(L, prelude, 0));
  CHECK(lua_do(L, scenario->before, 0));
  cancelled = desist_source_create();
  CHECK(desist_source_cancel(cancelled, NULL));
  if (scenario->script != NULL)
    CHECK_INT(luaL_loadstring(L, scenario->script), LUA_OK);
  else
    lua_pushcfunction(L, scenario->function);
  memory_fail(n, all);
  (void)lua_pcall(L, 0, 0, 0);
  failed = memory_works_again();
  lua_settop(L, 0);
  CHECK(lua_do(L, tracked, 0));
  CHECK(lua_do(L, use_after, 0));
  lua_close(L);
  desist_source_release(cancelled);
  CHECK_LIVE(0);
  return !failed;
}

TEST(every_allocation_may_fail) {
  size_t i;
  int all;
  for (i = 0; i < COUNT(scenarios); i++) {
    for (all = 0; all < 2; all++) {
      long n = 0;
      while (!run_short_of_memory(&scenarios[i], n, all != 0)) n++;
      CHECK(n > 0);
    }
  }
}

TEST(where_it_is_not_open_memory_may_fail_too) {
  long n = 0;
  bool failed = true;
  while (failed) {
    lua_State *L = lua_newstate(memory_allocate, &memory);
    lua_pushcfunction(L, not_open);
    memory_fail(n++, true);
    (void)lua_pcall(L, 0, 0, 0);
    failed = memory_works_again();
    lua_close(L);
    CHECK_LIVE(0);
  }
}

CHECK_MAIN()
