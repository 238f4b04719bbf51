/*
** lua_error.c: the error objects.
**
** A userdata, so that nothing but the library makes one, with its fields in a
** table: kind, reason, token, origin of a cancellation; kind and errors of
** callbacks or tasks that failed; kind, seconds and message of a timeout.
*/
#include "lua_binding.h"

typedef enum error_sort { CANCELLATION, TIMEOUT, SEVERAL } error_sort;

struct error_box {
  const box_type *type;
  error_sort sort;
};

enum { ERROR_FIELDS = 1 };

const box_type desist__error_type = { "desist.error", sizeof(error_box) };

/* Pushes an error and its table of fields. */
static void push_new(lua_State *L, host *owner, error_sort sort,
                     const char *kind) {
  error_box *box = (error_box *)desist__new_box(L, owner, &desist__error_type,
                                                ERROR_META, sizeof *box, 1);
  box->sort = sort;
  lua_createtable(L, 0, 4);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, -3, ERROR_FIELDS);
  lua_pushstring(L, kind);
  lua_setfield(L, -2, "kind");
}

static const char *kind_name(desist_kind kind) {
  switch (kind) {
  case DESIST_KIND_DEADLINE:
    return "deadline";
  case DESIST_KIND_FAILURE:
    return "failure";
  case DESIST_KIND_CANCELLED:
    break;
  }
  return "cancelled";
}

void desist__push_error(lua_State *L, int token) {
  token_box *box = (token_box *)lua_touserdata(L, token);
  token = lua_absindex(L, token);
  if (lua_getiuservalue(L, token, TOKEN_ERROR) != LUA_TNIL) return;
  lua_pop(L, 1);
  push_new(L, box->owner, CANCELLATION,
           kind_name(desist_reason_kind(desist_token_reason(box->core))));
  desist__push_reason(L, token);
  lua_setfield(L, -2, "reason");
  lua_pushvalue(L, token);
  lua_setfield(L, -2, "token");
  desist__push_origin(L, token);
  lua_setfield(L, -2, "origin");
  lua_pop(L, 1);
  if (lua_getiuservalue(L, token, TOKEN_ERROR) != LUA_TNIL) {
    lua_remove(L, -2); /* a finalizer has asked meanwhile */
    return;
  }
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, token, TOKEN_ERROR);
  desist__settle_inputs(L, token);
}

int desist__collect_errors(lua_State *L) {
  int count = lua_gettop(L) - 1;
  int i;
  luaL_checkstack(L, 10, NULL);
  push_new(L, (host *)lua_touserdata(L, 1), SEVERAL, "callbacks");
  lua_createtable(L, count, 1);
  for (i = 0; i < count; i++) {
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, 2 + i);
    lua_setfield(L, -2, "value");
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushinteger(L, count);
  lua_setfield(L, -2, "n");
  lua_setfield(L, -2, "errors");
  lua_pop(L, 1);
  return 1;
}

int desist__is_cancelled_error(lua_State *L) {
  const error_box *box =
      (const error_box *)desist__test(L, 1, &desist__error_type);
  bool result = box != NULL && box->sort == CANCELLATION;
  bool any = lua_isnoneornil(L, 2);
  if (!any) (void)desist__check_token(L, 2);
  if (result && !any) {
    lua_getiuservalue(L, 1, ERROR_FIELDS);
    lua_getfield(L, -1, "token");
    result = lua_rawequal(L, -1, 2) != 0;
  }
  lua_pushboolean(L, result);
  return 1;
}

/* Asking for a field allocates nothing: the key has its name already. */
bool desist__is_error_of(lua_State *L, int index, const desist_token *token) {
  const error_box *box =
      (const error_box *)desist__test(L, index, &desist__error_type);
  const token_box *of;
  if (box == NULL || box->sort != CANCELLATION) return false;
  if (token == NULL) return true;
  if (!lua_checkstack(L, 3)) return false;
  lua_getiuservalue(L, index, ERROR_FIELDS);
  lua_getfield(L, -1, "token");
  of = (const token_box *)lua_touserdata(L, -1);
  lua_pop(L, 2);
  return of != NULL && of->core == token;
}

int desist__is_timeout(lua_State *L) {
  const error_box *box =
      (const error_box *)desist__test(L, 1, &desist__error_type);
  lua_pushboolean(L, box != NULL && box->sort == TIMEOUT);
  return 1;
}

/* kind, fields: "timeout", or "failure" with `errors`. Takes the table. */
int desist__error_make(lua_State *L) {
  const char *kind = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  push_new(L, desist__host_of(L), kind[0] == 't' ? TIMEOUT : SEVERAL, kind);
  lua_pop(L, 1);
  lua_pushvalue(L, 1);
  lua_setfield(L, 2, "kind");
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 3, ERROR_FIELDS);
  return 1;
}

static int error_index(lua_State *L) {
  (void)desist__check(L, 1, &desist__error_type);
  lua_getiuservalue(L, 1, ERROR_FIELDS);
  lua_pushvalue(L, 2);
  if (lua_isnil(L, 2))
    lua_pushnil(L);
  else
    lua_rawget(L, -2);
  return 1;
}

static void add_text(luaL_Buffer *buffer, lua_State *L) {
  (void)luaL_tolstring(L, -1, NULL);
  lua_remove(L, -2);
  luaL_addvalue(buffer);
}

/* "2 callbacks failed:" or "2 tasks failed:", and a line for each. */
static int errors_tostring(lua_State *L) {
  lua_Integer count, i;
  luaL_Buffer buffer;
  lua_getfield(L, -1, "errors");
  lua_getfield(L, -1, "n");
  count = lua_tointeger(L, -1);
  lua_pop(L, 1);
  lua_getfield(L, 2, "kind");
  lua_pushfstring(L, "%d %s%s failed:", (int)count,
                  lua_tostring(L, -1)[0] == 'c' ? "callback" : "task",
                  count == 1 ? "" : "s");
  lua_remove(L, -2);
  luaL_buffinit(L, &buffer);
  lua_pushvalue(L, 4);
  luaL_addvalue(&buffer);
  for (i = 1; i <= count; i++) {
    luaL_addstring(&buffer, "\n  ");
    lua_rawgeti(L, 3, (int)i);
    lua_getfield(L, -1, "value");
    lua_remove(L, -2);
    add_text(&buffer, L);
  }
  luaL_pushresult(&buffer);
  return 1;
}

static int error_tostring(lua_State *L) {
  const error_box *box =
      (const error_box *)desist__check(L, 1, &desist__error_type);
  const char *kind, *reason, *name;
  const token_box *token;
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, ERROR_FIELDS);
  if (box->sort == SEVERAL) return errors_tostring(L);
  if (box->sort == TIMEOUT) {
    lua_getfield(L, 2, "message");
    return 1;
  }
  lua_getfield(L, 2, "kind");
  kind = lua_tostring(L, 3);
  lua_getfield(L, 2, "reason");
  reason = luaL_tolstring(L, -1, NULL);
  lua_getfield(L, 2, "origin");
  token = (const token_box *)lua_touserdata(L, -1);
  name = token == NULL ? NULL : desist_token_name(token->core);
  if (lua_rawequal(L, 3, 4))
    lua_pushstring(L, kind);
  else if (kind[0] == 'd')
    lua_pushfstring(L, "cancelled: %s", reason);
  else
    lua_pushfstring(L, "%s: %s", kind, reason);
  if (name != NULL) {
    lua_pushfstring(L, " (source '%s')", name);
    lua_concat(L, 2);
  }
  return 1;
}

void desist__error_open(lua_State *L, host *owner) {
  static const luaL_Reg methods[] = {
    { "__index", error_index },
    { "__tostring", error_tostring },
    { NULL, NULL },
  };
  desist__set_methods(L, owner, ERROR_META, &desist__error_type, methods);
}
