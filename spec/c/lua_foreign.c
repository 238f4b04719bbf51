/*
** lua_foreign.c: sources that a state shares with its host, through handles:
** what the host does with them reaches callbacks that the script has no other
** way to.
*/
#include "check.h"
#include "check_lua.h"
#include "check_memory.h"

static lua_State *L;

static void begin(const char *script) {
  L = lua_newstate(memory_allocate, &memory);
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_setglobal(L, "desist");
  CHECK(lua_do(L, "count = 0 function add() count = count + 1 end", 0));
  CHECK(lua_do(L, script, 0));
}

static void end(void) {
  lua_close(L);
  CHECK_LIVE(0);
}

static desist_source *shared(void) {
  desist_source *source;
  lua_getglobal(L, "handle");
  source = desist_source_from_handle(lua_tostring(L, -1));
  lua_pop(L, 1);
  CHECK(source != NULL);
  return source;
}

static const char collect[] = "for _ = 1, 4 do collectgarbage() end";
static const char dispatch[] = "ran = desist.dispatch()";

TEST(a_source_that_the_host_holds_keeps_collected_callbacks) {
  desist_source *source;
  begin("local source = desist.source()\n"
        "source:token():register(add)\n"
        "local link = desist.linked(source:token())\n"
        "link:token():register(function() return source, link, add() end)\n"
        "handle = source:handle()");
  source = shared();
  CHECK(lua_do(L, collect, 0));
  CHECK(desist_source_cancel(source, NULL));
  CHECK(lua_do(L, collect, 0));
  CHECK(lua_do(L, dispatch, 0));
  CHECK_INT(lua_number(L, "count"), 2);
  CHECK_INT(lua_number(L, "ran"), 2);
  desist_source_release(source);
  end();
}

static bool is_there(void) {
  bool result;
  CHECK(lua_do(L, "there = next(probe) ~= nil", 0));
  lua_getglobal(L, "there");
  result = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return result;
}

TEST(what_they_hold_is_let_go_when_the_host_lets_go) {
  desist_source *source;
  begin("probe = setmetatable({}, { __mode = 'k' })\n"
        "local source, witness = desist.source(), {}\n"
        "probe[witness] = true\n"
        "source:token():register(function() return source, witness end)\n"
        "handle = source:handle()");
  source = shared();
  CHECK(lua_do(L, collect, 0));
  CHECK(is_there());
  desist_source_release(source);
  CHECK(lua_do(L, dispatch, 0));
  CHECK(lua_do(L, collect, 0));
  CHECK(!is_there());
  CHECK_INT(lua_number(L, "ran"), 0);
  end();
}

static desist_source *to_reset;

static int reset(lua_State *state) {
  (void)state;
  CHECK(desist_source_try_reset(to_reset));
  return 0;
}

TEST(what_is_dropped_while_its_token_is_finalized_is_let_go) {
  begin("probe = setmetatable({}, { __mode = 'k' })\n"
        "local source, witness = desist.source(), {}\n"
        "probe[witness] = true\n"
        "source:token():register(function() return witness end)\n"
        "handle = source:handle()\n"
        "setmetatable({}, { __gc = function()\n"
        "  reset() desist.dispatch() end })");
  lua_global(L, "reset", reset);
  to_reset = shared();
  CHECK(lua_do(L, collect, 0));
  CHECK(!is_there());
  CHECK(desist_source_cancel(to_reset, NULL));
  desist_source_release(to_reset);
  end();
}

TEST(a_handle_alone_keeps_nothing) {
  begin("probe = setmetatable({}, { __mode = 'k' })\n"
        "local source, witness = desist.source(), {}\n"
        "probe[witness] = true\n"
        "source:token():register(function() return source, witness end)\n"
        "handle = source:handle()");
  CHECK(lua_do(L, collect, 0));
  CHECK(!is_there());
  CHECK(lua_do(L, "assert(desist.from_handle(handle) == nil)", 0));
  end();
}

TEST(closing_drops_what_is_queued) {
  desist_source *source;
  begin("source = desist.source()\n"
        "registration = source:token():register(add)\n"
        "handle = source:handle()");
  source = shared();
  CHECK(lua_do(L, "source:cancel_async()", 0));
  desist_source_close(source);
  CHECK(lua_do(L,
               "assert(not registration:is_active())\n"
               "assert(tostring(registration):find '%(inactive%)$')",
               0));
  CHECK(lua_do(L, dispatch, 0));
  CHECK_INT(lua_number(L, "count"), 0);
  CHECK_INT(lua_number(L, "ran"), 0);
  desist_source_release(source);
  end();
}

TEST(a_deadline_keeps_what_its_callbacks_hold) {
  begin("local clock_source = desist.after(0.02)\n"
        "local inner = desist.source()\n"
        "clock_source:token():register(function()\n"
        "  if inner:cancel() then add() end end)");
  CHECK(lua_do(L, collect, 0));
  CHECK(lua_do(L,
               "local limit = desist.now() + 20\n"
               "while count == 0 and desist.now() < limit do\n"
               "  desist.none:wait(0.01) end",
               0));
  CHECK_INT(lua_number(L, "count"), 1);
  end();
}

TEST_WITH_SIGNALS(a_state_ends_with_everything_alive) {
  desist_source *source;
  begin("source = desist.source()\n"
        "source:token():register(add)\n"
        "link = desist.linked(source:token(), desist.after(1000):token())\n"
        "link:token():register(add)\n"
        "source:cancel_after(1000)\n"
        "clock = desist.manual_clock()\n"
        "on_clock = desist.source { clock = clock }\n"
        "on_clock:token():register(function() return on_clock end)\n"
        "on_clock:cancel_after(5)\n"
        "signal = desist.signal('USR2')\n"
        "signal:token():register(add)\n"
        "setmetatable({}, { __gc = function()\n"
        "  local late = desist.source() late:token():register(add)\n"
        "  late:cancel() source:cancel()\n"
        "  desist.source { clock = desist.manual_clock() }:cancel_after(1)\n"
        "  end })\n"
        "handle = source:handle()");
  source = shared();
  lua_close(L);
  CHECK(desist_source_cancel(source, NULL) ||
        desist_token_is_cancelled(desist_source_token(source)));
  desist_source_release(source);
  CHECK_LIVE(0);
}

static void hold_up(void *data, desist_reason *reason) {
  (void)data, (void)reason;
  check_sleep(50000000);
}

/* The service thread is busy with the host's callback, which is newer, when
** the flag is true already. */
TEST(wait_returns_when_the_callbacks_have_run) {
  desist_source *source;
  desist_registration node;
  begin("source = desist.source() token = source:token()\n"
        "token:register(add) handle = source:handle()");
  source = shared();
  desist_register(desist_source_token(source), &node, hold_up, NULL);
  CHECK(lua_do(L,
               "source:cancel_after(0.01) assert(token:wait(20))\n"
               "assert(count == 1, 'not run')",
               0));
  desist_source_release(source);
  end();
}

CHECK_MAIN()
