/*
** lua_clock.c: manual clocks, and the time of the real one.
*/
#include "lua_binding.h"

#include <string.h>

const box_type desist__clock_type = { "desist.clock", sizeof(clock_box) };

static clock_box *check(lua_State *L) {
  return (clock_box *)desist__check(L, 1, &desist__clock_type);
}

static int64_t check_finite(lua_State *L, int index) {
  int64_t time = desist__check_time(L, index);
  if (time == DESIST_NEVER || time == INT64_MIN)
    luaL_argerror(L, index, "a time that the clock can hold expected");
  return time;
}

int desist__clock_real(lua_State *L) {
  lua_pushnumber(L, (lua_Number)desist__seconds(desist_now()));
  return 1;
}

/* desist.manual_clock([start]) */
int desist__clock_make(lua_State *L) {
  host *owner = desist__host_of(L);
  int64_t start = lua_isnoneornil(L, 1) ? 0 : check_finite(L, 1);
  clock_box *box = (clock_box *)desist__new_box(L, owner, &desist__clock_type,
                                                CLOCK_META, sizeof *box, 1);
  desist_clock *core;
  lua_newtable(L);
  lua_setiuservalue(L, -2, CLOCK_ANCHORS);
  box->owner = owner;
  core = desist_clock_create(start);
  if (core == NULL) return desist__no_memory(L);
  desist__own_clock(box, core);
  desist__list(L, owner, -1, core);
  return 1;
}

static int clock_now(lua_State *L) {
  lua_pushnumber(L,
                 (lua_Number)desist__seconds(desist_clock_now(check(L)->core)));
  return 1;
}

/* Errors of the callbacks go to the handler, as for every deadline. */
static int move(lua_State *L, clock_box *box, int64_t time, bool by) {
  host *owner = desist__host_of(L);
  desist__call call;
  bool moved;
  lua_pushliteral(L, "deadline exceeded");
  desist__call_begin(&call, L, owner, 0);
  call.to_handler = true;
  moved = desist__clock_move(box->core, time, by, &call.runner);
  desist__call_end(&call);
  if (!moved) return luaL_error(L, "the clock is moving already");
  return 0;
}

static int clock_advance(lua_State *L) {
  clock_box *box = check(L);
  return move(L, box, desist__check_duration(L, 2), true);
}

static int clock_set(lua_State *L) {
  clock_box *box = check(L);
  int64_t time = desist__check_time(L, 2);
  int64_t now = desist_clock_now(box->core);
  if (time < now)
    return luaL_argerror(
        L, 2,
        lua_pushfstring(L,
                        "a clock never goes backwards: %f expected "
                        "or later, got %f",
                        (lua_Number)desist__seconds(now), lua_tonumber(L, 2)));
  return move(L, box, time, false);
}

static int clock_gc(lua_State *L) {
  clock_box *box = check(L);
  if (box->core == NULL) return 0;
  lua_settop(L, 1);
  desist__forget_clock(box);
  desist__drain(L, box->owner, 0);
  lua_getiuservalue(L, 1, CLOCK_ANCHORS);
  lua_pushnil(L);
  while (lua_istable(L, 2) && lua_next(L, 2) != 0) {
    desist__end_token(L, 4); /* nothing else could cancel it, perhaps */
    lua_pop(L, 1);
  }
  return 0;
}

static int clock_tostring(lua_State *L) {
  const clock_box *box = check(L);
  lua_pushfstring(L, "desist.clock: %p (manual, at %f)", (const void *)box,
                  (lua_Number)desist__seconds(desist_clock_now(box->core)));
  return 1;
}

void desist__clock_open(lua_State *L, host *owner) {
  static const luaL_Reg methods[] = {
    { "now", clock_now },
    { "advance", clock_advance },
    { "set", clock_set },
    { "__gc", clock_gc },
    { "__tostring", clock_tostring },
    { NULL, NULL },
  };
  desist__set_methods(L, owner, CLOCK_META, &desist__clock_type, methods);
}
