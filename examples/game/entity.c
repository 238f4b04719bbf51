/*
** entity.c: see entity.h.
*/
#include "entity.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bindings.h"
#include "game.h"

/* What a function of a mod may take that is called in the middle of a frame,
** in nanoseconds; then its cleanup, should it catch the error. */
static const int64_t touch_limit = 3000000, touch_grace = 500000;

/* --- Life -------------------------------------------------------------- */

/* Of its token: on the thread that cancels, which is the main one. */
static void on_end(void *data, desist_reason *reason) {
  struct entity *self = (struct entity *)data;
  if (desist_token_is_cancelled(level_token(&self->game->level))) return;
  level_puff(&self->game->level, self->x, self->y);
  game_say(self->game, "%s: %s", self->name, desist_reason_text(reason));
}

/* A new life, and the script with it. */
static void begin(struct entity *self, lua_State *L) {
  struct engine *engine = &self->game->engine;
  desist_token *level = level_token(&self->game->level);
  desist_token *token;
  self->source = desist_source_create_linked(&level, 1, DESIST_LINK_ANY);
  desist_source_set_name(self->source, self->name);
  token = desist_source_token(self->source);
  desist_register(token, &self->ending, on_end, self);
  if (self->script[0] == '\0') return;
  self->changed = game_file_time(self->game, self->script);
  bindings_push_entity(L, self);
  lua_pushstring(L, self->script);
  lua_rawgeti(L, LUA_REGISTRYINDEX, self->with);
  engine_spawn(engine, L, self->is_mod ? "run_mod" : "run", 3, self->name,
               token);
}

bool entity_is_alive(const struct entity *self) {
  return !desist_token_is_cancelled(desist_source_token(self->source));
}

bool entity_kill(struct entity *self, const char *text) {
  desist_reason *reason = desist_reason_create(0, text);
  bool killed = desist_source_cancel(self->source, reason);
  desist_reason_release(reason);
  return killed;
}

void entity_restart(struct entity *self, const char *reason) {
  desist_unregister(&self->ending); /* this end is not the entity's */
  entity_kill(self, reason);
  desist_source_release(self->source);
  self->speech[0] = '\0';
  begin(self, self->game->engine.L);
}

/* --- Making ------------------------------------------------------------ */

static void read_text(lua_State *L, const char *field, char *text,
                      size_t size) {
  lua_getfield(L, -1, field);
  snprintf(text, size, "%s", luaL_optstring(L, -1, ""));
  lua_pop(L, 1);
}

static double read_number(lua_State *L, const char *field) {
  double number;
  lua_getfield(L, -1, field);
  number = luaL_optnumber(L, -1, 0);
  lua_pop(L, 1);
  return number;
}

static bool read_flag(lua_State *L, const char *field) {
  bool flag;
  lua_getfield(L, -1, field);
  flag = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return flag;
}

/* What may raise comes before the entity has anything to lose. */
struct entity *entity_create(struct game *game, lua_State *L) {
  struct entity read, *self = level_free_place(&game->level);
  memset(&read, 0, sizeof read);
  read.game = game;
  read_text(L, "name", read.name, sizeof read.name);
  read_text(L, "look", read.look, sizeof read.look);
  read_text(L, "script", read.script, sizeof read.script);
  read.x = read_number(L, "x");
  read.y = read_number(L, "y");
  read.flies = read_flag(L, "flies");
  read.is_mod = read_flag(L, "mod");
  read.touch = LUA_NOREF;
  read.with = luaL_ref(L, LUA_REGISTRYINDEX);
  if (self == NULL) {
    luaL_unref(L, LUA_REGISTRYINDEX, read.with);
    return NULL;
  }
  *self = read;
  self->id = ++game->last_id;
  begin(self, L);
  return self;
}

void entity_free(struct entity *self) {
  lua_State *L = self->game->engine.L;
  desist_unregister(&self->ending);
  desist_source_release(self->source);
  luaL_unref(L, LUA_REGISTRYINDEX, self->with);
  luaL_unref(L, LUA_REGISTRYINDEX, self->touch);
  memset(self, 0, sizeof *self);
}

/* --- What it does ------------------------------------------------------ */

/*
** A call from the middle of a frame into code that nobody has read: it is
** stopped after a while, and when the entity's life ends. The limit is a link
** on the entity's token with a deadline on the real clock.
*/
void entity_touch(struct entity *self, struct entity *by) {
  struct engine *engine = &self->game->engine;
  lua_State *L = engine->L;
  desist_token *token = desist_source_token(self->source);
  desist_source *limit;
  if (self->touch == LUA_NOREF) return;
  limit = desist_source_create_linked(&token, 1, DESIST_LINK_ANY);
  token = desist_source_token(limit);
  desist_source_cancel_after(limit, touch_limit);
  lua_rawgeti(L, LUA_REGISTRYINDEX, self->touch);
  bindings_push_entity(L, self);
  bindings_push_entity(L, by);
  if (desist_lua_pcall(L, 2, 0, 0, token, touch_grace) != LUA_OK) {
    if (desist_lua_is_cancelled(L, -1, token)) {
      game_say(self->game, "%s: stopped, its time was up", self->name);
      lua_pop(L, 1);
    } else {
      engine_note_error(engine, L);
    }
  }
  desist_source_release(limit);
}

bool entity_step_to(struct entity *self, double x, double y, double distance) {
  const struct map *map = level_map(&self->game->level);
  double dx = x - self->x, dy = y - self->y, far = sqrt(dx * dx + dy * dy);
  double part = far <= distance ? 1 : distance / far;
  double to_x = self->x + dx * part, to_y = self->y + dy * part;
  if (fabs(dx) > 0.01) self->is_left = dx < 0;
  if (map == NULL) return false;
  if (self->flies || !map_is_solid(map, to_x, self->y)) self->x = to_x;
  if (self->flies || !map_is_solid(map, self->x, to_y)) self->y = to_y;
  return far <= distance;
}
