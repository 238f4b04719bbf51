/*
** lua_oom.c: every allocation of a script failing in turn, those of Lua and
** those of the core alike.
**
** A scenario runs in a state of its own, with memory failing from its n-th
** allocation on, for every n until it gets through. After each failure the
** state must work: what was registered before still runs, once. At the end of
** the state nothing may be left.
*/
#include "check.h"
#include "check_lua.h"
#include "check_memory.h"

#include "desist_lua.h"

static const char prepare[] =
    "local desist = ...\n"
    "count = 0\n"
    "function add() count = count + 1 end\n"
    "clock = desist.manual_clock()\n"
    "source = desist.source { clock = clock }\n"
    "other = desist.source()\n"
    "token = source:token()\n"
    "link = desist.linked(token, other:token())\n"
    "below = desist.linked(link:token())\n"
    "token:register(add)\n"
    "below:token():register(add)\n"
    "handle, token_handle = source:handle(), token:handle()\n"
    "loop = desist.source()\n"
    "do local held = loop\n"
    "  loop:token():register(function() return held end) end\n"
    "weak = setmetatable({ [loop] = true }, { __mode = 'k' })\n"
    "errors, bare, others = 0, 0, false\n"
    "local object = {}\n"
    "function throw() error(object) end\n"
    "desist.on_error(function(e, traceback)\n"
    "  errors = errors + 1\n"
    "  if e == object and not traceback then bare = bare + 1 end\n"
    "end)\n"
    "failing = desist.source()\n"
    "failing:token():register(throw) failing:token():register(throw)\n";

/* Callbacks that memory kept from running have raised instead; `others`: some
** raise anyhow. */
static const char check_after[] =
    "local desist = ...\n"
    "collectgarbage()\n"
    "source:cancel()\n"
    "desist.dispatch()\n"
    "assert(source:is_cancelled() and below:is_cancelled())\n"
    "assert(count + errors + raised == 2 or others, count .. ' ' .. errors .. "
    "' ' ..\n"
    "  raised)\n"
    "assert(not source:cancel())\n"
    "loop:cancel_after(math.huge)\n"
    "loop = nil\n"
    "for _ = 1, 4 do collectgarbage() end\n"
    "assert(next(weak) == nil, 'what holds itself is held')\n"
    "local new = desist.source()\n"
    "local r = new:token():register(add)\n"
    "assert(new:cancel('x') and new:token():reason() == 'x')\n"
    "assert(not r:is_active())\n"
    "collectgarbage() collectgarbage()\n";

/* Each is called with desist, in a protected call. */
static const char *const scenarios[] = {
  "local desist = ... desist.source { name = 'name' }",
  "local desist = ... desist.source { clock = clock }",
  "local desist = ... token:register(function() end, 1, nil, 'three')"
  ":unregister()",
  "local desist = ... below:token():register(function() end):unregister()",
  "local desist = ... local l = desist.linked(below:token(), token)\n"
  "l:token():register(function() end) l:close()",
  "local desist = ... desist.linked_all(token, other:token()):close()",
  "local desist = ... desist.after(1000):close()",
  "local desist = ... desist.cancelled({}):error()",
  "local desist = ... desist.manual_clock(5):advance(5)",
  "local desist = ... source:cancel_after(10) clock:advance(5)\n"
  "source:cancel_after(math.huge)",
  "local desist = ... desist.from_handle(handle):token():handle()\n"
  "desist.from_handle(token_handle):remaining()",
  "local desist = ... local s = desist.source()\n"
  "s:token():register(function() end) s:cancel_after(1000)\n"
  "s:token():register(function() end) s:close()",
  "local desist = ... local s = desist.source()\n"
  "local t = s:token() s:cancel(setmetatable({}, { __tostring =\n"
  "function() return 'text' end })) t:error() tostring(t:error())\n"
  "pcall(t.throw_if_cancelled, t)",
  "local desist = ... others = true local s = desist.source()\n"
  "s:token():register(error, 1) s:token():register(error)\n"
  "local ok, err = pcall(s.cancel, s) tostring(err)",
  "local desist = ... local s = desist.source()\n"
  "s:token():register(function() end) s:cancel_async('later')\n"
  "desist.dispatch()",
  "local desist = ... local s = desist.source()\n"
  "s:token():register(function() end) s:try_reset() s:token():fd()",
  "local desist = ... tostring(source) tostring(token) tostring(clock)\n"
  "token:deadline() token:wait(0) desist.wakeup_fd()",
  "local desist = ... local ok, err = pcall(source.cancel, source, {})\n"
  "if not ok then raised = err.errors and err.errors.n or raised end",
  "local desist = ... source:cancel_async({}) desist.dispatch()",
  "local desist = ... others = true\n"
  "failing:cancel_async() desist.dispatch()",
  "others = true pcall(failing.cancel, failing)",
  "loop:cancel_async({})",
  "loop:cancel_after(1000)",
  "local desist = ... source:cancel_after(1) clock:advance(2)",
};

static lua_State *open_state(void) {
  lua_State *L = lua_newstate(memory_allocate, &memory);
  CHECK(L != NULL);
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_setglobal(L, "module");
  lua_pushinteger(L, 0);
  lua_setglobal(L, "raised");
  return L;
}

/* The chunk with the module as its argument. */
static int run(lua_State *L, const char *chunk) {
  int status = luaL_loadstring(L, chunk);
  CHECK_INT(status, LUA_OK);
  lua_getglobal(L, "module");
  return lua_pcall(L, 1, 0, 0);
}

static void run_well(lua_State *L, const char *chunk, const char *scenario) {
  if (run(L, chunk) != LUA_OK) {
    check_failed(__FILE__, __LINE__, scenario, lua_tostring(L, -1));
    lua_pop(L, 1);
  }
}

/* True: memory lasted. `bare`, if not NULL: how many errors of `throw` were
** handled without a traceback is added. */
static bool run_short_of_memory(const char *scenario, long n, long *bare) {
  lua_State *L = open_state();
  bool failed;
  run_well(L, prepare, scenario);
  CHECK_INT(luaL_loadstring(L, scenario), LUA_OK);
  lua_getglobal(L, "module");
  memory_fail(n, true);
  (void)lua_pcall(L, 1, 0, 0);
  failed = memory_works_again();
  lua_settop(L, 0);
  lua_getglobal(L, "bare");
  if (bare != NULL) *bare += (long)lua_tointeger(L, -1);
  lua_settop(L, 0);
  run_well(L, check_after, scenario);
  lua_close(L);
  CHECK_LIVE(0);
  return !failed;
}

TEST(every_allocation_of_a_script_may_fail) {
  size_t i;
  for (i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
    long n = 0;
    while (!run_short_of_memory(scenarios[i], n, NULL)) n++;
    CHECK(n > 0);
  }
}

/* Not if there is none to call a function at all: then Lua itself puts its own
** error in the place of the callback's. */
TEST(errors_are_handled_though_there_is_no_memory_for_a_traceback) {
  long n = 0, bare = 0;
  while (!run_short_of_memory("local desist = ... others = true\n"
                              "failing:cancel_async() desist.dispatch()",
                              n, &bare))
    n++;
  CHECK(bare > 0);
}

TEST(errors_are_handled_though_there_is_no_memory_to_raise_them) {
  long n = 0, bare = 0;
  while (!run_short_of_memory("others = true pcall(failing.cancel, failing)", n,
                              &bare))
    n++;
  CHECK(bare > 0);
}

static int open_protected(lua_State *L) {
  luaL_requiref(L, "desist", luaopen_desist, 0);
  return 0;
}

TEST(every_allocation_of_opening_may_fail) {
  long n;
  bool failed = true;
  for (n = 0; failed; n++) {
    lua_State *L = lua_newstate(memory_allocate, &memory);
    luaL_openlibs(L);
    lua_pushcfunction(L, open_protected);
    memory_fail(n, true);
    (void)lua_pcall(L, 0, 0, 0);
    failed = memory_works_again();
    lua_settop(L, 0);
    if (failed) { /* and then it can be had */
      lua_pushcfunction(L, open_protected);
      CHECK_INT(lua_pcall(L, 0, 0, 0), LUA_OK);
    }
    luaL_requiref(L, "desist", luaopen_desist, 0);
    lua_setglobal(L, "module");
    run_well(L,
             "local desist = ... local s = desist.source()\n"
             "assert(s:cancel() and s:token():error())",
             "opening");
    lua_close(L);
    CHECK_LIVE(0);
  }
}

CHECK_MAIN()
