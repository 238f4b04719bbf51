/*
** paint_sprites.c: who is who. See paint_sprite in paint.h.
*/
#include "paint.h"

#include <string.h>

/* 'k' is the outline, 's' skin, 'B' and 'H' the two colors of the look, '.'
** nothing. */
typedef char shape[SPRITE][SPRITE + 1];

static const shape person = {
  "....kkkk....", "...kHHHHk...", "..kHHHHHHk..", "..kHssssHk..",
  "..kskssksk..", "..kssssssk..", "...kssssk...", "..kBBBBBBk..",
  ".kBBBBBBBBk.", ".ksBBBBBBsk.", "..kBBBBBBk..", "..kkk..kkk..",
};

static const shape dog = {
  "............", "............", ".......kk.k.", "......kBBkBk",
  ".k....kBBBBk", "kBk...kBkBBk", "kBBkkkkBBBBk", ".kBBBBBBBkk.",
  ".kBBBBBBBk..", ".kHHBBBHHk..", ".kBkkkkBBk..", ".kk...kkk...",
};

static const shape wings = {
  "............", "............", "kk........kk", "kBk..kk..kBk",
  "kBBkkBBkkBBk", ".kBBBBBBBBk.", "..kBHBBHBk..", "...kBBBBk...",
  "....kBBk....", ".....kk.....", "............", "............",
};

static const shape ghost = {
  "....kkkk....", "..kkBBBBkk..", ".kBBBBBBBBk.", ".kBkBBBkBBk.",
  "kBBkBBBkBBBk", "kBBBBBBBBBBk", "kBBBBkkBBBBk", "kBBBBkkBBBBk",
  "kBBBBBBBBBBk", "kBBHBBBBHBBk", "kBk.kBBk.kBk", ".k...kk...k.",
};

static const shape imp = {
  ".kk......kk.", ".kBk....kBk.", ".kBBkkkkBBk.", "..kBBBBBBk..",
  ".kBHBBBBHBk.", ".kBBBBBBBBk.", ".kBBkHHkBBk.", "..kBBBBBBk..",
  ".kBBBBBBBBk.", ".kBkBBBBkBk.", "..kkBkkBkk..", "...kk..kk...",
};

static const shape sign = {
  "............", ".kkkkkkkkkk.", ".kBBBBBBBBk.", ".kBHHBHHBBk.",
  ".kBBBBBBBBk.", ".kBHHHBHHBk.", ".kBBBBBBBBk.", ".kkkkkkkkkk.",
  "....kBBk....", "....kBBk....", "....kBBk....", "....kkkk....",
};

static const shape lantern = {
  "............", "............", "....kkkk....", "...k....k...",
  "...kkkkkk...", "..kBBHHBBk..", "..kBHHHHBk..", "..kBBHHBBk..",
  "..kBBBBBBk..", "...kkkkkk...", "............", "............",
};

typedef struct sprite {
  const char *name;
  const shape *shape;
  Uint32 B, H;
} sprite;

static const sprite sprites[] = {
  { "hero", &person, 0x2f6fd0, 0x7a4a21 },
  { "guard", &person, 0xb03a3a, 0xa9b4c0 },
  { "elder", &person, 0x7b5ea7, 0xe6e6ea },
  { "dog", &dog, 0xb87a3d, 0x8a5626 },
  { "bird", &wings, 0xe8e2d0, 0x3a3a46 },
  { "bat", &wings, 0x5a4a78, 0xffd24a },
  { "ghost", &ghost, 0xdfe8f4, 0xaab8d0 },
  { "imp", &imp, 0xd8322c, 0xffe07a },
  { "sign", &sign, 0x9a6b38, 0x3c2814 },
  { "lantern", &lantern, 0xe8a030, 0xfff0b0 },
};

static const Uint32 outline = 0x1b1622, skin = 0xe8b88a;

static const sprite *look_up(const char *name) {
  size_t i, count = sizeof sprites / sizeof sprites[0];
  for (i = 0; i < count; i++)
    if (strcmp(sprites[i].name, name) == 0) return &sprites[i];
  return &sprites[count - 1];
}

static Uint32 color_of(const sprite *self, char c) {
  switch (c) {
  case 'B':
    return self->B;
  case 'H':
    return self->H;
  case 's':
    return skin;
  default:
    return outline;
  }
}

void paint_sprite(SDL_Renderer *to, const char *name, int x, int y, int scale,
                  bool is_left) {
  const sprite *self = look_up(name);
  int row, column;
  x -= SPRITE * scale / 2;
  y -= SPRITE * scale / 2;
  for (row = 0; row < SPRITE; row++)
    for (column = 0; column < SPRITE; column++) {
      char c = (*self->shape)[row][is_left ? SPRITE - 1 - column : column];
      if (c != '.')
        paint_box(to, x + column * scale, y + row * scale, scale, scale,
                  color_of(self, c));
    }
}
