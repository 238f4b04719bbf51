/*
** lua_time.c: seconds in Lua, nanoseconds in the core.
*/
#include "lua_binding.h"

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
