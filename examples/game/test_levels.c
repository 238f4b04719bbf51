/*
** test_levels.c: levels that are left, in order and in the middle, scripts that
** are changed, and that nothing stays behind.
*/
#include "test.h"

#include <stdio.h>
#include <string.h>

enum {
  TIMES = 5,
  SPARE = 4096 /* bytes by which tables and stacks that stay may be larger */
};

static bool is_in(struct game *game, const char *name) {
  return is_loaded(game) && strcmp(game->level.name, name) == 0;
}

static bool is_in_cave(struct game *game) { return is_in(game, "cave"); }

static bool is_in_village(struct game *game) { return is_in(game, "village"); }

static bool is_half_loaded(struct game *game) {
  struct loader *loader = game->level.loader;
  return loader != NULL && game->level.frames_ending == 0 &&
         loader_progress(loader) > 0.2;
}

static bool is_nowhere(struct game *game) { return game->level.source == NULL; }

static bool has_ended(struct game *game) {
  return game->level.frames_ending == 0;
}

/* What a loader has ended with. */
static bool was_stopped(desist_token *ended) {
  desist_reason *reason = desist_token_reason(ended);
  return reason != NULL && strcmp(desist_reason_text(reason), "stopped") == 0;
}

/* --- Coming and going -------------------------------------------------- */

static void go_through_the_gate(struct player *self) {
  struct game *game = self->game;
  struct entity *hero;
  check(run_until(self, is_loaded, 600), "the level is loaded again");
  hero = level_by_id(&game->level, game->level.hero);
  hero->x = 20.5;
  hero->y = 18.5;
  game->held[2] = true;
  check(run_until(self, is_in_cave, 600),
        "the hero steps into the light, and is in the cave");
  game->held[2] = false;
}

static void leave_while_loading(struct player *self) {
  struct game *game = self->game;
  desist_token *ended;
  game->pace = 20000000; /* 1.3 seconds for all of it */
  press(SDLK_n);
  check(run_until(self, is_half_loaded, 600) &&
            loader_progress(game->level.loader) < 0.9,
        "a level is being loaded");
  ended = loader_ended(game->level.loader);
  desist_token_retain(ended);
  game->pace = 0;
  press(SDLK_n);
  run_until(self, has_ended, 600);
  run_frames(self, 1);
  check(strcmp(game->level.name, "cave") == 0 && was_stopped(ended),
        "it is left in the middle: the loader's thread ends with it");
  desist_token_release(ended);
  check(run_until(self, is_in_cave, 600), "and the next one is loaded");
}

/* The main loop of a paused game sleeps in SDL_WaitEvent. */
static void wake_up(struct player *self) {
  struct game *game = self->game;
  SDL_Event event;
  bool woken = false;
  game->pace = 20000000;
  press(SDLK_r);
  run_until(self, has_ended, 600);
  run_frames(self, 2);
  game->is_paused = true;
  while (!woken && SDL_WaitEventTimeout(&event, 5000) != 0) {
    woken = event.type == game->wakeup;
    game_event(game, &event);
  }
  check(woken && level_map(&game->level) != NULL,
        "a loader that has ended wakes the main loop out of a pause");
  game->is_paused = false;
  game->pace = 0;
  check(run_until(self, is_in_cave, 600), "the level's script goes on then");
}

/* --- Scripts that change ----------------------------------------------- */

static bool bat_speaks(struct game *game) {
  struct entity *bat = level_find(&game->level, "bat1");
  return bat != NULL && strcmp(bat->speech, "reloaded") == 0;
}

static bool has_one_script_each(struct game *game) {
  int i;
  for (i = 0; i < ENTITIES; i++)
    if (game->level.entities[i].tasks > 1) return false;
  return true;
}

static void reload_scripts(struct player *self) {
  struct game *game = self->game;
  int tasks = game->engine.tasks;
  double x = level_find(&game->level, "bat1")->x;
  write_script(self, "flutter.lua",
               "local self = ... self:speak 'reloaded' async.sleep(1e6)");
  check(run_until(self, bat_speaks, 2), "a changed script begins anew");
  check(run_until(self, has_one_script_each, 2) &&
            game->engine.tasks == tasks &&
            level_find(&game->level, "bat1")->x - x < 3,
        "the one before has ended, and its entity stays where it is");
  write_script(self, "levels/cave.lua",
               "local level = ... level.leads_to 'village' "
               "level.load('levels/cave.txt', { seed = 1 }) "
               "level.play(level.enter { name = 'hero', look = 'hero', "
               "at = 'h', script = 'stubborn.lua' })");
  write_script(self, "stubborn.lua", "while true do pcall(async.sleep, 1) end");
  run_frames(self, 40);
  check(run_until(self, is_in_cave, 600) &&
            level_find(&game->level, "bat1") == NULL,
        "a level whose script has changed is left and entered again");
}

static void close_what_does_not_end(struct player *self) {
  struct game *game = self->game;
  run_frames(self, 10);
  press(SDLK_n);
  check(run_until(self, is_in_village, 600) &&
            has_line(game, "scripts of cave were closed"),
        "a script that will not end is closed with the loop");
}

/* --- Nothing stays ----------------------------------------------------- */

static void unload(struct player *self) {
  press(SDLK_n);
  self->game->level.exit[0] = '\0';
  if (!run_until(self, is_nowhere, 600)) check(false, "the level ends");
}

static void print_counts(const char *when, const game_counts *of) {
  printf("         (%s: %d entities, %d sources, %d registrations, %d tasks, "
         "Lua %ld bytes in %ld blocks, desist %ld bytes in %ld blocks)\n",
         when, of->entities, of->sources, of->registrations, of->tasks,
         of->memory.lua_bytes, of->memory.lua_blocks, of->memory.core_bytes,
         of->memory.core_blocks);
}

static bool is_nothing(const game_counts *of) {
  return of->entities == 0 && of->sources == 0 && of->registrations == 0 &&
         of->tasks == 0 && of->is_idle;
}

/* Whether the level, which is being loaded, is left before it is. */
static bool leave_early(struct player *self) {
  desist_token *ended = loader_ended(self->game->level.loader);
  bool stopped;
  desist_token_retain(ended);
  unload(self);
  stopped = was_stopped(ended);
  desist_token_release(ended);
  return stopped;
}

/* Up and down again: played for a while, and left while it is loaded. How many
** loaders were stopped. */
static int come_and_go(struct player *self, int times) {
  int stopped = 0;
  while (times-- > 0) {
    level_enter(self->game, "village");
    run_until(self, is_loaded, 600);
    press(SDLK_x);
    run_frames(self, 30);
    unload(self);
    level_enter(self->game, "village");
    run_until(self, is_half_loaded, 600);
    stopped += leave_early(self);
  }
  return stopped;
}

static void leave_nothing(struct player *self) {
  game_counts first, last;
  int stopped = 0, tries;
  unload(self);
  (void)come_and_go(self, 1);
  first = game_count(self->game);
  for (tries = 0; tries < 20 && stopped == 0; tries++)
    stopped = come_and_go(self, TIMES);
  check(stopped > 0, "a loader that computes stops between two pieces");
  last = game_count(self->game);
  print_counts("first", &first);
  print_counts("last ", &last);
  check(is_nothing(&first) && is_nothing(&last),
        "no entity, source, registration, task or timer is left");
  check(last.memory.core_bytes == first.memory.core_bytes &&
            last.memory.core_blocks == first.memory.core_blocks,
        "desist holds what it held after the first time");
  check(last.memory.lua_blocks == first.memory.lua_blocks &&
            last.memory.lua_bytes <= first.memory.lua_bytes + SPARE,
        "so does Lua, after a full collection");
}

void test_levels(struct player *self) {
  press(SDLK_r);
  go_through_the_gate(self);
  leave_while_loading(self);
  wake_up(self);
  reload_scripts(self);
  close_what_does_not_end(self);
  leave_nothing(self);
}
