/*
** lua_pins.c: what keeps a token, and so its callbacks, alive. See
** lua_binding.h.
**
** A token with its first pin is entered in the pins of its inputs, which are
** pinned by that in turn, up to where the cancellation can come from; there it
** is anchored. First all entries are made, which may run out of memory and is
** undone then; after that only counters change.
**
** The stack serves as the list of tokens still to be visited: chains of links
** need no depth, and each token is visited once.
*/
#include "lua_binding.h"

void desist__push_pins(lua_State *L, int token) {
  token = lua_absindex(L, token);
  if (lua_getiuservalue(L, token, TOKEN_PINS) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_createtable(L, 1, 0);
    if (lua_getiuservalue(L, token, TOKEN_PINS) == LUA_TTABLE) {
      lua_remove(L, -2); /* a finalizer has registered meanwhile */
      return;
    }
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, token, TOKEN_PINS);
  }
}

/* --- Anchors --- */

static bool wants_anchor(const token_box *box) {
  return box->core != NULL && (box->armed || box->foreign) &&
         !desist__is_closed(box->core);
}

/* Pushes the anchors of the token's manual clock, or nil. */
static void push_clock_anchors(lua_State *L, const token_box *box) {
  desist__find(L, box->owner, box->clock);
  if (!lua_isnil(L, -1)) {
    lua_getiuservalue(L, -1, CLOCK_ANCHORS);
    lua_remove(L, -2);
  }
}

/* Pushes the table the token is anchored in, or nil: its clock is gone. */
static void push_anchors(lua_State *L, const token_box *box) {
  if (box->clock != NULL && box->armed && !box->foreign)
    push_clock_anchors(L, box);
  else
    lua_rawgeti(L, LUA_REGISTRYINDEX, box->owner->anchors);
}

/* Listed too: of who cancels it from outside only the registrations come. */
static void anchor(lua_State *L, int index, token_box *box) {
  index = lua_absindex(L, index);
  desist__list_box(L, index);
  push_anchors(L, box);
  if (!lua_isnil(L, -1)) {
    lua_pushvalue(L, index);
    lua_rawsetp(L, -2, box);
  }
  lua_pop(L, 1);
  box->anchored = true;
}

/* From the table on top, which is popped, if it is one. */
static void remove_from(lua_State *L, const void *key) {
  if (lua_istable(L, -1)) {
    lua_rawgetp(L, -1, key);
    if (!lua_isnil(L, -1)) {
      lua_pushnil(L);
      lua_rawsetp(L, -3, key);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static void let_go(lua_State *L, token_box *box) {
  if (!box->anchored) return;
  box->anchored = false;
  lua_rawgeti(L, LUA_REGISTRYINDEX, box->owner->anchors);
  remove_from(L, box);
  if (box->clock != NULL) {
    push_clock_anchors(L, box);
    remove_from(L, box);
  }
}

void desist__update_anchor(lua_State *L, int token) {
  token_box *box = (token_box *)lua_touserdata(L, token);
  let_go(L, box);
  if (box->pins != 0 && wants_anchor(box)) anchor(L, token, box);
}

/* --- Pins --- */

enum { ENTER, UNDO, COUNT_UP, COUNT_DOWN };

/* Whether the visit goes on to the inputs. */
static bool visit(lua_State *L, int index, token_box *box, int what) {
  switch (what) {
  case ENTER:
    if (box->pins != 0 || box->reserved) return false;
    box->reserved = true;
    desist__list_box(L, index);
    if (wants_anchor(box)) anchor(L, index, box);
    return true;
  case UNDO:
    if (!box->reserved) return false;
    box->reserved = false;
    let_go(L, box);
    return true;
  case COUNT_UP:
    box->reserved = false;
    return box->pins++ == 0;
  default:
    if (--box->pins != 0) return false;
    let_go(L, box);
    return true;
  }
}

/* Enters the token at `token` in the pins of the one on top, or removes it. */
static void set_entry(lua_State *L, int token, int what) {
  if (what == COUNT_UP) return;
  if (what == ENTER)
    desist__push_pins(L, -1);
  else
    lua_getiuservalue(L, -1, TOKEN_PINS);
  if (lua_istable(L, -1)) {
    lua_pushvalue(L, token);
    lua_rawget(L, -2);
    if (lua_isnil(L, -1) == (what == ENTER)) {
      lua_pushvalue(L, token);
      if (what == ENTER)
        lua_pushboolean(L, 1);
      else
        lua_pushnil(L);
      lua_rawset(L, -4);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* The token on top of the stack, and what that makes of its inputs. */
static void walk(lua_State *L, int what) {
  int base = lua_gettop(L) - 1;
  while (lua_gettop(L) > base) {
    int at = lua_gettop(L);
    token_box *box = (token_box *)lua_touserdata(L, at);
    if (box != NULL && visit(L, at, box, what)) {
      int i;
      /* Where there is no room, an entry is left behind, which keeps a token
      ** longer: but ENTER, which comes first, made that room. */
      if (!lua_checkstack(L, box->inputs + 8)) {
        if (what == ENTER) luaL_error(L, "stack overflow");
        lua_settop(L, at - 1);
        continue;
      }
      for (i = 0; i < box->inputs; i++) {
        lua_getiuservalue(L, at, TOKEN_INPUTS + i);
        if (lua_isnil(L, -1))
          lua_pop(L, 1);
        else
          set_entry(L, at, what);
      }
    }
    lua_remove(L, at);
  }
}

static int enter(lua_State *L) {
  walk(L, ENTER);
  return 0;
}

bool desist__pin(lua_State *L, int token) {
  token_box *box = (token_box *)lua_touserdata(L, token);
  if (box->pins == 0 && (box->inputs != 0 || wants_anchor(box))) {
    token = lua_absindex(L, token);
    luaL_checkstack(L, 16, NULL);
    lua_pushcfunction(L, enter);
    lua_pushvalue(L, token);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
      lua_pushvalue(L, token);
      walk(L, UNDO);
      return false;
    }
    lua_pushvalue(L, token);
    walk(L, COUNT_UP);
  } else {
    box->pins++;
  }
  return true;
}

void desist__unpin(lua_State *L, int token) {
  token_box *box = (token_box *)lua_touserdata(L, token);
  if (box->inputs == 0) {
    if (--box->pins == 0) let_go(L, box);
  } else {
    lua_pushvalue(L, token);
    walk(L, COUNT_DOWN);
  }
}
