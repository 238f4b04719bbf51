/*
** level.h: a place with its map, its entities, and one source above them all.
**
** Entering makes the source, and starts the level's script with its token; the
** script orders the map and lets the entities in. Leaving cancels the source.
** Then the frames go on until all scripts have ended and the loader has, and
** the level is freed: nothing is waited for in the middle of a frame.
*/
#ifndef GAME_LEVEL_H
#define GAME_LEVEL_H

#include "entity.h"
#include "loader.h"

enum { ENTITIES = 40, THINGS = 24, PUFFS = 8 };

/* Something that lies on the ground. */
struct thing {
  char look[12]; /* empty: the place is free */
  double x, y;
};

/* Smoke, where somebody has gone. */
struct puff {
  double x, y, age; /* seconds */
};

struct level {
  char name[16];
  struct game *game;
  desist_source *source; /* owned: the life of all that is in the level. NULL:
                         ** there is no level */
  struct loader *loader; /* owned; NULL: no map was ordered yet */
  unsigned hero;         /* an entity's id, or 0 */
  char exit[16];         /* the level behind this one, or empty */
  char next[16];         /* where to go when this one has ended */
  int frames_ending;     /* since it was left; 0: it was not */
  time_t changed;        /* when its script's file was */
  struct entity entities[ENTITIES];
  struct thing things[THINGS];
  struct puff puffs[PUFFS];
};

void level_enter(struct game *game, const char *name);

/* Ends all that is in the level; `next`, which may be empty, is entered when
** they have. False: it is ending already. */
bool level_leave(struct level *self, const char *next, const char *reason);

/* Between two steps: frees entities that have ended, and the level if it has.
*/
void level_sweep(struct level *self, double dt);

/* Begins anew what has a changed script. */
void level_reload_changed(struct level *self);

/* NULL, where there is no level. */
desist_token *level_token(const struct level *self);

/* NULL: it is not loaded. */
struct map *level_map(const struct level *self);

/* NULL: there is none. */
struct entity *level_find(struct level *self, const char *name);
struct entity *level_by_id(struct level *self, unsigned id);
struct entity *level_free_place(struct level *self);

void level_puff(struct level *self, double x, double y);
void level_drop(struct level *self, const char *look, double x, double y);

#endif
