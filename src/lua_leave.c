/*
** lua_leave.c: links that their inputs can cancel no more.
**
** Callbacks on a link are kept by its inputs. When an input ends uncancelled,
** the core lets go of the links on it which it was the last hope of; here the
** state's tokens of those leave all their inputs too, so that an input that
** lives on does not keep callbacks which it can never call.
**
** That is noticed where a source of this state is closed or collected, where
** its clock is, where the last callback of this state is dropped from a token
** that another state has closed, and where a callback is registered on a link
** that has lost its inputs before. What another state closes and this one has
** no callback on, is not noticed: a link on it stays with its other inputs.
*/
#include "lua_binding.h"

/* The next link among the pins at the index, after the key on top, which is
** popped; on top of the stack then. False: that was the last. */
static bool next_link(lua_State *L, int pins) {
  while (lua_next(L, pins) != 0) {
    lua_pop(L, 1);
    if (lua_isuserdata(L, -1)) return true;
  }
  return false;
}

/* The links pinned in the token on top, which is popped, that have lost their
** inputs; those that have ended by that are added to the list below. */
static void end_links_of_one(lua_State *L, int list, int *count) {
  int pins = lua_gettop(L);
  lua_getiuservalue(L, pins, TOKEN_PINS);
  lua_replace(L, pins);
  lua_pushnil(L);
  while (lua_istable(L, pins) && next_link(L, pins)) {
    const desist_token *core = ((token_box *)lua_touserdata(L, -1))->core;
    if (core == NULL || !desist__lost_inputs(core)) continue;
    desist__leave_inputs(L, -1); /* clears a field: lua_next allows that */
    if (desist__is_closed(core)) {
      lua_pushvalue(L, -1);
      lua_rawseti(L, list, ++*count);
    }
  }
  lua_settop(L, pins - 1);
}

/* Of the token at 1. A list, since chains of links have any length. */
static int end_links(lua_State *L) {
  int count = 1, at;
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, 1);
  lua_rawseti(L, 2, 1);
  for (at = 1; at <= count; at++) {
    lua_rawgeti(L, 2, at);
    end_links_of_one(L, 2, &count);
  }
  return 0;
}

void desist__end_token(lua_State *L, int token) {
  token_box *box = (token_box *)lua_touserdata(L, token);
  if (box->inputs == 0 && box->pins == 0) return;
  if (box->core == NULL || !desist__is_closed(box->core)) return;
  token = lua_absindex(L, token);
  if (box->inputs != 0 && desist__lost_inputs(box->core))
    desist__leave_inputs(L, token);
  if (box->pins == 0 || !lua_checkstack(L, 20)) return;
  desist__update_anchor(L, token);
  lua_pushcfunction(L, end_links);
  lua_pushvalue(L, token);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1); /* kept longer */
}
