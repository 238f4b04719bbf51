/*
** game.h: one game: what happens in a frame, and on a key.
**
** main.c gives it frames and keys from the player, test.c from a list. It draws
** nothing, and knows no time but what it is given.
*/
#ifndef GAME_GAME_H
#define GAME_GAME_H

#include <SDL.h>

#include "dialogue.h"
#include "engine.h"
#include "level.h"
#include "memory.h"

enum { LINES = 3 };

struct game {
  struct engine engine;
  struct level level;
  struct dialogue dialogue;
  const char *folder; /* of the scripts */
  unsigned last_id;   /* of entities */
  int64_t pace;       /* of the loader; see loader.h */
  bool held[4];       /* arrow keys: right, left, down, up */
  bool is_paused, is_slow, is_over;
  double time;     /* seconds of the game */
  double to_watch; /* until it looks at the files again */
  Uint32 wakeup;   /* the SDL event that says: callbacks are queued */
  char lines[LINES][64];
};

/* What a level may not leave behind. */
typedef struct game_counts {
  int entities, tasks, sources, registrations;
  bool is_idle; /* no task of any kind is alive, no timer armed */
  memory_use memory;
} game_counts;

/* SDL is to be there. False: the game's scripts do not load; on stderr why. */
bool game_open(struct game *self, const char *folder);
void game_close(struct game *self);

/* A key, the wish to quit, or the wake-up. */
void game_event(struct game *self, const SDL_Event *event);

/* `dt` seconds have gone by. */
void game_frame(struct game *self, double dt);

/* A line for the player. */
void game_say(struct game *self, const char *format, ...)
    SDL_PRINTF_VARARG_FUNC(2);

/* When a file in the folder of scripts was changed; 0: it is not there. */
time_t game_file_time(const struct game *self, const char *path);

/* After full collections. */
game_counts game_count(struct game *self);

#endif
