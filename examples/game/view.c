/*
** view.c: the world. See view.h.
*/
#include "view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const Uint32 white = 0xf4f0e6, dark = 0x17141f, gold = 0xf2c14e;

/* --- The window -------------------------------------------------------- */

bool view_open(struct view *self, bool software) {
  memset(self, 0, sizeof *self);
  self->window = SDL_CreateWindow(
      "desist: a game host", SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED,
      VIEW_WIDTH, VIEW_HEIGHT, software ? 0 : SDL_WINDOW_RESIZABLE);
  if (self->window != NULL)
    self->renderer = SDL_CreateRenderer(self->window, -1,
                                        software ? SDL_RENDERER_SOFTWARE
                                                 : SDL_RENDERER_PRESENTVSYNC);
  if (self->renderer != NULL)
    self->ground =
        SDL_CreateTexture(self->renderer, SDL_PIXELFORMAT_RGB888,
                          SDL_TEXTUREACCESS_STREAMING, MAP_WIDTH, MAP_HEIGHT);
  if (self->ground == NULL) {
    fprintf(stderr, "game: %s\n", SDL_GetError());
    return false;
  }
  SDL_RenderSetLogicalSize(self->renderer, VIEW_WIDTH, VIEW_HEIGHT);
  return true;
}

void view_close(struct view *self) {
  if (self->ground != NULL) SDL_DestroyTexture(self->ground);
  if (self->renderer != NULL) SDL_DestroyRenderer(self->renderer);
  if (self->window != NULL) SDL_DestroyWindow(self->window);
}

bool view_save(struct view *self, const char *path) {
  SDL_Surface *picture = SDL_CreateRGBSurfaceWithFormat(
      0, VIEW_WIDTH, VIEW_HEIGHT, 32, SDL_PIXELFORMAT_RGB888);
  bool saved;
  if (picture == NULL) return false;
  saved = SDL_RenderReadPixels(self->renderer, NULL, SDL_PIXELFORMAT_RGB888,
                               picture->pixels, picture->pitch) == 0 &&
          SDL_SaveBMP(picture, path) == 0;
  SDL_FreeSurface(picture);
  return saved;
}

/* --- The ground -------------------------------------------------------- */

static void draw_gate(SDL_Renderer *to, int x, int y) {
  int bar;
  paint_box(to, x, y, TILE, TILE, 0x3a2a1c);
  for (bar = 0; bar < 4; bar++)
    paint_box(to, x + 2 + bar * 6, y, 3, TILE, 0x8d6a3f);
  paint_box(to, x, y + 8, TILE, 3, 0x5d4527);
}

static void draw_exit(SDL_Renderer *to, int x, int y, double time) {
  int ring;
  for (ring = 0; ring < 4; ring++)
    paint_box(to, x + ring * 3, y + ring * 3, TILE - ring * 6, TILE - ring * 6,
              fmod(time * 4 + ring, 4) < 1 ? 0xb9a2ff : 0x3b2a72);
}

static void draw_ground(struct view *self, struct game *game,
                        const struct map *map) {
  SDL_Rect area = { 0, 0, WORLD_WIDTH, WORLD_HEIGHT };
  int row, column;
  if (map != self->shown)
    SDL_UpdateTexture(self->ground, NULL, map->pixels,
                      (int)sizeof map->pixels[0]);
  self->shown = map;
  SDL_RenderCopy(self->renderer, self->ground, NULL, &area);
  for (row = 0; row < ROWS; row++)
    for (column = 0; column < COLUMNS; column++) {
      char tile = map->tiles[row][column];
      int x = column * TILE, y = row * TILE;
      if (tile == '=') draw_gate(self->renderer, x, y);
      if (tile == '>') draw_exit(self->renderer, x, y, game->time);
    }
}

/* --- Who stands on it -------------------------------------------------- */

static int pixels(double tiles) { return (int)(tiles * TILE); }

static void draw_shadow(SDL_Renderer *to, int x, int y) {
  int row;
  for (row = -2; row <= 2; row++) {
    int half = 10 - row * row * 2;
    paint_veil(to, x - half, y + row * PIXEL, half * 2, PIXEL, 0, 0.35);
  }
}

static void draw_entity(SDL_Renderer *to, const struct entity *it,
                        double time) {
  int x = pixels(it->x), y = pixels(it->y);
  int lift = it->flies ? 10 + (int)(3 * sin(time * 9 + it->id)) : 0;
  bool is_hero = strcmp(it->look, "hero") == 0;
  draw_shadow(to, x, y + 10);
  paint_sprite(to, it->look, x, y - lift, PIXEL, it->is_left);
  if (!is_hero)
    paint_text(to, x - paint_text_width(1, it->name) / 2, y + 15, 1, white,
               it->name);
}

/* Kept inside the world. */
static void draw_speech(SDL_Renderer *to, const struct entity *it) {
  int width = paint_text_width(2, it->speech) + 14;
  int x = pixels(it->x) - width / 2, y = pixels(it->y) - 66;
  if (it->speech[0] == '\0') return;
  if (x < 4) x = 4;
  if (x > WORLD_WIDTH - width - 4) x = WORLD_WIDTH - width - 4;
  if (y < 4) y = pixels(it->y) + 26;
  paint_box(to, x - 2, y - 2, width + 4, 30, dark);
  paint_box(to, x, y, width, 26, white);
  paint_text(to, x + 8, y + 6, 2, dark, it->speech);
}

static void draw_puff(SDL_Renderer *to, const struct puff *it) {
  int i, spread = 4 + (int)(it->age * 40);
  if (it->age > 0.7 || it->x == 0) return;
  for (i = 0; i < 8; i++)
    paint_veil(to, pixels(it->x) + (int)(spread * cos(i * 0.785)) - 4,
               pixels(it->y) + (int)(spread * sin(i * 0.785)) - 4, 8, 8,
               0xfff4d0, 0.9 - it->age * 1.2);
}

static void draw_level(struct view *self, struct game *game) {
  SDL_Renderer *to = self->renderer;
  struct level *level = &game->level;
  int i;
  for (i = 0; i < THINGS; i++) {
    const struct thing *it = &level->things[i];
    if (it->look[0] != '\0')
      paint_sprite(to, it->look, pixels(it->x), pixels(it->y), 1, false);
  }
  for (i = 0; i < ENTITIES; i++) {
    const struct entity *it = &level->entities[i];
    if (it->id != 0 && entity_is_alive(it)) draw_entity(to, it, game->time);
  }
  for (i = 0; i < PUFFS; i++) draw_puff(to, &level->puffs[i]);
  for (i = 0; i < ENTITIES; i++)
    if (level->entities[i].id != 0) draw_speech(to, &level->entities[i]);
}

/* --- In front of it ---------------------------------------------------- */

static void draw_loading(struct view *self, const struct game *game) {
  SDL_Renderer *to = self->renderer;
  struct loader *loader = game->level.loader;
  int x = WORLD_WIDTH / 2 - 150, y = WORLD_HEIGHT / 2, width = 300;
  char text[48];
  self->shown = NULL;
  paint_box(to, 0, 0, WORLD_WIDTH, WORLD_HEIGHT, dark);
  snprintf(text, sizeof text, "Loading the %s", game->level.name);
  paint_text(to, x, y - 40, 2, white, text);
  paint_box(to, x, y, width, 14, 0x3a3448);
  if (loader != NULL)
    paint_box(to, x, y, (int)(width * loader_progress(loader)), 14, gold);
  paint_text(to, x, y + 30, 1, white,
             "on a thread of its own: N leaves, at once");
}

static void draw_question(SDL_Renderer *to, const struct dialogue *dialogue) {
  int height = dialogue->count * 22 + 16, y = WORLD_HEIGHT - height - 12, i;
  char text[48];
  if (dialogue->asker == 0) return;
  paint_box(to, 118, y - 2, WORLD_WIDTH - 236, height + 4, gold);
  paint_box(to, 120, y, WORLD_WIDTH - 240, height, dark);
  for (i = 0; i < dialogue->count; i++) {
    snprintf(text, sizeof text, "%d", i + 1);
    paint_text(to, 136, y + 10 + i * 22, 2, gold, text);
    paint_text(to, 164, y + 10 + i * 22, 2, white, dialogue->choices[i]);
  }
}

static void draw_banner(SDL_Renderer *to, const char *text) {
  int width = paint_text_width(3, text);
  paint_veil(to, 0, 200, WORLD_WIDTH, 60, dark, 0.75);
  paint_text(to, (WORLD_WIDTH - width) / 2, 220, 3, gold, text);
}

static void draw_lines(SDL_Renderer *to, const struct game *game) {
  int i;
  paint_box(to, 0, WORLD_HEIGHT, WORLD_WIDTH, VIEW_HEIGHT - WORLD_HEIGHT,
            0x221d2e);
  for (i = 0; i < LINES; i++)
    paint_text(to, 12, WORLD_HEIGHT + 9 + i * 21, 2,
               i == LINES - 1 ? white : 0x8f88a0, game->lines[i]);
}

void view_draw(struct view *self, struct game *game, double frame) {
  SDL_Renderer *to = self->renderer;
  const struct map *map = level_map(&game->level);
  paint_box(to, 0, 0, VIEW_WIDTH, VIEW_HEIGHT, dark);
  if (map != NULL) {
    draw_ground(self, game, map);
    draw_level(self, game);
  } else {
    draw_loading(self, game);
  }
  draw_question(to, &game->dialogue);
  if (game->is_paused) draw_banner(to, "PAUSE: no step");
  draw_lines(to, game);
  view_draw_panel(self, game, frame);
}
