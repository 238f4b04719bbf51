/*
** lua_reason.c: Lua values as reasons.
**
** Nil, booleans, numbers and strings are carried by the core's reason, to any
** state. Any other value stays where it is: in the token whose source was
** cancelled, and by way of the tokens linked to it in those, so that a reason
** which holds the source is no root. Other states get its text.
*/
#include "lua_binding.h"

#include <string.h>

static desist_reason *make(lua_State *L, desist_kind kind, const char *text,
                           size_t length, const desist__value *value) {
  desist_reason *reason = desist__reason_create(kind, 0, text, length, value);
  if (reason == NULL) desist__no_memory(L);
  return reason;
}

/* Protected: a __tostring that fails must not keep anything from being
** cancelled. */
static int to_text(lua_State *L) {
  (void)luaL_tolstring(L, 1, NULL);
  return 1;
}

void desist__push_text(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_pushcfunction(L, to_text);
  lua_pushvalue(L, index);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_type(L, -1) == LUA_TSTRING) return;
  lua_pop(L, 1);
  lua_pushfstring(L, "%s: %p", luaL_typename(L, index),
                  lua_topointer(L, index));
}

desist_reason *desist__to_reason(lua_State *L, host *owner, int index,
                                 int token, desist_kind kind) {
  desist__value value;
  desist_reason *reason;
  const char *text;
  size_t length;
  memset(&value, 0, sizeof value);
  switch (lua_type(L, index)) {
  case LUA_TNIL:
  case LUA_TNONE:
    if (kind == DESIST_KIND_CANCELLED) return NULL;
    return make(L, kind, "nil", 3, NULL);
  case LUA_TSTRING:
    text = lua_tolstring(L, index, &length);
    return make(L, kind, text, length, NULL);
  case LUA_TBOOLEAN:
    value.type = DESIST__VALUE_BOOLEAN;
    value.as.boolean = lua_toboolean(L, index) != 0;
    break;
  case LUA_TNUMBER:
    if (lua_isinteger(L, index)) {
      value.type = DESIST__VALUE_INTEGER;
      value.as.integer = (int64_t)lua_tointeger(L, index);
    } else {
      value.type = DESIST__VALUE_NUMBER;
      value.as.number = lua_tonumber(L, index);
    }
    break;
  default:
    value.type = DESIST__VALUE_OBJECT;
    value.as.owner = owner;
    break;
  }
  desist__push_text(L, index);
  text = lua_tolstring(L, -1, &length);
  if (value.type == DESIST__VALUE_OBJECT && token == 0)
    value.type = DESIST__VALUE_TEXT;
  reason = make(L, kind, text, length, &value);
  lua_pop(L, 1);
  if (value.type == DESIST__VALUE_OBJECT &&
      !desist_token_is_cancelled(
          ((token_box *)lua_touserdata(L, token))->core)) {
    lua_pushvalue(L, index);
    lua_setiuservalue(L, token, TOKEN_REASON);
  }
  return reason;
}

/* The object, from the token it was given to; cached here. */
static bool push_object(lua_State *L, int token, const token_box *box) {
  if (lua_getiuservalue(L, token, TOKEN_REASON) != LUA_TNIL) return true;
  lua_pop(L, 1);
  desist__find_origin(L, token);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    desist__find_token(L, box->owner, desist_token_origin(box->core));
  }
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return false;
  }
  lua_getiuservalue(L, -1, TOKEN_REASON);
  lua_remove(L, -2);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, token, TOKEN_REASON);
  return true;
}

void desist__push_value(lua_State *L, const desist_reason *reason) {
  const desist__value *value = desist__reason_value(reason);
  switch (value->type) {
  case DESIST__VALUE_BOOLEAN:
    lua_pushboolean(L, value->as.boolean);
    return;
  case DESIST__VALUE_INTEGER:
    lua_pushinteger(L, (lua_Integer)value->as.integer);
    return;
  case DESIST__VALUE_NUMBER:
    lua_pushnumber(L, value->as.number);
    return;
  case DESIST__VALUE_OBJECT:
  case DESIST__VALUE_TEXT:
    break;
  }
  lua_pushlstring(L, desist_reason_text(reason), desist__reason_length(reason));
}

void desist__push_reason(lua_State *L, int token) {
  const token_box *box = (token_box *)lua_touserdata(L, token);
  const desist_reason *reason = desist_token_reason(box->core);
  const desist__value *value;
  token = lua_absindex(L, token);
  if (reason == NULL) {
    lua_pushnil(L);
    return;
  }
  value = desist__reason_value(reason);
  if (value->type != DESIST__VALUE_OBJECT || value->as.owner != box->owner ||
      !push_object(L, token, box))
    desist__push_value(L, reason);
}
