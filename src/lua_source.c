/*
** lua_source.c: source objects.
*/
#include "lua_binding.h"

const box_type desist__source_type = { "desist.source", sizeof(source_box) };

static source_box *check(lua_State *L) { return desist__check_source(L, 1); }

/* Pushes the source's token. */
static token_box *push_token(lua_State *L) {
  lua_getiuservalue(L, 1, SOURCE_TOKEN);
  return (token_box *)lua_touserdata(L, -1);
}

/* --- Methods --- */

static int source_handle(lua_State *L) {
  source_box *box = check(L);
  char text[DESIST_HANDLE_SIZE];
  if (!desist_source_handle(box->core, text)) {
    lua_pushnil(L);
    lua_pushliteral(L, "a closed source has no handle");
    return 2;
  }
  (void)push_token(L);
  desist__list_all(L, -1);
  desist__list_source(L, 1);
  lua_pushstring(L, text);
  return 1;
}

static int source_token(lua_State *L) {
  (void)check(L);
  (void)push_token(L);
  return 1;
}

static int source_is_cancelled(lua_State *L) {
  lua_pushboolean(L, desist_token_is_cancelled(check(L)->token->core));
  return 1;
}

static bool is_over(const source_box *box) {
  const desist_token *token = desist_source_token(box->core);
  return token == NULL || desist_token_is_cancelled(token) ||
         desist__is_closed(token);
}

static bool stop_option(lua_State *L, int index) {
  bool stop;
  if (lua_isnoneornil(L, index)) return false;
  luaL_checktype(L, index, LUA_TTABLE);
  lua_getfield(L, index, "stop_on_error");
  stop = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return stop;
}

/* What callbacks raise is raised in the end; for a failure, whose own error
** comes first, it goes to the handler. */
static int cancel(lua_State *L, desist_kind kind, bool stop) {
  source_box *box = check(L);
  desist__call call;
  desist_reason *reason;
  bool result = false;
  lua_settop(L, 2);
  if (!is_over(box)) {
    luaL_checkstack(L, box->owner->most_arguments + 60, NULL);
    (void)push_token(L);
    if (lua_isnil(L, 2))
      lua_pushliteral(L, "cancelled");
    else
      lua_pushvalue(L, 2);
    reason = desist__to_reason(L, box->owner, 2, 3, kind);
    desist__call_begin(&call, L, box->owner, 3);
    call.stop = stop;
    call.to_handler = kind == DESIST_KIND_FAILURE;
    result = desist__cancel(box->core, reason, &call.runner);
    desist_reason_release(reason);
    desist__call_end(&call);
    (void)push_token(L);
    desist__settle_inputs(L, -1);
  }
  lua_pushboolean(L, result);
  return 1;
}

static int source_cancel(lua_State *L) {
  (void)check(L);
  return cancel(L, DESIST_KIND_CANCELLED, stop_option(L, 3));
}

/* source, error: cancelled by a failure. */
int desist__source_fail(lua_State *L) {
  return cancel(L, DESIST_KIND_FAILURE, false);
}

/* The token's callbacks come by the inbox. */
static int become_foreign(lua_State *L) {
  desist__anchor_foreign(L, 1);
  return 0;
}

static int source_cancel_async(lua_State *L) {
  source_box *box = check(L);
  desist_reason *reason;
  bool result = false;
  lua_settop(L, 2);
  if (!is_over(box)) {
    (void)push_token(L);
    reason = desist__to_reason(L, box->owner, 2, 3, DESIST_KIND_CANCELLED);
    lua_pushcfunction(L, become_foreign);
    lua_pushvalue(L, 3);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
      desist_reason_release(reason);
      return lua_error(L);
    }
    result = desist_source_cancel(box->core, reason);
    desist_reason_release(reason);
  }
  lua_pushboolean(L, result);
  return 1;
}

static int arm(lua_State *L, bool absolute, int64_t time) {
  source_box *box = check(L);
  desist__call call;
  desist_source *core = box->core;
  bool result;
  if (is_over(box)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  lua_settop(L, 2);
  (void)push_token(L);
  if (time != DESIST_NEVER) desist__anchor_armed(L, 3);
  lua_pushliteral(L, "deadline exceeded");
  desist__call_begin(&call, L, box->owner, 3);
  call.to_handler = true;
  result = absolute ? desist__cancel_at(core, time, &call.runner)
                    : desist__cancel_after(core, time, &call.runner);
  desist__call_end(&call);
  desist__update_anchor(L, 3);
  if (!result && !is_over(box))
    return luaL_error(L, "cannot arm a deadline: no thread or no memory");
  lua_pushboolean(L, result);
  return 1;
}

static int source_cancel_after(lua_State *L) {
  (void)check(L);
  return arm(L, false, desist__check_duration(L, 2));
}

static int source_cancel_at(lua_State *L) {
  (void)check(L);
  return arm(L, true, desist__check_time(L, 2));
}

static int source_try_reset(lua_State *L) {
  source_box *box = check(L);
  bool result = desist_source_try_reset(box->core);
  lua_settop(L, 1);
  (void)push_token(L);
  desist__drain(L, box->owner, 2);
  desist__update_anchor(L, 2);
  lua_pushboolean(L, result);
  return 1;
}

static int source_close(lua_State *L) {
  source_box *box = check(L);
  lua_settop(L, 1);
  desist_source_close(box->core);
  (void)push_token(L);
  desist__drain(L, box->owner, 2);
  if (box->core != NULL) {
    /* What was taken for the inbox runs no more: let go of it now. */
    token_box *token = box->token;
    while (token->first != NULL) {
      registration_box *registration = token->first;
      (void)desist__watch_remove(&registration->watch);
      desist__registration_drop(L, registration, 2);
    }
    desist__end_token(L, 2);
    desist__settle_inputs(L, 2);
  }
  return 0;
}

/*
** Collected: closed, unless something else can still cancel it. Its token is
** finalized after it, as it was made before; if callbacks can still come, it
** is anchored.
*/
static int source_gc(lua_State *L) {
  source_box *box = check(L);
  token_box *token = box->token;
  if (box->core == NULL) return 0;
  lua_settop(L, 1);
  desist__forget_source(box);
  (void)push_token(L);
  desist__drain(L, box->owner, 2);
  if (token == NULL || token->core == NULL) return 0;
  if (desist__is_closed(token->core)) {
    desist__end_token(L, 2);
  } else if (desist__has_handles(token->core)) {
    token->known = false; /* weak entries go before finalizers run */
    desist__anchor_foreign(L, 2);
  }
  return 0;
}

static int source_tostring(lua_State *L) {
  const source_box *box = check(L);
  const char *name = desist_token_name(box->token->core);
  lua_pushfstring(L, "desist.source: %p (%s)", (const void *)box,
                  desist_token_is_cancelled(box->token->core) ? "cancelled"
                  : is_over(box)                              ? "closed"
                                                              : "live");
  if (name != NULL) {
    lua_pushfstring(L, " '%s'", name);
    lua_concat(L, 2);
  }
  return 1;
}

void desist__source_open(lua_State *L, host *owner) {
  static const luaL_Reg methods[] = {
    { "token", source_token },
    { "cancel", source_cancel },
    { "cancel_async", source_cancel_async },
    { "cancel_after", source_cancel_after },
    { "cancel_at", source_cancel_at },
    { "is_cancelled", source_is_cancelled },
    { "try_reset", source_try_reset },
    { "handle", source_handle },
    { "close", source_close },
    { "__close", source_close },
    { "__gc", source_gc },
    { "__tostring", source_tostring },
    { NULL, NULL },
  };
  desist__set_methods(L, owner, SOURCE_META, &desist__source_type, methods);
}
