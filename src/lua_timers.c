/*
** lua_timers.c: what is due when, for the loops of desist.async: a heap of
** Lua values, by time, at one time the early before the late, then in the
** order in which they were put in.
**
** An item stands in a slot: items[slot] in user value 1, and places[slot] says
** where in the heap its entry is, or which slot is the next free one. Heap and
** places are in user value 2, a block that grows by half.
*/
#include "lua_binding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
  double time;
  uint32_t order; /* late ones have the highest bit */
  uint32_t slot;
} entry;

typedef struct timers_box {
  const box_type *type;
  entry *heap;      /* heap[1] to heap[count] */
  uint32_t *places; /* places[1] to places[slots] */
  uint32_t count, slots, room;
  uint32_t free;  /* a slot, or 0 */
  uint32_t order; /* the last one given */
} timers_box;

enum { TIMERS_ITEMS = 1, TIMERS_BLOCK };

#define LATE ((uint32_t)1 << 31)

enum { KEPT = 1024 }; /* the room that an empty heap keeps */

static const box_type timers_type = { "desist.timers", sizeof(timers_box) };

static timers_box *check(lua_State *L) {
  return (timers_box *)desist__check(L, 1, &timers_type);
}

/* --- The heap --- */

static bool is_before(const entry *a, const entry *b) {
  return a->time < b->time || (a->time == b->time && a->order < b->order);
}

static void put(timers_box *box, uint32_t place, entry what) {
  box->heap[place] = what;
  box->places[what.slot] = place;
}

/* The hole at `place` rises to where `what` belongs. */
static void rise(timers_box *box, uint32_t place, entry what) {
  while (place > 1 && is_before(&what, &box->heap[place / 2])) {
    put(box, place, box->heap[place / 2]);
    place /= 2;
  }
  put(box, place, what);
}

/* Takes out the entry at `place`; the hole sinks to a leaf, where the last
** entry fills it and rises again. */
static void take(timers_box *box, uint32_t place) {
  entry last = box->heap[box->count--];
  uint32_t down;
  if (place > box->count) return;
  while ((down = 2 * place) <= box->count) {
    if (down < box->count && is_before(&box->heap[down + 1], &box->heap[down]))
      down++;
    put(box, place, box->heap[down]);
    place = down;
  }
  rise(box, place, last);
}

static int compare(const void *a, const void *b) {
  return is_before((const entry *)a, (const entry *)b) ? -1 : 1;
}

/* The orders are used up: gives new ones to all. What is sorted is a heap. */
static void renumber(timers_box *box) {
  uint32_t i;
  if (box->count > 0) qsort(box->heap + 1, box->count, sizeof(entry), compare);
  for (i = 1; i <= box->count; i++) {
    entry what = box->heap[i];
    what.order = i | (what.order & LATE);
    put(box, i, what);
  }
  box->order = box->count;
}

/* --- Slots --- */

/* An empty heap has no items table; may raise, changing nothing. */
static void make_items(lua_State *L, timers_box *box) {
  lua_newtable(L);
  if (box->room == 0)
    lua_setiuservalue(L, 1, TIMERS_ITEMS);
  else /* a finalizer has made it */
    lua_pop(L, 1);
}

/* A larger block; may raise, changing nothing. A finalizer that runs here may
** push, too: then this block is none of use. */
static void grow(lua_State *L, timers_box *box) {
  uint32_t before = box->room;
  uint32_t room = before == 0 ? 8 : before + before / 2;
  entry *heap = (entry *)lua_newuserdatauv(
      L, (size_t)room * (sizeof *heap + sizeof *box->places), 0);
  uint32_t *places = (uint32_t *)(void *)(heap + room);
  if (box->room != before) {
    lua_pop(L, 1);
    return;
  }
  if (before != 0) {
    memcpy(heap, box->heap, (size_t)before * sizeof *heap);
    memcpy(places, box->places, (size_t)before * sizeof *places);
  }
  lua_setiuservalue(L, 1, TIMERS_BLOCK);
  box->heap = heap;
  box->places = places;
  box->room = room;
}

static void make_room(lua_State *L, timers_box *box) {
  while (box->count + 1 >= box->room) {
    if (box->room > UINT32_MAX / 4) luaL_error(L, "too many timers");
    if (box->room == 0) make_items(L, box);
    grow(L, box);
  }
}

/* Of an empty heap that was large: make_room begins anew. */
static void let_go(lua_State *L, timers_box *box) {
  lua_pushnil(L);
  lua_setiuservalue(L, 1, TIMERS_BLOCK);
  lua_pushnil(L);
  lua_setiuservalue(L, 1, TIMERS_ITEMS);
  box->heap = NULL;
  box->places = NULL;
  box->room = box->slots = box->free = 0;
}

/* Pushes the item of the slot, which is free from now on. */
static void push_item(lua_State *L, timers_box *box, uint32_t slot) {
  lua_getiuservalue(L, 1, TIMERS_ITEMS);
  lua_rawgeti(L, -1, (int)slot);
  lua_pushnil(L);
  lua_rawseti(L, -3, (int)slot);
  lua_remove(L, -2);
  box->places[slot] = box->free;
  box->free = slot;
  if (box->count == 0 && box->room > KEPT) let_go(L, box);
}

/* --- Functions --- */

/* The item at 2; pushes its slot. */
static int add(lua_State *L, timers_box *box, double time, bool late) {
  entry what;
  uint32_t slot;
  make_room(L, box);
  if (box->order == LATE - 1) renumber(box);
  what.time = time;
  what.order = ++box->order | (late ? LATE : 0);
  slot = box->free != 0 ? box->free : box->slots + 1;
  lua_getiuservalue(L, 1, TIMERS_ITEMS);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, (int)slot);
  if (slot > box->slots)
    box->slots = slot;
  else
    box->free = box->places[slot];
  what.slot = slot;
  rise(box, ++box->count, what);
  lua_pushinteger(L, (lua_Integer)slot);
  return 1;
}

/* timers, item, time, late: the item's slot. */
static int timers_push(lua_State *L) {
  timers_box *box = check(L);
  return add(L, box, luaL_checknumber(L, 3), lua_toboolean(L, 4) != 0);
}

/* timers, item, now, seconds, late: the item's slot; true: it is for ever;
** false: the time is not later than now; nothing: this is no duration. */
static int timers_push_after(lua_State *L) {
  timers_box *box = check(L);
  double now = luaL_checknumber(L, 3);
  double time = now + (double)lua_tonumber(L, 4);
  if (lua_type(L, 4) != LUA_TNUMBER || !(lua_tonumber(L, 4) >= 0)) return 0;
  if (time > now && time < HUGE_VAL)
    return add(L, box, time, lua_toboolean(L, 5) != 0);
  lua_pushboolean(L, time > now);
  return 1;
}

/* timers, slot */
static int timers_remove(lua_State *L) {
  timers_box *box = check(L);
  lua_Integer slot = luaL_checkinteger(L, 2);
  uint32_t place;
  luaL_argcheck(L, slot >= 1 && slot <= (lua_Integer)box->slots, 2, "no slot");
  place = box->places[slot];
  luaL_argcheck(L,
                place >= 1 && place <= box->count &&
                    box->heap[place].slot == (uint32_t)slot,
                2, "the slot is free");
  take(box, place);
  push_item(L, box, (uint32_t)slot);
  return 0;
}

/* timers: the time of the first; nothing if there is none. */
static int timers_first(lua_State *L) {
  const timers_box *box = check(L);
  if (box->count == 0) return 0;
  lua_pushnumber(L, box->heap[1].time);
  return 1;
}

static bool is_next(const timers_box *box, double time, bool late) {
  return box->count > 0 && box->heap[1].time == time &&
         ((box->heap[1].order & LATE) != 0) == late;
}

/* timers, until: takes out the first that is due by then: the item, its time,
** whether it is late, whether the next one is of that moment and sort, too;
** nothing if there is none. */
static int timers_take(lua_State *L) {
  timers_box *box = check(L);
  entry first;
  if (box->count == 0) return 0;
  first = box->heap[1];
  if (first.time > luaL_checknumber(L, 2)) return 0;
  take(box, 1);
  push_item(L, box, first.slot);
  lua_pushnumber(L, first.time);
  lua_pushboolean(L, (first.order & LATE) != 0);
  lua_pushboolean(L, is_next(box, first.time, (first.order & LATE) != 0));
  return 4;
}

/* timers, time, late: takes out the next of just that moment and sort, or
** nothing. */
static int timers_take_same(lua_State *L) {
  timers_box *box = check(L);
  entry first;
  if (!is_next(box, luaL_checknumber(L, 2), lua_toboolean(L, 3) != 0)) return 0;
  first = box->heap[1];
  take(box, 1);
  push_item(L, box, first.slot);
  return 1;
}

/* The last order given, for a test of what comes after very many. */
static int timers_new(lua_State *L) {
  lua_Integer order = luaL_optinteger(L, 1, 0);
  timers_box *box = (timers_box *)desist__new_box(
      L, desist__host_of(L), &timers_type, TIMERS_META, sizeof *box, 2);
  box->order = (uint32_t)order & (LATE - 1);
  return 1;
}

void desist__push_timers(lua_State *L, host *owner) {
  static const luaL_Reg functions[] = {
    { "push_after", timers_push_after },
    { "new", timers_new },
    { "push", timers_push },
    { "remove", timers_remove },
    { "first", timers_first },
    { "take", timers_take },
    { "take_same", timers_take_same },
    { NULL, NULL },
  };
  static const luaL_Reg methods[] = { { NULL, NULL } };
  desist__set_methods(L, owner, TIMERS_META, &timers_type, methods);
  lua_createtable(L, 0, 7);
  lua_pushlightuserdata(L, owner);
  luaL_setfuncs(L, functions, 1);
}
