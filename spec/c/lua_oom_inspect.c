/*
** lua_oom_inspect.c: every allocation failing in turn while a state shows what
** is going on, or notes it. Afterwards everything works, and nothing is left.
*/
#include "check.h"
#include "check_lua.h"
#include "check_memory.h"

#include "desist_lua.h"

/* What is shown is made before, and shown once, so that only the looking
** itself fails. */
static const char prepare[] =
    "desist = module\n"
    "async = require 'desist.async'\n"
    "clock = desist.manual_clock()\n"
    "count = 0\n"
    "function add() count = count + 1 end\n"
    "desist.trace(true)\n"
    "source = desist.source { name = 'so\\nurce', clock = clock }\n"
    "desist.trace(false)\n"
    "source:cancel_after(10)\n"
    "source:token():register(add)\n"
    "other = desist.source()\n"
    "link = desist.linked(source:token(), other:token())\n"
    "link:token():register(add)\n"
    "below = desist.linked_all(link:token())\n"
    "loop = async.loop()\n"
    "loop:spawn(function() async.scope({ name = 'level' }, function(scope)\n"
    "  scope:token():register(add)\n"
    "  scope:spawn(function() async.shield(async.sleep, 9) end)\n"
    "  async.sleep(5)\n"
    "end) end)\n"
    "loop:step(0)\n"
    "function inspect(value)\n"
    "  local text = desist.inspect(value)\n"
    "  assert(#text > 20)\n"
    "  return text\n"
    "end\n"
    "texts = { inspect(source), inspect(loop) }\n"
    "dead = desist.cancelled {}\n"
    "tostring(desist.late()[1])\n"
    "told = 0\n";

static const char check_after[] =
    "desist.trace(false)\n"
    "collectgarbage()\n"
    "assert(texts[1] == inspect(source) or traced)\n"
    "assert(texts[2] == inspect(loop) or traced)\n"
    "local before = count\n"
    "source:cancel()\n"
    "assert(count == before + 2 and below:is_cancelled())\n"
    "inspect(source) inspect(below)\n"
    "loop:step(20)\n"
    "assert(loop:is_idle() or traced)\n"
    "desist.on_late(nil)\n"
    "loop:close()\n";

static const char *const scenarios[] = {
  "inspect(source)",
  "inspect(below:token())",
  "inspect(dead)",
  "inspect(loop)",
  "traced = true desist.trace(true)\n"
  "local s = desist.source()\n"
  "local r = s:token():register(add)\n"
  "desist.linked(s:token()):close() inspect(s)\n"
  "r:unregister() s:close()",
  "traced = true desist.trace(true)\n"
  "loop:spawn(function() async.scope(async.checkpoint) end)\n"
  "loop:step(1)",
  "traced = true\n"
  "desist.on_error(function() end)\n"
  "desist.on_late(1, function(record) told = told + #tostring(record) end)\n"
  "loop:cancel() loop:step(2) desist.late() desist.on_late(nil)",
};

static lua_State *open_state(void) {
  lua_State *L = lua_newstate(memory_allocate, &memory);
  CHECK(L != NULL);
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_setglobal(L, "module");
  return L;
}

/* True: memory lasted. */
static bool run_short_of_memory(const char *scenario, long n) {
  lua_State *L = open_state();
  bool failed;
  lua_do(L, prepare, 0);
  CHECK_INT(luaL_loadstring(L, scenario), LUA_OK);
  memory_fail(n, true);
  (void)lua_pcall(L, 0, 0, 0);
  failed = memory_works_again();
  lua_settop(L, 0);
  lua_do(L, check_after, 0);
  lua_close(L);
  CHECK_LIVE(0);
  return !failed;
}

TEST(every_allocation_of_looking_may_fail) {
  size_t i;
  for (i = 0; i < COUNT(scenarios); i++) {
    long n = 0;
    while (!run_short_of_memory(scenarios[i], n)) n++;
    CHECK(n > 5);
  }
}

CHECK_MAIN()
