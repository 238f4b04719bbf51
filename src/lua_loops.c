/*
** lua_loops.c: task loops, for hosts. See desist_lua.h.
**
** What is to be done stands in Lua, in desist/async/embedding.lua. Each call
** is a protected one of that module's function, by way of a C function that
** may raise.
*/
#include "lua_binding.h"

#include <math.h>

typedef struct loop_call {
  host *owner;
  const char *function; /* in the module */
  const char *name;
  desist_token *token;
  desist_reason *reason;
  double seconds, budget;
} loop_call;

/* --- The module --- */

/* Pushes the field of a table in the registry, or nil. */
static void get_registered(lua_State *L, const char *table, const char *name) {
  lua_getfield(L, LUA_REGISTRYINDEX, table);
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
  } else {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
}

/* The global `require`, of the globals there were in the beginning. */
static void push_require(lua_State *L) {
  get_registered(L, "_LOADED", "_G");
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "require");
    lua_remove(L, -2);
  }
  if (!lua_isfunction(L, -1))
    luaL_error(L, "no function 'require' to load desist.async with");
}

static void push_module(lua_State *L, host *owner) {
  if (owner->loops == LUA_NOREF) {
    int made;
    push_require(L);
    lua_pushliteral(L, "desist.async.embedding");
    lua_call(L, 1, 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    made = luaL_ref(L, LUA_REGISTRYINDEX);
    if (owner->loops == LUA_NOREF)
      owner->loops = made;
    else /* a finalizer has been here */
      luaL_unref(L, LUA_REGISTRYINDEX, made);
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, owner->loops);
}

/* --- Calls --- */

/* loop_call, then the function's own arguments. */
static int run(lua_State *L) {
  const loop_call *call = (const loop_call *)lua_touserdata(L, 1);
  if (call->owner == NULL)
    return luaL_error(L, "desist is not open in this state");
  luaL_checkstack(L, 20, NULL);
  push_module(L, call->owner);
  lua_getfield(L, -1, call->function);
  lua_replace(L, 1);
  lua_pop(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

static loop_call prepare(lua_State *L, const char *function) {
  loop_call call;
  call.owner = desist__host_in(L);
  call.function = function;
  call.name = NULL;
  call.token = NULL;
  call.reason = NULL;
  call.seconds = call.budget = 0;
  return call;
}

static void push_name(lua_State *L, const char *name) {
  if (name == NULL)
    lua_pushnil(L);
  else
    lua_pushstring(L, name);
}

/* What comes after the loop, and may raise: pushed in the protected call. */
static int run_create(lua_State *L) {
  const loop_call *call = (const loop_call *)lua_touserdata(L, 1);
  push_name(L, call->name);
  lua_pushnumber(L, (lua_Number)call->seconds);
  return run(L);
}

static int run_spawn(lua_State *L) {
  const loop_call *call = (const loop_call *)lua_touserdata(L, 1);
  luaL_checkstack(L, 20, NULL);
  push_name(L, call->name);
  lua_insert(L, 3);
  if (call->token == NULL)
    lua_pushnil(L);
  else
    desist_lua_push_token(L, call->token);
  lua_insert(L, 4);
  return run(L);
}

static int run_step(lua_State *L) {
  const loop_call *call = (const loop_call *)lua_touserdata(L, 1);
  lua_pushnumber(L, (lua_Number)call->seconds);
  if (call->budget != HUGE_VAL) lua_pushnumber(L, (lua_Number)call->budget);
  return run(L);
}

static int run_cancel(lua_State *L) {
  const loop_call *call = (const loop_call *)lua_touserdata(L, 1);
  if (call->reason != NULL) desist__push_value(L, call->reason);
  return run(L);
}

/* Of `arguments` values on top of the stack; before them comes the loop, if
** there is one (`loop` is not 0). */
static int protect(lua_State *L, lua_CFunction function, loop_call *call,
                   int loop, int arguments, int results) {
  int base = lua_gettop(L) - arguments + 1;
  int before = 2;
  (void)lua_checkstack(L, 4);
  lua_pushcfunction(L, function);
  lua_insert(L, base);
  lua_pushlightuserdata(L, call);
  lua_insert(L, base + 1);
  if (loop != 0) {
    lua_pushvalue(L, loop);
    lua_insert(L, base + 2);
    before = 3;
  }
  return lua_pcall(L, arguments + before - 1, results, 0);
}

int desist_lua_loop_create(lua_State *L, const char *name, double start) {
  loop_call call = prepare(L, "create");
  call.name = name;
  call.seconds = start;
  return protect(L, run_create, &call, 0, 0, 1);
}

int desist_lua_loop_spawn(lua_State *L, int loop, int arguments,
                          const char *name, desist_token *token) {
  loop_call call = prepare(L, "spawn");
  call.name = name;
  call.token = token;
  return protect(L, run_spawn, &call, lua_absindex(L, loop), arguments + 1, 1);
}

int desist_lua_loop_step(lua_State *L, int loop, double seconds,
                         double budget) {
  loop_call call = prepare(L, "step");
  call.seconds = seconds;
  call.budget = budget;
  return protect(L, run_step, &call, lua_absindex(L, loop), 0, 0);
}

int desist_lua_loop_cancel(lua_State *L, int loop, desist_reason *reason) {
  loop_call call = prepare(L, "cancel");
  call.reason = reason;
  return protect(L, run_cancel, &call, lua_absindex(L, loop), 0, 0);
}

int desist_lua_loop_close(lua_State *L, int loop) {
  loop_call call = prepare(L, "close");
  return protect(L, run, &call, lua_absindex(L, loop), 0, 0);
}

/* --- Asking --- */

/* Pushes the answer; false, and nothing: there is none. Where the module was
** never loaded there is no loop. */
static bool ask(lua_State *L, int loop, const char *function) {
  loop_call call = prepare(L, function);
  loop = lua_absindex(L, loop);
  if (call.owner == NULL || call.owner->loops == LUA_NOREF ||
      !lua_checkstack(L, 4))
    return false;
  if (protect(L, run, &call, loop, 0, 1) == LUA_OK) return true;
  lua_pop(L, 1);
  return false;
}

bool desist_lua_loop_is_idle(lua_State *L, int loop) {
  bool idle;
  if (!ask(L, loop, "is_idle")) return true;
  idle = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return idle;
}

double desist_lua_loop_next_time(lua_State *L, int loop) {
  double time = HUGE_VAL;
  if (!ask(L, loop, "next_time")) return time;
  if (!lua_isnil(L, -1)) time = (double)lua_tonumber(L, -1);
  lua_pop(L, 1);
  return time;
}
