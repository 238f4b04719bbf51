/*
** lua_source.c: source objects, and the functions that make them.
*/
#include "lua_binding.h"

#include <errno.h>
#include <math.h>
#include <string.h>

const box_type desist__source_type = { "desist.source", sizeof(source_box) };

static source_box *check(lua_State *L) { return desist__check_source(L, 1); }

/* Pushes the source's token. */
static token_box *push_token(lua_State *L) {
  lua_getiuservalue(L, 1, SOURCE_TOKEN);
  return (token_box *)lua_touserdata(L, -1);
}

/* --- Numbers --- */

double desist__seconds(int64_t nanoseconds) {
  return (double)nanoseconds / 1e9;
}

static double check_number(lua_State *L, int index) {
  luaL_checktype(L, index, LUA_TNUMBER); /* a string is none */
  return (double)lua_tonumber(L, index);
}

static int64_t nanoseconds(double seconds) {
  double exact = seconds * 1e9;
  if (exact >= 9.2233720368547748e18) return DESIST_NEVER;
  if (exact <= -9.2233720368547748e18) return INT64_MIN;
  if (exact > 0 && exact < 1) return 1;
  return (int64_t)(exact < 0 ? exact - 0.5 : exact + 0.5);
}

int64_t desist__check_duration(lua_State *L, int index) {
  double seconds = check_number(L, index);
  if (seconds != seconds)
    luaL_argerror(L, index, "0 or more seconds expected, got nan");
  if (seconds < 0)
    luaL_argerror(L, index,
                  lua_pushfstring(L, "0 or more seconds expected, got %f",
                                  (lua_Number)seconds));
  return nanoseconds(seconds);
}

int64_t desist__check_time(lua_State *L, int index) {
  double seconds = check_number(L, index);
  if (seconds != seconds)
    luaL_argerror(L, index, "a time in seconds expected, got nan");
  return nanoseconds(seconds);
}

/* --- Making --- */

/* Fills the boxes at `token` and `source`; takes over the reference. */
static void fill(lua_State *L, int token, int source, desist_source *core) {
  token_box *token_at = (token_box *)lua_touserdata(L, token);
  if (core == NULL) desist__no_memory(L);
  desist_token_retain(desist_source_token(core));
  desist__own_token(token_at, desist_source_token(core));
  desist__own_source((source_box *)lua_touserdata(L, source), core);
}

static const char *name_option(lua_State *L, int index) {
  const char *name = NULL;
  lua_getfield(L, index, "name");
  if (!lua_isnil(L, -1)) {
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_argerror(L, index,
                    lua_pushfstring(L, "option 'name': string expected, got %s",
                                    luaL_typename(L, -1)));
    name = lua_tostring(L, -1);
  }
  return name; /* it stays on the stack */
}

static clock_box *clock_option(lua_State *L, int index) {
  clock_box *clock;
  lua_getfield(L, index, "clock");
  if (lua_isnil(L, -1)) return NULL;
  clock = (clock_box *)desist__test(L, -1, &desist__clock_type);
  if (clock == NULL)
    luaL_argerror(L, index,
                  lua_pushfstring(L, "option 'clock': clock expected, got %s",
                                  luaL_typename(L, -1)));
  return clock;
}

int desist__source_make(lua_State *L) {
  host *owner = desist__host_of(L);
  const char *name = NULL;
  clock_box *clock = NULL;
  source_box *box;
  lua_settop(L, 1);
  if (!lua_isnil(L, 1)) {
    luaL_checktype(L, 1, LUA_TTABLE);
    name = name_option(L, 1);
    clock = clock_option(L, 1);
  }
  lua_settop(L, 3); /* options, name, clock */
  (void)desist__new_token(L, owner, 0);
  box = desist__new_source(L, owner, 4, clock == NULL ? 0 : 3);
  fill(L, 4, 5, desist_source_create_on(clock == NULL ? NULL : clock->core));
  if (name != NULL && !desist_source_set_name(box->core, name))
    desist__no_memory(L);
  return 1;
}

int desist__after(lua_State *L) {
  host *owner = desist__host_of(L);
  int64_t time = desist__check_duration(L, 1);
  source_box *box;
  lua_settop(L, 1);
  (void)desist__new_token(L, owner, 0);
  box = desist__new_source(L, owner, 2, 0);
  fill(L, 2, 3, desist_source_create());
  if (!desist_source_cancel_after(box->core, time))
    return luaL_error(L, "cannot arm a deadline: no thread or no memory");
  box->token->armed = time != 0 && time != DESIST_NEVER;
  return 1;
}

/* desist.cancelled([reason]): the source is gone before anybody sees it. */
int desist__cancelled_token(lua_State *L) {
  host *owner = desist__host_of(L);
  source_box *box;
  desist_reason *reason;
  lua_settop(L, 1);
  (void)desist__new_token(L, owner, 0);
  box = desist__new_source(L, owner, 2, 0);
  fill(L, 2, 3, desist_source_create());
  desist__list_token(L, 2);
  reason = desist__to_reason(L, owner, 1, 2);
  (void)desist_source_cancel(box->core, reason);
  desist_reason_release(reason);
  desist__forget_source(box);
  lua_settop(L, 2);
  return 1;
}

/* --- Links --- */

static bool same_before(lua_State *L, int index) {
  int i;
  /* Links of very many tokens may name one twice: it does no harm. */
  for (i = index > 64 ? index - 64 : 1; i < index; i++)
    if (lua_rawequal(L, i, index)) return true;
  return false;
}

/*
** The inputs that count are moved to the front of the stack; how many. `all`:
** every one does, and none may be nil.
*/
static int gather(lua_State *L, bool all) {
  int count = lua_gettop(L);
  int i, kept = 0;
  for (i = 1; i <= count; i++)
    if (all || !lua_isnil(L, i)) (void)desist__check_token(L, i);
  for (i = 1; i <= count; i++) {
    const token_box *box = (const token_box *)lua_touserdata(L, i);
    lua_pushvalue(L, i);
    lua_replace(L, kept + 1);
    if (all || (box != NULL && desist_token_can_be_cancelled(box->core)))
      if (!same_before(L, kept + 1)) kept++;
  }
  lua_settop(L, kept);
  return kept;
}

/* Pushes the manual clock that all of them are on. Its index; 0, and nothing
** pushed: there is none. */
static int push_shared_clock(lua_State *L, const host *owner, int count) {
  desist_clock *clock = NULL;
  int i;
  for (i = 1; i <= count; i++) {
    const token_box *box = (const token_box *)lua_touserdata(L, i);
    if (box->core == NULL) continue;
    if (box->clock == NULL || (clock != NULL && box->clock != clock)) return 0;
    clock = box->clock;
  }
  if (clock == NULL) return 0;
  desist__find(L, owner, clock);
  if (!lua_isnil(L, -1)) return lua_gettop(L);
  lua_pop(L, 1);
  return 0;
}

static int make_link(lua_State *L, bool all) {
  host *owner = desist__host_of(L);
  int count, i, clock, token;
  desist_token **inputs;
  if (all && lua_gettop(L) == 0)
    return luaL_argerror(L, 1, "desist.token expected, got no value");
  count = gather(L, all);
  if (count > 60000) return luaL_error(L, "too many tokens to link");
  luaL_checkstack(L, 12, NULL);
  inputs = (desist_token **)lua_newuserdatauv(
      L, (size_t)(count + 1) * sizeof *inputs, 0);
  clock = push_shared_clock(L, owner, count);
  (void)desist__new_token(L, owner, count);
  token = lua_gettop(L);
  for (i = 0; i < count; i++) {
    inputs[i] = ((token_box *)lua_touserdata(L, i + 1))->core;
    lua_pushvalue(L, i + 1);
    lua_setiuservalue(L, token, TOKEN_INPUTS + i);
  }
  (void)desist__new_source(L, owner, token, clock);
  fill(L, token, token + 1,
       desist_source_create_linked(inputs, (size_t)count,
                                   all ? DESIST_LINK_ALL : DESIST_LINK_ANY));
  desist__settle_inputs(L, token);
  return 1;
}

int desist__linked(lua_State *L) { return make_link(L, false); }
int desist__linked_all(lua_State *L) { return make_link(L, true); }

/* --- Signals --- */

int desist__signal(lua_State *L) {
  host *owner = desist__host_of(L);
  int count = lua_gettop(L);
  int numbers[8];
  int i;
  desist_source *core;
  if (count == 0)
    return luaL_argerror(L, 1, "name of a signal expected, got no value");
  if (count > 8) return luaL_argerror(L, 9, "at most 8 signals");
  for (i = 0; i < count; i++) {
    const char *name;
    luaL_checktype(L, i + 1, LUA_TSTRING);
    name = lua_tostring(L, i + 1);
    numbers[i] = desist__signal_number(name);
    if (numbers[i] <= 0)
      return luaL_argerror(L, i + 1,
                           lua_pushfstring(L,
                                           numbers[i] == 0
                                               ? "no signal is named '%s'"
                                               : "'%s' cannot be caught",
                                           name));
  }
  (void)desist__new_token(L, owner, 0);
  (void)desist__new_source(L, owner, count + 1, 0);
  core = desist_source_create_signals(numbers, (size_t)count);
  if (core == NULL)
    return luaL_error(L, "cannot catch signals: %s", strerror(errno));
  fill(L, count + 1, count + 2, core);
  ((token_box *)lua_touserdata(L, count + 1))->foreign = true;
  return 1;
}

/* --- Handles --- */

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
  desist__find(L, owner, core);
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
  box = desist__new_source(L, owner, 2, 0); /* for now */
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
  desist__list_source(L, 3);
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

/* --- Methods --- */

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

static int source_cancel(lua_State *L) {
  source_box *box = check(L);
  desist__call call;
  bool stop = stop_option(L, 3);
  desist_reason *reason;
  bool result = false;
  lua_settop(L, 2);
  if (!is_over(box)) {
    luaL_checkstack(L, 60, NULL);
    (void)push_token(L);
    if (lua_isnil(L, 2))
      lua_pushliteral(L, "cancelled");
    else
      lua_pushvalue(L, 2);
    reason = desist__to_reason(L, box->owner, 2, 3);
    desist__call_begin(&call, L, box->owner, 3);
    call.stop = stop;
    result = desist__cancel(box->core, reason, &call.runner);
    desist_reason_release(reason);
    desist__call_end(&call);
    (void)push_token(L);
    desist__settle_inputs(L, -1);
  }
  lua_pushboolean(L, result);
  return 1;
}

static int source_cancel_async(lua_State *L) {
  source_box *box = check(L);
  desist_reason *reason;
  bool result = false;
  lua_settop(L, 2);
  if (!is_over(box)) {
    (void)push_token(L);
    desist__list_token(L, 3);
    box->token->foreign = true; /* its callbacks come by the inbox */
    desist__update_anchor(L, 3);
    reason = desist__to_reason(L, box->owner, 2, 3);
    result = desist_source_cancel(box->core, reason);
    desist_reason_release(reason);
  }
  lua_pushboolean(L, result);
  return 1;
}

/* After the deadline was armed or disarmed. */
static void note_armed(lua_State *L, source_box *box, bool armed) {
  if (box->token->armed == armed) return;
  box->token->armed = armed;
  (void)push_token(L);
  desist__update_anchor(L, -1);
  lua_pop(L, 1);
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
  (void)push_token(L);
  desist__list_token(L, -1);
  if (time != DESIST_NEVER) note_armed(L, box, true);
  lua_pushliteral(L, "deadline exceeded");
  desist__call_begin(&call, L, box->owner, lua_gettop(L) - 1);
  call.to_handler = true;
  result = absolute ? desist__cancel_at(core, time, &call.runner)
                    : desist__cancel_after(core, time, &call.runner);
  desist__call_end(&call);
  if (time == DESIST_NEVER) note_armed(L, box, false);
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
  if (result) note_armed(L, box, false);
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
      lua_getiuservalue(L, 2, TOKEN_PINS);
      lua_rawgeti(L, 3, registration->ref);
      desist__registration_end(L, registration, 4, 3);
      desist__unpin(L, 2);
      lua_settop(L, 2);
    }
    note_armed(L, box, false);
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
  if (token != NULL && token->core != NULL && token->pins != 0 &&
      !desist__is_closed(token->core) && desist__has_handles(token->core)) {
    token->foreign = true;
    desist__update_anchor(L, 2);
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
