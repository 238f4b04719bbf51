/*
** view.h: the window: the world on the left, on the right what goes on in it.
**
** Looks at the game and changes nothing in it.
*/
#ifndef GAME_VIEW_H
#define GAME_VIEW_H

#include "game.h"
#include "paint.h"

enum {
  VIEW_WIDTH = 960,
  VIEW_HEIGHT = 600,
  PIXEL = 2, /* of the world, in pixels of the window */
  TILE = GRAIN * PIXEL,
  WORLD_WIDTH = MAP_WIDTH * PIXEL,
  WORLD_HEIGHT = MAP_HEIGHT * PIXEL,
  HISTORY = 120 /* frames in the diagram */
};

struct view {
  SDL_Window *window;
  SDL_Renderer *renderer;
  SDL_Texture *ground;     /* the picture of a map */
  const struct map *shown; /* that map; NULL: there is none */
  float spent[HISTORY];    /* milliseconds of scripts, of the last frames */
  int at;
};

/* Software: where there is no display. False: on stderr why. */
bool view_open(struct view *self, bool software);
void view_close(struct view *self);

/* `frame` is how many seconds the last frame took. */
void view_draw(struct view *self, struct game *game, double frame);

/* Writes what was drawn last, as a BMP file. */
bool view_save(struct view *self, const char *path);

/* The right part (view_panel.c). */
void view_draw_panel(struct view *self, struct game *game, double frame);

#endif
