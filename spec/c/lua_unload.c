/*
** lua_unload.c: the module as a shared object, unloaded by lua_close while the
** service thread lives and deadlines are armed.
**
**   lua_unload [folder]     holds desist/core.so; default build/lua
**
** The Lua files are looked for in it, too, and in lua/. The program must not
** be linked with desist: all of it comes and goes with the module.
*/
#include "check.h"
#include "check_lua.h"
#include "check_threads.h"

#include <link.h>

enum { TIMES = 20 };

static int look_for_module(struct dl_phdr_info *info, size_t size, void *data) {
  const char *name = info->dlpi_name;
  (void)size;
  if (name && strstr(name, "desist")) *(int *)data = 1;
  return 0;
}

static bool is_mapped(void) {
  int mapped = 0;
  dl_iterate_phdr(look_for_module, &mapped);
  return mapped != 0;
}

/* A state that finds the module in the folder, and nowhere else. */
static lua_State *state_open(void) {
  const char *folder = check.path ? check.path : "build/lua";
  lua_State *L = luaL_newstate();
  if (!L) abort();
  luaL_openlibs(L);
  lua_getglobal(L, "package");
  lua_pushfstring(L, "%s/?.so", folder);
  lua_setfield(L, -2, "cpath");
  lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;lua/?.lua;lua/?/init.lua", folder,
                  folder);
  lua_setfield(L, -2, "path");
  lua_pop(L, 1);
  return L;
}

/* Armed far and near, held and dropped, with callbacks and without. */
static const char arm[] =
    "local desist = require 'desist'\n"
    "kept = {}\n"
    "for i = 1, 50 do\n"
    "  local source = desist.source()\n"
    "  assert(source:cancel_after(i * 1e-3))\n"
    "  source:token():register(function() end)\n"
    "  if i % 2 == 0 then kept[i] = source end\n"
    "end\n"
    "kept.far = desist.after(3600)\n"
    "kept.token = desist.after(0.005):token()\n"
    "kept.clock = desist.manual_clock()\n"
    "kept.link = desist.linked(kept.far:token(), kept.token)\n";

static void unload(const char *also, int64_t rest) {
  lua_State *L = state_open();
  CHECK(lua_do(L, arm, 0));
  if (also) CHECK(lua_do(L, also, 0));
  CHECK(is_mapped());
  lua_close(L);
  check_sleep(rest);
}

TEST(deadlines_pass_after_the_state_is_closed) {
  int i;
  for (i = 0; i < TIMES; i++) unload(NULL, MS(60));
}

TEST(the_state_is_closed_while_deadlines_fire) {
  int i;
  for (i = 0; i < TIMES; i++) {
    unload("local desist = require 'desist'\n"
           "desist.source():token():wait(0.02)\n"
           "for i = 1, 1000 do kept[i] = desist.after(i * 1e-6) end\n",
           MS(5));
  }
}

static void *unload_often(void *data) {
  int i;
  (void)data;
  for (i = 0; i < TIMES; i++) unload(NULL, MS(10));
  return NULL;
}

TEST(states_come_and_go_on_several_threads) {
  pthread_t threads[4];
  int i;
  for (i = 0; i < 4; i++) threads[i] = thread_start(unload_often, NULL);
  for (i = 0; i < 4; i++) thread_join(threads[i]);
}

/* --- Signals: from here on the module stays mapped, see below ----------- */

/* Guards that have fired, one that is suspended, and signals afterwards. */
TEST_WITH_SIGNALS(guards_go_with_the_module) {
  int i;
  for (i = 0; i < TIMES; i++) {
    struct sigaction before, after;
    sigaction(SIGURG, NULL, &before);
    unload("local desist = require 'desist'\n"
           "local function forever()\n"
           "  while true do local _ = ('x'):rep(9) end\n"
           "end\n"
           "local source = desist.after(0.001)\n"
           "assert(not desist.guard(source:token(), forever))\n"
           "coroutine.wrap(desist.guard)(kept.far:token(), coroutine.yield)",
           MS(1));
    CHECK_INT(raise(SIGURG), 0);
    CHECK_INT(kill(getpid(), SIGURG), 0);
    sigaction(SIGURG, NULL, &after);
    CHECK(is_mapped() || before.sa_handler == after.sa_handler);
  }
}

TEST_WITH_SIGNALS(signals_and_descriptors_go_with_the_state) {
  int i;
  for (i = 0; i < TIMES; i++) {
    struct sigaction before, after;
    sigaction(SIGUSR1, NULL, &before);
    unload("local desist = require 'desist'\n"
           "kept.signal = desist.signal('USR1')\n"
           "assert(kept.signal:token():fd() >= 0)\n"
           "assert(desist.wakeup_fd() >= 0)\n",
           MS(2));
    sigaction(SIGUSR1, NULL, &after);
    CHECK(before.sa_handler == after.sa_handler);
  }
}

static int caught;

static void count_signal(int number) {
  (void)number;
  caught++;
}

/* As one that was put over ours does, or the system, which had chosen it for a
** thread just before: it is called when the state is gone. */
TEST_WITH_SIGNALS(the_handler_may_come_after_the_state) {
  struct sigaction ours, first, over;
  lua_State *L;
  memset(&ours, 0, sizeof ours);
  ours.sa_handler = count_signal;
  sigaction(SIGUSR1, &ours, &first);
  L = state_open();
  CHECK(lua_do(L, "kept = require 'desist'.signal('USR1')", 0));
  sigaction(SIGUSR1, NULL, &over);
  CHECK(over.sa_handler != count_signal);
  lua_close(L);
  over.sa_handler(SIGUSR1);
  CHECK_INT(caught, 1);
  sigaction(SIGUSR1, &first, NULL);
}

/* Gone, or still mapped because a handler of its may come: both will do. */
TEST(what_is_left_of_the_module) {
  check_sleep(MS(100));
  printf("the module is %s\n", is_mapped() ? "still mapped" : "gone");
}

CHECK_MAIN()
