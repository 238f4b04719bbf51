/*
** engine.c: see engine.h.
*/
#include "engine.h"

#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "memory.h"

/* --- Opening ----------------------------------------------------------- */

typedef struct opening {
  struct engine *self;
  const char *folder;
  lua_CFunction module;
  void *data;
} opening;

/* The protected part: anything here may raise. */
static int open_libraries(lua_State *L) {
  const opening *with = (const opening *)lua_touserdata(L, 1);
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);

  /* Guards find coroutines that scripts make, if that is said before scripts
  ** take hold of coroutine.create and its like. */
  lua_getfield(L, -1, "track_coroutines");
  lua_call(L, 0, 0);

  lua_pushlightuserdata(L, with->data);
  lua_pushcclosure(L, with->module, 1);
  lua_call(L, 0, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "host");

  lua_getglobal(L, "package");
  lua_pushfstring(L, "%s/?.lua", with->folder);
  lua_setfield(L, -2, "path");
  lua_pushfstring(L, "%s/engine.lua", with->folder);
  if (luaL_dofile(L, lua_tostring(L, -1)) != LUA_OK) return lua_error(L);
  luaL_checktype(L, -1, LUA_TTABLE);
  with->self->runners = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static bool make_loop(struct engine *self) {
  bool made = desist_lua_loop_create(self->L, "game", 0) == LUA_OK;
  if (made)
    self->loop = luaL_ref(self->L, LUA_REGISTRYINDEX);
  else
    engine_note_error(self, self->L);
  return made;
}

bool engine_open(struct engine *self, const char *folder, lua_CFunction module,
                 void *data) {
  opening with;
  memset(self, 0, sizeof *self);
  self->budget = HUGE_VAL;
  self->patience = 0.5;
  self->loop = LUA_NOREF;
  self->L = memory_new_state();
  if (self->L == NULL) return false;
  with.self = self;
  with.folder = folder;
  with.module = module;
  with.data = data;
  lua_pushcfunction(self->L, open_libraries);
  lua_pushlightuserdata(self->L, &with);
  if (lua_pcall(self->L, 1, 0, 0) != LUA_OK) {
    engine_note_error(self, self->L);
    return false;
  }
  return make_loop(self);
}

void engine_close(struct engine *self) {
  if (self->L != NULL) lua_close(self->L);
  self->L = NULL;
  desist_source_release(self->watchdog);
}

/* --- Errors ------------------------------------------------------------ */

void engine_note_error(struct engine *self, lua_State *L) {
  snprintf(self->error, sizeof self->error, "%s", luaL_tolstring(L, -1, NULL));
  lua_pop(L, 2);
  self->errors++;
}

/* --- Tasks ------------------------------------------------------------- */

void engine_spawn(struct engine *self, lua_State *L, const char *runner,
                  int arguments, const char *name, desist_token *token) {
  int base = lua_gettop(L) - arguments;
  lua_rawgeti(L, LUA_REGISTRYINDEX, self->loop);
  lua_insert(L, base + 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, self->runners);
  lua_getfield(L, -1, runner);
  lua_remove(L, -2);
  lua_insert(L, base + 2);
  if (desist_lua_loop_spawn(L, base + 1, arguments, name, token) != LUA_OK)
    engine_note_error(self, L);
  lua_settop(L, base);
}

desist_token *engine_watchdog(const struct engine *self) {
  return desist_source_token(self->watchdog);
}

/* A source is cancelled once: then there is a new one. */
static void set_watchdog(struct engine *self) {
  if (self->watchdog == NULL ||
      desist_token_is_cancelled(engine_watchdog(self))) {
    desist_source_release(self->watchdog);
    self->watchdog = desist_source_create();
    desist_source_set_name(self->watchdog, "watchdog");
  }
  desist_source_cancel_after(self->watchdog, (int64_t)(self->patience * 1e9));
}

void engine_step(struct engine *self, double dt) {
  int64_t began = desist_now();
  self->dt = dt;
  set_watchdog(self);
  lua_rawgeti(self->L, LUA_REGISTRYINDEX, self->loop);
  if (desist_lua_loop_step(self->L, -1, dt, self->budget) != LUA_OK)
    engine_note_error(self, self->L);
  lua_pop(self->L, 1);
  desist_source_cancel_after(self->watchdog, DESIST_NEVER);
  self->spent = (double)(desist_now() - began) / 1e9;
}

void engine_print_tasks(struct engine *self) {
  lua_State *L = self->L;
  lua_rawgeti(L, LUA_REGISTRYINDEX, self->runners);
  lua_getfield(L, -1, "print_tasks");
  lua_rawgeti(L, LUA_REGISTRYINDEX, self->loop);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) engine_note_error(self, L);
  lua_pop(L, 1);
}

bool engine_is_idle(const struct engine *self) {
  bool idle;
  lua_rawgeti(self->L, LUA_REGISTRYINDEX, self->loop);
  idle = desist_lua_loop_is_idle(self->L, -1);
  lua_pop(self->L, 1);
  return idle;
}

void engine_renew_loop(struct engine *self) {
  lua_rawgeti(self->L, LUA_REGISTRYINDEX, self->loop);
  if (desist_lua_loop_close(self->L, -1) != LUA_OK)
    engine_note_error(self, self->L);
  lua_pop(self->L, 1);
  luaL_unref(self->L, LUA_REGISTRYINDEX, self->loop);
  (void)make_loop(self);
}
