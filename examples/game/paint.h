/*
** paint.h: rectangles, text and sprites, on an SDL renderer.
**
** The font and the sprites are drawn here, in paint_font.c and
** paint_sprites.c: the example needs no files of pictures.
*/
#ifndef GAME_PAINT_H
#define GAME_PAINT_H

#include <SDL.h>

#include <stdbool.h>

enum {
  LETTER = 6,  /* pixels from letter to letter, at scale 1 */
  LINE = 10,   /* from line to line */
  SPRITE = 12, /* the sides of a sprite */
  GLYPH_ROWS = 8
};

/* Colors are 0xRRGGBB. */
void paint_box(SDL_Renderer *to, int x, int y, int width, int height,
               Uint32 color);

/* `part` is how much it covers, 0 to 1. */
void paint_veil(SDL_Renderer *to, int x, int y, int width, int height,
                Uint32 color, double part);

void paint_text(SDL_Renderer *to, int x, int y, int scale, Uint32 color,
                const char *text);

int paint_text_width(int scale, const char *text);

/* Around its middle. An unknown name: a sprite for that. */
void paint_sprite(SDL_Renderer *to, const char *name, int x, int y, int scale,
                  bool is_left);

/* Eight rows of five bits, the leftmost is 16 (paint_font.c). */
const unsigned char *paint_glyph(char letter);

#endif
