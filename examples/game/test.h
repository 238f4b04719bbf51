/*
** test.h: the game plays itself, without a display and on a clock that goes a
** 60th of a second a frame, and checks what desist promises it.
*/
#ifndef GAME_TEST_H
#define GAME_TEST_H

#include "view.h"

/* Prints a line for each check. `picture` may be NULL: a file to write a
** picture to. The exit status. */
int test_game(struct game *game, struct view *view, const char *picture);

/* Once the game is closed: no memory is. Prints a line, and the last one. */
bool test_nothing_is_left(void);

/* --- For the parts of the test ----------------------------------------- */

struct player {
  struct game *game;
  struct view *view;
  const char *picture;
};

void check(bool holds, const char *what);

/* A key goes down and up again; it is seen in the next frame. */
void press(SDL_Keycode key);

void run_frames(struct player *self, int count);

/* Runs frames until `holds`; false: it did not within so many seconds of the
** game. */
typedef bool (*condition)(struct game *game);
bool run_until(struct player *self, condition holds, double seconds);

bool is_loaded(struct game *game);

/* Whether the player can read this line. */
bool has_line(const struct game *game, const char *line);

/* In a file of the scripts' folder, and makes it look changed. */
void write_script(struct player *self, const char *path, const char *text);

/* The parts: test_play.c, test_limits.c, test_levels.c. */
void test_play(struct player *self);
void test_limits(struct player *self);
void test_levels(struct player *self);

#endif
