/*
** game.c: see game.h.
*/
#include "game.h"

#include <lauxlib.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bindings.h"

static const double hero_speed = 5, /* tiles per second */
    slow_motion = 0.2, watch_every = 0.5;

/* --- Opening ----------------------------------------------------------- */

/* From whatever thread fills the queue: SDL_PushEvent takes any. A frame that
** runs dispatches by itself; this is for the game that is paused, whose main
** loop sleeps until an event comes. */
static void wake_main_loop(void *data) {
  SDL_Event event;
  memset(&event, 0, sizeof event);
  event.type = *(const Uint32 *)data;
  SDL_PushEvent(&event);
}

bool game_open(struct game *self, const char *folder) {
  memset(self, 0, sizeof *self);
  self->folder = folder;
  memory_count_core();
  if (!engine_open(&self->engine, folder, bindings_open, self)) {
    fprintf(stderr, "game: %s\n", self->engine.error);
    engine_close(&self->engine);
    return false;
  }
  self->engine.budget = 0.004;
  self->wakeup = SDL_RegisterEvents(1);
  desist_lua_on_wakeup(self->engine.L, wake_main_loop, &self->wakeup);
  return true;
}

/* The level first, in good order: its scripts run their cleanup, and wait in
** it if they like. */
void game_close(struct game *self) {
  level_leave(&self->level, "", "the game is over");
  self->level.next[0] = '\0';
  while (self->level.source != NULL) {
    engine_step(&self->engine, 1.0 / 60);
    level_sweep(&self->level, 1.0 / 60);
  }
  engine_close(&self->engine);
}

/* --- Telling ----------------------------------------------------------- */

void game_say(struct game *self, const char *format, ...) {
  va_list arguments;
  memmove(self->lines[0], self->lines[1], sizeof self->lines[0] * (LINES - 1));
  va_start(arguments, format);
  vsnprintf(self->lines[LINES - 1], sizeof self->lines[0], format, arguments);
  va_end(arguments);
}

time_t game_file_time(const struct game *self, const char *path) {
  char name[256];
  struct stat about;
  snprintf(name, sizeof name, "%s/%s", self->folder, path);
  return stat(name, &about) == 0 ? about.st_mtime : 0;
}

/* --- The hero ---------------------------------------------------------- */

static struct entity *hero_of(struct game *self) {
  return level_by_id(&self->level, self->level.hero);
}

static double distance(const struct entity *a, const struct entity *b) {
  return hypot(a->x - b->x, a->y - b->y);
}

static void touch_neighbours(struct game *self, struct entity *hero) {
  int i;
  for (i = 0; i < ENTITIES; i++) {
    struct entity *it = &self->level.entities[i];
    bool is_near;
    if (it->id == 0 || it == hero || !entity_is_alive(it)) continue;
    is_near = distance(it, hero) < 1;
    if (is_near && !it->is_near) entity_touch(it, hero);
    it->is_near = is_near;
  }
}

static void move_hero(struct game *self, double dt) {
  struct entity *hero = hero_of(self);
  const struct map *map = level_map(&self->level);
  double way = hero_speed * dt;
  double x, y;
  if (hero == NULL || map == NULL || self->level.frames_ending > 0) return;
  x = hero->x + way * (self->held[0] - self->held[1]);
  y = hero->y + way * (self->held[2] - self->held[3]);
  entity_step_to(hero, x, y, way);
  touch_neighbours(self, hero);
  if (map->tiles[(int)hero->y][(int)hero->x] == '>')
    level_leave(&self->level, self->level.exit, "the hero has gone on");
}

/* Ends the life of who stands nearest. */
static void cast_spell(struct game *self) {
  struct entity *hero = hero_of(self), *nearest = NULL;
  int i;
  if (hero == NULL) return;
  for (i = 0; i < ENTITIES; i++) {
    struct entity *it = &self->level.entities[i];
    if (it->id == 0 || it == hero || !entity_is_alive(it)) continue;
    if (nearest == NULL || distance(it, hero) < distance(nearest, hero))
      nearest = it;
  }
  if (nearest != NULL && distance(nearest, hero) < 5)
    entity_kill(nearest, "hit by a spell");
}

/* A script of a mod, beside the hero. */
static void call_imp(struct game *self) {
  lua_State *L = self->engine.L;
  struct entity *hero = hero_of(self);
  if (hero == NULL || self->level.frames_ending > 0) return;
  lua_newtable(L);
  lua_pushliteral(L, "imp");
  lua_setfield(L, -2, "name");
  lua_pushliteral(L, "imp");
  lua_setfield(L, -2, "look");
  lua_pushliteral(L, "mods/runaway.lua");
  lua_setfield(L, -2, "script");
  lua_pushboolean(L, true);
  lua_setfield(L, -2, "mod");
  lua_pushnumber(L, 5);
  lua_setfield(L, -2, "seconds");
  lua_pushnumber(L, hero->x + 1);
  lua_setfield(L, -2, "x");
  lua_pushnumber(L, hero->y);
  lua_setfield(L, -2, "y");
  (void)entity_create(self, L);
}

/* --- Keys -------------------------------------------------------------- */

static void press(struct game *self, SDL_Keycode key) {
  struct level *level = &self->level;
  switch (key) {
  case SDLK_1:
  case SDLK_2:
  case SDLK_3:
  case SDLK_4:
    dialogue_answer(&self->dialogue, &self->engine, key - SDLK_0);
    break;
  case SDLK_SPACE:
    cast_spell(self);
    break;
  case SDLK_x:
    call_imp(self);
    break;
  case SDLK_p:
    self->is_paused = !self->is_paused;
    break;
  case SDLK_s:
    self->is_slow = !self->is_slow;
    break;
  case SDLK_r:
    level_leave(level, level->name, "reloaded");
    break;
  case SDLK_n:
    level_leave(level, level->exit, "left");
    break;
  case SDLK_i:
    engine_print_tasks(&self->engine);
    break;
  case SDLK_ESCAPE:
  case SDLK_q:
    self->is_over = true;
    break;
  default:
    break;
  }
}

static void hold(struct game *self, SDL_Keycode key, bool is_held) {
  static const SDL_Keycode arrows[] = { SDLK_RIGHT, SDLK_LEFT, SDLK_DOWN,
                                        SDLK_UP };
  int i;
  for (i = 0; i < 4; i++)
    if (key == arrows[i]) self->held[i] = is_held;
}

void game_event(struct game *self, const SDL_Event *event) {
  if (event->type == SDL_QUIT) {
    self->is_over = true;
  } else if (event->type == self->wakeup) {
    desist_lua_dispatch(self->engine.L);
  } else if (event->type == SDL_KEYDOWN || event->type == SDL_KEYUP) {
    bool is_down = event->type == SDL_KEYDOWN;
    hold(self, event->key.keysym.sym, is_down);
    if (is_down && event->key.repeat == 0) press(self, event->key.keysym.sym);
  }
}

/* --- A frame ----------------------------------------------------------- */

/* A pause is a frame without a step, slow motion one with a smaller dt. */
void game_frame(struct game *self, double dt) {
  int errors = self->engine.errors;
  if (self->is_paused) return;
  if (self->is_slow) dt *= slow_motion;
  self->time += dt;
  move_hero(self, dt);
  engine_step(&self->engine, dt);
  level_sweep(&self->level, dt);
  self->to_watch -= dt;
  if (self->to_watch <= 0) {
    level_reload_changed(&self->level);
    self->to_watch = watch_every;
  }
  if (self->engine.errors != errors) {
    game_say(self, "%s", self->engine.error);
    fprintf(stderr, "game: %s\n", self->engine.error);
  }
}

/* --- Counting ---------------------------------------------------------- */

game_counts game_count(struct game *self) {
  game_counts counts;
  int i;
  memset(&counts, 0, sizeof counts);
  counts.sources = self->level.source != NULL;
  for (i = 0; i < ENTITIES; i++) {
    const struct entity *it = &self->level.entities[i];
    counts.entities += it->id != 0;
    counts.sources += it->source != NULL;
    counts.registrations += desist_is_registered(&it->ending);
  }
  counts.tasks = self->engine.tasks;
  counts.is_idle = engine_is_idle(&self->engine);
  for (i = 0; i < 3; i++) lua_gc(self->engine.L, LUA_GCCOLLECT);
  counts.memory = memory_now();
  return counts;
}
