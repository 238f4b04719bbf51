/*
** lua_cxx.cpp: a host in C++ with a Lua that was built as C++, whose errors are
** exceptions: they pass through desist's functions, and destructors run.
**
** Only for VARIANT=cxx, where desist is compiled as C++ too.
*/
#include "check.h"
#include "check_lua.h"
#include "check_memory.h"

#include <cmath>
#include <string>

#include "desist_lua.h"

static lua_State *L;
static int alive, ended;

/* What a function of the host has on its stack. */
class Local {
public:
  Local() { alive++; }
  ~Local() {
    alive--;
    ended++;
  }
  Local(const Local &) = delete;
  Local &operator=(const Local &) = delete;

private:
  std::string text = std::string(100, 'x'); /* a leak, should it not end */
};

static int throw_if_cancelled(lua_State *state) {
  Local local;
  desist_lua_throw_if_cancelled(state, desist_lua_check_token(state, 1));
  return 0;
}

static int raise(lua_State *state) {
  Local local;
  return luaL_error(state, "raised in C++");
}

/* Calls a Lua function with something on the stack. */
static int pass_through(lua_State *state) {
  Local local;
  lua_call(state, lua_gettop(state) - 1, 0);
  return 0;
}

static int dispatch(lua_State *state) {
  Local local;
  lua_pushinteger(state, (lua_Integer)desist_lua_dispatch(state));
  return 1;
}

static void begin() {
  alive = ended = 0;
  L = lua_newstate(memory_allocate, &memory);
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_setglobal(L, "desist");
  lua_global(L, "throw_if_cancelled", throw_if_cancelled);
  lua_global(L, "raise", raise);
  lua_global(L, "pass_through", pass_through);
  lua_global(L, "dispatch", dispatch);
  lua_do(L,
         "errors = {}\n"
         "desist.on_error(function(err)\n"
         "  errors[#errors + 1] = tostring(err) end)",
         0);
}

static void end(int destructors) {
  CHECK_INT(ended, destructors);
  CHECK_INT(alive, 0);
  lua_settop(L, 0);
  lua_close(L);
  CHECK_LIVE(0);
}

TEST(an_error_of_a_token_passes_through) {
  desist_source *source = desist_source_create();
  begin();
  desist_lua_push_source(L, source);
  lua_setglobal(L, "source");
  lua_do(L,
         "local token = source:token()\n"
         "throw_if_cancelled(token)\n"
         "source:cancel('stop')\n"
         "local ok, err = pcall(pass_through, throw_if_cancelled, token)\n"
         "assert(not ok and err == token:error())",
         0);
  desist_source_release(source);
  end(3);
}

TEST(argument_errors_pass_through) {
  begin();
  lua_do(L,
         "for _, value in ipairs { 1, 'x', {}, desist.source() } do\n"
         "  local ok, err = pcall(throw_if_cancelled, value)\n"
         "  assert(not ok and err:find 'desist.token expected')\n"
         "end",
         0);
  end(4);
}

TEST(errors_of_callbacks_stop_nothing) {
  begin();
  lua_do(L,
         "local source, count = desist.source(), 0\n"
         "local function add() count = count + 1 end\n"
         "local token = source:token()\n"
         "token:register(add) token:register(raise) token:register(add)\n"
         "token:register(pass_through, error)\n"
         "local ok, err = pcall(pass_through, source.cancel, source)\n"
         "assert(not ok and err.kind == 'callbacks' and err.errors.n == 2)\n"
         "assert(count == 2)",
         0);
  end(3);
}

TEST(so_in_a_dispatch) {
  begin();
  lua_do(L,
         "local source, count = desist.source(), 0\n"
         "source:token():register(function() count = count + 1 end)\n"
         "source:token():register(raise)\n"
         "source:cancel_async()\n"
         "assert(dispatch() == 2 and count == 1)\n"
         "assert(#errors == 1 and errors[1]:find 'raised in C%+%+')",
         0);
  end(2);
}

TEST(tasks_fail_and_are_cancelled) {
  desist_source *source = desist_source_create();
  begin();
  CHECK_INT(desist_lua_loop_create(L, "loop", 0), LUA_OK);
  lua_do(L, "async = require 'desist.async'", 0);
  for (int i = 0; i < 2; i++) {
    CHECK_INT(luaL_loadstring(L, i == 0 ? "async.sleep(1) raise()"
                                        : "pass_through(raise)"),
              LUA_OK);
    CHECK_INT(desist_lua_loop_spawn(L, 1, 0, NULL, NULL), LUA_OK);
    lua_pop(L, 1);
  }
  luaL_loadstring(L, "local token = ... async.pcall(async.sleep, 5)");
  desist_lua_push_token(L, desist_source_token(source));
  CHECK_INT(desist_lua_loop_spawn(L, 1, 1, "tied", desist_source_token(source)),
            LUA_OK);
  lua_setglobal(L, "tied");
  for (int i = 0; i < 3; i++)
    CHECK_INT(desist_lua_loop_step(L, 1, 1, HUGE_VAL), LUA_OK);
  CHECK(desist_source_cancel(source, NULL));
  CHECK_INT(desist_lua_loop_step(L, 1, 0, HUGE_VAL), LUA_OK);
  CHECK(desist_lua_loop_is_idle(L, 1));
  lua_do(L, "assert(#errors == 2 and tied:status() == 'cancelled')", 0);
  CHECK_INT(desist_lua_loop_step(L, 1, -1, HUGE_VAL), LUA_ERRRUN);
  desist_source_release(source);
  end(3);
}

TEST(memory_runs_out) {
  begin();
  lua_do(L,
         "source = desist.source() token = source:token()\n"
         "token:register(function() end)",
         0);
  luaL_loadstring(L, "pass_through(function() return desist.source() end)");
  memory_fail(1, true); /* the closure is made */
  CHECK_INT(lua_pcall(L, 0, 0, 0), LUA_ERRMEM);
  CHECK(memory_works_again());
  lua_do(L, "assert(source:cancel())", 0);
  end(1);
}

CHECK_MAIN()
