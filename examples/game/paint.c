/*
** paint.c: see paint.h.
*/
#include "paint.h"

#include <string.h>

static void set_color(SDL_Renderer *to, Uint32 color, double part) {
  SDL_SetRenderDrawBlendMode(to, part < 1 ? SDL_BLENDMODE_BLEND
                                          : SDL_BLENDMODE_NONE);
  SDL_SetRenderDrawColor(to, (Uint8)(color >> 16), (Uint8)(color >> 8),
                         (Uint8)color, (Uint8)(part * 255));
}

static SDL_Rect box(int x, int y, int width, int height) {
  SDL_Rect result;
  result.x = x;
  result.y = y;
  result.w = width;
  result.h = height;
  return result;
}

void paint_veil(SDL_Renderer *to, int x, int y, int width, int height,
                Uint32 color, double part) {
  SDL_Rect area = box(x, y, width, height);
  set_color(to, color, part);
  SDL_RenderFillRect(to, &area);
}

void paint_box(SDL_Renderer *to, int x, int y, int width, int height,
               Uint32 color) {
  paint_veil(to, x, y, width, height, color, 1);
}

int paint_text_width(int scale, const char *text) {
  return (int)strlen(text) * LETTER * scale;
}

/* A letter is one call of the renderer: its pixels, collected. */
static void paint_letter(SDL_Renderer *to, int x, int y, int scale,
                         const unsigned char *rows) {
  SDL_Rect boxes[GLYPH_ROWS * (LETTER - 1)];
  int count = 0, row, column;
  for (row = 0; row < GLYPH_ROWS; row++)
    for (column = 0; column < LETTER - 1; column++)
      if ((rows[row] >> (LETTER - 2 - column) & 1) != 0)
        boxes[count++] = box(x + column * scale, y + row * scale, scale, scale);
  SDL_RenderFillRects(to, boxes, count);
}

void paint_text(SDL_Renderer *to, int x, int y, int scale, Uint32 color,
                const char *text) {
  set_color(to, color, 1);
  for (; *text != '\0'; text++, x += LETTER * scale)
    paint_letter(to, x, y, scale, paint_glyph(*text));
}
