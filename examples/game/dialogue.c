/*
** dialogue.c: see dialogue.h.
*/
#include "dialogue.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

void dialogue_ask(struct dialogue *self, lua_State *L, unsigned asker, int list,
                  int resume) {
  struct dialogue asked;
  int i;
  if (self->asker != 0) luaL_error(L, "somebody asks already");
  memset(&asked, 0, sizeof asked);
  luaL_checktype(L, list, LUA_TTABLE);
  luaL_checktype(L, resume, LUA_TFUNCTION);
  asked.asker = asker;
  for (i = 0; i < CHOICES; i++) {
    if (lua_geti(L, list, i + 1) != LUA_TNIL)
      snprintf(asked.choices[asked.count++], sizeof asked.choices[0], "%s",
               luaL_checkstring(L, -1));
    lua_pop(L, 1);
  }
  lua_pushvalue(L, resume);
  asked.resume = luaL_ref(L, LUA_REGISTRYINDEX);
  *self = asked;
}

void dialogue_withdraw(struct dialogue *self, lua_State *L) {
  if (self->asker == 0) return;
  luaL_unref(L, LUA_REGISTRYINDEX, self->resume);
  memset(self, 0, sizeof *self);
}

/* It only makes the task ready: it goes on in the next step. */
bool dialogue_answer(struct dialogue *self, struct engine *engine, int choice) {
  lua_State *L = engine->L;
  if (self->asker == 0 || choice < 1 || choice > self->count) return false;
  lua_rawgeti(L, LUA_REGISTRYINDEX, self->resume);
  dialogue_withdraw(self, L);
  lua_pushinteger(L, choice);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) engine_note_error(engine, L);
  return true;
}
