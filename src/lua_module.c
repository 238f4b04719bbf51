/*
** lua_module.c: the module desist.core, and the end of a state.
*/
#include "lua_binding.h"

#include <string.h>

/* Keys of the registry: a state's host, and its module. */
static const char host_key = 0, module_key = 0;

/*
** The host is the first of our objects with a finalizer, so the last to be
** finalized: what still has something of the core gives it back here. After
** that no other thread knows of this state.
*/
static int host_gc(lua_State *L) {
  host *owner = (host *)lua_touserdata(L, 1);
  desist__inbox *inbox = owner->inbox;
  desist__guards_end(owner);
  while (owner->sources != NULL) desist__forget_source(owner->sources);
  while (owner->shared != NULL) desist__forget_source(owner->shared);
  while (owner->tokens != NULL) desist__forget_token(owner->tokens);
  while (owner->clocks != NULL) desist__forget_clock(owner->clocks);
  owner->inbox = NULL;
  if (inbox != NULL) desist__inbox_close(inbox);
  return 0;
}

static host *new_host(lua_State *L) {
  host *owner = (host *)lua_newuserdatauv(L, sizeof *owner, 0);
  memset(owner, 0, sizeof *owner);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, host_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  owner->loops = LUA_NOREF;
#if LUA_VERSION_NUM < 502
  owner->main = L;
#endif
  owner->inbox = desist__inbox_create();
  if (owner->inbox == NULL) desist__no_memory(L);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  owner->objects = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  owner->anchors = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &host_key);
  return owner;
}

static void push_functions(lua_State *L, host *owner) {
  static const luaL_Reg functions[] = {
    { "source", desist__source_make },
    { "linked", desist__linked_make },
    { "linked_all", desist__linked_all_make },
    { "after", desist__after },
    { "cancelled", desist__cancelled_token },
    { "is_cancelled", desist__is_cancelled_error },
    { "is_timeout", desist__is_timeout },
    { "on_error", desist__on_error },
    { "now", desist__clock_real },
    { "manual_clock", desist__clock_make },
    { "dispatch", desist__dispatch },
    { "wakeup_fd", desist__wakeup_fd },
    { "signal", desist__signal },
    { "from_handle", desist__from_handle },
    { "guard", desist__guard },
    { "can_interrupt", desist__can_interrupt },
    { "track_coroutines", desist__track_coroutines },
    { NULL, NULL },
  };
  lua_createtable(L, 0, 24);
  lua_pushlightuserdata(L, owner);
  luaL_setfuncs(L, functions, 1);
  desist__new_token(L, owner, 0)->never = true;
  lua_pushvalue(L, -1);
  owner->none = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_setfield(L, -2, "none");
  desist__push_inside(L, owner);
  lua_setfield(L, -2, "_inside");
  lua_pushliteral(L, "desist " DESIST_VERSION);
  lua_setfield(L, -2, "_VERSION");
}

int luaopen_desist_core(lua_State *L) {
  host *owner;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key);
  if (lua_istable(L, -1)) return 1; /* a state has one, however it asks */
  owner = new_host(L);
  desist__source_open(L, owner);
  desist__token_open(L, owner);
  desist__registration_open(L, owner);
  desist__clock_open(L, owner);
  desist__error_open(L, owner);
  desist__report_open(L, owner);
  desist__guard_open(L, owner);
  desist__shared_open(L, owner);
  push_functions(L, owner);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &module_key);
  owner->open = true;
  return 1;
}

host *desist__host_in(lua_State *L) {
  host *owner;
  if (!lua_checkstack(L, 2)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key);
  owner = (host *)lua_touserdata(L, -1);
  lua_pop(L, 1);
  return owner != NULL && owner->open ? owner : NULL;
}

host *desist__host_or_error(lua_State *L) {
  host *owner = desist__host_in(L);
  if (owner == NULL) luaL_error(L, "desist is not open in this state");
  return owner;
}
