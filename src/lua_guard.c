/*
** lua_guard.c: desist.guard, desist_lua_pcall, and the budget of a step: calls
** with a frame around them (lua_frame.c), which interrupts (lua_interrupt.c).
*/
#include "lua_binding.h"

#if DESIST__GUARD

#  include <string.h>

static const int64_t default_grace = 100000000;

/* --- The guard function --- */

/* token, or { token =, grace = }, at 1: leaves the token at 1. */
static int64_t check_options(lua_State *L) {
  int64_t grace = default_grace;
  if (lua_type(L, 1) == LUA_TTABLE) {
    lua_getfield(L, 1, "grace");
    if (!lua_isnil(L, -1)) {
      lua_Number seconds = lua_tonumber(L, -1);
      if (lua_type(L, -1) != LUA_TNUMBER || !(seconds >= 0))
        (void)luaL_argerror(
            L, 1,
            lua_pushfstring(L,
                            "option 'grace': 0 or more seconds expected, "
                            "got %s",
                            luaL_tolstring(L, -1, NULL)));
      grace = desist__check_duration(L, -1);
    }
    lua_pop(L, 1);
    lua_getfield(L, 1, "token");
    if (desist__test(L, -1, &desist__token_type) == NULL)
      (void)luaL_argerror(
          L, 1,
          lua_pushfstring(L, "option 'token': desist.token expected, got %s",
                          desist__type_name(L, -1)));
    lua_replace(L, 1);
  } else {
    (void)desist__check_token(L, 1);
  }
  return grace;
}

static void check_callable(lua_State *L, int index) {
  if (lua_isfunction(L, index)) return;
  if (luaL_getmetafield(L, index, "__call") == LUA_TNIL)
    (void)desist__type_error(L, index, "function");
  lua_pop(L, 1);
}

/* The error on top is that of a guard around this one, which goes on. */
static bool is_from_below(lua_State *L, const desist__frame *frame) {
  bool is = false;
  for (; frame != NULL && !is; frame = frame->below) {
    if (frame->token == NULL || frame->stage < DESIST__RAISED) continue;
    desist_lua_push_error(L, frame->token);
    is = lua_rawequal(L, -1, -2) != 0;
    lua_pop(L, 1);
  }
  return is;
}

/* Results from `first` on, or the error on top; `below` is around it. */
static int give(lua_State *L, const desist__frame *below, int status,
                int first) {
  luaL_checkstack(L, 10, "too many results");
  if (status == LUA_OK || status == LUA_YIELD) {
    lua_pushboolean(L, 1);
    lua_insert(L, first);
    return lua_gettop(L) - first + 1;
  }
  if (is_from_below(L, below)) return lua_error(L);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

const box_type desist__guard_type = { "desist.guard", sizeof(guard_box) };

/* Collected with its coroutine, those around it in there after it. */
static int guard_gc(lua_State *L) {
  guard_box *box = (guard_box *)desist__check(L, 1, &desist__guard_type);
  if (!box->frame.kept) return 0;
  desist__frame_keep_no_more(&box->frame);
  desist__frame_let_go_all(&box->frame);
  return 0;
}

/* boxes[running] = the value at the index. */
static void set_box(lua_State *L, const desist__guards *guards, int index) {
  index = lua_absindex(L, index);
  lua_rawgeti(L, LUA_REGISTRYINDEX, guards->boxes);
  lua_pushvalue(L, index);
  lua_rawsetp(L, -2, L);
  lua_pop(L, 1);
}

enum { GUARD_OUTER = 1 }; /* user value: the box around it in its coroutine */

/* Index 2 is the box. */
static int end_yielding(lua_State *L, int status, lua_KContext context) {
  guard_box *box = (guard_box *)lua_touserdata(L, 2);
  desist__frame *below = box->frame.below;
  (void)context;
  if (box->frame.guards->top == &box->frame) {
    desist__frame_leave(&box->frame);
  } else { /* resumed in a way that is not tracked */
    if (box->frame.kept) {
      desist__frame_keep_no_more(&box->frame);
      if (below != NULL) desist__frame_keep(below);
    }
    desist__frame_let_go(&box->frame);
    below = NULL;
  }
  luaL_checkstack(L, 10, "too many results");
  lua_getiuservalue(L, 2, GUARD_OUTER);
  set_box(L, box->frame.guards, -1); /* nil: there is none */
  lua_pop(L, 1);
  return give(L, below, status, 3);
}

/* Inside a coroutine that may yield meanwhile. */
static int guard_yielding(lua_State *L, host *owner, int64_t grace) {
  guard_box *box = (guard_box *)desist__new_box(
      L, owner, &desist__guard_type, GUARD_META, sizeof *box, GUARD_OUTER);
  lua_insert(L, 2);
  (void)desist__push_guard_box(L, &owner->guards, L);
  lua_setiuservalue(L, 2, GUARD_OUTER);
  set_box(L, &owner->guards, 2);
  box->frame.token = ((token_box *)lua_touserdata(L, 1))->core;
  box->frame.grace = grace;
  desist__frame_enter(&owner->guards, &box->frame, L);
  return end_yielding(
      L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 0, 0, end_yielding), 0);
}

/* Nothing can cancel its token. */
static int end_unguarded(lua_State *L, int status, lua_KContext context) {
  return give(L, ((const desist__guards *)context)->top, status, 2);
}

int desist__guard(lua_State *L) {
  host *owner = desist__host_of(L);
  desist__guards *guards = &owner->guards;
  int64_t grace = check_options(L);
  desist_token *token = ((token_box *)lua_touserdata(L, 1))->core;
  desist__frame frame;
  int status;
  check_callable(L, 2);
  desist__track(L, owner);
  luaL_checkstack(L, 20, NULL);
  if (desist_token_is_cancelled(token)) {
    lua_pushboolean(L, 0);
    desist__push_error(L, 1);
    return 2;
  }
  if (!desist_token_can_be_cancelled(token))
    return end_unguarded(L,
                         lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0,
                                    (lua_KContext)guards, end_unguarded),
                         (lua_KContext)guards);
  desist__list_token(L, 1); /* to be found for its error */
  if (lua_isyieldable(L) && guards->running == L)
    return guard_yielding(L, owner, grace);
  memset(&frame, 0, sizeof frame);
  frame.token = token;
  frame.grace = grace;
  desist__frame_enter(guards, &frame, L);
  status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
  desist__frame_leave(&frame);
  return give(L, frame.below, status, 2);
}

/* seconds, function, ... */
int desist__budget(lua_State *L) {
  host *owner = desist__host_of(L);
  desist__guards *guards = &owner->guards;
  int64_t limit = desist__check_duration(L, 1), now = desist_now();
  desist__frame frame;
  int status;
  desist__track(L, owner);
  memset(&frame, 0, sizeof frame);
  frame.until = desist__guard_later(now, limit);
  desist__frame_enter(guards, &frame, L);
  status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
  desist__frame_leave(&frame);
  if (status != LUA_OK) return lua_error(L);
  return lua_gettop(L) - 1;
}

/* Whether it can, and how. */
int desist__can_interrupt(lua_State *L) {
  lua_pushboolean(L, 1);
  lua_pushstring(L, desist_lua_can_interrupt() == DESIST_LUA_BY_SIGNAL
                        ? "signal"
                        : "hook");
  return 2;
}

void desist__guard_open(lua_State *L, host *owner) {
  static const luaL_Reg methods[] = {
    { "__gc", guard_gc },
    { NULL, NULL },
  };
  desist__set_methods(L, owner, GUARD_META, &desist__guard_type, methods);
  desist__guards_open(L, owner);
}

/* --- For hosts --- */

static int not_open(lua_State *L) {
  return luaL_error(L, "desist is not open in this state");
}

/* token */
static int raise_of(lua_State *L) {
  desist_lua_throw_if_cancelled(L, (desist_token *)lua_touserdata(L, 1));
  return 0;
}

static int track(lua_State *L) {
  desist__track(L, desist__host_in(L));
  return 0;
}

/* In the place of the call; the status. */
static int fail(lua_State *L, int arguments, lua_CFunction raise,
                desist_token *token, int handler) {
  if (handler != 0) handler = lua_absindex(L, handler);
  lua_settop(L, -arguments - 2);
  if (!lua_checkstack(L, 2)) {
    lua_pushnil(L);
    return LUA_ERRMEM;
  }
  lua_pushcfunction(L, raise);
  lua_pushlightuserdata(L, token);
  return lua_pcall(L, 1, 0, handler);
}

int desist_lua_pcall(lua_State *L, int arguments, int results, int handler,
                     desist_token *token, int64_t grace) {
  host *owner = desist__host_in(L);
  desist__frame frame;
  int status;
  if (owner == NULL || owner->inbox == NULL)
    return fail(L, arguments, not_open, NULL, handler);
  if (!desist_token_can_be_cancelled(token))
    return lua_pcall(L, arguments, results, handler);
  if (desist_token_is_cancelled(token))
    return fail(L, arguments, raise_of, token, handler);
  if (!owner->guards.tracked) {
    if (handler != 0) handler = lua_absindex(L, handler);
    if (!lua_checkstack(L, 1)) return fail(L, arguments, track, NULL, handler);
    lua_pushcfunction(L, track);
    status = lua_pcall(L, 0, 0, 0);
    if (status != LUA_OK) {
      lua_insert(L, -arguments - 2);
      lua_pop(L, arguments + 1);
      return status;
    }
  }
  memset(&frame, 0, sizeof frame);
  frame.token = token;
  frame.grace = grace < 0 ? default_grace : grace;
  desist__frame_enter(&owner->guards, &frame, L);
  status = lua_pcall(L, arguments, results, handler);
  desist__frame_leave(&frame);
  return status;
}

desist_lua_interrupts desist_lua_can_interrupt(void) {
#  if DESIST__INTERRUPTS
  return DESIST_LUA_BY_SIGNAL;
#  else
  return DESIST_LUA_BY_HOOK;
#  endif
}

#else

static int refuse(lua_State *L) {
  return luaL_error(L, "this build of desist has no guard");
}

int desist__guard(lua_State *L) { return refuse(L); }
int desist__budget(lua_State *L) { return refuse(L); }

int desist__watch_guards(lua_State *L) {
  (void)L;
  return 0;
}

int desist__track_coroutines(lua_State *L) { return refuse(L); }

int desist__can_interrupt(lua_State *L) {
  lua_pushboolean(L, 0);
  lua_pushliteral(L, "this build of desist has no guard");
  return 2;
}

void desist__guard_open(lua_State *L, host *owner) {
  (void)L;
  (void)owner;
}

void desist__guards_end(host *owner) { (void)owner; }

bool desist__guard_check(lua_State *L, host *owner, bool give) {
  (void)L;
  (void)owner;
  (void)give;
  return false;
}

void desist__guards_called(lua_State *L, host *owner) {
  (void)L;
  (void)owner;
}

int64_t desist__guard_until(const host *owner) {
  (void)owner;
  return DESIST_NEVER;
}

int desist_lua_pcall(lua_State *L, int arguments, int results, int handler,
                     desist_token *token, int64_t grace) {
  (void)results;
  (void)handler;
  (void)token;
  (void)grace;
  lua_settop(L, -arguments - 2);
  lua_pushliteral(L, "this build of desist has no guard");
  return LUA_ERRRUN;
}

desist_lua_interrupts desist_lua_can_interrupt(void) {
  return DESIST_LUA_CANNOT;
}

#endif
