/*
** bindings.h: what scripts can call. In Lua it is the module "host"; verbs.lua
** makes of it the words that scripts are written in.
*/
#ifndef GAME_BINDINGS_H
#define GAME_BINDINGS_H

#include "entity.h"

/* Gives the module; its upvalue is the game. */
int bindings_open(lua_State *L);

/* A handle, which outlives the entity: then its methods raise. */
void bindings_push_entity(lua_State *L, struct entity *self);

#endif
