/*
** floor.c: the least that things written in C can cost: a userdata with one
** method that does nothing, and a loop that calls a Lua function under
** lua_pcall and does nothing else. Besides, what malloc has given out.
*/
#include <lauxlib.h>
#include <lua.h>
#include <malloc.h>

static const char type_name[] = "bench.floor";

int luaopen_bench_floor(lua_State *L);

static int empty(lua_State *L) {
  (void)L;
  return 0;
}

static int new_floor(lua_State *L) {
  lua_newuserdatauv(L, 0, 0);
  luaL_setmetatable(L, type_name);
  return 1;
}

/* call(callback, count): `count` protected calls with one argument each. */
static int call(lua_State *L) {
  lua_Integer count = luaL_checkinteger(L, 2);
  for (lua_Integer i = 0; i < count; i++) {
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) return lua_error(L);
  }
  return 0;
}

/* Bytes in use, also those that malloc maps block by block. */
static int heap(lua_State *L) {
  struct mallinfo2 info = mallinfo2();
  lua_pushinteger(L, (lua_Integer)(info.uordblks + info.hblkhd));
  return 1;
}

int luaopen_bench_floor(lua_State *L) {
  luaL_newmetatable(L, type_name);
  lua_newtable(L);
  lua_pushcfunction(L, empty);
  lua_setfield(L, -2, "empty");
  lua_setfield(L, -2, "__index");
  lua_newtable(L);
  lua_pushcfunction(L, new_floor);
  lua_setfield(L, -2, "new");
  lua_pushcfunction(L, call);
  lua_setfield(L, -2, "call");
  lua_pushcfunction(L, heap);
  lua_setfield(L, -2, "heap");
  return 1;
}
