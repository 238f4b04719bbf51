/*
** lua_loops.c: task loops that a host makes, steps and closes; tasks tied to
** tokens. All memory is counted: at the end of each test nothing is left.
*/
#include "check.h"
#include "check_lua.h"
#include "check_memory.h"

#include <math.h>

#include "desist_lua.h"

static lua_State *L;
static int loop; /* its index */

static lua_State *open_state(void) {
  lua_State *state = lua_newstate(memory_allocate, &memory);
  luaL_openlibs(state);
  luaL_requiref(state, "desist", luaopen_desist, 0);
  lua_setglobal(state, "desist");
  return state;
}

static void begin(void) {
  L = open_state();
  CHECK(lua_do(L,
               "async = require 'desist.async'\n"
               "errors = {}\n"
               "desist.on_error(function(err) errors[#errors + 1] = err end)",
               0));
  CHECK_INT(desist_lua_loop_create(L, "game", 10), LUA_OK);
  loop = lua_gettop(L);
}

static void end(void) {
  CHECK_INT(lua_gettop(L), loop);
  lua_pop(L, 1);
  lua_close(L);
  CHECK_LIVE(0);
}

/* Pushes a function of the script's. */
static void push_function(const char *script) {
  CHECK_INT(luaL_loadstring(L, script), LUA_OK);
}

/* Sets the global `task`. */
static void spawn(const char *script, desist_token *token) {
  push_function(script);
  CHECK_INT(desist_lua_loop_spawn(L, loop, 0, NULL, token), LUA_OK);
  lua_setglobal(L, "task");
}

static void step(double seconds) {
  CHECK_INT(desist_lua_loop_step(L, loop, seconds, HUGE_VAL), LUA_OK);
}

/* An error's text is on top of the stack, and is popped. */
static void check_error(int status, const char *text) {
  const char *message = luaL_tolstring(L, -1, NULL);
  CHECK_INT(status, LUA_ERRRUN);
  if (strstr(message, text) == NULL) CHECK_TEXT(message, text);
  lua_pop(L, 2);
}

TEST(a_loop_has_its_name_and_its_start) {
  begin();
  lua_pushvalue(L, loop);
  lua_setglobal(L, "loop");
  CHECK(lua_do(L,
               "assert(loop:now() == 10)\n"
               "assert(tostring(loop) == \"desist.loop 'game' (0 tasks)\")",
               0));
  CHECK_INT(desist_lua_loop_create(L, NULL, 0), LUA_OK);
  lua_pop(L, 1);
  check_error(desist_lua_loop_create(L, NULL, (double)NAN), "start");
  end();
}

TEST(a_task_gets_its_arguments_and_runs_in_steps) {
  begin();
  push_function(
      "local a, b = ... async.sleep(2) given = { a, b, n = select('#', ...) }");
  lua_pushliteral(L, "one");
  lua_pushnil(L);
  CHECK_INT(desist_lua_loop_spawn(L, loop, 2, "sleeper", NULL), LUA_OK);
  CHECK_TEXT(luaL_tolstring(L, -1, NULL), "desist.task 'sleeper': waiting");
  lua_pop(L, 2);
  CHECK(!desist_lua_loop_is_idle(L, loop));
  CHECK(desist_lua_loop_next_time(L, loop) == -HUGE_VAL);
  step(0.5);
  CHECK(desist_lua_loop_next_time(L, loop) == 12);
  step(1.5);
  CHECK(desist_lua_loop_is_idle(L, loop));
  CHECK(desist_lua_loop_next_time(L, loop) == HUGE_VAL);
  CHECK(lua_do(L,
               "assert(given[1] == 'one' and given[2] == nil and "
               "given.n == 2)",
               0));
  end();
}

TEST(an_index_counts_from_the_top_as_well) {
  begin();
  push_function("ran = true");
  CHECK_INT(desist_lua_loop_spawn(L, -2, 0, NULL, NULL), LUA_OK);
  lua_pop(L, 1);
  CHECK_INT(desist_lua_loop_step(L, -1, 0, HUGE_VAL), LUA_OK);
  CHECK(lua_do(L, "assert(ran)", 0));
  end();
}

TEST(errors_of_tasks_are_not_the_step_s) {
  begin();
  spawn("error('oh', 0)", NULL);
  step(0);
  CHECK(lua_do(L, "assert(#errors == 1 and errors[1] == 'oh')", 0));
  end();
}

TEST(a_token_cancels_its_task) {
  desist_source *source = desist_source_create();
  desist_reason *reason = desist_reason_create(0, "killed");
  begin();
  spawn("async.sleep(100)", desist_source_token(source));
  step(1);
  CHECK(desist_source_cancel(source, reason));
  step(0);
  desist_lua_push_token(L, desist_source_token(source));
  lua_setglobal(L, "token");
  CHECK(lua_do(L,
               "assert(task:status() == 'cancelled')\n"
               "local ok, err = task:result()\n"
               "assert(not ok and err.reason == 'killed')\n"
               "assert(err.origin == token and #errors == 0)",
               0));
  CHECK(desist_lua_loop_is_idle(L, loop));
  desist_reason_release(reason);
  desist_source_release(source);
  end();
}

TEST(a_task_whose_token_is_cancelled_before_its_start_never_runs) {
  desist_source *source = desist_source_create();
  begin();
  spawn("ran = true", desist_source_token(source));
  CHECK(desist_source_cancel(source, NULL));
  step(0);
  CHECK(lua_do(L, "assert(not ran and task:status() == 'cancelled')", 0));
  spawn("ran = true", desist_source_token(source));
  step(0);
  CHECK(lua_do(L, "assert(not ran and task:status() == 'cancelled')", 0));
  desist_source_release(source);
  end();
}

TEST(cancelling_a_loop_cancels_its_tasks_with_the_reason) {
  desist_source *source = desist_source_create();
  begin();
  spawn("async.sleep(100)", NULL);
  step(0);
  lua_pushinteger(L, 42);
  {
    desist_reason *reason = desist_lua_to_reason(L, -1);
    CHECK_INT(desist_lua_loop_cancel(L, loop, reason), LUA_OK);
    desist_reason_release(reason);
  }
  lua_pop(L, 1);
  step(0);
  CHECK(lua_do(L,
               "local ok, err = task:result()\n"
               "assert(not ok and err.reason == 42)",
               0));
  CHECK_INT(desist_lua_loop_cancel(L, loop, NULL), LUA_OK);
  desist_source_release(source);
  end();
}

TEST(a_closed_loop_refuses) {
  begin();
  spawn("local t <close> = setmetatable({}, { __close = function()\n"
        "  closed = true end }) async.sleep(1)",
        NULL);
  step(0);
  CHECK_INT(desist_lua_loop_close(L, loop), LUA_OK);
  CHECK(lua_do(L, "assert(closed)", 0));
  CHECK_INT(desist_lua_loop_close(L, loop), LUA_OK);
  check_error(desist_lua_loop_step(L, loop, 0, HUGE_VAL), "loop is closed");
  push_function("");
  check_error(desist_lua_loop_spawn(L, loop, 0, NULL, NULL), "loop is closed");
  CHECK(desist_lua_loop_is_idle(L, loop));
  end();
}

TEST(what_is_no_loop_is_refused_or_idle) {
  int i;
  begin();
  CHECK(
      lua_do(L, "return nil, 5, {}, desist.source(), setmetatable({}, {})", 5));
  for (i = loop + 1; i <= loop + 5; i++) {
    check_error(desist_lua_loop_step(L, i, 0, HUGE_VAL), "loop expected, got");
    check_error(desist_lua_loop_cancel(L, i, NULL), "loop expected, got");
    check_error(desist_lua_loop_close(L, i), "loop expected, got");
    push_function("");
    check_error(desist_lua_loop_spawn(L, i, 0, NULL, NULL),
                "loop expected, got");
    CHECK(desist_lua_loop_is_idle(L, i));
    CHECK(desist_lua_loop_next_time(L, i) == HUGE_VAL);
  }
  lua_settop(L, loop);
  end();
}

TEST(wrong_arguments_are_errors) {
  begin();
  check_error(desist_lua_loop_step(L, loop, -1, HUGE_VAL), "step");
  check_error(desist_lua_loop_step(L, loop, (double)NAN, HUGE_VAL), "step");
  lua_pushinteger(L, 5);
  check_error(desist_lua_loop_spawn(L, loop, 0, NULL, NULL),
              "function expected");
  end();
}

TEST(where_it_is_not_open_there_are_no_loops) {
  L = luaL_newstate();
  luaL_openlibs(L);
  check_error(desist_lua_loop_create(L, NULL, 0), "not open");
  lua_pushnil(L);
  check_error(desist_lua_loop_step(L, 1, 0, HUGE_VAL), "not open");
  CHECK(desist_lua_loop_is_idle(L, 1));
  CHECK(desist_lua_loop_next_time(L, 1) == HUGE_VAL);
  lua_close(L);
}

CHECK_MAIN()
