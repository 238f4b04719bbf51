/*
** test.c: see test.h.
*/
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <utime.h>

static int passed, failed;

void check(bool holds, const char *what) {
  printf("%s %s\n", holds ? "ok:    " : "FAILED:", what);
  fflush(stdout);
  *(holds ? &passed : &failed) += 1;
}

/* --- The player -------------------------------------------------------- */

void press(SDL_Keycode key) {
  SDL_Event event;
  memset(&event, 0, sizeof event);
  event.type = SDL_KEYDOWN;
  event.key.keysym.sym = key;
  SDL_PushEvent(&event);
  event.type = SDL_KEYUP;
  SDL_PushEvent(&event);
}

/* Draws now and then: what is drawn is looked at by people. */
static void run_frame(struct player *self) {
  static int frames;
  SDL_Event event;
  while (SDL_PollEvent(&event)) game_event(self->game, &event);
  game_frame(self->game, 1.0 / 60);
  if (++frames % 60 == 0) view_draw(self->view, self->game, 0);
}

void run_frames(struct player *self, int count) {
  while (count-- > 0) run_frame(self);
}

bool is_loaded(struct game *game) {
  return game->level.frames_ending == 0 && level_map(&game->level) != NULL &&
         game->level.hero != 0;
}

bool has_line(const struct game *game, const char *line) {
  int i;
  for (i = 0; i < LINES; i++)
    if (strcmp(game->lines[i], line) == 0) return true;
  return false;
}

/* While a level is loaded the frames wait a little, as for a display. */
bool run_until(struct player *self, condition holds, double seconds) {
  int frames = (int)(seconds * 60);
  while (frames-- > 0) {
    run_frame(self);
    if (holds(self->game)) return true;
    if (!is_loaded(self->game)) SDL_Delay(1);
  }
  return false;
}

/* --- Files ------------------------------------------------------------- */

/* Times of files may be no finer than seconds. */
void write_script(struct player *self, const char *path, const char *text) {
  static int later;
  char name[256];
  struct utimbuf times;
  FILE *file;
  snprintf(name, sizeof name, "%s/%s", self->game->folder, path);
  file = fopen(name, "w");
  if (file == NULL) {
    check(false, "the folder of scripts can be written to");
    return;
  }
  fputs(text, file);
  fclose(file);
  times.actime = times.modtime = time(NULL) + ++later;
  utime(name, &times);
}

/* --- All of it --------------------------------------------------------- */

int test_game(struct game *game, struct view *view, const char *picture) {
  struct player player;
  player.game = game;
  player.view = view;
  player.picture = picture;
  game->engine.budget = 0.002;
  game->engine.patience = 60; /* of a machine that others use, too */
  test_play(&player);
  test_limits(&player);
  test_levels(&player);
  check(game->engine.errors == 0, "no script has raised an error");
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

bool test_nothing_is_left(void) {
  memory_use use = memory_now();
  check(use.lua_bytes == 0 && use.core_bytes == 0 && use.core_blocks == 0,
        "with the state closed, Lua and desist hold no byte");
  if (failed == 0) printf("ok %d\n", passed);
  return failed == 0;
}
