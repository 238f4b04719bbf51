/*
** map.h: the ground of a level: tiles, read from a text file, and a picture of
** them, painted pixel by pixel from noise. Knows nothing of threads: the
** loader calls these functions piece by piece.
*/
#ifndef GAME_MAP_H
#define GAME_MAP_H

#include <stdbool.h>
#include <stdint.h>

enum {
  COLUMNS = 28, /* tiles */
  ROWS = 22,
  GRAIN = 12, /* pixels of the picture in a tile */
  MAP_WIDTH = COLUMNS * GRAIN,
  MAP_HEIGHT = ROWS * GRAIN,
  MAP_STRIP = 4, /* rows of pixels that are painted at a time */
  MAP_STRIPS = MAP_HEIGHT / MAP_STRIP
};

/*
** Tiles: '.' grass, ':' path, '~' water, 'T' tree, '#' wall, 'R' roof, '=' a
** gate, '>' the way out. Small letters mark places; the ground there is that to
** their left.
*/
struct map {
  char tiles[ROWS][COLUMNS];
  char marks[ROWS][COLUMNS];              /* letters, or a blank */
  uint32_t pixels[MAP_HEIGHT][MAP_WIDTH]; /* 0xRRGGBB */
  uint32_t seed;
  bool dark; /* a cave */
};

/* False: no such file, or it is not a map. */
bool map_read(struct map *self, const char *path);

/* Paints one of MAP_STRIPS. */
void map_paint(struct map *self, int strip);

/* Whether nobody can stand there; outside is solid. */
bool map_is_solid(const struct map *self, double x, double y);

#endif
