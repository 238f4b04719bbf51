/*
** lua_inspect.c: what lua/desist/inspect/ asks for: one source at a time, as a
** table; and notes of where and when things were made.
**
** A view holds what was seen of one source: the tokens next to it, which have
** no objects in this state for that. It exists, empty, before they are its own.
*/
#include "lua_binding.h"

#include <string.h>

/* --- Places ------------------------------------------------------------- */

static void write_place(char *place, size_t size, const lua_Debug *ar,
                        int line) {
  size_t length = strlen(ar->short_src);
  char digits[24];
  size_t count = 0;
  if (line < 0) line = 0;
  do digits[count++] = (char)('0' + line % 10);
  while ((line /= 10) > 0);
  if (length + count + 2 > size) length = size - count - 2;
  memcpy(place, ar->short_src, length);
  place[length++] = ':';
  while (count > 0) place[length++] = digits[--count];
  place[length] = '\0';
}

/* Where the script is that called us: "" if it is not to be told. Never
** raises, allocates nothing. */
static void find_caller(lua_State *L, const host *owner, char *place,
                        size_t size) {
  lua_Debug ar;
  int level;
  place[0] = '\0';
  for (level = 0; lua_getstack(L, level, &ar) == 1; level++) {
    if (lua_getinfo(L, "Sl", &ar) != 0 && ar.currentline >= 0 &&
        !desist__is_own(owner, ar.source)) {
      write_place(place, size, &ar, ar.currentline);
      break;
    }
  }
}

/* Pushes where the callback at `index` was defined, or nil. */
static void push_definition(lua_State *L, int index) {
  lua_Debug ar;
  char place[DESIST__PLACE_SIZE];
  if (lua_isfunction(L, index))
    lua_pushvalue(L, index);
  else if (!luaL_getmetafield(L, index, "__call"))
    lua_pushnil(L);
  if (lua_isfunction(L, -1) && !lua_iscfunction(L, -1)) {
    (void)lua_getinfo(L, ">S", &ar);
    write_place(place, sizeof place, &ar, ar.linedefined);
    lua_pushstring(L, place);
  } else {
    bool is_c = lua_iscfunction(L, -1) != 0;
    lua_pop(L, 1);
    if (is_c)
      lua_pushliteral(L, "C");
    else
      lua_pushnil(L);
  }
}

/* --- Notes -------------------------------------------------------------- */

void desist__note_source(lua_State *L, const host *owner,
                         desist_source *source) {
  char place[DESIST__PLACE_SIZE];
  find_caller(L, owner, place, sizeof place);
  (void)desist__trace_source(source, place); /* no memory: it goes without */
}

static desist_clock *clock_of(const token_box *token) {
  return token->core == NULL ? NULL : desist__manual_clock(token->core);
}

void desist__note_registration(lua_State *L, registration_box *box, int index) {
  char place[DESIST__PLACE_SIZE];
  int64_t now = desist_clock_now(clock_of(box->token));
  index = lua_absindex(L, index);
  find_caller(L, box->owner, place, sizeof place);
  lua_pushstring(L, place);
  lua_setiuservalue(L, index, REGISTRATION_FIRST + box->arguments);
  lua_pushnumber(L, (lua_Number)desist__seconds(now));
  lua_setiuservalue(L, index, REGISTRATION_FIRST + box->arguments + 1);
  box->noted = true;
}

/* on: what it was before. */
static int inside_trace(lua_State *L) {
  host *owner = desist__host_of(L);
  bool before = owner->tracing;
  owner->tracing = lua_toboolean(L, 1) != 0;
  lua_pushboolean(L, before);
  return 1;
}

/* --- Views -------------------------------------------------------------- */

/* Stack slots of inside_look: its arguments, the token they are about, if it
** is an object of this state; then the result. */
enum { WHAT = 1, INDEX, ROOM, ASKED_FOR, RESULT, VIEW, REGISTRATIONS };

typedef struct view {
  const box_type *type;
  size_t count;
  desist__item items[1]; /* those that are tokens are retained */
} view;

static const box_type view_type = { "desist.view", offsetof(view, items) };

static bool has_token(const desist__item *item) {
  return item->sort == DESIST__INPUT || item->sort == DESIST__BELOW;
}

static int view_gc(lua_State *L) {
  view *seen = (view *)desist__check(L, 1, &view_type);
  while (seen->count > 0) {
    const desist__item *item = &seen->items[--seen->count];
    if (has_token(item)) desist_token_release((desist_token *)item->what);
  }
  return 0;
}

static view *new_view(lua_State *L, host *owner, size_t room) {
  return (view *)desist__new_box(
      L, owner, &view_type, VIEW_META,
      offsetof(view, items) + (room == 0 ? 1 : room) * sizeof(desist__item), 0);
}

/* The token that is to be looked at: of a token, of a source, or of an item of
** a view. False: it is none of these. */
static bool find_core(lua_State *L, desist_token **core,
                      const token_box **box) {
  const source_box *source =
      (const source_box *)desist__test(L, 1, &desist__source_type);
  const view *seen = (const view *)desist__test(L, 1, &view_type);
  *box = source != NULL
             ? source->token
             : (const token_box *)desist__test(L, 1, &desist__token_type);
  if (*box != NULL) {
    *core = (*box)->core;
  } else if (seen != NULL) {
    lua_Integer index = lua_tointeger(L, 2);
    luaL_argcheck(L,
                  index > 0 && (size_t)index <= seen->count &&
                      has_token(&seen->items[index - 1]),
                  2, "an item with a token expected");
    *core = (desist_token *)seen->items[index - 1].what;
  } else {
    return false;
  }
  return true;
}

/*
** Puts the registration of a watch into the table on top of the stack, which
** has room for it, so that it stays. Nothing is allocated: no finalizer can
** let go of it before. Its token may be the one that was asked for.
*/
static void keep_registration(lua_State *L, const desist__item *item, int at) {
  const registration_box *box =
      desist__registration_of((desist__watch *)item->what);
  int top = lua_gettop(L);
  if (lua_touserdata(L, ASKED_FOR) == box->token)
    lua_pushvalue(L, ASKED_FOR);
  else
    desist__find(L, box->owner, box->token);
  if (lua_touserdata(L, -1) == box->token) { /* else about to be finalized */
    (void)lua_getiuservalue(L, -1, TOKEN_PINS);
    if (lua_istable(L, -1)) {
      lua_rawgeti(L, -1, box->ref);
      lua_rawseti(L, top, at);
    }
  }
  lua_settop(L, top);
}

/* Pushes a view of the source, and a table of the registrations in it, by
** their numbers. How many items there are. */
static size_t take_view(lua_State *L, host *owner, const desist_token *core,
                        size_t room, desist__facts *facts) {
  size_t i, count = desist__inspect(core, owner->inbox, facts, NULL, 0);
  view *seen;
  if (count < room) room = count;
  seen = new_view(L, owner, room);
  lua_createtable(L, (int)room, 0);
  luaL_checkstack(L, 6, NULL);
  count = desist__inspect(core, owner->inbox, facts, seen->items, room);
  seen->count = count < room ? count : room;
  for (i = 0; i < seen->count; i++)
    if (seen->items[i].sort == DESIST__OF_STATE)
      keep_registration(L, &seen->items[i], (int)i + 1);
  return count;
}

/* --- As tables ---------------------------------------------------------- */

static void set_flag(lua_State *L, const char *name, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, name);
}

static void set_count(lua_State *L, const char *name, size_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, const char *value) {
  if (value[0] == '\0') return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

static void set_seconds(lua_State *L, const char *name, int64_t value) {
  if (value == DESIST_NEVER) return;
  lua_pushnumber(L, (lua_Number)desist__seconds(value));
  lua_setfield(L, -2, name);
}

static void set_reason(lua_State *L, const desist_token *core) {
  static const char *const kinds[] = { "cancelled", "deadline", "failure" };
  const desist_reason *reason = desist_token_reason(core);
  const desist_token *origin = desist_token_origin(core);
  if (reason == NULL) return;
  lua_pushlstring(L, desist_reason_text(reason), desist__reason_length(reason));
  lua_setfield(L, -2, "reason");
  set_flag(L, "quoted",
           desist__reason_value(reason)->type == DESIST__VALUE_TEXT);
  set_text(L, "kind", kinds[desist_reason_kind(reason)]);
  if (origin != core && origin != NULL) {
    desist__facts facts;
    (void)desist__inspect(origin, NULL, &facts, NULL, 0);
    set_text(L, "origin", facts.name);
  }
}

static void set_facts(lua_State *L, const desist_token *core,
                      const desist__facts *facts) {
  static const char *const forms[] = { "", "any", "all" };
  set_text(L, "name", facts->name);
  set_text(L, "place", facts->place);
  set_text(L, "form", forms[facts->form]);
  set_flag(L, "cancelled", facts->cancelled);
  set_flag(L, "closed", facts->closed);
  set_count(L, "wanted", facts->wanted);
  set_seconds(L, "left", facts->left);
  set_seconds(L, "age", facts->age);
  set_seconds(L, "since", facts->since);
  if (facts->cancelled) set_reason(L, core);
}

/* The registration is on top of the stack; the item's table is below it. Pops
** it. */
static void set_registration(lua_State *L) {
  const registration_box *box =
      (const registration_box *)desist__test(L, -1, &desist__registration_type);
  int index = lua_gettop(L);
  if (box != NULL) {
    (void)lua_getiuservalue(L, index, REGISTRATION_CALLBACK);
    push_definition(L, index + 1);
    lua_setfield(L, index - 1, "defined");
    if (box->noted) {
      double now = desist__seconds(desist_clock_now(clock_of(box->token)));
      (void)lua_getiuservalue(L, index, REGISTRATION_FIRST + box->arguments);
      lua_setfield(L, index - 1, "place");
      (void)lua_getiuservalue(L, index,
                              REGISTRATION_FIRST + box->arguments + 1);
      lua_pushnumber(L, (lua_Number)now - lua_tonumber(L, -1));
      lua_setfield(L, index - 1, "age");
    }
  }
  lua_settop(L, index - 1);
}

/* Pushes an item. */
static void push_item(lua_State *L, const desist__item *item, int registrations,
                      int index) {
  static const char *const sorts[] = { "input",  "of C",    "registration",
                                       "others", "waiting", "link" };
  lua_createtable(L, 0, 4);
  set_text(L, "sort", sorts[item->sort]);
  set_count(L, "count", item->count);
  if (has_token(item)) {
    lua_pushlightuserdata(L, item->what);
    lua_setfield(L, -2, "id");
  } else if (item->sort == DESIST__OF_STATE) {
    lua_rawgeti(L, registrations, index);
    set_registration(L);
  }
}

/* Callbacks of this state that were taken and have not run yet. */
static size_t count_queued(const token_box *box) {
  const registration_box *at;
  size_t count = 0;
  for (at = box->first; at != NULL; at = at->next)
    if (!desist_is_registered(&at->watch.registration)) count++;
  return count;
}

/*
** source, token, or view and index; room: a table of what is known of it. Its
** items stand in it by their numbers; `total` says how many there are. Nil:
** it is something else.
*/
static int inside_look(lua_State *L) {
  host *owner = desist__host_of(L);
  const token_box *box;
  desist_token *core;
  desist__facts facts;
  size_t i, total;
  const view *seen;
  lua_settop(L, ROOM);
  if (!find_core(L, &core, &box)) return 0;
  if (desist__test(L, WHAT, &desist__source_type) != NULL)
    (void)lua_getiuservalue(L, WHAT, SOURCE_TOKEN);
  else
    lua_pushvalue(L, WHAT);
  lua_createtable(L, 8, 12);
  set_flag(L, "token", desist__test(L, WHAT, &desist__source_type) == NULL);
  if (core == NULL) { /* desist.none, or finalized */
    set_flag(L, box->never ? "never" : "gone", true);
    set_count(L, "total", 0);
    return 1;
  }
  lua_pushlightuserdata(L, core);
  lua_setfield(L, RESULT, "id");
  total = take_view(L, owner, core, (size_t)lua_tointeger(L, ROOM), &facts);
  seen = (const view *)lua_touserdata(L, VIEW);
  for (i = 0; i < seen->count; i++) {
    push_item(L, &seen->items[i], REGISTRATIONS, (int)i + 1);
    lua_rawseti(L, RESULT, (int)i + 1);
  }
  lua_settop(L, VIEW);
  lua_setfield(L, RESULT, "view");
  set_count(L, "total", total);
  set_facts(L, core, &facts);
  if (box != NULL) set_count(L, "queued", count_queued(box));
  return 1;
}

void desist__inspect_open(lua_State *L, host *owner) {
  static const luaL_Reg functions[] = {
    { "look", inside_look },
    { "trace", inside_trace },
    { NULL, NULL },
  };
  static const luaL_Reg methods[] = {
    { "__gc", view_gc },
    { NULL, NULL },
  };
  desist__set_methods(L, owner, VIEW_META, &view_type, methods);
  lua_pushlightuserdata(L, owner);
  luaL_setfuncs(L, functions, 1);
}
