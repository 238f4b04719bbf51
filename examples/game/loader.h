/*
** loader.h: makes a map on a thread of its own.
**
** Two tokens stand between the threads. The one that is given to the loader is
** the level's: the thread looks at it between two pieces of its work, and
** waits on it where it has to wait, so leaving the level stops it in the
** middle. The other one is the loader's own, and says that the thread has
** ended its work: a source used as an event.
*/
#ifndef GAME_LOADER_H
#define GAME_LOADER_H

#include "desist.h"
#include "map.h"

struct loader;

typedef struct loader_order {
  const char *path;
  uint32_t seed;
  bool dark;
  int64_t pace; /* nanoseconds to wait after each piece: a slow disk */
} loader_order;

/* Retains the token. NULL: no memory, or no thread. */
struct loader *loader_start(const loader_order *order, desist_token *token);

/* Borrowed. Cancelled when the thread has ended its work, with the reason
** "loaded", "stopped", or what went wrong. */
desist_token *loader_ended(const struct loader *self);

/* 0 to 1. */
double loader_progress(struct loader *self);

/* Borrowed. NULL: it is not there yet, or will never be. */
struct map *loader_map(struct loader *self);

/* Waits for the thread: not long, where its token is cancelled. NULL is fine.
*/
void loader_free(struct loader *self);

#endif
