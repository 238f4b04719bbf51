/*
** lua_async.c: what only the Lua modules of desist use, as desist._inside.
*/
#include "lua_binding.h"

#include <string.h>

/* source, name */
static int inside_name(lua_State *L) {
  source_box *box = desist__check_source(L, 1);
  if (!desist_source_set_name(box->core, luaL_checkstring(L, 2)))
    return desist__no_memory(L);
  return 0;
}

/* error, traceback: to the handler of errors that nobody called for. */
static int inside_report(lua_State *L) {
  lua_settop(L, 2);
  desist__report(L, desist__host_of(L));
  return 0;
}

/* coroutine: whether it is the running one, and may yield here. */
static int inside_can_wait(lua_State *L) {
  lua_pushboolean(L, lua_tothread(L, 1) == L && lua_isyieldable(L));
  return 1;
}

/* Sleeps until a callback is queued, at most that many seconds (nil: for
** ever). Gives the error of a guard around it that has to stop it; raises it
** when the grace is over. */
static int inside_idle(lua_State *L) {
  host *owner = desist__host_of(L);
  int64_t limit =
      lua_isnoneornil(L, 1) ? DESIST_NEVER : desist__check_duration(L, 1);
  int64_t now = desist_now(), until, guarded;
  until = limit >= DESIST_NEVER - now ? DESIST_NEVER - 1 : now + limit;
  if (desist__guard_check(L, owner, true)) return 1;
  guarded = desist__guard_until(owner);
  if (owner->inbox != NULL)
    desist__inbox_wait(owner->inbox, NULL, guarded < until ? guarded : until);
  return desist__guard_check(L, owner, true) ? 1 : 0;
}

/*
** Called by desist.lua: notes and gives what the names of all our chunks begin
** with: ".../desist/", or "=(desist." where they are inside the library; nil if
** that cannot be told.
*/
static int inside_find_own(lua_State *L) {
  static const char file[] = "desist.lua", embedded[] = "=(desist)";
  host *owner = desist__host_of(L);
  size_t length, end = sizeof file - 1;
  lua_Debug ar;
  if (!lua_getstack(L, 1, &ar) || !lua_getinfo(L, "S", &ar)) return 0;
  length = strlen(ar.source);
  if (strcmp(ar.source, embedded) == 0) {
    lua_pushliteral(L, "=(desist.");
  } else if (length > end && strcmp(ar.source + length - end, file) == 0) {
    lua_pushlstring(L, ar.source, length - 4);
    lua_pushliteral(L, LUA_DIRSEP);
    lua_concat(L, 2);
  } else {
    return 0;
  }
  lua_pushvalue(L, -1);
  (void)luaL_ref(L, LUA_REGISTRYINDEX);
  owner->own = lua_tolstring(L, -1, &owner->own_length);
  return 1;
}

bool desist__is_own(const host *owner, const char *chunk) {
  return owner->own != NULL &&
         strncmp(chunk, owner->own, owner->own_length) == 0;
}

void desist__push_inside(lua_State *L, host *owner) {
  static const luaL_Reg functions[] = {
    { "fail", desist__source_fail },
    { "name", inside_name },
    { "error", desist__error_make },
    { "report", inside_report },
    { "idle", inside_idle },
    { "can_wait", inside_can_wait },
    { "find_own", inside_find_own },
    { "budget", desist__budget },
    { "watch_guards", desist__watch_guards },
#if DESIST__GUARD
    { "resume", desist__resume_task },
    { "close", desist__close_task },
#endif
    { NULL, NULL },
  };
  lua_createtable(L, 0, 16);
  lua_pushlightuserdata(L, owner);
  luaL_setfuncs(L, functions, 1);
  desist__inspect_open(L, owner);
#if DESIST__GUARD
  lua_pushlightuserdata(L, (void *)(uintptr_t)&desist__aside_key);
  lua_setfield(L, -2, "aside");
#endif
  desist__push_timers(L, owner);
  lua_setfield(L, -2, "timers");
}
