/*
** lua_call.c: running Lua callbacks, from a cancelling call of this state or
** from its dispatch.
**
** While the core is inside such a call nothing may raise a Lua error: what
** could, happens before it, after it, or in a protected call. A callback runs
** on the coroutine that made the call. Its registration is let go of before.
*/
#include "lua_binding.h"

#include <errno.h>

enum { CALL_TOKEN, CALL_PINS, CALL_REASON, CALL_SLOTS }; /* from base on */

/* --- Calls of the core --- */

void desist__call_begin(desist__call *call, lua_State *L, host *owner,
                        int hint) {
  luaL_checkstack(L, owner->most_arguments + 40, NULL);
  call->runner.inbox = owner->inbox;
  call->runner.run = desist__call_run;
  call->L = L;
  call->owner = owner;
  call->hint = hint;
  call->errors = 0;
  call->to_handler = call->stop = call->stopped = false;
  lua_pushnil(L);
  lua_insert(L, -2);
  lua_pushnil(L);
  lua_insert(L, -2);
  call->base = lua_gettop(L) - CALL_SLOTS + 1;
  owner->calls++;
}

/* The errors on top of the stack, as one. */
static void raise_errors(const desist__call *call) {
  lua_State *L = call->L;
  int count = call->errors;
  int first = lua_gettop(L) - count + 1;
  int i;
  if (call->stop) lua_error(L);
  if (lua_checkstack(L, count + 20)) {
    lua_pushcfunction(L, desist__collect_errors);
    lua_pushlightuserdata(L, call->owner);
    for (i = 0; i < count; i++) lua_pushvalue(L, first + i);
    if (lua_pcall(L, count + 1, 1, 0) == LUA_OK) lua_error(L);
  } else {
    lua_pushnil(L);
  }
  /* No memory for that: none is lost. */
  for (i = 0; i < count; i++) {
    lua_pushvalue(L, first + i);
    lua_pushnil(L);
    desist__report(L, call->owner);
  }
  if (lua_isnil(L, -1)) desist__no_memory(L);
  lua_error(L);
}

void desist__call_end(desist__call *call) {
  lua_State *L = call->L;
  call->owner->calls--;
  desist__guards_called(L, call->owner);
  desist__drain(L, call->owner, call->hint);
  if (call->errors > 0) raise_errors(call);
  lua_settop(L, call->base - 1);
}

/* Pushes a token. False, and nothing pushed: it is about to be finalized, and
** will come back by that. */
static bool push_token(lua_State *L, const token_box *box, int hint) {
  if (hint != 0 && lua_touserdata(L, hint) == box)
    lua_pushvalue(L, hint);
  else
    desist__find(L, box->owner, box);
  if (!lua_isnil(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

/* Puts the registration's token and its pins into the slots. */
static bool select_token(desist__call *call, const token_box *box) {
  lua_State *L = call->L;
  if (lua_touserdata(L, call->base + CALL_TOKEN) == box) return true;
  if (!push_token(L, box, call->hint)) return false;
  lua_getiuservalue(L, -1, TOKEN_PINS);
  lua_replace(L, call->base + CALL_PINS);
  lua_replace(L, call->base + CALL_TOKEN);
  return true;
}

void desist__call_run(const desist__runner *runner, desist__watch *watch) {
  desist__call *call = (desist__call *)(uintptr_t)runner;
  registration_box *box = desist__registration_of(watch);
  lua_State *L = call->L;
  int pins = call->base + CALL_PINS;
  int top = lua_gettop(L);
  int handler = call->to_handler ? top + 1 : 0;
  int arguments = box->arguments;
  int index, i, status;
  if (!lua_checkstack(L, arguments + 20) || !select_token(call, box->token)) {
    desist__watch_later(watch); /* at the next dispatch */
    return;
  }
  if (call->to_handler) desist__push_message_handler(L, call->owner);
  lua_rawgeti(L, pins, box->ref);
  index = lua_gettop(L);
  for (i = 0; i <= arguments; i++)
    lua_getiuservalue(L, index, REGISTRATION_CALLBACK + i);
  lua_pushvalue(L, call->base + CALL_REASON);
  desist__registration_end(L, box, index, pins);
  desist__unpin(L, call->base + CALL_TOKEN);
  if (call->stopped) {
    lua_settop(L, top);
    return;
  }
  status = lua_pcall(L, arguments + 1, 0, handler);
  if (status == LUA_OK) {
    lua_settop(L, top);
  } else if (call->to_handler) {
    desist__report_raised(L, call->owner, handler, status);
    lua_settop(L, top);
  } else {
    lua_remove(L, index); /* what it raised stays */
    if (call->stop || lua_checkstack(L, call->owner->most_arguments + 20)) {
      call->errors++;
      call->stopped = call->stop;
    } else { /* no room to keep it */
      lua_pushnil(L);
      desist__report(L, call->owner);
    }
  }
}

void desist__drain(lua_State *L, host *owner, int hint) {
  desist__watch *watch;
  while (owner->inbox != NULL &&
         (watch = desist__inbox_take_dropped(owner->inbox)) != NULL) {
    registration_box *box = desist__registration_of(watch);
    token_box *token = box->token;
    box->dropped = !push_token(L, token, hint);
    if (box->dropped) continue; /* until the token comes back */
    desist__registration_drop(L, box, -1);
    if (token->first == NULL) desist__end_token(L, -1);
    lua_pop(L, 1);
  }
}

/* --- Dispatch --- */

typedef enum outcome { RAN, DROPPED, STUCK } outcome;

/*
** The first that is queued, with its token and reason at hand; it may run out
** of memory for those, and is still queued then. STUCK: it is too early, its
** token is about to be finalized, and to come back by that.
*/
static outcome run_first(lua_State *L, host *owner) {
  desist__watch *watch = desist__inbox_first(owner->inbox);
  registration_box *box = desist__registration_of(watch);
  desist__call call;
  int top = lua_gettop(L);
  luaL_checkstack(L, owner->most_arguments + 70, NULL);
  if (!push_token(L, box->token, 0)) {
    (void)lua_gc(L, LUA_GCSTEP, 0);
    return STUCK;
  }
  desist__push_reason(L, top + 1);
  desist__call_begin(&call, L, owner, top + 1);
  call.to_handler = true;
  if (desist__inbox_first(owner->inbox) != watch ||
      lua_touserdata(L, top + 1) != box->token) {
    desist__call_end(&call); /* a finalizer has taken it meanwhile */
    lua_settop(L, top);
    return DROPPED;
  }
  call.stopped = desist__is_closed(box->token->core);
  desist__inbox_take(owner->inbox, watch);
  desist__call_run(&call.runner, watch);
  desist__call_end(&call);
  lua_settop(L, top);
  return call.stopped ? DROPPED : RAN;
}

void desist__run_counting(lua_State *L, host *owner, size_t max, size_t *ran) {
  size_t count;
  if (owner->inbox == NULL) return;
  desist__drain(L, owner, 0);
  count = desist__inbox_begin(owner->inbox);
  while (count-- > 0 && *ran < max &&
         desist__inbox_first(owner->inbox) != NULL) {
    outcome what = run_first(L, owner);
    if (what == STUCK) break;
    if (what == RAN) ++*ran;
  }
  desist__inbox_end(owner->inbox);
}

size_t desist__run_queued(lua_State *L, host *owner, size_t max) {
  size_t ran = 0;
  desist__run_counting(L, owner, max, &ran);
  return ran;
}

int desist__dispatch(lua_State *L) {
  lua_Integer max = 0;
  bool limited = !lua_isnoneornil(L, 1);
  size_t ran;
  if (limited) {
    luaL_checktype(L, 1, LUA_TNUMBER);
    max = luaL_checkinteger(L, 1);
    if (max < 0)
      luaL_argerror(
          L, 1,
          lua_pushfstring(L, "0 or more expected, got %f", (lua_Number)max));
  }
  ran = desist__run_queued(L, desist__host_of(L),
                           limited ? (size_t)max : SIZE_MAX);
  lua_pushinteger(L, (lua_Integer)ran);
  return 1;
}

int desist__wakeup_fd(lua_State *L) {
  host *owner = desist__host_of(L);
  int fd = owner->inbox == NULL ? -EINVAL : desist__inbox_fd(owner->inbox);
  if (fd >= 0) {
    lua_pushinteger(L, fd);
    return 1;
  }
  lua_pushnil(L);
  lua_pushliteral(L, "cannot make a descriptor");
  lua_pushinteger(L, -fd);
  return 3;
}
