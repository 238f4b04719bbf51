/*
** lua_make.c: the functions that make sources and tokens.
**
** The objects exist, closed and with their metatables, before the core makes
** what they will own: whatever raises in between leaves nothing behind.
*/
#include "lua_binding.h"

#include <errno.h>
#include <string.h>

/* Fills the boxes at `token` and `source`; takes over the reference. */
void desist__fill(lua_State *L, int token, int source, desist_source *core) {
  token_box *token_at = (token_box *)lua_touserdata(L, token);
  if (core == NULL) desist__no_memory(L);
  desist_token_retain(desist_source_token(core));
  desist__own_token(token_at, desist_source_token(core));
  desist__own_source((source_box *)lua_touserdata(L, source), core);
  if (token_at->owner->tracing) desist__note_source(L, token_at->owner, core);
}

static const char *name_option(lua_State *L, int index) {
  const char *name = NULL;
  lua_getfield(L, index, "name");
  if (!lua_isnil(L, -1)) {
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_argerror(L, index,
                    lua_pushfstring(L, "option 'name': string expected, got %s",
                                    desist__type_name(L, -1)));
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
                                  desist__type_name(L, -1)));
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
  box = desist__new_source(L, owner, 4, clock != NULL);
  desist__fill(L, 4, 5,
               desist_source_create_on(clock == NULL ? NULL : clock->core));
  if (clock != NULL) desist__keep_clock(L, 5);
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
  box = desist__new_source(L, owner, 2, false);
  desist__fill(L, 2, 3, desist_source_create());
  if (!desist_source_cancel_after(box->core, time))
    return luaL_error(L, "cannot arm a deadline: no thread or no memory");
  return 1;
}

/* desist.cancelled([reason]): the source is gone before anybody sees it. */
int desist__cancelled_token(lua_State *L) {
  host *owner = desist__host_of(L);
  source_box *box;
  desist_reason *reason;
  lua_settop(L, 1);
  (void)desist__new_token(L, owner, 0);
  box = desist__new_source(L, owner, 2, false);
  desist__fill(L, 2, 3, desist_source_create());
  desist__list_token(L, 2);
  reason = desist__to_reason(L, owner, 1, 2, DESIST_KIND_CANCELLED);
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

static int make_link(lua_State *L, bool all) {
  host *owner = desist__host_of(L);
  int count, i, token;
  bool timed = false; /* its clock is one of its inputs' */
  desist_token **inputs;
  if (all && lua_gettop(L) == 0)
    return luaL_argerror(L, 1, "desist.token expected, got no value");
  count = gather(L, all);
  if (count > 60000) return luaL_error(L, "too many tokens to link");
  luaL_checkstack(L, 12, NULL);
  inputs = (desist_token **)lua_newuserdatauv(
      L, (size_t)(count + 1) * sizeof *inputs, 0);
  (void)desist__new_token(L, owner, count);
  token = lua_gettop(L);
  for (i = 0; i < count; i++) {
    const token_box *input = (const token_box *)lua_touserdata(L, i + 1);
    inputs[i] = input->core;
    if (input->clock != NULL) timed = true;
    lua_pushvalue(L, i + 1);
    lua_setiuservalue(L, token, TOKEN_INPUTS + i);
  }
  (void)desist__new_source(L, owner, token, timed);
  desist__fill(
      L, token, token + 1,
      desist_source_create_linked(inputs, (size_t)count,
                                  all ? DESIST_LINK_ALL : DESIST_LINK_ANY));
  if (timed) desist__keep_clock(L, token + 1);
  desist__settle_inputs(L, token); /* some may have ended meanwhile */
  return 1;
}

int desist__linked_make(lua_State *L) { return make_link(L, false); }
int desist__linked_all_make(lua_State *L) { return make_link(L, true); }

/* --- Signals --- */

#if defined(DESIST_NO_SIGNALS)

int desist__signal(lua_State *L) {
  return luaL_error(L, "cannot catch signals: desist is built without them");
}

#else

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
  (void)desist__new_source(L, owner, count + 1, false);
  core = desist_source_create_signals(numbers, (size_t)count);
  if (core == NULL)
    return luaL_error(L, "cannot catch signals: %s", strerror(errno));
  desist__fill(L, count + 1, count + 2, core);
  ((token_box *)lua_touserdata(L, count + 1))->foreign = true;
  return 1;
}

#endif
