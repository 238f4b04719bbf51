/*
** lua_coroutine.c: coroutine.resume, wrap and close, and setmetatable, as
** desist.track_coroutines puts them in the place of Lua's own: they do the same
** and keep track of which coroutine runs, so that a guard finds it, and pass on
** what is set aside, so that a task is set aside with the coroutines it is in.
**
** setmetatable: Lua calls finalizers with hooks off, so an endless one could
** not be stopped; and likewise what a coroutine that died of an error raised by
** a hook has left to close. A `__gc` or `__close` that is a Lua function is
** wrapped: inside a guard such a call of it runs on a coroutine of ours, which
** has its hooks.
*/
#include "lua_binding.h"

#if DESIST__GUARD

#  include <lualib.h>
#  include <string.h>

#  include "atomic.h"

const char desist__aside_key = 0;

/* --- Resuming --- */

/* lua_resume, tracked; `through` is `from`, or NULL if a host calls. */
static inline int resume_through(host *owner, lua_State *co, lua_State *from,
                                 int arguments, int *results, bool task,
                                 lua_State *through) {
  desist__guards *guards = &owner->guards;
  desist__frame *top = guards->top;
  lua_State *before = guards->running;
  int status;
  desist__resumed here;
  here.below = guards->resumes;
  here.co = co;
  here.from = through;
  here.task = task;
  if (top != NULL || guards->kept != NULL)
    desist__guards_resuming(guards, co, from);
  desist__store_release(&guards->running, co);
  guards->resumes = &here;
  status = lua_resume(co, from, arguments, results);
  guards->resumes = here.below;
  desist__store_release(&guards->running, before);
  if (top != NULL || guards->top != NULL)
    desist__guards_resumed(guards, co, from, top, status == LUA_YIELD);
  return status;
}

static inline int resume(host *owner, lua_State *co, lua_State *from,
                         int arguments, int *results, bool task) {
  return resume_through(owner, co, from, arguments, results, task, from);
}

enum { FREE = LUA_MINSTACK / 2 }; /* slots that a C function has anyway */

/* The arguments on top of L are for it. False: a message is on top of L. */
static bool give_arguments(lua_State *L, lua_State *co, int arguments) {
  if (arguments == 0) return true;
  if (!lua_checkstack(co, arguments)) {
    lua_pushliteral(L, "too many arguments to resume");
    return false;
  }
  lua_xmove(L, co, arguments);
  return true;
}

/* Whether L has room for what the resume gave. False: a message is there. */
static bool make_room(lua_State *L, lua_State *co, int results) {
  if (results < FREE || lua_checkstack(L, results + 1)) return true;
  lua_pop(co, results);
  lua_pushliteral(L, "too many results to resume");
  return false;
}

/* --- Setting aside --- */

/* Of a coroutine that is dead or has yielded. */
static int close_coroutine(host *owner, lua_State *L, lua_State *co) {
  desist__guards *guards = &owner->guards;
  desist__frame *top = guards->top;
  lua_State *before = guards->running, *hookless = guards->hookless;
  int status = lua_status(co);
  desist__guards_drop(guards, co, L); /* first: they would come back */
  if (top != NULL) desist__guards_resuming(guards, co, L);
  if (status != LUA_OK && status != LUA_YIELD) guards->hookless = co;
  desist__store_release(&guards->running, co);
#  if LUA_VERSION_RELEASE_NUM >= 50406
  status = lua_closethread(co, L);
#  else
  status = lua_resetthread(co);
#  endif
  desist__store_release(&guards->running, before);
  guards->hookless = hookless;
  if (top != NULL) desist__guards_resumed(guards, co, L, top, false);
  return status;
}

/* Closes the coroutine, where what resumed it is closed and does not go on. */
static int close_aside(lua_State *L) {
  lua_State *co = *(lua_State **)lua_touserdata(L, 1);
  if (co == NULL || close_coroutine(desist__host_in(L), L, co) == LUA_OK)
    return 0;
  lua_xmove(co, L, 1);
  return lua_error(L);
}

static bool is_aside(const host *owner, int status) {
  return status == LUA_YIELD && owner->guards.aside;
}

/* The coroutine whose value is at the index was set aside: so is this one, and
** goes on with `k`. Leaves on top what closes it; NULL in there: nothing. */
static int yield_aside(lua_State *L, host *owner, lua_State *co, int index,
                       lua_KFunction k) {
  owner->guards.aside = false; /* there may be no memory */
  *(lua_State **)lua_newuserdatauv(L, sizeof co, 1) = co;
  lua_pushvalue(L, index);
  lua_setiuservalue(L, -2, 1);
  if (luaL_newmetatable(L, "desist.aside")) {
    lua_pushcfunction(L, close_aside);
    lua_setfield(L, -2, "__close");
  }
  lua_setmetatable(L, -2);
  lua_toclose(L, -1);
  owner->guards.aside = true;
  return lua_yieldk(L, 0, 0, k);
}

/* Goes on, with that at the index. */
static int resume_aside(lua_State *L, host *owner, lua_State *co, int index,
                        int *results, lua_KFunction k) {
  lua_State **closed = (lua_State **)lua_touserdata(L, index);
  int status;
  lua_settop(L, index);
  *closed = NULL;
  status = resume(owner, co, L, 0, results, false);
  if (!is_aside(owner, status)) return status;
  *closed = co;
  return lua_yieldk(L, 0, 0, k);
}

/* --- resume --- */

/* And the error on top. */
static int give_false(lua_State *L) {
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

/* True or false, and what the resume gave. */
static int take_all(lua_State *L, lua_State *co, int status, int results) {
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return give_false(L);
  }
  if (results > 0 && !make_room(L, co, results)) return give_false(L);
  lua_pushboolean(L, 1);
  if (results > 0) lua_xmove(co, L, results);
  return results + 1;
}

static lua_State *check_coroutine(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  if (co == NULL) luaL_checktype(L, 1, LUA_TTHREAD);
  return co;
}

static int go_on_resume(lua_State *L, int status, lua_KContext context) {
  host *owner = desist__host_of(L);
  lua_State *co = lua_tothread(L, 1);
  int results;
  (void)context;
  status = resume_aside(L, owner, co, 2, &results, go_on_resume);
  return take_all(L, co, status, results);
}

static int tracked_resume(lua_State *L) {
  host *owner = desist__host_of(L);
  lua_State *co = check_coroutine(L);
  int arguments = lua_gettop(L) - 1, status, results;
  if (!give_arguments(L, co, arguments)) return give_false(L);
  status = resume(owner, co, L, arguments, &results, false);
  if (is_aside(owner, status))
    return yield_aside(L, owner, co, 1, go_on_resume);
  return take_all(L, co, status, results);
}

/* For the loops: what is set aside comes back as true and that key. */
int desist__resume_task(lua_State *L) {
  host *owner = desist__host_of(L);
  lua_State *co = check_coroutine(L);
  int arguments = lua_gettop(L) - 1, status, results;
  if (!give_arguments(L, co, arguments)) return give_false(L);
  status = resume(owner, co, L, arguments, &results, true);
  if (is_aside(owner, status)) {
    owner->guards.aside = false;
    lua_pushboolean(L, 1);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&desist__aside_key);
    return 2;
  }
  return take_all(L, co, status, results);
}

/* --- close --- */

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

/* Raises the error on top. */
static int raise_wrapped(lua_State *L, lua_State *co) {
  int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) {
    int closed = close_coroutine(desist__host_of(L), L, co);
    if (closed != LUA_OK) { /* the error again, or that of a `__close` */
      status = closed;
      lua_pop(L, 1);
      lua_xmove(co, L, 1);
    } /* else Lua is older than 5.4.3, which forgets it */
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int take_wrapped(lua_State *L, lua_State *co, int status, int results) {
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return raise_wrapped(L, co);
  }
  if (results == 0) return 0;
  if (!make_room(L, co, results)) return raise_wrapped(L, co);
  lua_xmove(co, L, results);
  return results;
}

static int go_on_wrapped(lua_State *L, int status, lua_KContext context) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(2));
  int results;
  (void)context;
  status = resume_aside(L, desist__host_of(L), co, 1, &results, go_on_wrapped);
  return take_wrapped(L, co, status, results);
}

/* Host and coroutine are upvalues. */
static int call_wrapped(lua_State *L) {
  host *owner = desist__host_of(L);
  lua_State *co = lua_tothread(L, lua_upvalueindex(2));
  int arguments = lua_gettop(L), status, results;
  if (!give_arguments(L, co, arguments)) return raise_wrapped(L, co);
  status = resume(owner, co, L, arguments, &results, false);
  if (is_aside(owner, status))
    return yield_aside(L, owner, co, lua_upvalueindex(2), go_on_wrapped);
  return take_wrapped(L, co, status, results);
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

static bool is_finalizer(lua_State *L, int level) {
  lua_Debug ar;
  return lua_getstack(L, level, &ar) && lua_getinfo(L, "n", &ar) &&
         ar.name != NULL && strcmp(ar.name, "__gc") == 0 &&
         strcmp(ar.namewhat, "metamethod") == 0;
}

/* Whether the collector calls the running function. Up to 5.4.3 Lua gives that
** name to the function that the collector came in the middle of. */
static bool is_collecting(lua_State *L) {
  return is_finalizer(L, 0) || is_finalizer(L, 1);
}

static int end_call(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  return lua_gettop(L);
}

/* Calls the function that is upvalue 2 where it stands, with all arguments. */
static int call_here(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, end_call);
  return lua_gettop(L);
}

/* The same on `co`, with those that are on top, and without results. */
static int call_on(lua_State *L, host *owner, lua_State *co, int arguments,
                   bool collecting) {
  desist__guards *guards = &owner->guards;
  desist__frame *top = guards->top;
  lua_State *before = guards->running;
  int status;
  if (!lua_checkstack(co, arguments + 10))
    return luaL_error(L, "stack overflow");
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, -(arguments + 1));
  lua_xmove(L, co, arguments + 1);
  desist__guards_resuming(guards, co, L);
  if (collecting) guards->finalizing = co;
  desist__store_release(&guards->running, co);
  status = lua_pcall(co, arguments, 0, 0);
  desist__store_release(&guards->running, before);
  if (collecting) guards->finalizing = NULL;
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
    lua_settop(L, 1);
    return call_on(L, owner, co, 1, true);
  }
  return call_here(L);
}

/* The same for a `__close`. */
static int call_closer(lua_State *L) {
  host *owner = desist__host_of(L);
  if (owner->guards.top != NULL && owner->guards.hookless == L) {
    int arguments = lua_gettop(L);
    lua_State *co = lua_newthread(L);
    lua_insert(L, 1); /* where it is not collected */
    return call_on(L, owner, co, arguments, false);
  }
  return call_here(L);
}

/* Its upvalues are the host and the names of what it wraps: looking for strings
** would take as long as all the rest. */
enum { GC_NAME = 2, CLOSE_NAME };

/* Wraps the field of the metatable at 2 which that upvalue names. */
static void wrap_field(lua_State *L, int name, lua_CFunction with) {
  lua_pushvalue(L, lua_upvalueindex(name));
  if (lua_rawget(L, 2) == LUA_TFUNCTION && !lua_iscfunction(L, -1)) {
    lua_pushvalue(L, lua_upvalueindex(name));
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, -3);
    lua_pushcclosure(L, with, 2);
    lua_rawset(L, 2);
  }
  lua_settop(L, 2);
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
    wrap_field(L, GC_NAME, call_finalizer);
    wrap_field(L, CLOSE_NAME, call_closer);
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
    lua_pushliteral(L, "__gc");
    lua_pushliteral(L, "__close");
    lua_pushcclosure(L, functions->func, CLOSE_NAME);
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
  if (owner == NULL || owner->inbox == NULL)
    return lua_resume(co, from, arguments, results);
  return resume_through(owner, co, from, arguments, results, false, NULL);
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
