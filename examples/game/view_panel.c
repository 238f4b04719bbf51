/*
** view_panel.c: what goes on: times against the budget, what is alive, what
** each script does, and the keys. See view.h.
*/
#include "view.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const Uint32 white = 0xf4f0e6, gray = 0x8f88a0, gold = 0xf2c14e,
                    green = 0x7fc97f, red = 0xe8604c, slate = 0x2c2639;

enum {
  LEFT = WORLD_WIDTH + 14,
  RIGHT = VIEW_WIDTH - 14,
  SHOWN = 13, /* scripts in the list */
  DIAGRAM = 44
};

static void put(SDL_Renderer *to, int x, int y, int scale, Uint32 color,
                const char *format, ...) SDL_PRINTF_VARARG_FUNC(6);

static void put(SDL_Renderer *to, int x, int y, int scale, Uint32 color,
                const char *format, ...) {
  char text[80];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  paint_text(to, x, y, scale, color, text);
}

/* A bar for each of the last frames: what the scripts took of it. The line is
** the budget. */
static int draw_times(struct view *self, const struct game *game, double frame,
                      int y) {
  SDL_Renderer *to = self->renderer;
  double budget = game->engine.budget * 1000, spent = game->engine.spent * 1000;
  double unit = DIAGRAM / (budget * 2); /* pixels for a millisecond */
  int i;
  if (!game->is_paused) {
    self->spent[self->at] = (float)spent;
    self->at = (self->at + 1) % HISTORY;
  }
  put(to, LEFT, y, 2, white, "scripts %5.2f ms", spent);
  y += 22;
  paint_box(to, LEFT, y, HISTORY * 2, DIAGRAM, slate);
  for (i = 0; i < HISTORY; i++) {
    double value = self->spent[(self->at + i) % HISTORY];
    int height = (int)(value * unit);
    if (height > DIAGRAM) height = DIAGRAM;
    paint_box(to, LEFT + i * 2, y + DIAGRAM - height, 2, height,
              value > budget * 0.95 ? red : green);
  }
  paint_box(to, LEFT, y + DIAGRAM / 2, HISTORY * 2, 1, gold);
  put(to, LEFT + 4, y + DIAGRAM / 2 - 10, 1, gold, "budget %.0f ms", budget);
  y += DIAGRAM + 8;
  put(to, LEFT, y, 2, white, "frame  %6.2f ms", frame * 1000);
  return y + 24;
}

static int draw_counts(SDL_Renderer *to, const struct game *game, int y) {
  memory_use use = memory_now();
  int i, alive = 0;
  for (i = 0; i < ENTITIES; i++) alive += game->level.entities[i].id != 0;
  put(to, LEFT, y, 2, white, "tasks %d  entities %d", game->engine.tasks,
      alive);
  put(to, LEFT, y + 20, 1, gray, "Lua %ld KB   desist %ld B in %ld blocks",
      use.lua_bytes / 1024, use.core_bytes, use.core_blocks);
  return y + 38;
}

static int draw_scripts(SDL_Renderer *to, const struct game *game, int y) {
  int i, shown = 0;
  for (i = 0; i < ENTITIES && shown < SHOWN; i++) {
    const struct entity *it = &game->level.entities[i];
    Uint32 color = it->is_mod ? red : white;
    if (it->id == 0 || it->script[0] == '\0') continue;
    if (it->tasks == 0) color = gray;
    paint_sprite(to, it->look, LEFT + 6, y + 5, 1, false);
    put(to, LEFT + 20, y + 2, 1, color, "%s", it->name);
    put(to, LEFT + 66, y + 2, 1, color == white ? gold : color, "%s",
        it->doing);
    y += 15;
    shown++;
  }
  return y;
}

static void draw_keys(SDL_Renderer *to, const struct game *game, int y) {
  static const char *const keys[][2] = {
    { "arrows", "walk" },
    { "space", "a spell: ends who is near" },
    { "1-4", "answer" },
    { "X", "a mod that never stops" },
    { "P", "pause" },
    { "S", "slow motion" },
    { "N", "leave for the next level" },
    { "I", "print all tasks (stderr)" },
    { "R", "reload (files: by themselves)" },
    { "Q", "quit" },
  };
  size_t i;
  for (i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    bool is_on = (i == 4 && game->is_paused) || (i == 5 && game->is_slow);
    put(to, LEFT, y, 1, gold, "%s", keys[i][0]);
    put(to, LEFT + 50, y, 1, is_on ? green : white, "%s%s", keys[i][1],
        is_on ? ": on" : "");
    y += 14;
  }
}

void view_draw_panel(struct view *self, struct game *game, double frame) {
  SDL_Renderer *to = self->renderer;
  int y = 14;
  paint_box(to, WORLD_WIDTH, 0, VIEW_WIDTH - WORLD_WIDTH, VIEW_HEIGHT,
            0x221d2e);
  put(to, LEFT, y, 3, gold, "%s",
      game->level.name[0] != '\0' ? game->level.name : "nowhere");
  put(to, RIGHT - 92, y + 8, 2, game->is_slow ? green : gray, "%5.1f s",
      game->time);
  y = draw_times(self, game, frame, y + 36);
  y = draw_counts(to, game, y + 4);
  (void)draw_scripts(to, game, y + 6);
  draw_keys(to, game, VIEW_HEIGHT - 10 * 14 - 10);
}
