/*
** test_limits.c: ends: of entities and of code that does not want to end.
*/
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct entity *find(struct game *game, const char *name) {
  return level_find(&game->level, name);
}

static int lanterns(const struct game *game) {
  int i, count = 0;
  for (i = 0; i < THINGS; i++)
    count += strcmp(game->level.things[i].look, "lantern") == 0;
  return count;
}

static void wait(struct player *self, const char *name) {
  struct entity *it = find(self->game, name);
  while (strncmp(it->doing, "waits", 5) != 0) run_frames(self, 1);
}

static void kill_somebody(struct player *self) {
  struct game *game = self->game;
  int tasks = game->engine.tasks, dropped = lanterns(game), frames;
  wait(self, "Bo");
  entity_kill(find(game, "Bo"), "gone");
  check(find(game, "Bo") == NULL, "who is killed is gone at once");
  for (frames = 0; frames < 60 && game->engine.tasks == tasks; frames++)
    run_frames(self, 1);
  check(game->engine.tasks == tasks - 1 && lanterns(game) == dropped + 1,
        "his script ends in its wait, and its cleanup drops the lantern");
}

/* --- Mods -------------------------------------------------------------- */

static struct entity *call_imp(struct player *self) {
  press(SDLK_x);
  run_frames(self, 2);
  return find(self->game, "imp");
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Seconds that this thread has computed: somebody else may use the machine. */
static double computed(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The median. */
static double usual_frame(struct player *self) {
  double took[60];
  int i, count = sizeof took / sizeof *took;
  for (i = 0; i < count; i++) {
    double began = computed();
    run_frames(self, 1);
    took[i] = computed() - began;
  }
  qsort(took, (size_t)count, sizeof *took, compare);
  return took[count / 2];
}

static bool imp_is_gone(struct game *game) {
  return game->engine.tasks < 100 && find(game, "imp") == NULL;
}

static bool imp_was_stopped(struct game *game) {
  return find(game, "imp")->tasks == 0;
}

static bool no_imp_is_left(struct game *game) {
  int i;
  for (i = 0; i < ENTITIES; i++)
    if (strcmp(game->level.entities[i].name, "imp") == 0) return false;
  return true;
}

static void contain_a_mod(struct player *self) {
  struct game *game = self->game;
  double budget = game->engine.budget;
  double bird = find(game, "bird1")->x + find(game, "bird1")->y, frame;
  int tasks = game->engine.tasks;
  struct entity *imp = call_imp(self);
  check(imp != NULL && game->engine.tasks == tasks + 1,
        "a mod computes for ever, and catches all errors");
  frame = usual_frame(self);
  printf("         (a frame with it takes %.2f ms, the budget is %.2f ms)\n",
         frame * 1000, budget * 1000);
  check(frame < budget + 0.002, "the budget holds: frames keep their time");
  check(find(game, "bird1")->x + find(game, "bird1")->y != bird,
        "the other scripts go on");
  press(SDLK_SPACE);
  check(run_until(self, imp_is_gone, 1) && run_until(self, no_imp_is_left, 2) &&
            game->engine.tasks == tasks,
        "a spell ends its life, and the guard the mod");
  (void)call_imp(self);
  check(run_until(self, imp_was_stopped, 6) && game->engine.tasks == tasks,
        "the guard stops another when its five seconds are over");
  entity_kill(find(game, "imp"), "gone");
}

/* In a comparison of table.sort, which cannot yield. */
static void end_a_hang(struct player *self) {
  struct game *game = self->game;
  double patience = game->engine.patience;
  write_script(self, "mods/runaway.lua",
               "table.sort({ 1, 2 }, function() while true do end end)");
  game->engine.patience = 0.05;
  (void)call_imp(self);
  check(run_until(self, imp_was_stopped, 2) &&
            has_line(game, "imp: hung, was stopped"),
        "where no budget can help, the watchdog ends the mod");
  game->engine.patience = patience;
  entity_kill(find(game, "imp"), "gone");
  write_script(self, "mods/runaway.lua", "while true do end");
}

static void touch_the_sign(struct player *self) {
  struct game *game = self->game;
  double began = computed(), took;
  entity_touch(find(game, "sign"), find(game, "hero"));
  took = (computed() - began) * 1000;
  printf("         (stopped after %.2f ms)\n", took);
  check(has_line(game, "sign: stopped, its time was up") && took < 100,
        "a mod's function that does not return is stopped in the frame");
}

/* --- Ties -------------------------------------------------------------- */

static bool rex_mourns(struct game *game) {
  return strcmp(find(game, "Rex")->speech, "Wuff?") == 0;
}

static void lose_the_hero(struct player *self) {
  entity_kill(find(self->game, "hero"), "gone");
  check(run_until(self, rex_mourns, 1),
        "who follows another learns of his end from his token");
}

void test_limits(struct player *self) {
  kill_somebody(self);
  contain_a_mod(self);
  end_a_hang(self);
  touch_the_sign(self);
  lose_the_hero(self);
}
