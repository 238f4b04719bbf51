/*
** test_play.c: a walk through the village: scripts that walk, wait, follow and
** ask; time that stands still or goes slower.
*/
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct entity *find(struct game *game, const char *name) {
  return level_find(&game->level, name);
}

static void hold(struct game *game, bool right, bool left, bool down) {
  game->held[0] = right;
  game->held[1] = left;
  game->held[2] = down;
}

static bool tom_asks(struct game *game) { return game->dialogue.asker != 0; }

static bool tom_says(struct game *game, const char *text) {
  return strcmp(find(game, "Tom")->speech, text) == 0;
}

static bool time_is_up(struct game *game) {
  return tom_says(game, "Well, think about it.");
}

static bool tom_names_himself(struct game *game) {
  return tom_says(game, "Tom. I keep the gate.");
}

static bool is_at_tom(struct game *game) {
  return find(game, "hero")->x > 22.4;
}

static bool is_away(struct game *game) { return find(game, "hero")->x < 19.5; }

static bool is_loading(struct game *game) {
  return game->level.loader != NULL && !is_loaded(game);
}

static void load(struct player *self) {
  struct game *game = self->game;
  level_enter(game, "village");
  check(run_until(self, is_loading, 10),
        "a level's script awaits the loader, and frames go on");
  check(run_until(self, is_loaded, 600),
        "the loader's thread wakes it when the map is there");
}

static void walk(struct player *self) {
  struct game *game = self->game;
  double ada, bird;
  run_frames(self, 2);
  ada = find(game, "Ada")->x;
  bird = find(game, "bird1")->x;
  game->held[0] = true;
  run_frames(self, 50);
  game->held[0] = false;
  check(fabs(find(game, "Ada")->x - ada) > 1 &&
            fabs(find(game, "bird1")->x - bird) > 0.5,
        "guards and birds go their ways, each in a task");
  check(fabs(find(game, "Rex")->x - find(game, "hero")->x) < 2,
        "the dog follows the hero");
}

/* Of a question, and of a mod that computes for ever. */
static void take_picture(struct player *self) {
  struct game *game = self->game;
  double budget = game->engine.budget;
  int i;
  game->engine.budget = 0.004;
  for (i = 0; i < HISTORY; i++) {
    int64_t began = desist_now();
    if (i == HISTORY - 30) press(SDLK_x);
    run_frames(self, 1);
    view_draw(self->view, game, (double)(desist_now() - began) / 1e9);
  }
  check(view_save(self->view, self->picture), "a picture is written");
  entity_kill(find(game, "imp"), "gone");
  game->engine.budget = budget;
}

static void ask(struct player *self) {
  struct game *game = self->game;
  hold(game, true, false, false);
  check(run_until(self, is_at_tom, 10), "the hero walks by keys");
  hold(game, false, false, false);
  check(run_until(self, tom_asks, 3), "Tom asks, and waits for a key");
  if (self->picture != NULL) take_picture(self);
  check(run_until(self, time_is_up, 9) && !tom_asks(game),
        "he does not wait for ever: the question is taken back");
  hold(game, false, true, false);
  run_until(self, is_away, 10);
  hold(game, false, false, false);
  run_frames(self, 120);
  hold(game, true, false, false);
  run_until(self, is_at_tom, 10);
  hold(game, false, false, false);
  check(run_until(self, tom_asks, 10), "he asks again who comes again");
}

static void stop_time(struct player *self) {
  struct game *game = self->game;
  double time = game->time, bird = find(game, "bird1")->x;
  press(SDLK_p);
  press(SDLK_2);
  run_frames(self, 100);
  check(game->time == time && find(game, "bird1")->x == bird &&
            !tom_names_himself(game),
        "in a pause nothing goes on, not after an answer either");
  press(SDLK_p);
  check(run_until(self, tom_names_himself, 1), "then it does");

  time = game->time;
  press(SDLK_s);
  run_frames(self, 60);
  check(fabs(game->time - time - 0.2) < 0.001,
        "in slow motion a second is a fifth of one");
  press(SDLK_s);
}

void test_play(struct player *self) {
  load(self);
  walk(self);
  ask(self);
  stop_time(self);
}
