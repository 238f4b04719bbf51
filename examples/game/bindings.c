/*
** bindings.c: see bindings.h.
**
** None of these functions waits. What waits is written in Lua (verbs.lua), of
** these and of desist.async. The only things of desist here are tokens that
** are pushed.
*/
#include "bindings.h"

#include <lauxlib.h>
#include <stdio.h>

#include "game.h"

#define ENTITY "game.entity"

typedef struct handle {
  unsigned id;
} handle;

static struct game *game_of(lua_State *L) {
  return (struct game *)lua_touserdata(L, lua_upvalueindex(1));
}

static void copy_text(char *text, size_t size, const char *from) {
  snprintf(text, size, "%s", from);
}

/* --- Handles ----------------------------------------------------------- */

void bindings_push_entity(lua_State *L, struct entity *self) {
  handle *box = (handle *)lua_newuserdatauv(L, sizeof *box, 0);
  box->id = self->id;
  luaL_setmetatable(L, ENTITY);
}

/* Of an argument; NULL: it is gone. */
static struct entity *to_entity(lua_State *L, int arg) {
  const handle *box = (const handle *)luaL_checkudata(L, arg, ENTITY);
  return level_by_id(&game_of(L)->level, box->id);
}

static struct entity *check_entity(lua_State *L, int arg) {
  struct entity *self = to_entity(L, arg);
  luaL_argcheck(L, self != NULL, arg, "the entity is gone");
  return self;
}

static int push_found(lua_State *L, struct entity *found) {
  if (found == NULL)
    lua_pushnil(L);
  else
    bindings_push_entity(L, found);
  return 1;
}

/* --- Methods of entities ----------------------------------------------- */

static int entity_name(lua_State *L) {
  lua_pushstring(L, check_entity(L, 1)->name);
  return 1;
}

static int entity_position(lua_State *L) {
  const struct entity *self = check_entity(L, 1);
  lua_pushnumber(L, self->x);
  lua_pushnumber(L, self->y);
  return 2;
}

static int entity_alive(lua_State *L) {
  const struct entity *self = to_entity(L, 1);
  lua_pushboolean(L, self != NULL && entity_is_alive(self));
  return 1;
}

/* The token of its life: for scripts that do something as long as it lives. */
static int entity_token(lua_State *L) {
  desist_lua_push_token(L, desist_source_token(check_entity(L, 1)->source));
  return 1;
}

/* self:does(text): for the list of who does what. */
static int entity_does(lua_State *L) {
  struct entity *self = check_entity(L, 1);
  copy_text(self->doing, sizeof self->doing, luaL_checkstring(L, 2));
  return 0;
}

/* self:speak([text]): what stands above it. */
static int entity_speak(lua_State *L) {
  struct entity *self = check_entity(L, 1);
  copy_text(self->speech, sizeof self->speech, luaL_optstring(L, 2, ""));
  return 0;
}

/* self:step_to(x, y, speed): as far as it comes in this frame; whether it has
** arrived. */
static int step_to(lua_State *L) {
  struct entity *self = check_entity(L, 1);
  lua_Number x = luaL_checknumber(L, 2), y = luaL_checknumber(L, 3);
  double way = luaL_checknumber(L, 4) * self->game->engine.dt;
  lua_pushboolean(L, entity_step_to(self, x, y, way));
  return 1;
}

/* self:drop(look): leaves a thing where it stands. */
static int entity_drop(lua_State *L) {
  struct entity *self = check_entity(L, 1);
  level_drop(&self->game->level, luaL_checkstring(L, 2), self->x, self->y);
  return 0;
}

static int kill(lua_State *L) {
  struct entity *self = to_entity(L, 1);
  const char *reason = luaL_optstring(L, 2, "killed");
  lua_pushboolean(L, self != NULL && entity_kill(self, reason));
  return 1;
}

/* self:on_touch(function(self, hero)) */
static int entity_on_touch(lua_State *L) {
  struct entity *self = check_entity(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  luaL_unref(L, LUA_REGISTRYINDEX, self->touch);
  lua_settop(L, 2);
  self->touch = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static int handle_eq(lua_State *L) {
  const handle *a = (const handle *)luaL_checkudata(L, 1, ENTITY);
  const handle *b = (const handle *)luaL_checkudata(L, 2, ENTITY);
  lua_pushboolean(L, a->id == b->id);
  return 1;
}

/* --- Functions of the level -------------------------------------------- */

/* order_map(path, seed, dark): has it loaded; a token for when that is over. */
static int order_map(lua_State *L) {
  struct game *game = game_of(L);
  struct level *level = &game->level;
  loader_order order;
  char path[256];
  snprintf(path, sizeof path, "%s/%s", game->folder, luaL_checkstring(L, 1));
  order.path = path;
  order.seed = (uint32_t)luaL_checkinteger(L, 2);
  order.dark = lua_toboolean(L, 3) != 0;
  order.pace = game->pace;
  if (level->loader != NULL) return luaL_error(L, "it has a map already");
  level->loader = loader_start(&order, level_token(level));
  if (level->loader == NULL) return luaL_error(L, "cannot load the map");
  desist_lua_push_token(L, loader_ended(level->loader));
  return 1;
}

/* create(options): the entity. */
static int create(lua_State *L) {
  struct entity *made;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  made = entity_create(game_of(L), L);
  if (made == NULL) return luaL_error(L, "no place for one more entity");
  return push_found(L, made);
}

static int find(lua_State *L) {
  return push_found(L, level_find(&game_of(L)->level, luaL_checkstring(L, 1)));
}

/* play(hero): the player moves it from now on. */
static int play(lua_State *L) {
  game_of(L)->level.hero = check_entity(L, 1)->id;
  return 0;
}

static int leads_to(lua_State *L) {
  struct level *level = &game_of(L)->level;
  copy_text(level->exit, sizeof level->exit, luaL_checkstring(L, 1));
  return 0;
}

/* mark(letter): the middle of the first tile with it, or nothing. */
static int mark(lua_State *L) {
  const struct map *map = level_map(&game_of(L)->level);
  const char *letter = luaL_checkstring(L, 1);
  int row, column;
  for (row = 0; map != NULL && row < ROWS; row++)
    for (column = 0; column < COLUMNS; column++)
      if (map->marks[row][column] == *letter) {
        lua_pushnumber(L, column + 0.5);
        lua_pushnumber(L, row + 0.5);
        return 2;
      }
  return 0;
}

/* open_gates(): they become a path. */
static int open_gates(lua_State *L) {
  struct map *map = level_map(&game_of(L)->level);
  int row, column;
  for (row = 0; map != NULL && row < ROWS; row++)
    for (column = 0; column < COLUMNS; column++)
      if (map->tiles[row][column] == '=') map->tiles[row][column] = ':';
  return 0;
}

/* --- Questions, lines, and what engine.lua needs ------------------------- */

/* ask(entity, choices, resume) */
static int ask(lua_State *L) {
  dialogue_ask(&game_of(L)->dialogue, L, check_entity(L, 1)->id, 2, 3);
  return 0;
}

static int withdraw(lua_State *L) {
  dialogue_withdraw(&game_of(L)->dialogue, L);
  return 0;
}

static int tell(lua_State *L) {
  game_say(game_of(L), "%s", luaL_checkstring(L, 1));
  return 0;
}

static int folder(lua_State *L) {
  lua_pushstring(L, game_of(L)->folder);
  return 1;
}

/* watchdog(): its token. */
static int watchdog(lua_State *L) {
  desist_lua_push_token(L, engine_watchdog(&game_of(L)->engine));
  return 1;
}

/* count(n [, entity]): so many more scripts run, of this entity. */
static int count(lua_State *L) {
  int n = (int)luaL_checkinteger(L, 1);
  if (!lua_isnoneornil(L, 2)) check_entity(L, 2)->tasks += n;
  game_of(L)->engine.tasks += n;
  return 0;
}

/* error(value): of a script, that nobody caught. */
static int note_error(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  engine_note_error(&game_of(L)->engine, L);
  return 0;
}

/* --- The module -------------------------------------------------------- */

static void set_functions(lua_State *L, const luaL_Reg *functions) {
  lua_pushvalue(L, lua_upvalueindex(1));
  luaL_setfuncs(L, functions, 1);
}

int bindings_open(lua_State *L) {
  static const luaL_Reg methods[] = {
    { "name", entity_name },
    { "position", entity_position },
    { "token", entity_token },
    { "is_alive", entity_alive },
    { "does", entity_does },
    { "speak", entity_speak },
    { "step_to", step_to },
    { "drop", entity_drop },
    { "kill", kill },
    { "on_touch", entity_on_touch },
    { NULL, NULL },
  };
  static const luaL_Reg functions[] = {
    { "order_map", order_map },
    { "create", create },
    { "find", find },
    { "play", play },
    { "leads_to", leads_to },
    { "mark", mark },
    { "open_gates", open_gates },
    { "ask", ask },
    { "withdraw", withdraw },
    { "tell", tell },
    { "folder", folder },
    { "watchdog", watchdog },
    { "count", count },
    { "error", note_error },
    { NULL, NULL },
  };
  lua_newtable(L);
  set_functions(L, functions);
  luaL_newmetatable(L, ENTITY);
  lua_pushcfunction(L, handle_eq);
  lua_setfield(L, -2, "__eq");
  lua_newtable(L);
  set_functions(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, "Entity"); /* verbs.lua adds to it */
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  return 1;
}
