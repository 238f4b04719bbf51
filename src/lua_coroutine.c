/*
** lua_coroutine.c: coroutine.resume, wrap and close, and setmetatable, as
** desist.track_coroutines puts them in the place of Lua's own: they do the same
** and keep track of which coroutine runs, so that a guard finds it, and pass on
** what is set aside, so that a task is set aside with the coroutines it is in.
**
** setmetatable: Lua calls finalizers with hooks off, so an endless one could
** not be stopped. A `__gc` that is a Lua function is wrapped: inside a guard
** the collector's call of it runs on a coroutine of ours, which has its hooks.
*/
#include "lua_binding.h"

#if DESIST__GUARD

#  include <lualib.h>
#  include <string.h>

#  include "atomic.h"

const char desist__aside_key = 0;

/* --- Resuming --- */

static int resume_as(host *owner, lua_State *co, lua_State *from, int arguments,
                     int *results, desist__resumed *here) {
  desist__guards *guards = &owner->guards;
  desist__frame *top = guards->top;
  lua_State *before = guards->running;
  int status;
  here->below = guards->resumes;
  here->co = co;
  if (top != NULL || guards->kept != NULL) desist__guards_resuming(guards, co);
  desist__store_release(&guards->running, co);
  guards->resumes = here;
  status = lua_resume(co, from, arguments, results);
  guards->resumes = here->below;
  desist__store_release(&guards->running, before);
  if (top != NULL || guards->top != NULL)
    desist__guards_resumed(guards, co, from, top, status == LUA_YIELD);
  return status;
}

int desist__resume(host *owner, lua_State *co, lua_State *from, int arguments,
                   int *results, bool task) {
  desist__resumed here;
  here.from = from;
  here.task = task;
  return resume_as(owner, co, from, arguments, results, &here);
}

/* Moves what the resume gave to L: how many values; -1: it is an error. */
static int take_results(lua_State *L, lua_State *co, int status, int results) {
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return -1;
  }
  if (!lua_checkstack(L, results + 1)) {
    lua_pop(co, results);
    lua_pushliteral(L, "too many results to resume");
    return -1;
  }
  lua_xmove(co, L, results);
  return results;
}

/* The arguments on top of L are for it. */
static int give_arguments(lua_State *L, lua_State *co, int arguments) {
  if (!lua_checkstack(co, arguments)) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  lua_xmove(L, co, arguments);
  return 0;
}

/*
** Resumes, and if the coroutine was set aside does so again when this one goes
** on: `k` is called then. As take_results.
*/
static int resume_through(lua_State *L, lua_State *co, int arguments,
                          lua_KFunction k) {
  host *owner = desist__host_of(L);
  int status, results;
  if (give_arguments(L, co, arguments) != 0) return -1;
  status = desist__resume(owner, co, L, arguments, &results, false);
  if (status == LUA_YIELD && owner->guards.aside) return lua_yieldk(L, 0, 0, k);
  return take_results(L, co, status, results);
}

/* --- resume --- */

static int finish_resume(lua_State *L, int results) {
  lua_pushboolean(L, results >= 0);
  if (results < 0) results = 1;
  lua_insert(L, -(results + 1));
  return results + 1;
}

static lua_State *check_coroutine(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTHREAD);
  return lua_tothread(L, 1);
}

static int go_on_resume(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  lua_settop(L, 1);
  return finish_resume(L,
                       resume_through(L, lua_tothread(L, 1), 0, go_on_resume));
}

static int tracked_resume(lua_State *L) {
  lua_State *co = check_coroutine(L);
  return finish_resume(L,
                       resume_through(L, co, lua_gettop(L) - 1, go_on_resume));
}

/* For the loops: what is set aside comes back as true and that key. */
int desist__resume_task(lua_State *L) {
  host *owner = desist__host_of(L);
  lua_State *co = check_coroutine(L);
  int arguments = lua_gettop(L) - 1;
  int status, results = 0;
  if (give_arguments(L, co, arguments) != 0) return finish_resume(L, -1);
  status = desist__resume(owner, co, L, arguments, &results, true);
  if (status == LUA_YIELD && owner->guards.aside) {
    owner->guards.aside = false;
    lua_pushboolean(L, 1);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&desist__aside_key);
    return 2;
  }
  return finish_resume(L, take_results(L, co, status, results));
}

/* --- close --- */

/* Of a coroutine that is dead or has yielded. */
static int close_coroutine(host *owner, lua_State *L, lua_State *co) {
  desist__guards *guards = &owner->guards;
  desist__frame *top = guards->top;
  lua_State *before = guards->running;
  int status;
  if (top != NULL) desist__guards_resuming(guards, co);
  desist__guards_drop(guards, co);
  desist__store_release(&guards->running, co);
#  if LUA_VERSION_RELEASE_NUM >= 50406
  status = lua_closethread(co, L);
#  else
  status = lua_resetthread(co);
#  endif
  desist__store_release(&guards->running, before);
  if (top != NULL) desist__guards_resumed(guards, co, L, top, false);
  return status;
}

int desist__close_task(lua_State *L) {
  host *owner = desist__host_of(L);
  lua_State *co = check_coroutine(L);
  lua_Debug ar;
  int status = lua_status(co);
  if (co == L) return luaL_error(L, "cannot close a running coroutine");
  if (status == LUA_OK && lua_getstack(co, 0, &ar))
    return luaL_error(L, "cannot close a normal coroutine");
  status = close_coroutine(owner, L, co);
  lua_pushboolean(L, status == LUA_OK);
  if (status == LUA_OK) return 1;
  lua_xmove(co, L, 1);
  return 2;
}

/* --- wrap --- */

/* Host and coroutine are upvalues. */
static int finish_wrapped(lua_State *L, lua_State *co, int results) {
  int status;
  if (results >= 0) return results;
  status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_pop(L, 1); /* the coroutine has it once more */
    status = close_coroutine(desist__host_of(L), L, co);
    lua_xmove(co, L, 1);
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int go_on_wrapped(lua_State *L, int status, lua_KContext context) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(2));
  (void)status;
  (void)context;
  lua_settop(L, 0);
  return finish_wrapped(L, co, resume_through(L, co, 0, go_on_wrapped));
}

static int call_wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(2));
  return finish_wrapped(L, co,
                        resume_through(L, co, lua_gettop(L), go_on_wrapped));
}

static int tracked_wrap(lua_State *L) {
  lua_State *co;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_pushvalue(L, lua_upvalueindex(1));
  co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, call_wrapped, 2);
  return 1;
}

/* --- setmetatable --- */

/* Whether the collector calls the running function. */
static bool is_collecting(lua_State *L) {
  lua_Debug ar;
  return lua_getstack(L, 0, &ar) && lua_getinfo(L, "n", &ar) &&
         ar.name != NULL && strcmp(ar.name, "__gc") == 0 &&
         strcmp(ar.namewhat, "metamethod") == 0;
}

static int end_finalizer(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  return lua_gettop(L);
}

/* On the coroutine for that. */
static int finalize(lua_State *L, host *owner, lua_State *co) {
  desist__guards *guards = &owner->guards;
  desist__frame *top = guards->top;
  lua_State *before = guards->running;
  int status;
  if (!lua_checkstack(co, 10)) return luaL_error(L, "stack overflow");
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 2);
  desist__guards_resuming(guards, co);
  guards->finalizing = co;
  desist__store_release(&guards->running, co);
  status = lua_pcall(co, 1, 0, 0);
  desist__store_release(&guards->running, before);
  guards->finalizing = NULL;
  if (status != LUA_OK) lua_xmove(co, L, 1);
  desist__guards_resumed(guards, co, L, top, false);
  return status == LUA_OK ? 0 : lua_error(L);
}

/* What stands for a `__gc`: host and that function are upvalues. */
static int call_finalizer(lua_State *L) {
  host *owner = desist__host_of(L);
  desist__guards *guards = &owner->guards;
  if (guards->top != NULL && guards->finalizing == NULL && is_collecting(L)) {
    lua_State *co;
    lua_rawgeti(L, LUA_REGISTRYINDEX, guards->finalizer);
    co = lua_tothread(L, -1);
    lua_pop(L, 1);
    return finalize(L, owner, co);
  }
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, end_finalizer);
  return lua_gettop(L);
}

static int tracked_setmetatable(lua_State *L) {
  int type = lua_type(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2,
                   "nil or table");
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
    return luaL_error(L, "cannot change a protected metatable");
  lua_settop(L, 2);
  if (type == LUA_TTABLE) {
    lua_pushliteral(L, "__gc");
    lua_rawget(L, 2);
    if (lua_isfunction(L, -1) && !lua_iscfunction(L, -1)) {
      lua_pushvalue(L, lua_upvalueindex(1));
      lua_insert(L, -2);
      lua_pushcclosure(L, call_finalizer, 2);
      lua_pushliteral(L, "__gc");
      lua_insert(L, -2);
      lua_rawset(L, 2);
    }
    lua_settop(L, 2);
  }
  lua_setmetatable(L, 1);
  return 1;
}

/* --- Tracking --- */

static void replace(lua_State *L, host *owner, const char *library,
                    const luaL_Reg *functions) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, library);
  for (; lua_istable(L, -1) && functions->name != NULL; functions++) {
    lua_getfield(L, -1, functions->name);
    if (lua_isnil(L, -1)) { /* a sandbox without it */
      lua_pop(L, 1);
      continue;
    }
    lua_pop(L, 1);
    lua_pushlightuserdata(L, owner);
    lua_pushcclosure(L, functions->func, 1);
    lua_setfield(L, -2, functions->name);
  }
  lua_pop(L, 2);
}

void desist__track(lua_State *L, host *owner) {
  static const luaL_Reg coroutines[] = {
    { "resume", tracked_resume },
    { "wrap", tracked_wrap },
    { "close", desist__close_task },
    { NULL, NULL },
  };
  static const luaL_Reg globals[] = {
    { "setmetatable", tracked_setmetatable },
    { NULL, NULL },
  };
  if (owner->guards.tracked) return;
  luaL_checkstack(L, 10, NULL);
  if (owner->guards.finalizer == LUA_NOREF) {
    (void)lua_newthread(L);
    owner->guards.finalizer = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  replace(L, owner, LUA_COLIBNAME, coroutines);
  replace(L, owner, LUA_GNAME, globals);
  owner->guards.tracked = true;
}

int desist__track_coroutines(lua_State *L) {
  desist__track(L, desist__host_of(L));
  return 0;
}

/* --- For hosts --- */

int desist_lua_resume(lua_State *co, lua_State *from, int arguments,
                      int *results) {
  host *owner = desist__host_in(co);
  desist__resumed here;
  if (owner == NULL || owner->inbox == NULL)
    return lua_resume(co, from, arguments, results);
  here.from = NULL;
  here.task = false;
  return resume_as(owner, co, from, arguments, results, &here);
}

#else

int desist_lua_resume(lua_State *co, lua_State *from, int arguments,
                      int *results) {
#  if LUA_VERSION_NUM >= 504
  return lua_resume(co, from, arguments, results);
#  else
  int status;
#    if LUA_VERSION_NUM >= 502
  status = lua_resume(co, from, arguments);
#    else
  (void)from;
  status = lua_resume(co, arguments);
#    endif
  *results = lua_gettop(co);
  return status;
#  endif
}

#endif
