/*
** desist_lua.h: desist for hosts that embed Lua.
**
** luaopen_desist pushes the module that `require "desist"` gives. It works
** statically linked, with no dlopen and no package.path: the Lua files are
** embedded. Register it before running scripts:
**
**   luaL_requiref(L, "desist", luaopen_desist, 0); lua_pop(L, 1);
**
** or put it into package.preload. Any number of states, on any threads, may
** open it. Call it on the thread that runs the state; errors are Lua errors.
*/
#ifndef DESIST_LUA_H
#define DESIST_LUA_H

#include <lua.h>

#include "desist.h"

#ifdef __cplusplus
extern "C" {
#endif

DESIST_API int luaopen_desist(lua_State *L);

/* The C part alone: what `require "desist.core"` gives. */
DESIST_API int luaopen_desist_core(lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
