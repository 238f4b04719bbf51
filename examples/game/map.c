/*
** map.c: see map.h.
*/
#include "map.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- Reading ----------------------------------------------------------- */

static bool read_row(struct map *self, int row, const char *line) {
  int column;
  char ground = '.';
  for (column = 0; column < COLUMNS; column++) {
    char c = line[column];
    bool mark = islower((unsigned char)c) != 0;
    if (c == '\0' || c == '\n') return false;
    if (!mark) ground = c;
    self->tiles[row][column] = ground;
    self->marks[row][column] = mark ? c : ' ';
  }
  return true;
}

bool map_read(struct map *self, const char *path) {
  char line[COLUMNS + 16];
  int row = 0;
  FILE *file = fopen(path, "r");
  if (file == NULL) return false;
  while (row < ROWS && fgets(line, sizeof line, file) != NULL &&
         read_row(self, row, line))
    row++;
  fclose(file);
  return row == ROWS;
}

bool map_is_solid(const struct map *self, double x, double y) {
  if (!(x >= 0 && x < COLUMNS && y >= 0 && y < ROWS)) return true;
  return strchr("T#R~=", self->tiles[(int)y][(int)x]) != NULL;
}

/* --- Noise ------------------------------------------------------------- */

/* 0 to 1, the same for the same point. */
static double random_at(uint32_t seed, int x, int y) {
  uint32_t h = seed + (uint32_t)x * 0x9E3779B1u + (uint32_t)y * 0x85EBCA77u;
  h = (h ^ (h >> 15)) * 0x2C1B3C6Du;
  h = (h ^ (h >> 12)) * 0x297A2D39u;
  return (double)(h ^ (h >> 15)) / 4294967295.0;
}

static double ease(double t) { return t * t * (3 - 2 * t); }

static double mix(double a, double b, double t) { return a + (b - a) * t; }

/* Values at whole points, smooth between them. */
static double smooth_noise(uint32_t seed, double x, double y) {
  int column = (int)floor(x), row = (int)floor(y);
  double right = ease(x - column), down = ease(y - row);
  return mix(mix(random_at(seed, column, row), random_at(seed, column + 1, row),
                 right),
             mix(random_at(seed, column, row + 1),
                 random_at(seed, column + 1, row + 1), right),
             down);
}

/* Hills upon hills; around 0, from -0.5 to 0.5. */
static double noise(uint32_t seed, double x, double y) {
  double sum = 0, size = 0.5;
  int octave;
  for (octave = 0; octave < 4; octave++) {
    sum += size * (smooth_noise(seed + (uint32_t)octave, x, y) - 0.5);
    x *= 2;
    y *= 2;
    size /= 2;
  }
  return sum;
}

/* --- Painting ---------------------------------------------------------- */

typedef struct color {
  double red, green, blue;
} color;

typedef struct palette {
  color grass, path, water, tree, wall, roof;
} palette;

static const palette day = { { 98, 148, 72 },   { 190, 160, 108 },
                             { 58, 112, 168 },  { 44, 98, 52 },
                             { 138, 132, 128 }, { 176, 88, 62 } };
static const palette night = { { 74, 68, 86 },  { 104, 92, 96 },
                               { 40, 92, 110 }, { 88, 60, 120 },
                               { 44, 40, 56 },  { 44, 40, 56 } };

static uint32_t shade(color base, double light) {
  double parts[3];
  uint32_t result = 0;
  int i;
  parts[0] = base.red;
  parts[1] = base.green;
  parts[2] = base.blue;
  for (i = 0; i < 3; i++) {
    double value = fmin(fmax(parts[i] * light, 0), 255);
    result = result << 8 | (uint32_t)value;
  }
  return result;
}

static char tile_at(const struct map *self, double x, double y) {
  int column = (int)floor(x / GRAIN), row = (int)floor(y / GRAIN);
  if (column < 0) column = 0;
  if (row < 0) row = 0;
  if (column >= COLUMNS) column = COLUMNS - 1;
  if (row >= ROWS) row = ROWS - 1;
  return self->tiles[row][column];
}

/* The crown of a tree, lit from above left; 0: beside it. */
static double crown(const struct map *self, int x, int y) {
  double size = GRAIN * (0.6 + 0.5 * noise(self->seed, x * 0.3, y * 0.3));
  int column, row;
  for (row = y / GRAIN + 1; row >= y / GRAIN - 1; row--)
    for (column = x / GRAIN - 1; column <= x / GRAIN + 1; column++) {
      double dx = x - (column + 0.5) * GRAIN, dy = y - (row + 0.35) * GRAIN;
      if (row < 0 || row >= ROWS || column < 0 || column >= COLUMNS ||
          self->tiles[row][column] != 'T' || dx * dx + dy * dy > size * size)
        continue;
      return 1 - (dx + dy) / (GRAIN * 3) +
             0.5 * noise(self->seed + 7, x * 0.6, y * 0.6);
    }
  return 0;
}

/* A wall has courses of stone, and a face below its top. */
static double stones(const struct map *self, int x, int y) {
  bool face = tile_at(self, x, y + GRAIN / 2) != '#';
  int course = y % (GRAIN / 2), shift = (y / (GRAIN / 2)) % 2 * 3;
  if (!face) return 1.15 + 0.25 * noise(self->seed, x * 0.4, y * 0.4);
  return course == 0 || (x + shift) % 6 == 0 ? 0.55 : 0.8;
}

/* Shingles, darker towards the eaves. */
static double shingles(int x, int y) {
  int row = y % 4, shift = y / 4 % 2 * 2;
  return (row == 0 || (x + shift) % 5 == 0 ? 0.7 : 1) - y % GRAIN * 0.012;
}

/* Trees and walls throw a shadow to the right and below. */
static bool in_shadow(const struct map *self, int x, int y) {
  char above = tile_at(self, x - 3, y - 3);
  return strchr("#RT", above) != NULL;
}

static uint32_t pixel(const struct map *self, int x, int y) {
  const palette *colors = self->dark ? &night : &day;
  double hills = noise(self->seed, x * 0.05, y * 0.05);
  double grain = noise(self->seed + 3, x * 0.45, y * 0.45);
  double light = 1 + hills * 0.35 + grain * 0.3;
  double leaves = crown(self, x, y);
  /* What lies there, looked up a little beside, so that edges wind. */
  char tile = tile_at(self, x + 7 * noise(self->seed + 5, x * 0.13, y * 0.13),
                      y + 7 * noise(self->seed + 6, x * 0.13, y * 0.13));
  if (leaves > 0) return shade(colors->tree, leaves + grain * 0.4);
  if (tile_at(self, x, y) == '#')
    return shade(colors->wall, stones(self, x, y));
  if (tile_at(self, x, y) == 'R') return shade(colors->roof, shingles(x, y));
  if (in_shadow(self, x, y)) light *= 0.72;
  switch (tile) {
  case '~':
    return shade(colors->water,
                 0.9 + 0.6 * noise(self->seed, x * 0.08, y * 0.25));
  case ':':
  case '=':
  case '>':
    return shade(colors->path, light);
  default:
    return shade(colors->grass, light);
  }
}

void map_paint(struct map *self, int strip) {
  int x, y;
  for (y = strip * MAP_STRIP; y < (strip + 1) * MAP_STRIP; y++)
    for (x = 0; x < MAP_WIDTH; x++) self->pixels[y][x] = pixel(self, x, y);
}
