/*
** lua_host.c: the state's host, and the userdata of the binding. See
** lua_binding.h for what keeps what.
*/
#include "lua_binding.h"

#include <string.h>

host *desist__host_of(lua_State *L) {
  return (host *)lua_touserdata(L, lua_upvalueindex(1));
}

int desist__no_memory(lua_State *L) {
  return luaL_error(L, "not enough memory");
}

/* --- What is of which type --- */

/* Whether it is one of ours; `name`: only one with that name. */
static const box_type *type_of(lua_State *L, int index, const char *name) {
  static const box_type *const types[] = {
    &desist__source_type, &desist__token_type, &desist__registration_type,
    &desist__clock_type, &desist__error_type
  };
  size_t i;
  for (i = 0; i < sizeof types / sizeof types[0]; i++)
    if (name == NULL ? desist__test(L, index, types[i]) != NULL
                     : strcmp(types[i]->name, name) == 0)
      return types[i];
  return NULL;
}

const char *desist__type_name(lua_State *L, int index) {
  const box_type *type;
  index = lua_absindex(L, index);
  type = type_of(L, index, NULL);
  if (type != NULL) return type->name;
  if (luaL_getmetafield(L, index, "__name")) {
    const char *name =
        lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    /* In disguise: what it claims to be would not explain the error. */
    if (name != NULL && type_of(L, index, name) == NULL) return name;
  }
  return luaL_typename(L, index);
}

int desist__type_error(lua_State *L, int index, const char *expected) {
  return luaL_argerror(L, index,
                       lua_pushfstring(L, "%s expected, got %s", expected,
                                       desist__type_name(L, index)));
}

void *desist__wrong_type(lua_State *L, int index, const box_type *type) {
  (void)desist__type_error(L, index, type->name);
  return NULL;
}

/* --- Making boxes --- */

void *desist__new_box(lua_State *L, host *owner, const box_type *type,
                      int metatable, size_t size, int values) {
  void *box;
  if (owner->inbox == NULL) luaL_error(L, "the state is being closed");
  box = lua_newuserdatauv(L, size, values);
  memset(box, 0, size);
  *(const box_type **)box = type;
  lua_rawgeti(L, LUA_REGISTRYINDEX, owner->metatables[metatable]);
  lua_setmetatable(L, -2);
  return box;
}

token_box *desist__new_token(lua_State *L, host *owner, int inputs) {
  token_box *box =
      (token_box *)desist__new_box(L, owner, &desist__token_type, TOKEN_META,
                                   sizeof *box, TOKEN_VALUES + inputs);
  box->owner = owner;
  box->inputs = (uint16_t)inputs;
  return box;
}

source_box *desist__new_source(lua_State *L, host *owner, int token,
                               bool timed) {
  source_box *box;
  token = lua_absindex(L, token);
  box = (source_box *)desist__new_box(L, owner, &desist__source_type,
                                      SOURCE_META, sizeof *box,
                                      timed ? SOURCE_CLOCK : SOURCE_TOKEN);
  box->owner = owner;
  box->token = (token_box *)lua_touserdata(L, token);
  lua_pushvalue(L, token);
  lua_setiuservalue(L, -2, SOURCE_TOKEN);
  return box;
}

void desist__keep_clock(lua_State *L, int source) {
  const source_box *box = (source_box *)lua_touserdata(L, source);
  token_box *token = box->token;
  token->clock = desist__manual_clock(token->core);
  if (token->clock == NULL) return;
  desist__find(L, box->owner, token->clock);
  lua_setiuservalue(L, source, SOURCE_CLOCK);
}

void desist__own_token(token_box *box, desist_token *core) {
  host *owner = box->owner;
  box->core = core;
  box->next = owner->tokens;
  if (box->next != NULL) box->next->previous = box;
  owner->tokens = box;
}

static source_box **list_of(const source_box *box) {
  return box->shared ? &box->owner->shared : &box->owner->sources;
}

void desist__own_source(source_box *box, desist_source *core) {
  source_box **list = list_of(box);
  box->core = core;
  box->previous = NULL;
  box->next = *list;
  if (box->next != NULL) box->next->previous = box;
  *list = box;
}

void desist__unlink_source(source_box *box) {
  if (box->next != NULL) box->next->previous = box->previous;
  if (box->previous != NULL)
    box->previous->next = box->next;
  else
    *list_of(box) = box->next;
}

void desist__own_clock(clock_box *box, desist_clock *core) {
  host *owner = box->owner;
  box->core = core;
  box->next = owner->clocks;
  if (box->next != NULL) box->next->previous = box;
  owner->clocks = box;
}

void desist__forget_token(token_box *box) {
  desist_token *core = box->core;
  if (core == NULL) return;
  while (box->first != NULL) {
    registration_box *registration = box->first;
    (void)desist__watch_remove(&registration->watch);
    registration->active = false;
    box->first = registration->next;
  }
  if (box->next != NULL) box->next->previous = box->previous;
  if (box->previous != NULL)
    box->previous->next = box->next;
  else
    box->owner->tokens = box->next;
  box->core = NULL;
  desist_token_release(core);
}

void desist__forget_source(source_box *box) {
  desist_source *core = box->core;
  if (core == NULL) return;
  desist__unlink_source(box);
  box->core = NULL;
  desist_source_detach(core);
}

void desist__forget_clock(clock_box *box) {
  desist_clock *core = box->core;
  if (core == NULL) return;
  if (box->next != NULL) box->next->previous = box->previous;
  if (box->previous != NULL)
    box->previous->next = box->next;
  else
    box->owner->clocks = box->next;
  box->core = NULL;
  desist_clock_release(core);
}

/* --- Finding them --- */

/* `key` -> the object at `index`, weakly. */
void desist__list(lua_State *L, const host *owner, int index, void *key) {
  index = lua_absindex(L, index);
  lua_rawgeti(L, LUA_REGISTRYINDEX, owner->objects);
  lua_pushvalue(L, index);
  lua_rawsetp(L, -2, key);
  lua_pop(L, 1);
}

void desist__list_token(lua_State *L, int index) {
  token_box *box = (token_box *)lua_touserdata(L, index);
  if (box->listed || box->core == NULL) return;
  index = lua_absindex(L, index);
  desist__find_token(L, box->owner, box->core);
  if (lua_isnil(L, -1)) {
    desist__list(L, box->owner, index, box->core);
    box->listed = true;
  }
  lua_pop(L, 1);
}

void desist__list_box(lua_State *L, int index) {
  token_box *box = (token_box *)lua_touserdata(L, index);
  if (box->known) return;
  desist__list(L, box->owner, index, box);
  box->known = true;
}

void desist__list_source(lua_State *L, int index) {
  source_box *box = (source_box *)lua_touserdata(L, index);
  if (box->listed || box->core == NULL) return;
  desist__list(L, box->owner, index, (char *)box->core + 1);
  box->listed = true;
}

void desist__find(lua_State *L, const host *owner, const void *key) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, owner->objects);
  lua_rawgetp(L, -1, key);
  lua_remove(L, -2);
}

void desist__find_token(lua_State *L, const host *owner,
                        const desist_token *core) {
  const token_box *box;
  desist__find(L, owner, core);
  box = (const token_box *)lua_touserdata(L, -1);
  if (box != NULL && box->core != core) { /* finalized by hand */
    lua_pop(L, 1);
    lua_pushnil(L);
  }
}

void desist__push_token(lua_State *L, host *owner, desist_token *core) {
  desist__find_token(L, owner, core);
  if (lua_isnil(L, -1)) {
    token_box *box;
    lua_pop(L, 1);
    box = desist__new_token(L, owner, 0);
    desist__find_token(L, owner, core); /* a finalizer may have been here */
    if (!lua_isnil(L, -1)) {
      lua_remove(L, -2);
      return;
    }
    lua_pop(L, 1);
    desist_token_retain(core);
    desist__own_token(box, core);
    box->foreign = true;
    desist__list_token(L, -1);
  }
}

static bool find_source(lua_State *L, const host *owner, desist_source *core) {
  const source_box *box;
  desist__find(L, owner, (char *)core + 1);
  box = (const source_box *)lua_touserdata(L, -1);
  if (box != NULL && box->core == core) return true;
  lua_pop(L, 1);
  return false;
}

void desist__push_source(lua_State *L, host *owner, desist_source *core) {
  source_box *box;
  int token;
  if (find_source(L, owner, core)) {
    desist__share_source(L, lua_gettop(L));
    return;
  }
  desist__push_token(L, owner, desist_source_token(core));
  token = lua_gettop(L);
  box = desist__new_source(L, owner, token, true);
  if (find_source(L, owner, core)) { /* a finalizer may have been here */
    lua_replace(L, token);
    lua_settop(L, token);
    desist__share_source(L, token);
    return;
  }
  desist_source_retain(core);
  desist__own_source(box, core);
  desist__keep_clock(L, token + 1);
  desist__list_source(L, token + 1);
  desist__share_source(L, token + 1);
  lua_remove(L, token);
}

/* --- Metatables --- */

/* Methods go into a table of their own: the metatable is nobody's business. */
void desist__set_methods(lua_State *L, host *owner, int which,
                         const box_type *type, const luaL_Reg *methods) {
  (void)luaL_newmetatable(L, type->name);
  lua_newtable(L);
  for (; methods->name != NULL; methods++) {
    bool meta = methods->name[0] == '_';
    lua_pushlightuserdata(L, owner);
    lua_pushcclosure(L, methods->func, 1);
    lua_setfield(L, meta ? -3 : -2, methods->name);
  }
  lua_getfield(L, -2, "__index");
  if (lua_iscfunction(L, -1)) { /* it has one of its own */
    lua_pop(L, 2);
  } else {
    lua_pop(L, 1);
    lua_setfield(L, -2, "__index");
  }
#if LUA_VERSION_NUM < 503
  lua_pushstring(L, type->name);
  lua_setfield(L, -2, "__name");
#endif
  lua_pushstring(L, type->name);
  lua_setfield(L, -2, "__metatable");
  owner->metatables[which] = luaL_ref(L, LUA_REGISTRYINDEX);
}
