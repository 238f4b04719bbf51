/*
** lua_wakeup.c: dispatch and waking up, for hosts. See desist_lua.h.
*/
#include "lua_binding.h"

#include <errno.h>

typedef struct dispatching {
  host *owner;
  size_t ran;
} dispatching;

static int dispatch(lua_State *L) {
  dispatching *self = (dispatching *)lua_touserdata(L, 1);
  desist__run_counting(L, self->owner, SIZE_MAX, &self->ran);
  return 0;
}

size_t desist_lua_dispatch(lua_State *L) {
  host *owner = desist__host_in(L);
  dispatching self;
  if (owner == NULL || owner->inbox == NULL ||
      desist__inbox_is_empty(owner->inbox) || !lua_checkstack(L, 3))
    return 0;
  self.owner = owner;
  self.ran = 0;
  lua_pushcfunction(L, dispatch);
  lua_pushlightuserdata(L, &self);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    lua_pop(L, 1); /* no memory: what is left the host is told of */
    if (owner->inbox != NULL) desist__inbox_end(owner->inbox);
  }
  return self.ran;
}

void desist_lua_on_wakeup(lua_State *L, desist_lua_wakeup function,
                          void *data) {
  host *owner = desist__host_in(L);
  if (owner != NULL && owner->inbox != NULL)
    desist__inbox_on_wakeup(owner->inbox, function, data);
}

int desist_lua_wakeup_fd(lua_State *L) {
  host *owner = desist__host_in(L);
  if (owner == NULL || owner->inbox == NULL) return -EINVAL;
  return desist__inbox_fd(owner->inbox);
}

void desist_lua_set_main(lua_State *L, lua_State *main) {
#if LUA_VERSION_NUM < 502
  host *owner = desist__host_in(L);
  if (owner != NULL) owner->main = main;
#else
  (void)L;
  (void)main;
#endif
}
