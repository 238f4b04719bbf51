/*
** lua_token.c: token objects.
*/
#include "lua_binding.h"

#include <math.h>
#include <string.h>

const box_type desist__token_type = { "desist.token", sizeof(token_box) };

static token_box *check(lua_State *L) { return desist__check_token(L, 1); }

static int token_is_cancelled(lua_State *L) {
  lua_pushboolean(L, desist_token_is_cancelled(check(L)->core));
  return 1;
}

static int token_can_be_cancelled(lua_State *L) {
  lua_pushboolean(L, desist_token_can_be_cancelled(check(L)->core));
  return 1;
}

static int token_reason(lua_State *L) {
  (void)check(L);
  desist__push_reason(L, 1);
  if (!lua_isnil(L, -1)) desist__settle_inputs(L, 1);
  return 1;
}

static int token_error(lua_State *L) {
  if (desist_token_is_cancelled(check(L)->core))
    desist__push_error(L, 1);
  else
    lua_pushnil(L);
  return 1;
}

static int token_throw_if_cancelled(lua_State *L) {
  if (!desist_token_is_cancelled(check(L)->core)) return 0;
  desist__push_error(L, 1);
  return lua_error(L);
}

static int token_fd(lua_State *L) {
  int fd = desist_token_fd(check(L)->core);
  if (fd >= 0) {
    lua_pushinteger(L, fd);
    return 1;
  }
  lua_pushnil(L);
  lua_pushfstring(L, "no descriptor: %s", strerror(-fd));
  lua_pushinteger(L, -fd);
  return 3;
}

static int token_deadline(lua_State *L) {
  int64_t time, left;
  if (!desist__effective(check(L)->core, &time, &left))
    return desist__no_memory(L);
  if (left == DESIST_NEVER)
    lua_pushnil(L);
  else
    lua_pushnumber(L, (lua_Number)desist__seconds(time));
  return 1;
}

static int token_remaining(lua_State *L) {
  token_box *box = check(L);
  int64_t time, left;
  if (desist_token_is_cancelled(box->core))
    left = 0;
  else if (!desist__effective(box->core, &time, &left))
    return desist__no_memory(L);
  else if (left == DESIST_NEVER && desist_token_is_cancelled(box->core))
    left = 0; /* just now */
  lua_pushnumber(L, left == DESIST_NEVER ? (lua_Number)HUGE_VAL
                                         : (lua_Number)desist__seconds(left));
  return 1;
}

static int token_handle(lua_State *L) {
  token_box *box = check(L);
  char text[DESIST_HANDLE_SIZE];
  if (!desist_token_handle(box->core, text)) {
    lua_pushnil(L);
    lua_pushliteral(L, "a token that can never be cancelled has no handle");
    return 2;
  }
  desist__list_all(L, 1);
  lua_pushstring(L, text);
  return 1;
}

/* --- Waiting --- */

enum { LATE_NANOSECONDS = 100000000 };

static int push_never(lua_State *L) {
  return luaL_error(L, "wait without a limit on a token that can never be "
                       "cancelled");
}

/*
** The token is cancelled, by another thread perhaps, whose callbacks of this
** state are on their way into the inbox: so that they have run when wait
** returns, it stays for them; not for ever, should that thread be held up.
*/
static void run_late_callbacks(lua_State *L, host *owner, token_box *box) {
  int64_t until = desist_now() + LATE_NANOSECONDS;
  while (owner->calls == 0 && box->first != NULL && owner->inbox != NULL) {
    if (desist__run_queued(L, owner, SIZE_MAX) > 0) continue;
    if (box->first == NULL || desist_now() >= until) return;
    desist__inbox_wait(owner->inbox, NULL, until);
  }
}

int desist__token_wait(lua_State *L) {
  token_box *box = check(L);
  host *owner = box->owner;
  int64_t limit = DESIST_NEVER;
  int64_t until = DESIST_NEVER, next;
  bool cancelled;
  if (!lua_isnoneornil(L, 2)) limit = desist__check_duration(L, 2);
  if (limit != DESIST_NEVER) {
    int64_t now = desist_now();
    until = limit >= DESIST_NEVER - now ? DESIST_NEVER - 1 : now + limit;
  }
  lua_settop(L, 1);
  for (;;) {
    (void)desist__run_queued(L, owner, SIZE_MAX);
    cancelled = desist_token_is_cancelled(box->core);
    if (cancelled || desist_now() >= until) break;
    if (limit == DESIST_NEVER && !desist_token_can_be_cancelled(box->core))
      return push_never(L);
    if (owner->inbox == NULL) break;
    (void)desist__guard_check(L, owner, false);
    next = desist__guard_until(owner);
    desist__inbox_wait(owner->inbox, box->core, next < until ? next : until);
  }
  if (cancelled) run_late_callbacks(L, owner, box);
  lua_pushboolean(L, cancelled);
  return 1;
}

/* --- The rest --- */

/* What was dropped while the token was about to be finalized. */
static void end_dropped(lua_State *L, token_box *box) {
  registration_box *registration = box->first;
  while (registration != NULL) {
    registration_box *next = registration->next;
    if (registration->dropped) desist__registration_drop(L, registration, 1);
    registration = next;
  }
}

/* Anchors a token that is about to be finalized though callbacks may come. */
static int resurrect(lua_State *L) {
  token_box *box = (token_box *)lua_touserdata(L, 1);
  bool listed = box->listed;
  end_dropped(L, box);
  box->listed = box->known = false; /* weak entries go before finalizers run */
  if (listed) desist__list_token(L, 1);
  desist__anchor_foreign(L, 1);
  lua_getmetatable(L, 1);
  lua_setmetatable(L, 1); /* to be finalized again */
  return 0;
}

static int token_gc(lua_State *L) {
  token_box *box = check(L);
  if (box->core == NULL) return 0;
  lua_settop(L, 1);
  if (box->pins != 0 && !desist__is_closed(box->core) &&
      box->owner->inbox != NULL) {
    lua_pushcfunction(L, resurrect);
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK) return 0;
  }
  desist__forget_token(box);
  return 0;
}

static int token_tostring(lua_State *L) {
  const token_box *box = check(L);
  const char *name = desist_token_name(box->core);
  lua_pushfstring(L, "desist.token: %p (%s)", (const void *)box,
                  desist_token_is_cancelled(box->core)       ? "cancelled"
                  : box->never                               ? "never"
                  : desist_token_can_be_cancelled(box->core) ? "live"
                                                             : "closed");
  if (name != NULL) {
    lua_pushfstring(L, " '%s'", name);
    lua_concat(L, 2);
  }
  return 1;
}

void desist__token_open(lua_State *L, host *owner) {
  static const luaL_Reg methods[] = {
    { "is_cancelled", token_is_cancelled },
    { "can_be_cancelled", token_can_be_cancelled },
    { "reason", token_reason },
    { "error", token_error },
    { "throw_if_cancelled", token_throw_if_cancelled },
    { "register", desist__token_register },
    { "wait", desist__token_wait },
    { "fd", token_fd },
    { "deadline", token_deadline },
    { "remaining", token_remaining },
    { "handle", token_handle },
    { "__gc", token_gc },
    { "__tostring", token_tostring },
    { NULL, NULL },
  };
  desist__set_methods(L, owner, TOKEN_META, &desist__token_type, methods);
}
