/*
** lua_origin.c: tokens found by way of the tokens linked to them.
**
** The state's token of a core object is found in the host's table, if it was
** entered there, which costs; so a token is entered only when something
** outside of the state may lead back to it. What leads there within the state
** is found by going up a link's inputs.
*/
#include "lua_binding.h"

/* Appends the token on top to the list below it, unless it is there. */
static void append(lua_State *L, lua_Integer *count) {
  lua_pushvalue(L, -1);
  lua_rawget(L, -3);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, (int)++*count);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
  } else {
    lua_pop(L, 2);
  }
}

/*
** Visits the token at `token` and all its inputs, transitively, each once.
** Pushes the one whose core object is `wanted`, or nil: all were visited, and
** listed if `list`.
*/
static void go_up(lua_State *L, int token, const desist_token *wanted,
                  bool list) {
  lua_Integer count = 0, at;
  int base;
  token = lua_absindex(L, token);
  luaL_checkstack(L, 8, NULL);
  lua_newtable(L);
  base = lua_gettop(L);
  lua_pushvalue(L, token);
  append(L, &count);
  for (at = 1; at <= count; at++) {
    const token_box *box;
    int i, inputs;
    lua_rawgeti(L, base, (int)at);
    box = (const token_box *)lua_touserdata(L, -1);
    if (wanted != NULL && box->core == wanted) {
      lua_replace(L, base);
      return;
    }
    if (list) {
      desist__list_token(L, -1);
      desist__list_box(L, -1);
    }
    inputs = box->settled ? 1 : box->inputs;
    for (i = 0; i < inputs; i++) {
      lua_pushvalue(L, base);
      if (lua_getiuservalue(L, base + 1, TOKEN_INPUTS + i) != LUA_TNIL)
        append(L, &count);
      else
        lua_pop(L, 1);
      lua_pop(L, 1);
    }
    lua_settop(L, base);
  }
  lua_pushnil(L);
  lua_replace(L, base);
}

void desist__find_origin(lua_State *L, int token) {
  const token_box *box = (const token_box *)lua_touserdata(L, token);
  go_up(L, token, desist_token_origin(box->core), false);
}

void desist__push_origin(lua_State *L, int token) {
  const token_box *box = (const token_box *)lua_touserdata(L, token);
  desist__find_origin(L, token);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    desist__push_token(L, box->owner, desist_token_origin(box->core));
  }
}

void desist__settle_inputs(lua_State *L, int token) {
  token_box *box = (token_box *)lua_touserdata(L, token);
  if (box->inputs == 0) return;
  token = lua_absindex(L, token);
  if (!desist_token_is_cancelled(box->core)) {
    if (desist__lost_inputs(box->core)) desist__leave_inputs(L, token);
  } else if (box->first == NULL) {
    bool own = desist_token_origin(box->core) == box->core;
    if (!own) desist__push_origin(L, token);
    desist__leave_inputs(L, token);
    if (own) return;
    lua_setiuservalue(L, token, TOKEN_INPUTS);
    box->settled = true;
  }
}

void desist__list_all(lua_State *L, int token) {
  go_up(L, token, NULL, true);
  lua_pop(L, 1);
}
