/*
** check_lua.h: for programs that embed Lua: states with what the scripts need.
*/
#ifndef CHECK_LUA_H
#define CHECK_LUA_H

#include "check.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "desist_lua.h"

/* Runs a script; its errors are failures of the test. Gives its results. */
static inline bool lua_do(lua_State *L, const char *script, int results) {
  if (luaL_loadstring(L, script) == LUA_OK &&
      lua_pcall(L, 0, results, 0) == LUA_OK)
    return true;
  check_failed(__FILE__, __LINE__, "script: ", lua_tostring(L, -1));
  lua_pop(L, 1);
  return false;
}

/* A state with Lua's libraries and desist, in no global. */
static inline lua_State *lua_open(void) {
  lua_State *L = luaL_newstate();
  if (!L) abort();
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_pop(L, 1);
  return L;
}

/* The global of that name, as an integer. */
static inline long lua_number(lua_State *L, const char *name) {
  long value;
  lua_getglobal(L, name);
  value = (long)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return value;
}

static inline void lua_global(lua_State *L, const char *name,
                              lua_CFunction function) {
  lua_pushcfunction(L, function);
  lua_setglobal(L, name);
}

#endif
