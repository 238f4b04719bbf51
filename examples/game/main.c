/*
** main.c: a window, the player's keys, and frames.
**
**   game [--scripts DIR]                         to be played
**   game [--scripts DIR] --test [--picture FILE] plays itself, and checks
*/
#include <SDL.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "game.h"
#include "test.h"
#include "view.h"

struct options {
  const char *scripts, *picture;
  bool test;
};

static bool read_options(struct options *self, int argc, char **argv) {
  int i;
  memset(self, 0, sizeof *self);
  self->scripts = "examples/game/scripts";
  for (i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--test") == 0)
      self->test = true;
    else if (strcmp(argv[i], "--scripts") == 0 && i + 1 < argc)
      self->scripts = argv[++i];
    else if (strcmp(argv[i], "--picture") == 0 && i + 1 < argc)
      self->picture = argv[++i];
    else
      return false;
  }
  return true;
}

static double seconds_since(int64_t began) {
  return (double)(desist_now() - began) / 1e9;
}

static void handle_events(struct game *game) {
  SDL_Event event;
  /* Nothing moves in a pause: sleep until a key, or until another thread has
  ** cancelled something that a script has a callback on. */
  if (game->is_paused && SDL_WaitEvent(&event)) game_event(game, &event);
  while (SDL_PollEvent(&event)) game_event(game, &event);
}

/* Frames come with the display's refresh. One that took long is not made up
** for: the game goes slower. */
static void play(struct game *game, struct view *view) {
  int64_t before = desist_now();
  double frame = 0;
  game->pace = 8000000;
  level_enter(game, "village");
  while (!game->is_over) {
    double dt;
    int64_t began;
    handle_events(game);
    dt = seconds_since(before);
    before = began = desist_now();
    game_frame(game, dt < 0.05 ? dt : 0.05);
    view_draw(view, game, frame);
    frame = seconds_since(began);
    SDL_RenderPresent(view->renderer);
    if (seconds_since(began) < 0.004)
      SDL_Delay(10); /* no refresh to wait for */
  }
}

int main(int argc, char **argv) {
  struct options options;
  struct game game;
  struct view view;
  int status = EXIT_FAILURE;
  if (!read_options(&options, argc, argv)) {
    fprintf(stderr, "usage: game [--scripts DIR] [--test] [--picture FILE]\n");
    return 2;
  }
  if (SDL_Init(SDL_INIT_VIDEO) != 0) {
    fprintf(stderr, "game: %s\n", SDL_GetError());
    return EXIT_FAILURE;
  }
  if (view_open(&view, options.test) && game_open(&game, options.scripts)) {
    if (options.test) {
      status = test_game(&game, &view, options.picture);
    } else {
      play(&game, &view);
      status = EXIT_SUCCESS;
    }
    game_close(&game);
    if (options.test && !test_nothing_is_left()) status = EXIT_FAILURE;
  }
  view_close(&view);
  SDL_Quit();
  return status;
}
