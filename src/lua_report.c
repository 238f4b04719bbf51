/*
** lua_report.c: errors of callbacks that nobody called: to the state's handler.
**
** The handler is given the error as it was raised, also where there is no
** memory for a traceback, which is nil then. (Where there is none to call a
** function at all, Lua itself puts its own error in the place of that one.)
*/
#include "lua_binding.h"

/* --- Keeping what was raised --- */

enum { KEPT_ERROR = 1, KEPT_ANY }; /* in the message handler's table */

static void keep(lua_State *L, int table, int error, bool any) {
  if (any)
    lua_pushvalue(L, error);
  else
    lua_pushnil(L);
  lua_rawseti(L, table, KEPT_ERROR);
  lua_pushboolean(L, any);
  lua_rawseti(L, table, KEPT_ANY);
}

/*
** The message handler: makes a table of error and traceback. Should there be
** no memory for that, the error is in upvalue 1, a table of the right size.
*/
static int add_traceback(lua_State *L) {
  int kept = lua_upvalueindex(1);
  keep(L, kept, 1, true);
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, 1);
  luaL_traceback(L, L, NULL, 1);
  lua_rawseti(L, -2, 2);
  keep(L, kept, 1, false);
  return 1;
}

void desist__report_open(lua_State *L, host *owner) {
  owner->on_error = LUA_NOREF;
  lua_createtable(L, 2, 0);
  keep(L, lua_gettop(L), 0, false);
  lua_pushcclosure(L, add_traceback, 1);
  owner->add_traceback = luaL_ref(L, LUA_REGISTRYINDEX);
}

void desist__push_message_handler(lua_State *L, const host *owner) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, owner->add_traceback);
}

void desist__report_raised(lua_State *L, host *owner, int handler, int status) {
  int at = lua_gettop(L);
  (void)lua_getupvalue(L, handler, 1);
  lua_rawgeti(L, at + 1, KEPT_ANY);
  if (status == LUA_ERRRUN && lua_istable(L, at)) {
    lua_rawgeti(L, at, 1);
    lua_rawgeti(L, at, 2);
  } else {
    if (lua_toboolean(L, -1)) {
      lua_rawgeti(L, at + 1, KEPT_ERROR);
      keep(L, at + 1, 0, false);
    } else { /* raised by Lua itself, without the handler */
      lua_pushvalue(L, at);
    }
    lua_pushnil(L);
  }
  desist__report(L, owner);
  lua_settop(L, at - 1);
}

/* --- Reporting --- */

/* error, traceback: the default handler. The texts come first, so that it
** writes all or nothing. */
static int report_by_default(lua_State *L) {
  const char *text, *traceback;
  desist__push_text(L, 1);
  text = lua_tostring(L, -1);
  traceback = lua_tostring(L, 2);
  lua_warning(L, "desist: error in a callback: ", 1);
  lua_warning(L, text, traceback != NULL);
  if (traceback != NULL) {
    lua_warning(L, "\n", 1);
    lua_warning(L, traceback, 0);
  }
  return 0;
}

/* error, traceback on top: by default. */
static void report_pop(lua_State *L) {
  lua_pushcfunction(L, report_by_default);
  lua_insert(L, -3);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK) return;
  lua_pop(L, 1);
  lua_warning(L, "desist: error in a callback: no memory for its text", 0);
}

void desist__report(lua_State *L, host *owner) {
  int top = lua_gettop(L) - 2; /* error, traceback */
  if (owner->on_error != LUA_NOREF) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, owner->on_error);
    lua_pushvalue(L, top + 1);
    lua_pushvalue(L, top + 2);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK) {
      lua_settop(L, top);
      return;
    }
    lua_pushnil(L); /* the handler failed: both errors by default */
    report_pop(L);
  }
  report_pop(L);
}

int desist__on_error(lua_State *L) {
  host *owner = desist__host_of(L);
  int before = owner->on_error;
  if (!lua_isnoneornil(L, 1) && !lua_isfunction(L, 1) &&
      !luaL_getmetafield(L, 1, "__call"))
    return desist__type_error(L, 1, "function or nil");
  lua_settop(L, 1);
  if (before == LUA_NOREF)
    lua_pushnil(L);
  else
    lua_rawgeti(L, LUA_REGISTRYINDEX, before);
  lua_insert(L, 1); /* the old one below */
  if (lua_isnil(L, 2)) {
    owner->on_error = LUA_NOREF;
    lua_pop(L, 1);
  } else {
    owner->on_error = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  luaL_unref(L, LUA_REGISTRYINDEX, before);
  return 1;
}
