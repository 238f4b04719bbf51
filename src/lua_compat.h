/*
** lua_compat.h: what Lua 5.1 to 5.4 and LuaJIT do not have in common.
**
** The binding is written against 5.4; here the older ones learn its words.
*/
#ifndef DESIST_LUA_COMPAT_H
#define DESIST_LUA_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#if LUA_VERSION_NUM < 502

#  include <string.h>

#  define lua_rawlen(L, i) lua_objlen((L), (i))
#  define LUA_OK 0

static inline int lua_absindex(lua_State *L, int i) {
  return i > 0 || i <= LUA_REGISTRYINDEX ? i : lua_gettop(L) + i + 1;
}

static inline void lua_rawgetp(lua_State *L, int i, const void *p) {
  i = lua_absindex(L, i);
  lua_pushlightuserdata(L, (void *)(uintptr_t)p);
  lua_rawget(L, i);
}

static inline void lua_rawsetp(lua_State *L, int i, const void *p) {
  i = lua_absindex(L, i);
  lua_pushlightuserdata(L, (void *)(uintptr_t)p);
  lua_insert(L, -2);
  lua_rawset(L, i);
}

/* Under names of our own: LuaJIT has some of these. */
#  define luaL_setfuncs desist__setfuncs
static inline void desist__setfuncs(lua_State *L, const luaL_Reg *l, int nup) {
  for (; l->name != NULL; l++) {
    int i;
    for (i = 0; i < nup; i++) lua_pushvalue(L, -nup);
    lua_pushcclosure(L, l->func, nup);
    lua_setfield(L, -nup - 2, l->name);
  }
  lua_pop(L, nup);
}

#  define luaL_tolstring desist__tolstring
static inline const char *desist__tolstring(lua_State *L, int i, size_t *size) {
  if (!luaL_callmeta(L, i, "__tostring")) {
    switch (lua_type(L, i)) {
    case LUA_TNUMBER:
    case LUA_TSTRING:
      lua_pushvalue(L, i);
      break;
    case LUA_TBOOLEAN:
      lua_pushstring(L, lua_toboolean(L, i) ? "true" : "false");
      break;
    case LUA_TNIL:
      lua_pushliteral(L, "nil");
      break;
    default:
      lua_pushfstring(L, "%s: %p", luaL_typename(L, i), lua_topointer(L, i));
    }
  }
  return lua_tolstring(L, -1, size);
}

#  define luaL_traceback desist__traceback
static inline void desist__traceback(lua_State *L, lua_State *of,
                                     const char *message, int level) {
  (void)of;
  (void)level;
  lua_pushstring(L, message == NULL ? "" : message);
}

#endif

#if LUA_VERSION_NUM < 503

/* Not to be told: yielding raises then. */
static inline int lua_isyieldable(lua_State *L) {
  (void)L;
  return 1;
}

static inline int lua_isinteger(lua_State *L, int i) {
  (void)L;
  (void)i;
  return 0;
}
#endif

#if LUA_VERSION_NUM < 504

/* User values are kept in a table of the userdata's own. */
static inline void *lua_newuserdatauv(lua_State *L, size_t size, int count) {
  void *block = lua_newuserdata(L, size);
  lua_createtable(L, count, 0);
#  if LUA_VERSION_NUM < 502
  lua_setfenv(L, -2);
#  else
  lua_setuservalue(L, -2);
#  endif
  return block;
}

static inline void desist__values(lua_State *L, int i) {
#  if LUA_VERSION_NUM < 502
  lua_getfenv(L, i);
#  else
  lua_getuservalue(L, i);
#  endif
}

static inline int lua_getiuservalue(lua_State *L, int i, int n) {
  desist__values(L, i);
  lua_rawgeti(L, -1, n);
  lua_remove(L, -2);
  return lua_type(L, -1);
}

static inline int lua_setiuservalue(lua_State *L, int i, int n) {
  desist__values(L, i);
  lua_insert(L, -2);
  lua_rawseti(L, -2, n);
  lua_pop(L, 1);
  return 1;
}

#  include <stdio.h>

static inline void lua_warning(lua_State *L, const char *text, int more) {
  (void)L;
  (void)fprintf(stderr, more ? "%s" : "%s\n", text);
}

#endif

#endif
