/*
** lua_embed.c: luaopen_desist for hosts that link the library: the Lua files
** are inside, so no package.path is needed.
**
** Compiled with DESIST_EMBED, and embedded.h made from lua/ by the build. The
** rock has the files themselves and leaves this out.
*/
#include "platform.h"

#include "lua_compat.h"

#include "desist_lua.h"

#if defined(DESIST_EMBED)

#  include <string.h>

#  include "embedded.h"

/* package.preload's function for an embedded file: its code is upvalue 1. */
static int load_embedded(lua_State *L) {
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(1));
  const char *chunk;
  lua_settop(L, 1);
  chunk = lua_pushfstring(L, "=(%s)", desist__embedded[i].name);
  if (luaL_loadbuffer(L, (const char *)desist__embedded[i].code,
                      desist__embedded[i].length, chunk) != LUA_OK)
    return lua_error(L);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

static void set_default(lua_State *L, const char *name) {
  lua_getfield(L, -2, name);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_setfield(L, -2, name);
  } else {
    lua_pop(L, 2);
  }
}

int luaopen_desist(lua_State *L) {
  int i, main_file = -1;
  lua_getfield(L, LUA_REGISTRYINDEX, "_PRELOAD");
  if (!lua_istable(L, -1))
    return luaL_error(L, "open the package library before desist");
  lua_pushcfunction(L, luaopen_desist_core);
  set_default(L, "desist.core");
  for (i = 0; desist__embedded[i].name != NULL; i++) {
    if (strcmp(desist__embedded[i].name, "desist") == 0) main_file = i;
    lua_pushinteger(L, i);
    lua_pushcclosure(L, load_embedded, 1);
    set_default(L, desist__embedded[i].name);
  }
  lua_pushinteger(L, main_file);
  lua_pushcclosure(L, load_embedded, 1);
  lua_pushliteral(L, "desist");
  lua_call(L, 1, 1);
  return 1;
}

#endif
