/*
** entity.h: what stands on the ground, and how long it lives.
**
** An entity owns a source, its life: a link on the token of its level. Its
** script is a task with that source's token. So whoever cancels the source ends
** the script, in whatever it waits; and who cancels the level ends all of them.
**
** An entity whose life is over stays in its place until its script has ended
** too, since the script's cleanup may still speak of it.
*/
#ifndef GAME_ENTITY_H
#define GAME_ENTITY_H

#include <time.h>

#include "desist_lua.h"

struct game;

struct entity {
  unsigned id; /* 0: the place is free; no number is given twice */
  struct game *game;
  char name[12], look[12];
  char doing[32], speech[48]; /* what is drawn; may be empty */
  double x, y;                /* in tiles */
  bool flies, is_left;        /* is_left: looks to the left */
  bool is_near;               /* the hero touches it */

  desist_source *source;      /* owned: its life */
  desist_registration ending; /* on its token */

  char script[32]; /* in the folder of scripts; empty: it has none */
  bool is_mod;     /* by somebody who is not to be trusted */
  int tasks;       /* of it that have begun and not ended */
  int with;        /* references: the script's options; */
  int touch;       /* a function for when the hero touches it */
  time_t changed;  /* when its script's file was */
};

/* The options are a table on top of the stack, which is taken; see level.enter
** in engine.lua. NULL: there is no place. */
struct entity *entity_create(struct game *game, lua_State *L);

/* Ends its life. False: it is over already. */
bool entity_kill(struct entity *self, const char *reason);

bool entity_is_alive(const struct entity *self);

/* Begins its script anew, after the one that runs has been ended. */
void entity_restart(struct entity *self, const char *reason);

/* Calls its function for being touched, which has a few milliseconds. */
void entity_touch(struct entity *self, struct entity *by);

/* Moves it towards a place, not through what is solid unless it flies. True:
** it has arrived. */
bool entity_step_to(struct entity *self, double x, double y, double distance);

/* Its life is over and its script has ended: gives up what it has. */
void entity_free(struct entity *self);

#endif
