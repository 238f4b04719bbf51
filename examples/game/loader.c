/*
** loader.c: see loader.h.
*/
#include "loader.h"

#include <SDL.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOADED, STOPPED, FAILED }; /* codes of the reasons */

struct loader {
  /* set once */
  SDL_Thread *thread;
  desist_token *token;  /* retained: the level's */
  desist_source *ended; /* owned */
  char path[256];
  int64_t pace;
  /* any thread */
  SDL_atomic_t strips; /* painted */
  /* the thread's, until `ended` is cancelled; then the main thread's */
  struct map map;
};

static int work(struct loader *self) {
  int strip;
  if (!map_read(&self->map, self->path)) return FAILED;
  for (strip = 0; strip < MAP_STRIPS; strip++) {
    if (desist_token_is_cancelled(self->token)) return STOPPED;
    map_paint(&self->map, strip);
    SDL_AtomicSet(&self->strips, strip + 1);
    if (self->pace > 0 && desist_token_wait(self->token, self->pace))
      return STOPPED;
  }
  return LOADED;
}

/* Cancelling queues what Lua has registered on `ended`, and wakes the main
** thread (desist_lua_on_wakeup); what was written before can be read there. */
static int run(void *data) {
  static const char *const texts[] = { "loaded", "stopped",
                                       "cannot read the map" };
  struct loader *self = (struct loader *)data;
  int code = work(self);
  desist_reason *reason = desist_reason_create(code, texts[code]);
  desist_source_cancel(self->ended, reason);
  desist_reason_release(reason);
  return 0;
}

struct loader *loader_start(const loader_order *order, desist_token *token) {
  struct loader *self = (struct loader *)calloc(1, sizeof *self);
  if (self == NULL) return NULL;
  desist_token_retain(token);
  self->token = token;
  self->ended = desist_source_create();
  self->pace = order->pace;
  self->map.seed = order->seed;
  self->map.dark = order->dark;
  snprintf(self->path, sizeof self->path, "%s", order->path);
  if (self->ended != NULL) self->thread = SDL_CreateThread(run, "loader", self);
  if (self->thread == NULL) {
    loader_free(self);
    return NULL;
  }
  return self;
}

desist_token *loader_ended(const struct loader *self) {
  return desist_source_token(self->ended);
}

double loader_progress(struct loader *self) {
  return (double)SDL_AtomicGet(&self->strips) / MAP_STRIPS;
}

struct map *loader_map(struct loader *self) {
  desist_reason *reason = desist_token_reason(loader_ended(self));
  if (reason == NULL || desist_reason_code(reason) != LOADED) return NULL;
  return &self->map;
}

void loader_free(struct loader *self) {
  if (self == NULL) return;
  if (self->thread != NULL) SDL_WaitThread(self->thread, NULL);
  desist_source_release(self->ended);
  desist_token_release(self->token);
  free(self);
}
