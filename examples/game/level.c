/*
** level.c: see level.h.
*/
#include "level.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "game.h"

/* Frames that scripts have to end in before they are closed. */
enum { PATIENCE = 180 };

static void script_of(const char *name, char path[48]) {
  snprintf(path, 48, "levels/%s.lua", name);
}

desist_token *level_token(const struct level *self) {
  return desist_source_token(self->source);
}

struct map *level_map(const struct level *self) {
  return self->loader != NULL ? loader_map(self->loader) : NULL;
}

/* --- Entering and leaving ---------------------------------------------- */

void level_enter(struct game *game, const char *name) {
  struct level *self = &game->level;
  char path[48];
  memset(self, 0, sizeof *self);
  self->game = game;
  snprintf(self->name, sizeof self->name, "%s", name);
  self->source = desist_source_create();
  desist_source_set_name(self->source, self->name);
  script_of(name, path);
  self->changed = game_file_time(game, path);
  lua_pushstring(game->engine.L, path);
  engine_spawn(&game->engine, game->engine.L, "run_level", 1, self->name,
               level_token(self));
}

bool level_leave(struct level *self, const char *next, const char *text) {
  desist_reason *reason;
  if (self->source == NULL || self->frames_ending > 0) return false;
  snprintf(self->next, sizeof self->next, "%s", next);
  self->frames_ending = 1;
  reason = desist_reason_create(0, text);
  desist_source_cancel(self->source, reason);
  desist_reason_release(reason);
  return true;
}

static bool loader_works(const struct level *self) {
  return self->loader != NULL &&
         !desist_token_is_cancelled(loader_ended(self->loader));
}

static void end(struct level *self) {
  struct game *game = self->game;
  char next[16];
  memcpy(next, self->next, sizeof next);
  loader_free(self->loader);
  desist_source_release(self->source);
  memset(self, 0, sizeof *self);
  if (next[0] != '\0') level_enter(game, next);
}

/* --- From frame to frame ----------------------------------------------- */

static void sweep_entities(struct level *self) {
  int i;
  for (i = 0; i < ENTITIES; i++) {
    struct entity *it = &self->entities[i];
    if (it->id != 0 && it->tasks == 0 && !entity_is_alive(it)) entity_free(it);
  }
}

static void sweep_puffs(struct level *self, double dt) {
  int i;
  for (i = 0; i < PUFFS; i++) self->puffs[i].age += dt;
}

void level_sweep(struct level *self, double dt) {
  struct engine *engine = &self->game->engine;
  if (self->source == NULL) return;
  sweep_entities(self);
  sweep_puffs(self, dt);
  if (self->frames_ending == 0) return;
  if (self->frames_ending++ == PATIENCE && !engine_is_idle(engine)) {
    game_say(self->game, "scripts of %s were closed", self->name);
    engine_renew_loop(engine);
    sweep_entities(self);
  }
  if (engine_is_idle(engine) && !loader_works(self)) end(self);
}

void level_reload_changed(struct level *self) {
  char path[48];
  int i;
  if (self->source == NULL || self->frames_ending > 0) return;
  script_of(self->name, path);
  if (game_file_time(self->game, path) != self->changed) {
    char again[16];
    memcpy(again, self->name, sizeof again);
    game_say(self->game, "%s has changed", path);
    level_leave(self, again, "its script has changed");
    return;
  }
  for (i = 0; i < ENTITIES; i++) {
    struct entity *it = &self->entities[i];
    if (it->id == 0 || it->script[0] == '\0' || !entity_is_alive(it) ||
        game_file_time(self->game, it->script) == it->changed)
      continue;
    game_say(self->game, "%s has changed: %s", it->script, it->name);
    entity_restart(it, "its script has changed");
  }
}

/* --- What is in it ----------------------------------------------------- */

struct entity *level_find(struct level *self, const char *name) {
  int i;
  for (i = 0; i < ENTITIES; i++) {
    struct entity *it = &self->entities[i];
    if (it->id != 0 && strcmp(it->name, name) == 0 && entity_is_alive(it))
      return it;
  }
  return NULL;
}

struct entity *level_by_id(struct level *self, unsigned id) {
  int i;
  for (i = 0; id != 0 && i < ENTITIES; i++)
    if (self->entities[i].id == id) return &self->entities[i];
  return NULL;
}

struct entity *level_free_place(struct level *self) {
  int i;
  for (i = 0; i < ENTITIES; i++)
    if (self->entities[i].id == 0) return &self->entities[i];
  return NULL;
}

/* The oldest makes room. */
void level_puff(struct level *self, double x, double y) {
  struct puff *oldest = &self->puffs[0];
  int i;
  for (i = 1; i < PUFFS; i++)
    if (self->puffs[i].age > oldest->age) oldest = &self->puffs[i];
  oldest->x = x;
  oldest->y = y;
  oldest->age = 0;
}

void level_drop(struct level *self, const char *look, double x, double y) {
  int i;
  for (i = 0; i < THINGS; i++) {
    struct thing *it = &self->things[i];
    if (it->look[0] != '\0') continue;
    snprintf(it->look, sizeof it->look, "%s", look);
    it->x = x;
    it->y = y;
    return;
  }
}
