/*
** lua_pins.c: what keeps a token, and so its callbacks, alive. See
** lua_binding.h.
**
** A token with its first pin is entered in the pins of its inputs, which are
** pinned by that in turn, up to where the cancellation can come from; there it
** is anchored. First all entries are made, which may run out of memory and is
** undone then; after that only counters change. Of two calls the inner one (of
** a finalizer) does not rely on what the outer has entered.
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

enum { NOWHERE, IN_REGISTRY, IN_CLOCK }; /* token_box.anchored */

/* Where a token with pins belongs if it is armed, or foreign. */
static int place_for(const token_box *box, bool armed, bool foreign) {
  if ((!armed && !foreign) || box->core == NULL || desist__is_closed(box->core))
    return NOWHERE;
  return foreign || box->clock == NULL ? IN_REGISTRY : IN_CLOCK;
}

static int place_of(const token_box *box) {
  bool armed = box->core != NULL && desist__is_armed(box->core);
  return place_for(box, armed, box->foreign);
}

/* Pushes the table of that place, or nil: the clock is gone. */
static void push_anchors(lua_State *L, const token_box *box, int place) {
  if (place == IN_REGISTRY) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, box->owner->anchors);
    return;
  }
  desist__find(L, box->owner, box->clock);
  if (!lua_isnil(L, -1)) {
    lua_getiuservalue(L, -1, CLOCK_ANCHORS);
    lua_remove(L, -2);
  }
}

/* Its registrations find it: of who cancels it from outside only they come. */
static void anchor(lua_State *L, int index, const token_box *box, int place) {
  index = lua_absindex(L, index);
  desist__list_box(L, index);
  if (place == box->anchored) return;
  push_anchors(L, box, place);
  if (!lua_isnil(L, -1)) {
    lua_pushvalue(L, index);
    lua_rawsetp(L, -2, box);
  }
  lua_pop(L, 1);
}

static void remove_anchor(lua_State *L, const token_box *box, int place) {
  push_anchors(L, box, place);
  if (!lua_isnil(L, -1)) {
    lua_rawgetp(L, -1, box);
    if (!lua_isnil(L, -1)) {
      lua_pushnil(L);
      lua_rawsetp(L, -3, box);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* First there, then not here: where memory runs out, nothing has changed. */
static void move_anchor(lua_State *L, int index, token_box *box, int place) {
  int before;
  if (place != NOWHERE) anchor(L, index, box, place);
  before = box->anchored;
  box->anchored = (uint8_t)place;
  if (before != NOWHERE && before != place) remove_anchor(L, box, before);
}

static void let_go(lua_State *L, token_box *box) {
  box->owner->pin_calls++; /* who is entering begins anew */
  if (box->anchored != NOWHERE) move_anchor(L, 0, box, NOWHERE);
}

void desist__update_anchor(lua_State *L, int token) {
  token_box *box = (token_box *)lua_touserdata(L, token);
  box->owner->pin_calls++;
  move_anchor(L, token, box, box->pins == 0 ? NOWHERE : place_of(box));
}

void desist__anchor_armed(lua_State *L, int token) {
  token_box *box = (token_box *)lua_touserdata(L, token);
  if (box->pins != 0)
    move_anchor(L, token, box, place_for(box, true, box->foreign));
}

void desist__anchor_foreign(lua_State *L, int token) {
  token_box *box = (token_box *)lua_touserdata(L, token);
  box->owner->pin_calls++;
  if (box->pins != 0) move_anchor(L, token, box, place_for(box, false, true));
  box->foreign = true;
}

void desist__anchor_no_more(lua_State *L, token_box *token) {
  token->foreign = false;
  let_go(L, token);
}

/* --- Pins --- */

enum { ENTER, UNDO, COUNT_UP, COUNT_DOWN };

/*
** Whether the visit goes on to the inputs. `call` is the number of the call
** that enters; of the first one of those which it undoes.
*/
static bool visit(lua_State *L, int index, token_box *box, int what,
                  uint64_t call) {
  switch (what) {
  case ENTER:
    if (box->pins != 0 || box->reserved == call) return false;
    box->reserved = call;
    if (box->inputs != 0 && desist__lost_inputs(box->core))
      desist__leave_inputs(L, index);
    desist__list_box(L, index);
    move_anchor(L, index, box, place_of(box));
    return true;
  case UNDO:
    if (box->pins != 0 || box->reserved < call) return false;
    box->reserved = 0;
    let_go(L, box);
    return true;
  case COUNT_UP:
    box->reserved = 0;
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
static void walk(lua_State *L, int what, uint64_t call) {
  int base = lua_gettop(L) - 1;
  while (lua_gettop(L) > base) {
    int at = lua_gettop(L);
    token_box *box = (token_box *)lua_touserdata(L, at);
    if (box != NULL && visit(L, at, box, what, call)) {
      int i;
      /* ENTER comes first, and makes room for the others. Should the stack have
      ** shrunk since, and not grow: COUNT_DOWN goes no further up, and what is
      ** below stays pinned there until those inputs end. Nothing is lost. */
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
  walk(L, ENTER, (uint64_t)lua_tointeger(L, 1));
  return 0;
}

/*
** A finalizer that runs while this one enters may pin and unpin what it likes:
** then all is entered once more, until nothing has come in between.
*/
static bool enter_all(lua_State *L, int token) {
  host *owner = ((token_box *)lua_touserdata(L, token))->owner;
  uint64_t first = owner->pin_calls + 1;
  uint64_t call;
  do {
    call = ++owner->pin_calls;
    lua_pushcfunction(L, enter);
    lua_pushinteger(L, (lua_Integer)call);
    lua_pushvalue(L, token);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
      lua_pushvalue(L, token);
      walk(L, UNDO, first);
      return false;
    }
  } while (owner->pin_calls != call);
  return true;
}

bool desist__pin(lua_State *L, int token) {
  token_box *box = (token_box *)lua_touserdata(L, token);
  if (box->pins != 0 || (box->inputs == 0 && place_of(box) == NOWHERE)) {
    box->pins++;
    return true;
  }
  token = lua_absindex(L, token);
  luaL_checkstack(L, 16, NULL);
  if (!enter_all(L, token)) return false;
  lua_pushvalue(L, token);
  walk(L, COUNT_UP, 0);
  return true;
}

void desist__leave_inputs(lua_State *L, int token) {
  token_box *box = (token_box *)lua_touserdata(L, token);
  int i, count = box->inputs;
  token = lua_absindex(L, token);
  box->inputs = 0;
  for (i = 0; i < count; i++) {
    if (lua_getiuservalue(L, token, TOKEN_INPUTS + i) != LUA_TNIL) {
      if (box->pins != 0 || box->reserved != 0) set_entry(L, token, UNDO);
      if (box->pins != 0) desist__unpin(L, -1);
      lua_pushnil(L);
      lua_setiuservalue(L, token, TOKEN_INPUTS + i);
    }
    lua_pop(L, 1);
  }
}

void desist__unpin(lua_State *L, int token) {
  token_box *box = (token_box *)lua_touserdata(L, token);
  if (box->inputs == 0) {
    if (--box->pins == 0) let_go(L, box);
  } else {
    lua_pushvalue(L, token);
    walk(L, COUNT_DOWN, 0);
  }
}
