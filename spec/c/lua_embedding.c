/*
** lua_embedding.c: sources, tokens, reasons and errors between a host and its
** scripts. All memory is counted, the state's and the core's: at the end of
** each test nothing is left.
*/
#include "check.h"
#include "check_lua.h"
#include "check_memory.h"

static lua_State *L;

static void begin(void) {
  L = lua_newstate(memory_allocate, &memory);
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_setglobal(L, "desist");
  CHECK(lua_do(L, "count = 0 function add() count = count + 1 end", 0));
}

static void end(void) {
  CHECK_INT(lua_gettop(L), 0);
  lua_close(L);
  CHECK_LIVE(0);
}

static void give_source(const char *name, desist_source *source) {
  desist_lua_push_source(L, source);
  lua_setglobal(L, name);
}

static void give_token(const char *name, desist_token *token) {
  desist_lua_push_token(L, token);
  lua_setglobal(L, name);
}

static const char collect[] = "for _ = 1, 4 do collectgarbage() end";

/* --- Giving ------------------------------------------------------------- */

TEST(a_pushed_token_is_the_source_s) {
  desist_source *source = desist_source_create();
  begin();
  give_token("token", desist_source_token(source));
  CHECK(lua_do(L,
               "assert(getmetatable(token) == 'desist.token')\n"
               "assert(not token:is_cancelled() and token:can_be_cancelled())\n"
               "token:register(add)",
               0));
  CHECK(desist_source_cancel(source, NULL));
  CHECK(lua_do(L, "assert(token:is_cancelled() and count == 0)", 0));
  CHECK_INT(desist_lua_dispatch(L), 1);
  CHECK_INT(desist_lua_dispatch(L), 0);
  CHECK_INT(lua_number(L, "count"), 1);
  CHECK(lua_do(L, "assert(token:reason() == 'cancelled')", 0));
  desist_source_release(source);
  end();
}

TEST(a_pushed_source_can_be_cancelled_by_scripts) {
  desist_source *source = desist_source_create();
  begin();
  give_source("source", source);
  CHECK(lua_do(L,
               "source:token():register(add)\n"
               "assert(source:cancel('enough') and count == 1)",
               0));
  CHECK_TEXT(
      desist_reason_text(desist_token_reason(desist_source_token(source))),
      "enough");
  desist_source_release(source);
  end();
}

TEST(what_is_pushed_twice_is_one_object) {
  desist_source *source = desist_source_create();
  begin();
  give_token("token", desist_source_token(source));
  give_source("source", source);
  give_source("again", source);
  give_token("once_more", desist_source_token(source));
  CHECK(lua_do(L,
               "assert(source == again and token == once_more)\n"
               "assert(source:token() == token)\n"
               "assert(desist.from_handle(source:handle()) == source)",
               0));
  desist_source_release(source);
  end();
}

TEST(null_is_nil_and_none) {
  begin();
  give_source("source", NULL);
  give_token("token", NULL);
  CHECK(lua_do(L, "assert(source == nil and token == desist.none)", 0));
  CHECK(lua_do(L, "desist.none = 5", 0));
  give_token("token", NULL);
  CHECK(lua_do(L, "assert(not token:can_be_cancelled())", 0));
  end();
}

TEST(collecting_a_pushed_source_leaves_it_to_the_host) {
  desist_source *source = desist_source_create();
  begin();
  give_source("source", source);
  CHECK(lua_do(L, "source = nil", 0));
  CHECK(lua_do(L, collect, 0));
  CHECK(desist_token_can_be_cancelled(desist_source_token(source)));
  give_source("source", source);
  CHECK(lua_do(L, "assert(source:cancel())", 0));
  desist_source_release(source);
  end();
}

TEST(a_pushed_source_outlives_the_host_s_reference) {
  desist_source *source = desist_source_create();
  begin();
  give_source("source", source);
  desist_source_release(source);
  CHECK(lua_do(L, "source:token():register(add) assert(source:cancel())", 0));
  CHECK_INT(lua_number(L, "count"), 1);
  end();
}

/* Of `object`, and of what its callback holds. */
static const char register_and_drop[] =
    "probe = setmetatable({}, { __mode = 'k' })\n"
    "local inner, witness = desist.source(), {}\n"
    "probe[witness] = true\n"
    "object:register(function(reason)\n"
    "  assert(reason == 'text' and witness)\n"
    "  if inner:cancel() then add() end\n"
    "end)\n"
    "object = nil";

static bool is_held(void) {
  bool held;
  CHECK(lua_do(L, "held = next(probe) ~= nil", 0));
  lua_getglobal(L, "held");
  held = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return held;
}

TEST(callbacks_run_though_lua_has_dropped_everything) {
  desist_source *source = desist_source_create();
  desist_reason *reason = desist_reason_create(1, "text");
  begin();
  give_token("object", desist_source_token(source));
  CHECK(lua_do(L, register_and_drop, 0));
  CHECK(lua_do(L, collect, 0));
  CHECK(is_held());
  CHECK(desist_source_cancel(source, reason));
  CHECK(lua_do(L, collect, 0));
  CHECK_INT(desist_lua_dispatch(L), 1);
  CHECK_INT(lua_number(L, "count"), 1);
  CHECK(lua_do(L, collect, 0));
  CHECK(!is_held());
  desist_reason_release(reason);
  desist_source_release(source);
  end();
}

TEST(callbacks_are_collected_when_the_host_has_released) {
  desist_source *source = desist_source_create();
  begin();
  give_token("object", desist_source_token(source));
  CHECK(lua_do(L, register_and_drop, 0));
  CHECK(lua_do(L, collect, 0));
  CHECK(is_held());
  desist_source_release(source);
  CHECK_INT(desist_lua_dispatch(L), 0);
  CHECK(lua_do(L, collect, 0));
  CHECK(!is_held());
  CHECK_INT(lua_number(L, "count"), 0);
  end();
}

static const char register_with_source[] =
    "probe = setmetatable({}, { __mode = 'k' })\n"
    "local source, witness = object, {}\n"
    "local inner = desist.source()\n"
    "object = nil\n"
    "probe[witness] = true\n"
    "source:token():register(function()\n"
    "  assert(source and witness)\n"
    "  if inner:cancel() and not source:cancel() then add() end\n"
    "end)";

TEST(a_callback_that_holds_its_source_is_collected_as_well) {
  desist_source *source = desist_source_create();
  begin();
  give_source("object", source);
  CHECK(lua_do(L, register_with_source, 0));
  CHECK(lua_do(L, collect, 0));
  CHECK(is_held());
  desist_source_release(source);
  CHECK(lua_do(L, collect, 0));
  CHECK(!is_held());
  end();
}

TEST(a_callback_that_holds_its_source_runs_before) {
  desist_source *source = desist_source_create();
  begin();
  give_source("object", source);
  CHECK(lua_do(L, register_with_source, 0));
  CHECK(lua_do(L, collect, 0));
  CHECK(desist_source_cancel(source, NULL));
  desist_source_release(source);
  CHECK(lua_do(L, collect, 0)); /* it is queued */
  CHECK_INT(desist_lua_dispatch(L), 1);
  CHECK_INT(lua_number(L, "count"), 1);
  CHECK(lua_do(L, collect, 0));
  CHECK(!is_held());
  end();
}

TEST(a_deadline_of_the_host_s_finds_the_callbacks) {
  desist_clock *clock = desist_clock_create(0);
  desist_source *source = desist_source_create_on(clock);
  begin();
  give_source("object", source);
  CHECK(lua_do(L, register_with_source, 0));
  CHECK(desist_source_cancel_after(source, 5));
  desist_source_release(source);
  CHECK(lua_do(L, collect, 0));
  CHECK(is_held());
  CHECK(desist_clock_advance(clock, 5));
  CHECK_INT(desist_lua_dispatch(L), 1);
  CHECK_INT(lua_number(L, "count"), 1);
  desist_clock_release(clock);
  end();
}

TEST(a_source_that_the_host_has_taken_keeps_its_callbacks) {
  desist_source *source;
  begin();
  CHECK(lua_do(L, "object = desist.source() return object", 1));
  source = desist_lua_to_source(L, -1);
  desist_source_retain(source);
  lua_pop(L, 1);
  CHECK(lua_do(L, register_with_source, 0));
  CHECK(lua_do(L, collect, 0));
  CHECK(is_held());
  CHECK(desist_source_cancel(source, NULL));
  CHECK_INT(desist_lua_dispatch(L), 1);
  CHECK_INT(lua_number(L, "count"), 1);
  desist_source_release(source);
  end();
}

static int look_at_source(lua_State *state) {
  CHECK(desist_lua_check_source(state, 1) != NULL);
  return 0;
}

TEST(a_source_that_c_only_looks_at_is_collected_with_its_callbacks) {
  begin();
  lua_global(L, "look", look_at_source);
  CHECK(lua_do(L, "object = desist.source() look(object)", 0));
  CHECK(lua_do(L, register_with_source, 0));
  CHECK(lua_do(L, collect, 0));
  CHECK(!is_held());
  end();
}

/* --- Taking ------------------------------------------------------------- */

TEST(a_script_s_source_and_token_are_found) {
  desist_source *source;
  desist_token *token;
  begin();
  CHECK(lua_do(L, "source = desist.source() return source, source:token()", 2));
  source = desist_lua_to_source(L, -2);
  token = desist_lua_to_token(L, -1);
  CHECK(source != NULL && token == desist_source_token(source));
  CHECK(desist_lua_is_token(L, 2));
  CHECK(!desist_lua_is_token(L, 1));
  CHECK(desist_lua_to_token(L, 1) == NULL);
  CHECK(desist_lua_to_source(L, 2) == NULL);
  desist_lua_push_source(L, source);
  CHECK(lua_rawequal(L, -1, 1));
  desist_lua_push_token(L, token);
  CHECK(lua_rawequal(L, -1, 2));
  lua_settop(L, 0);
  end();
}

TEST(a_token_alone_is_found_again) {
  desist_token *token;
  begin();
  CHECK(lua_do(L, "source = desist.source() return source:token()", 1));
  token = desist_lua_to_token(L, 1);
  desist_lua_push_token(L, token);
  CHECK(lua_rawequal(L, 1, 2));
  lua_settop(L, 0);
  end();
}

TEST(what_is_no_token_reads_as_null) {
  int i;
  begin();
  CHECK(lua_do(L,
               "return nil, true, 5, 'text', {}, print, io.stdout,\n"
               "  coroutine.create(print), desist.manual_clock(),\n"
               "  desist.none",
               10));
  for (i = 1; i <= 10; i++) {
    CHECK(desist_lua_to_source(L, i) == NULL);
    CHECK(desist_lua_to_token(L, i) == NULL);
    CHECK_INT(desist_lua_is_token(L, i), i == 10);
    CHECK(!desist_lua_is_cancelled(L, i, NULL));
  }
  CHECK(desist_lua_to_source(L, 15) == NULL);
  CHECK(desist_lua_to_token(L, 15) == NULL);
  CHECK(!desist_lua_is_token(L, 15));
  lua_settop(L, 0);
  end();
}

static int check_source(lua_State *state) {
  lua_pushboolean(state, desist_lua_check_source(state, 1) != NULL);
  return 1;
}

static int check_token(lua_State *state) {
  lua_pushboolean(state, desist_lua_check_token(state, 1) != NULL);
  return 1;
}

static int opt_token(lua_State *state) {
  lua_pushboolean(state, desist_lua_opt_token(state, 2) != NULL);
  return 1;
}

TEST(arguments_are_checked) {
  begin();
  lua_global(L, "check_source", check_source);
  lua_global(L, "check_token", check_token);
  lua_global(L, "opt_token", opt_token);
  CHECK(lua_do(
      L,
      "local source = desist.source()\n"
      "local function refuses(where, text, fn, ...)\n"
      "  local ok, err = pcall(fn, ...)\n"
      "  assert(not ok and err:find(where .. ' ', 1, true), err)\n"
      "  assert(err:find('(' .. text, 1, true), err)\n"
      "end\n"
      "assert(check_source(source) and check_token(source:token()))\n"
      "assert(not check_token(desist.none))\n"
      "assert(opt_token(1, source:token()) and not opt_token(1, nil))\n"
      "assert(not opt_token(1) and not opt_token(1, desist.none))\n"
      "refuses('#1 to', 'desist.source expected, got no value)',\n"
      "  check_source)\n"
      "refuses('#1 to', 'desist.source expected, got desist.token)', "
      "check_source,\n"
      "  source:token())\n"
      "refuses('#1 to', 'desist.token expected, got desist.source)', "
      "check_token,\n"
      "  source)\n"
      "refuses('#1 to', 'desist.token expected, got nil)', check_token,\n"
      "  nil)\n"
      "refuses('#2 to', 'desist.token expected, got boolean)',\n"
      "  opt_token, 1, false)",
      0));
  end();
}

/* --- Reasons and errors ------------------------------------------------- */

static int cancel_with(lua_State *state) {
  desist_source *source = desist_lua_check_source(state, 1);
  desist_reason *reason = desist_lua_to_reason(state, 2);
  CHECK_INT(desist_reason_kind(reason), DESIST_KIND_CANCELLED);
  lua_pushboolean(state, desist_source_cancel(source, reason));
  desist_reason_release(reason);
  return 1;
}

TEST(reasons_cross_as_in_lua) {
  begin();
  lua_global(L, "cancel_with", cancel_with);
  CHECK(
      lua_do(L,
             "for _, value in ipairs { true, false, 1, -2.5, 'a\\0b', '' } do\n"
             "  local source = desist.source()\n"
             "  assert(cancel_with(source, value))\n"
             "  local reason = source:token():reason()\n"
             "  assert(rawequal(reason, value), tostring(reason))\n"
             "  assert(math.type(reason) == math.type(value))\n"
             "end\n"
             "local source = desist.source()\n"
             "assert(cancel_with(source) and not cancel_with(source))\n"
             "assert(source:token():reason() == 'cancelled')\n"
             "source = desist.source()\n"
             "cancel_with(source, setmetatable({}, { __tostring =\n"
             "  function() return 'its text' end }))\n"
             "assert(source:token():reason() == 'its text')",
             0));
  end();
}

TEST(a_reason_is_pushed_as_the_token_gives_it) {
  desist_source *source = desist_source_create();
  begin();
  desist_lua_push_reason(L, NULL);
  desist_lua_push_reason(L, desist_source_token(source));
  CHECK(lua_isnil(L, 1) && lua_isnil(L, 2));
  lua_settop(L, 0);
  give_source("source", source);
  CHECK(lua_do(L, "value = {} source:cancel(value) return value", 1));
  desist_lua_push_reason(L, desist_source_token(source));
  CHECK(lua_rawequal(L, 1, 2));
  lua_settop(L, 0);
  desist_source_release(source);
  end();
}

TEST(an_error_is_pushed_as_the_token_gives_it) {
  desist_source *source = desist_source_create(), *other;
  begin();
  desist_lua_push_error(L, NULL);
  desist_lua_push_error(L, desist_source_token(source));
  CHECK(lua_isnil(L, 1) && lua_isnil(L, 2));
  lua_settop(L, 0);
  CHECK(desist_source_cancel(source, NULL));
  desist_lua_push_error(L, desist_source_token(source));
  give_token("token", desist_source_token(source));
  lua_pushvalue(L, 1);
  lua_setglobal(L, "err");
  CHECK(lua_do(L,
               "assert(desist.is_cancelled(err, token))\n"
               "assert(err == token:error() and err.reason == 'cancelled')",
               0));
  other = desist_source_create();
  CHECK(desist_lua_is_cancelled(L, 1, NULL));
  CHECK(desist_lua_is_cancelled(L, -1, desist_source_token(source)));
  CHECK(!desist_lua_is_cancelled(L, 1, desist_source_token(other)));
  lua_settop(L, 0);
  desist_source_release(other);
  desist_source_release(source);
  end();
}

static desist_token *watched;
static int looks;

static int take_long(lua_State *state) {
  desist_lua_throw_if_cancelled(state, watched);
  looks++;
  lua_pushvalue(state, 1);
  lua_call(state, 0, 0);
  desist_lua_throw_if_cancelled(state, watched);
  looks++;
  return 0;
}

TEST(a_c_function_stops_by_the_token_s_error) {
  desist_source *source = desist_source_create();
  begin();
  lua_global(L, "take_long", take_long);
  watched = NULL;
  CHECK(lua_do(L, "take_long(function() end)", 0));
  CHECK_INT(looks, 2);
  watched = desist_source_token(source);
  give_source("source", source);
  CHECK(lua_do(L,
               "local ok, err = pcall(take_long, function()\n"
               "  source:cancel('stop') end)\n"
               "assert(not ok and err == source:token():error())\n"
               "ok, err = pcall(take_long)\n"
               "assert(not ok and err == source:token():error())",
               0));
  CHECK_INT(looks, 3);
  desist_source_release(source);
  end();
}

/* --- Opening ------------------------------------------------------------ */

TEST(all_of_it_is_inside_the_library) {
  L = lua_newstate(memory_allocate, &memory);
  luaL_openlibs(L);
  CHECK(lua_do(L,
               "package.path, package.cpath, package.loadlib = '', '', nil\n"
               "package.searchers = { package.searchers[1] }",
               0));
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_pop(L, 1);
  CHECK(lua_do(L,
               "local async = require 'desist.async'\n"
               "local queue = require 'desist.sync'.queue()\n"
               "assert(package.preload['desist.loop.prosody'])\n"
               "assert(package.preload['desist.loop.luv'])\n"
               "assert(async.run(async.sleep, 0) == nil)\n"
               "assert(queue:size() == 0)",
               0));
  end();
}

TEST(few_libraries_are_enough) {
  static const struct {
    const char *name;
    lua_CFunction open;
  } needed[] = {
    { "_G", luaopen_base },
    { "package", luaopen_package },
    { "coroutine", luaopen_coroutine },
    { "table", luaopen_table },
    { "string", luaopen_string },
    { "math", luaopen_math },
  };
  size_t i;
  L = lua_newstate(memory_allocate, &memory);
  for (i = 0; i < COUNT(needed); i++) {
    luaL_requiref(L, needed[i].name, needed[i].open, 1);
    lua_pop(L, 1);
  }
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_pop(L, 1);
  CHECK(lua_do(L,
               "local async, sync = require 'desist.async', 'desist.sync'\n"
               "local task\n"
               "local ok, err = pcall(async.run, function()\n"
               "  task = async.spawn(error, 'oh', 0)\n"
               "  async.sleep(60)\n"
               "end)\n"
               "assert(not ok and err == 'oh', err)\n"
               "assert(task:traceback():find '^stack traceback')",
               0));
  end();
}

TEST(the_package_library_comes_before) {
  L = lua_newstate(memory_allocate, &memory);
  lua_pushcfunction(L, luaopen_desist);
  CHECK_INT(lua_pcall(L, 0, 1, 0), LUA_ERRRUN);
  CHECK_TEXT(lua_tostring(L, -1), "open the package library before desist");
  lua_pop(L, 1);
  end();
}

/* --- Allocators --------------------------------------------------------- */

static struct { long blocks, calls; } of_state;

/* Sizes are told right, or there is nothing left in the end. */
static void *count_of_state(void *data, void *block, size_t old_size,
                            size_t size) {
  void *made;
  CHECK(data == &of_state);
  (void)old_size; /* of a new block: a type */
  of_state.calls++;
  if (size == 0) {
    if (block != NULL) of_state.blocks--;
    free(block);
    return NULL;
  }
  made = realloc(block, size);
  if (block == NULL && made != NULL) of_state.blocks++;
  return made;
}

static const char live_fully[] =
    "local desist = require 'desist'\n"
    "local async = require 'desist.async'\n"
    "local kept = {}\n"
    "for i = 1, 100 do\n"
    "  local s = desist.source { name = 'source ' .. i }\n"
    "  local link = desist.linked(s:token(), desist.after(1000):token())\n"
    "  link:token():register(function() return s, link end)\n"
    "  kept[i], kept[-i] = link:token():handle(), link\n"
    "  s:token():fd()\n"
    "  if i % 2 == 0 then s:cancel { 'object' } link:token():error() end\n"
    "  if i % 10 == 0 then s:cancel_after(100) end\n"
    "end\n"
    "pcall(async.run, function()\n"
    "  async.scope({ timeout = 0.001 }, function(scope)\n"
    "    for i = 1, 10 do scope:spawn(async.sleep, 60) end\n"
    "  end)\n"
    "  error(kept)\n"
    "end)\n"
    "_G.kept = kept";

TEST(state_and_core_have_allocators_of_their_own) {
  desist_source *source = desist_source_create();
  long calls;
  L = lua_newstate(count_of_state, &of_state);
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_setglobal(L, "desist");
  calls = MEMORY_GET(calls);
  CHECK(lua_do(L, "for i = 1, 100 do _G[i] = { i } end", 0));
  CHECK_INT(MEMORY_GET(calls), calls);
  CHECK(lua_do(L, "held = desist.source()", 0));
  CHECK(MEMORY_GET(calls) > calls);
  give_source("given", source);
  CHECK(lua_do(L, live_fully, 0));
  calls = of_state.calls;
  CHECK(desist_source_cancel(source, NULL));
  CHECK_INT(of_state.calls, calls);
  CHECK(MEMORY_GET(live) > 100);
  lua_close(L);
  CHECK_INT(of_state.blocks, 0);
  CHECK_LIVE(1); /* the host's source */
  desist_source_release(source);
  CHECK_LIVE(0);
}

/* --- The module is not open --------------------------------------------- */

static int call_closed(lua_State *state) {
  switch ((int)lua_tointeger(state, 1)) {
  case 0:
    desist_lua_push_source(state, NULL);
    break;
  case 1:
    desist_lua_push_token(state, NULL);
    break;
  case 2:
    desist_lua_to_reason(state, 1);
    break;
  case 3:
    desist_lua_push_reason(state, NULL);
    break;
  default:
    desist_lua_push_error(state, NULL);
  }
  return 0;
}

static void wake(void *data) { ++*(int *)data; }

TEST(in_a_state_where_it_is_not_open_functions_raise_or_find_nothing) {
  int i, woken = 0;
  desist_source *source = desist_source_create();
  L = lua_newstate(memory_allocate, &memory);
  luaL_openlibs(L);
  for (i = 0; i <= 4; i++) {
    lua_pushcfunction(L, call_closed);
    lua_pushinteger(L, i);
    CHECK_INT(lua_pcall(L, 1, 0, 0), LUA_ERRRUN);
    CHECK_TEXT(lua_tostring(L, -1), "desist is not open in this state");
    lua_pop(L, 1);
  }
  desist_lua_throw_if_cancelled(L, desist_source_token(source));
  CHECK_INT(desist_lua_dispatch(L), 0);
  desist_lua_on_wakeup(L, wake, &woken);
  desist_lua_set_main(L, L);
  CHECK_INT(desist_lua_wakeup_fd(L), -EINVAL);
  CHECK(!desist_lua_is_cancelled(L, 1, NULL));
  CHECK(desist_lua_to_token(L, 1) == NULL);
  CHECK_INT(woken, 0);
  desist_source_release(source);
  end();
}

CHECK_MAIN()
