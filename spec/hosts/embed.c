/*
** embed.c: a host that embeds Lua, in C and C++ alike. It finds no Lua file
** and no C module: what it runs is inside the library.
*/
#include <desist_lua.h>
#include <lauxlib.h>
#include <lualib.h>

#include <stdio.h>

static const char script[] =
    "package.path, package.cpath = '', ''\n"
    "local desist = require 'desist'\n"
    "local async = require 'desist.async'\n"
    "assert(pcall(require, 'desist.sync') and not pcall(require, 'io.none'))\n"
    /* an error raised through the C code */
    "local source = desist.source()\n"
    "source:cancel('bye')\n"
    "local ok, err = pcall(source:token().throw_if_cancelled, source:token())\n"
    "assert(not ok and err.reason == 'bye')\n"
    /* a deadline on the real clock, and its callback by dispatch */
    "local seen\n"
    "local timed = desist.after(0.01)\n"
    "timed:token():register(function(reason) seen = reason end)\n"
    "assert(timed:token():wait(10) and seen == 'deadline exceeded')\n"
    /* tasks, on a loop of the host's and on one of their own */
    "local steps = 0\n"
    "local loop = async.loop()\n"
    "loop:spawn(function() async.sleep(1) steps = steps + 1 end)\n"
    "for _ = 1, 3 do loop:step(0.5) end\n"
    "assert(steps == 1 and loop:is_idle())\n"
    "assert(async.run(function()\n"
    "  local _, late = async.scope({ timeout = 0.01 }, function()\n"
    "    async.sleep(10)\n"
    "  end)\n"
    "  return late\n"
    "end).kind == 'deadline')\n";

static const char signals[] =
#if defined(DESIST_NO_SIGNALS)
    "local ok, message = pcall(require('desist').signal, 'INT')\n"
    "assert(not ok and message:find 'cannot catch signals: desist is built')\n";
#else
    "assert(require('desist').signal('INT')):close()\n";
#endif

#if defined(DESIST_NO_GUARD)
static const desist_lua_interrupts expected = DESIST_LUA_CANNOT;
#elif defined(DESIST_NO_SIGNALS) || defined(DESIST_NO_THREADS) || \
    !defined(__linux__)
static const desist_lua_interrupts expected = DESIST_LUA_BY_HOOK;
#else
    static const desist_lua_interrupts expected = DESIST_LUA_BY_SIGNAL;
#endif

/* A script that never asks, and a token that is cancelled meanwhile. */
static bool guard(lua_State *L) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  bool good = desist_lua_can_interrupt() == expected;
  good = luaL_loadstring(L, expected == DESIST_LUA_CANNOT
                                ? "error 'to be refused'"
                                : "while true do end") == 0 &&
         good;
  desist_source_cancel_after(source, 10000000);
  good = desist_lua_pcall(L, 0, 0, 0, token, DESIST_LUA_GRACE) == LUA_ERRRUN &&
         good;
  if (expected != DESIST_LUA_CANNOT)
    good = desist_lua_is_cancelled(L, -1, token) && good;
  else
    good = lua_tostring(L, -1) != NULL && good;
  lua_settop(L, 0);
  desist_source_release(source);
  if (!good) fprintf(stderr, "a guard does not do what is expected\n");
  return good;
}

static bool run(lua_State *L, const char *code) {
  bool good = luaL_dostring(L, code) == 0;
  if (!good) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_settop(L, 0);
  return good;
}

int main(void) {
  lua_State *L = luaL_newstate();
  bool good;
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_pop(L, 1);
  good = run(L, script) && run(L, signals) && guard(L);
  lua_close(L);
  return !good;
}
