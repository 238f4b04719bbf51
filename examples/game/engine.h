/*
** engine.h: the Lua state, and the one loop on which all scripts run.
**
** Knows nothing of the game: entities, levels and what scripts can call come
** from elsewhere. All of it belongs to the main thread.
**
** L is the coroutine that runs: inside a function that a script has called, the
** script's own. From outside of a step it is self->L, the main one.
*/
#ifndef GAME_ENGINE_H
#define GAME_ENGINE_H

#include <stdbool.h>

#include "desist_lua.h"

struct engine {
  lua_State *L;
  int loop;                /* references in the registry: the loop; */
  int runners;             /* what engine.lua returns */
  double budget;           /* seconds of real time that a step may take */
  double spent;            /* that the last one took */
  double dt;               /* seconds of the game, of the step that runs */
  desist_source *watchdog; /* owned: cancelled by a step that hangs */
  double patience;         /* seconds of real time until then */
  int tasks;               /* scripts that have begun and not ended */
  int errors;              /* of scripts, so far */
  char error[200];         /* the last one */
};

/*
** Opens a state with desist in it, then `module` as the module "host", with
** `data` as its upvalue, and runs engine.lua of the folder. False: self->error
** tells why.
*/
bool engine_open(struct engine *self, const char *folder, lua_CFunction module,
                 void *data);

/* All memory goes back, whatever the scripts are at. */
void engine_close(struct engine *self);

/*
** Starts a task: engine.lua's function `runner` with the arguments on top of
** the stack, which are taken. It begins in the next step, and is cancelled
** with the token. A failure is noted as an error of a script.
*/
void engine_spawn(struct engine *self, lua_State *L, const char *runner,
                  int arguments, const char *name, desist_token *token);

/*
** Runs the scripts for `dt` seconds of the game.
**
** The budget sets aside what takes too long, where that can yield. What cannot,
** a comparison of table.sort for one, makes the step hang: then the watchdog's
** token is cancelled, which the guards of mods have, too. It cannot tell one
** mod from the others and ends them all.
*/
void engine_step(struct engine *self, double dt);

/* Whether no task is alive: none runs, waits, or is about to begin. */
bool engine_is_idle(const struct engine *self);

/* The last resort, for scripts that do not end: closes their coroutines where
** they are, and the loop with them, and makes another. */
void engine_renew_loop(struct engine *self);

/* The watchdog's, for guards that are about to begin. Borrowed. */
desist_token *engine_watchdog(const struct engine *self);

/* Prints the tree of all tasks, and where they stand, on stderr. */
void engine_print_tasks(struct engine *self);

/* Notes an error, which is on top of the stack and is taken. */
void engine_note_error(struct engine *self, lua_State *L);

#endif
