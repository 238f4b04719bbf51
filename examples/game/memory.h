/*
** memory.h: how much memory the Lua state and desist hold, to the byte.
**
** Two allocators that count: one is lua_newstate's, the other that of desist's
** core, which is called from any thread.
*/
#ifndef GAME_MEMORY_H
#define GAME_MEMORY_H

#include <lua.h>

typedef struct memory_use {
  long lua_bytes, lua_blocks;
  long core_bytes;
  long core_blocks; /* a source is one; what hangs on it is one more */
} memory_use;

/* Before the first object of desist is made. */
void memory_count_core(void);

/* A state whose memory is counted. NULL: there is none. */
lua_State *memory_new_state(void);

memory_use memory_now(void);

#endif
