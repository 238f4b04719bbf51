/*
** lua_values.c: sources, tokens, reasons and errors, for hosts. See
** desist_lua.h.
*/
#include "lua_binding.h"

static host *begin(lua_State *L) {
  host *owner = desist__host_or_error(L);
  luaL_checkstack(L, 20, NULL);
  return owner;
}

/* --- From C to Lua --- */

void desist_lua_push_source(lua_State *L, desist_source *source) {
  host *owner = begin(L);
  if (source == NULL)
    lua_pushnil(L);
  else
    desist__push_source(L, owner, source);
}

void desist_lua_push_token(lua_State *L, desist_token *token) {
  host *owner = begin(L);
  if (token == NULL)
    lua_rawgeti(L, LUA_REGISTRYINDEX, owner->none);
  else
    desist__push_token(L, owner, token);
}

/* --- From Lua to C --- */

static int list_token(lua_State *L) {
  desist__list_all(L, 1);
  return 0;
}

static int list_source(lua_State *L) {
  lua_getiuservalue(L, 1, SOURCE_TOKEN);
  desist__list_all(L, 2);
  desist__list_source(L, 1);
  desist__share_source(L, 1);
  return 0;
}

/* What C code has seen is found again when it is pushed, and C may keep it. If
** memory for that is wanting, it has it all the same. */
static void list_protected(lua_State *L, int index, lua_CFunction list) {
  index = lua_absindex(L, index);
  if (!lua_checkstack(L, 3)) return;
  lua_pushcfunction(L, list);
  lua_pushvalue(L, index);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
}

static desist_source *give_source(lua_State *L, int index, source_box *box) {
  if (box->core != NULL && !box->shared) list_protected(L, index, list_source);
  return box->core;
}

static desist_token *give_token(lua_State *L, int index, token_box *box) {
  if (box->core != NULL && !box->listed) list_protected(L, index, list_token);
  return box->core;
}

desist_source *desist_lua_to_source(lua_State *L, int index) {
  source_box *box = (source_box *)desist__test(L, index, &desist__source_type);
  return box == NULL ? NULL : give_source(L, index, box);
}

desist_token *desist_lua_to_token(lua_State *L, int index) {
  token_box *box = (token_box *)desist__test(L, index, &desist__token_type);
  return box == NULL ? NULL : give_token(L, index, box);
}

bool desist_lua_is_token(lua_State *L, int index) {
  return desist__test(L, index, &desist__token_type) != NULL;
}

desist_source *desist_lua_check_source(lua_State *L, int arg) {
  return give_source(L, arg, desist__check_source(L, arg));
}

desist_token *desist_lua_check_token(lua_State *L, int arg) {
  return give_token(L, arg, desist__check_token(L, arg));
}

desist_token *desist_lua_opt_token(lua_State *L, int arg) {
  return lua_isnoneornil(L, arg) ? NULL : desist_lua_check_token(L, arg);
}

/* --- Reasons and errors --- */

desist_reason *desist_lua_to_reason(lua_State *L, int index) {
  host *owner = begin(L);
  return desist__to_reason(L, owner, lua_absindex(L, index), 0,
                           DESIST_KIND_CANCELLED);
}

void desist_lua_push_reason(lua_State *L, desist_token *token) {
  host *owner = begin(L);
  if (!desist_token_is_cancelled(token)) {
    lua_pushnil(L);
    return;
  }
  desist__push_token(L, owner, token);
  desist__push_reason(L, -1);
  desist__settle_inputs(L, -2);
  lua_remove(L, -2);
}

void desist_lua_push_error(lua_State *L, desist_token *token) {
  host *owner = begin(L);
  if (!desist_token_is_cancelled(token)) {
    lua_pushnil(L);
    return;
  }
  desist__push_token(L, owner, token);
  desist__push_error(L, -1);
  lua_remove(L, -2);
}

void desist_lua_throw_if_cancelled(lua_State *L, desist_token *token) {
  if (!desist_token_is_cancelled(token)) return;
  desist_lua_push_error(L, token);
  (void)lua_error(L);
}

bool desist_lua_is_cancelled(lua_State *L, int index, desist_token *token) {
  return desist__is_error_of(L, index, token);
}
