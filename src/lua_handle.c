/*
** lua_handle.c: desist.from_handle. See desist.h for handles.
*/
#include "lua_binding.h"

#include <string.h>

static int push_dead_handle(lua_State *L) {
  lua_pushnil(L);
  lua_pushliteral(L, "the handle is dead or not one");
  return 2;
}

/* Index 1: the text. Pushes the state's token for a token of the core, whose
** reference it takes over; the box at 2 is for a new one. */
static void adopt_token(lua_State *L, host *owner, desist_token *core) {
  token_box *box = (token_box *)lua_touserdata(L, 2);
  desist__own_token(box, core);
  desist__find_token(L, owner, core);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    box->foreign = true;
    lua_pushvalue(L, 2);
    desist__list_token(L, -1);
  } else {
    desist__forget_token(box);
  }
}

static int token_from_handle(lua_State *L, host *owner, const char *text) {
  desist_token *core;
  lua_settop(L, 1);
  (void)desist__new_token(L, owner, 0);
  core = desist_token_from_handle(text);
  if (core == NULL) return push_dead_handle(L);
  adopt_token(L, owner, core);
  return 1;
}

static int source_from_handle(lua_State *L, host *owner, const char *text) {
  desist_source *core;
  desist_token *token;
  source_box *box;
  lua_settop(L, 1);
  (void)desist__new_token(L, owner, 0);
  box = desist__new_source(L, owner, 2, true); /* for now */
  core = desist_source_from_handle(text);
  if (core == NULL) return push_dead_handle(L);
  desist__own_source(box, core);
  desist__find(L, owner, (char *)core + 1);
  if (!lua_isnil(L, -1)) {
    desist__forget_source(box);
    return 1;
  }
  token = desist_source_token(core);
  desist_token_retain(token);
  adopt_token(L, owner, token);
  box->token = (token_box *)lua_touserdata(L, -1);
  lua_setiuservalue(L, 3, SOURCE_TOKEN);
  desist__keep_clock(L, 3);
  desist__list_source(L, 3);
  desist__share_source(L, 3);
  lua_settop(L, 3);
  return 1;
}

int desist__from_handle(lua_State *L) {
  host *owner = desist__host_of(L);
  size_t size;
  const char *text;
  luaL_checktype(L, 1, LUA_TSTRING);
  text = lua_tolstring(L, 1, &size);
  if (size != strlen(text)) return push_dead_handle(L);
  if (strncmp(text, "desist-s-", 9) == 0)
    return source_from_handle(L, owner, text);
  return token_from_handle(L, owner, text);
}
