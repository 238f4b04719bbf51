/*
** memory.c: see memory.h.
*/
#include "memory.h"

#include <lauxlib.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "desist.h"

typedef struct counter {
  atomic_long bytes, blocks;
} counter;

static counter lua, core;

/* For both: a block of NULL is a new one, and Lua's old size is no size then.
** Size 0 frees. */
static void *allocate(void *data, void *block, size_t old_size, size_t size) {
  counter *self = (counter *)data;
  void *result = NULL;
  if (block == NULL) old_size = 0;
  if (size == 0) {
    free(block);
  } else {
    result = realloc(block, size);
    if (result == NULL) return NULL;
  }
  atomic_fetch_add(&self->bytes, (long)size - (long)old_size);
  if (block == NULL && result != NULL) atomic_fetch_add(&self->blocks, 1);
  if (block != NULL && result == NULL) atomic_fetch_sub(&self->blocks, 1);
  return result;
}

void memory_count_core(void) { desist_set_allocator(allocate, &core); }

/* An error that nobody caught: a game has nothing to go on with. */
static int panic(lua_State *L) {
  fprintf(stderr, "game: %s\n", luaL_tolstring(L, -1, NULL));
  return 0; /* Lua calls abort */
}

lua_State *memory_new_state(void) {
  lua_State *L = lua_newstate(allocate, &lua);
  if (L != NULL) lua_atpanic(L, panic);
  return L;
}

memory_use memory_now(void) {
  memory_use now;
  now.lua_bytes = atomic_load(&lua.bytes);
  now.lua_blocks = atomic_load(&lua.blocks);
  now.core_bytes = atomic_load(&core.bytes);
  now.core_blocks = atomic_load(&core.blocks);
  return now;
}
