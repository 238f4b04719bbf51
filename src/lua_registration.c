/*
** lua_registration.c: registration objects, and token:register.
**
** A registration holds its callback and arguments as user values; while it is
** active it stands, by a reference of luaL_ref, in the pins of its token.
*/
#include "lua_binding.h"

const box_type desist__registration_type = { "desist.registration",
                                             sizeof(registration_box) };

static registration_box *check(lua_State *L) {
  return (registration_box *)desist__check(L, 1, &desist__registration_type);
}

static void link_to_token(registration_box *box) {
  token_box *token = box->token;
  box->previous = NULL;
  box->next = token->first;
  if (box->next != NULL) box->next->previous = box;
  token->first = box;
  box->active = true;
}

static void unlink_from_token(registration_box *box) {
  if (box->next != NULL) box->next->previous = box->previous;
  if (box->previous != NULL)
    box->previous->next = box->next;
  else
    box->token->first = box->next;
  box->active = false;
}

static void release_values(lua_State *L, const registration_box *box,
                           int index) {
  int i;
  for (i = 0; i <= box->arguments; i++) {
    lua_pushnil(L);
    lua_setiuservalue(L, index, REGISTRATION_CALLBACK + i);
  }
}

void desist__registration_end(lua_State *L, registration_box *box, int index,
                              int pins) {
  unlink_from_token(box);
  luaL_unref(L, pins, box->ref);
  release_values(L, box, index);
}

void desist__registration_drop(lua_State *L, registration_box *box, int token) {
  token = lua_absindex(L, token);
  lua_getiuservalue(L, token, TOKEN_PINS);
  lua_rawgeti(L, -1, box->ref);
  desist__registration_end(L, box, lua_gettop(L), lua_gettop(L) - 1);
  lua_pop(L, 2);
  desist__unpin(L, token);
}

/* --- token:register(callback, ...) --- */

static void check_callable(lua_State *L, int index) {
  if (lua_isfunction(L, index)) return;
  if (luaL_getmetafield(L, index, "__call")) {
    lua_pop(L, 1);
    return;
  }
  (void)desist__type_error(L, index, "function");
}

/* Calls it here: callback and arguments are on the stack from 2 on. The
** registration above them is the result. */
static int run_now(lua_State *L, int arguments) {
  int i;
  desist__see_whole(desist__check_token(L, 1)->core);
  luaL_checkstack(L, arguments + 4, NULL);
  for (i = 0; i <= arguments; i++) lua_pushvalue(L, 2 + i);
  desist__push_reason(L, 1);
  lua_call(L, arguments + 1, 0);
  return 1;
}

/* Puts it into the token's pins, and the token where it must be. */
static void enter_pins(lua_State *L, registration_box *box, int index) {
  desist__push_pins(L, 1);
  lua_pushvalue(L, index);
  box->ref = luaL_ref(L, index + 1);
  if (!desist__pin(L, 1)) {
    luaL_unref(L, index + 1, box->ref);
    lua_error(L);
  }
  lua_pop(L, 1);
}

int desist__token_register(lua_State *L) {
  token_box *token = desist__check_token(L, 1);
  registration_box *box;
  int i, arguments, index;
  bool noted = token->owner->tracing;
  check_callable(L, 2);
  arguments = lua_gettop(L) - 2;
  index = arguments + 3;
  if (arguments > 60000) return luaL_error(L, "too many arguments to register");
  luaL_checkstack(L, 10, NULL);
  if (arguments > token->owner->most_arguments)
    token->owner->most_arguments = arguments;
  box = (registration_box *)desist__new_box(
      L, token->owner, &desist__registration_type, REGISTRATION_META,
      sizeof *box,
      REGISTRATION_CALLBACK + arguments + (noted ? REGISTRATION_NOTES : 0));
  box->owner = token->owner;
  box->token = token;
  box->arguments = arguments;
  box->watch.inbox = token->owner->inbox;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, index, REGISTRATION_TOKEN);
  if (desist_token_is_cancelled(token->core)) return run_now(L, arguments);
  if (!desist_token_can_be_cancelled(token->core)) return 1;
  for (i = 0; i <= arguments; i++) {
    lua_pushvalue(L, 2 + i);
    lua_setiuservalue(L, index, REGISTRATION_CALLBACK + i);
  }
  if (noted) desist__note_registration(L, box, index);
  enter_pins(L, box, index);
  switch (desist__watch_add(token->core, &box->watch)) {
  case DESIST__WATCHING:
    link_to_token(box);
    return 1;
  case DESIST__TOO_LATE:
  case DESIST__IN_VAIN:
    break;
  }
  /* another thread was faster */
  link_to_token(box);
  desist__registration_drop(L, box, 1);
  return desist_token_is_cancelled(token->core) ? run_now(L, arguments) : 1;
}

/* --- Methods --- */

static int registration_unregister(lua_State *L) {
  registration_box *box = check(L);
  bool result = false;
  lua_settop(L, 1);
  if (box->active) {
    /* What was queued is dropped all the same once the source is closed. */
    result = desist__watch_remove(&box->watch) &&
             !desist__is_closed(box->token->core);
    lua_getiuservalue(L, 1, REGISTRATION_TOKEN);
    lua_getiuservalue(L, 2, TOKEN_PINS);
    desist__registration_end(L, box, 1, 3);
    desist__unpin(L, 2);
  }
  lua_pushboolean(L, result);
  return 1;
}

static int registration_close(lua_State *L) {
  (void)registration_unregister(L);
  return 0;
}

/* What was queued is dropped once the source is closed, by anybody. */
static bool is_active(const registration_box *box) {
  return box->active && !desist__is_closed(box->token->core);
}

static int registration_is_active(lua_State *L) {
  lua_pushboolean(L, is_active(check(L)));
  return 1;
}

static int registration_token(lua_State *L) {
  (void)check(L);
  lua_getiuservalue(L, 1, REGISTRATION_TOKEN);
  return 1;
}

static int registration_tostring(lua_State *L) {
  const registration_box *box = check(L);
  lua_pushfstring(L, "desist.registration: %p (%s)", (const void *)box,
                  is_active(box) ? "active" : "inactive");
  return 1;
}

void desist__registration_open(lua_State *L, host *owner) {
  static const luaL_Reg methods[] = {
    { "unregister", registration_unregister },
    { "is_active", registration_is_active },
    { "token", registration_token },
    { "close", registration_close },
    { "__close", registration_close },
    { "__tostring", registration_tostring },
    { NULL, NULL },
  };
  desist__set_methods(L, owner, REGISTRATION_META, &desist__registration_type,
                      methods);
}
