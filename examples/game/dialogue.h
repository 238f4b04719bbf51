/*
** dialogue.h: a question to the player, and who waits for the answer.
**
** A script asks with async.await (choose, in verbs.lua): it hands over the
** function that ends its wait. The player's key calls it; if the script is
** ended before, the abort function of its await takes the question back.
*/
#ifndef GAME_DIALOGUE_H
#define GAME_DIALOGUE_H

#include <stdbool.h>

#include "engine.h"

enum { CHOICES = 4 };

struct dialogue {
  unsigned asker; /* the entity's id; 0: nobody asks */
  int count;
  char choices[CHOICES][32];
  int resume; /* reference of the function that takes the answer */
};

/* The list of choices is at index `list`, the function at `resume`. Raises. */
void dialogue_ask(struct dialogue *self, lua_State *L, unsigned asker, int list,
                  int resume);

/* Takes the question back. Nobody asks: does nothing. */
void dialogue_withdraw(struct dialogue *self, lua_State *L);

/* The player's answer, from 1. False: there is no such choice. */
bool dialogue_answer(struct dialogue *self, struct engine *engine, int choice);

#endif
