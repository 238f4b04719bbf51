/*
** lua_shared.c: sources that something outside of the state may hold, too: the
** host program, or another state.
**
** Callbacks on such a source are anchored, since it may be cancelled at any
** time. But one that holds the source object would then keep it, and a
** reference on the source with it, for ever. So at each collection the state
** looks which of these sources it alone can still cancel; they are anchored no
** more, and if nothing else reaches them, the next collection takes them.
**
** The collector calls by finalizing a sentinel, which is made anew as long as
** there is anything to look after.
*/
#include "lua_binding.h"

static void push_sentinel(lua_State *L, host *owner) {
  host **sentinel = (host **)lua_newuserdatauv(L, sizeof *sentinel, 0);
  *sentinel = owner;
  lua_rawgeti(L, LUA_REGISTRYINDEX, owner->sentinel);
  lua_setmetatable(L, -2);
  owner->watched = true;
}

static void move(source_box *box, bool shared) {
  desist_source *core = box->core;
  desist__unlink_source(box);
  box->shared = shared;
  desist__own_source(box, core);
}

/* Whether nobody else may need it: what is on its way here stays anchored. */
static bool is_ours(const source_box *box) {
  const token_box *token = box->token;
  if (desist_token_is_cancelled(token->core)) return token->pins == 0;
  return desist__is_closed(token->core) || desist__has_one_handle(box->core);
}

static int sentinel_gc(lua_State *L) {
  host *owner = *(host **)lua_touserdata(L, 1);
  source_box *box = owner->shared;
  owner->watched = false;
  while (box != NULL) {
    source_box *next = box->next;
    if (is_ours(box)) {
      desist__anchor_no_more(L, box->token);
      move(box, false);
    }
    box = next;
  }
  if (owner->shared != NULL) push_sentinel(L, owner);
  return 0;
}

void desist__share_source(lua_State *L, int index) {
  source_box *box = (source_box *)lua_touserdata(L, index);
  if (box->shared || box->core == NULL) return;
  if (!box->owner->watched) {
    push_sentinel(L, box->owner);
    lua_pop(L, 1);
  }
  lua_getiuservalue(L, index, SOURCE_TOKEN);
  desist__anchor_foreign(L, -1);
  lua_pop(L, 1);
  move(box, true);
}

void desist__shared_open(lua_State *L, host *owner) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, sentinel_gc);
  lua_setfield(L, -2, "__gc");
  owner->sentinel = luaL_ref(L, LUA_REGISTRYINDEX);
}
