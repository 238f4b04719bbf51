/*
** lua_guard.c: stopping Lua code from C: desist_lua_pcall and desist.guard
** between states, threads, signal handlers and processes. All memory is
** counted, the states' and the core's.
*/
#include "check.h"
#include "check_fork.h"
#include "check_lua.h"
#include "check_memory.h"
#include "check_threads.h"

#include "desist_lua.h"

/* ThreadSanitizer delivers signals in the C library alone. */
#define FOREVER "while true do local _ = ('x'):rep(9) end "

/* Nor does it in a child of fork, if the parent had several threads. */
#define GUARDS_IN_CHILDREN (!CHECK_TSAN)

enum { LATER = 3 }; /* milliseconds until it is cancelled */

static const char prelude[] =
    "desist.track_coroutines()\n"
    "function forever() " FOREVER "end\n"
    "function stubborn() while true do pcall(forever) end end\n"
    "function give(...) return ... end\n"
    "function echo(err) return { err } end\n";

/* What scripts call. */
static int script_pcall(lua_State *L);
static int script_fork(lua_State *L);
static int script_arm(lua_State *L);

static desist_source *source_after(int64_t nanoseconds) {
  desist_source *source = desist_source_create();
  CHECK(desist_source_cancel_after(source, nanoseconds));
  return source;
}

static lua_State *state_open(void) {
  lua_State *L = lua_newstate(memory_allocate, &memory);
  if (!L) abort();
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_setglobal(L, "desist");
  lua_global(L, "guarded", script_pcall);
  lua_global(L, "fork", script_fork);
  lua_global(L, "arm", script_arm);
  CHECK(lua_do(L, prelude, 0));
  return L;
}

static void state_close(lua_State *L) {
  CHECK_INT(lua_gettop(L), 0);
  lua_close(L);
  CHECK_LIVE(0);
}

static void give_token(lua_State *L, desist_source *source) {
  desist_lua_push_token(L, desist_source_token(source));
  lua_setglobal(L, "token");
}

/* The global function, under a guard. */
static int call(lua_State *L, const char *function, desist_token *token,
                int64_t grace) {
  lua_getglobal(L, function);
  return desist_lua_pcall(L, 0, 0, 0, token, grace);
}

/* The error on top is that of this token, and no other. */
static void check_error(lua_State *L, desist_token *token) {
  CHECK(desist_lua_is_cancelled(L, -1, token));
  desist_lua_push_error(L, token);
  CHECK(lua_rawequal(L, -1, -2));
  lua_pop(L, 2);
}

static void check_stopped(lua_State *L, int status, desist_source *source) {
  if (CHECK_INT(status, LUA_ERRRUN))
    check_error(L, desist_source_token(source));
  else
    lua_settop(L, 0);
}

/* --- Another thread ----------------------------------------------------- */

struct later {
  desist_source *source;
  int64_t after;
  pthread_t thread;
};

static void *cancel_later(void *data) {
  struct later *later = (struct later *)data;
  check_sleep(later->after);
  CHECK(desist_source_cancel(later->source, NULL));
  return NULL;
}

static void later_start(struct later *later, int64_t after) {
  later->source = desist_source_create();
  later->after = after;
  later->thread = thread_start(cancel_later, later);
}

static void later_end(struct later *later) {
  thread_join(later->thread);
  desist_source_release(later->source);
}

/* An endless loop is stopped: guards work. */
static void check_guard(lua_State *L) {
  desist_source *source = source_after(MS(LATER));
  desist_token *token = desist_source_token(source);
  check_stopped(L, call(L, "forever", token, DESIST_LUA_GRACE), source);
  desist_source_release(source);
}

/* From here on it takes that time. */
static desist_source *to_arm;

static int script_arm(lua_State *L) {
  (void)L;
  CHECK(desist_source_cancel_after(to_arm, MS(LATER)));
  return 0;
}

/* guarded(token, f, ...): as pcall. */
static int script_pcall(lua_State *L) {
  desist_token *token = desist_lua_check_token(L, 1);
  int status = desist_lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0, token, 0);
  lua_pushboolean(L, status == LUA_OK);
  lua_replace(L, 1);
  return lua_gettop(L);
}

/* --- Before any guard --------------------------------------------------- */

static int urgent;

static void on_urgent(int number) {
  (void)number;
  __atomic_add_fetch(&urgent, 1, __ATOMIC_RELAXED);
}

/* Of the host's own, in the place of whatever was there. */
static void set_urgent_handler(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_urgent;
  CHECK_INT(sigaction(SIGURG, &action, NULL), 0);
}

/* Each way to send oneself the signal; its handler is called each time. */
static void check_urgent(void) {
  union sigval value;
  int before = urgent;
  value.sival_ptr = NULL;
  CHECK_INT(kill(getpid(), SIGURG), 0);
  CHECK_SOON(urgent == before + 1);
  CHECK_INT(raise(SIGURG), 0);
  CHECK_SOON(urgent == before + 2);
  CHECK_INT(pthread_kill(pthread_self(), SIGURG), 0);
  CHECK_SOON(urgent == before + 3);
  CHECK_INT(sigqueue(getpid(), SIGURG, value), 0);
  CHECK_SOON(urgent == before + 4);
}

static int script_urgent(lua_State *L) {
  (void)L;
  check_urgent();
  return 0;
}

/* While no guard is active, while one is, while one has fired. */
static void check_urgent_and_guards(lua_State *L) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  int before = urgent;
  check_urgent();
  check_guard(L);
  check_urgent();
  lua_global(L, "urgent", script_urgent);
  CHECK(lua_do(L,
               "function f()\n"
               "  pcall(function() urgent() arm() forever() end) urgent()\n"
               "end",
               0));
  to_arm = source;
  CHECK_INT(call(L, "f", token, MS(60000)), LUA_OK);
  check_urgent();
  CHECK_INT(urgent, before + 20);
  desist_source_release(source);
}

static void child_with_handlers(void) {
  lua_State *L = state_open();
  set_urgent_handler();
  check_urgent_and_guards(L); /* there before */
  set_urgent_handler();
  check_urgent_and_guards(L); /* after */
  state_close(L);
}

static struct sigaction old_action;
static int chained;

static void on_urgent_info(int number, siginfo_t *info, void *context) {
  __atomic_add_fetch(&chained, 1, __ATOMIC_RELAXED);
  if ((old_action.sa_flags & SA_SIGINFO) != 0)
    old_action.sa_sigaction(number, info, context);
  else if (old_action.sa_handler != SIG_DFL)
    old_action.sa_handler(number);
}

/* Over ours, to which it passes on what it gets. */
static void child_with_chain(void) {
  struct sigaction action;
  lua_State *L = state_open();
  int i;
  set_urgent_handler();
  check_guard(L);
  for (i = 0; i < 3; i++) {
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_urgent_info;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGURG, &action, i == 0 ? &old_action : NULL);
    chained = 0;
    check_urgent_and_guards(L);
    CHECK_INT(chained, 20);
  }
  state_close(L);
}

/* In children, where no guard has been yet. */
TEST_WITH_SIGNALS(a_host_has_a_handler_before_or_after) {
  end_child(start_child(child_with_handlers));
}

TEST_WITH_SIGNALS(a_host_has_a_handler_over_ours_and_passes_on) {
  end_child(start_child(child_with_chain));
}

/* --- Results ------------------------------------------------------------ */

static const int64_t graces[] = { DESIST_LUA_GRACE, 0, MS(60000),
                                  DESIST_NEVER };

TEST(it_gives_what_lua_pcall_gives) {
  lua_State *L = state_open();
  desist_source *source = desist_source_create();
  desist_token *tokens[2] = { NULL, desist_source_token(source) };
  size_t i, j;
  for (i = 0; i < COUNT(tokens); i++) {
    for (j = 0; j < COUNT(graces); j++) {
      lua_pushliteral(L, "below");
      lua_getglobal(L, "give");
      lua_pushinteger(L, 1);
      lua_pushinteger(L, 2);
      CHECK_INT(desist_lua_pcall(L, 2, LUA_MULTRET, 0, tokens[i], graces[j]),
                LUA_OK);
      CHECK_INT(lua_gettop(L), 3);
      CHECK_INT(lua_tointeger(L, -1), 2);
      lua_getglobal(L, "give");
      lua_insert(L, 2);
      CHECK_INT(desist_lua_pcall(L, 2, 3, 0, tokens[i], graces[j]), LUA_OK);
      CHECK_INT(lua_gettop(L), 4);
      CHECK(lua_isnil(L, -1) && lua_tointeger(L, -2) == 2);
      lua_getglobal(L, "give");
      lua_replace(L, 2);
      CHECK_INT(desist_lua_pcall(L, 2, 0, 0, tokens[i], graces[j]), LUA_OK);
      CHECK_INT(lua_gettop(L), 1);
      CHECK_TEXT(lua_tostring(L, 1), "below");
      lua_pop(L, 1);
    }
  }
  desist_source_release(source);
  state_close(L);
}

TEST(it_gives_errors_as_lua_pcall_does) {
  lua_State *L = state_open();
  desist_source *source = desist_source_create();
  desist_token *tokens[2] = { NULL, desist_source_token(source) };
  size_t i;
  for (i = 0; i < COUNT(tokens); i++) {
    lua_pushliteral(L, "below");
    lua_getglobal(L, "error");
    lua_pushliteral(L, "text");
    CHECK_INT(desist_lua_pcall(L, 1, 5, 0, tokens[i], 0), LUA_ERRRUN);
    CHECK_INT(lua_gettop(L), 2);
    CHECK_TEXT(lua_tostring(L, -1), "text");
    lua_getglobal(L, "echo");
    lua_replace(L, 1);
    lua_getglobal(L, "error");
    lua_insert(L, -2);
    CHECK_INT(desist_lua_pcall(L, 1, 0, 1, tokens[i], 0), LUA_ERRRUN);
    CHECK_INT(lua_gettop(L), 2);
    CHECK(lua_istable(L, -1));
    lua_pop(L, 2);
    lua_pushnil(L);
    CHECK_INT(desist_lua_pcall(L, 0, 0, 0, tokens[i], 0), LUA_ERRRUN);
    CHECK_TEXT(lua_tostring(L, -1), "attempt to call a nil value");
    lua_pop(L, 1);
  }
  desist_source_release(source);
  state_close(L);
}

TEST(a_token_that_is_cancelled_already_calls_nothing) {
  lua_State *L = state_open();
  desist_source *source = desist_source_create();
  CHECK(desist_source_cancel(source, NULL));
  lua_pushliteral(L, "below");
  lua_getglobal(L, "forever");
  lua_pushinteger(L, 1);
  lua_pushinteger(L, 2);
  CHECK_INT(desist_lua_pcall(L, 2, LUA_MULTRET, 0, desist_source_token(source),
                             DESIST_LUA_GRACE),
            LUA_ERRRUN);
  CHECK_INT(lua_gettop(L), 2);
  check_error(L, desist_source_token(source));
  lua_pop(L, 1);
  desist_source_release(source);
  check_guard(L);
  state_close(L);
}

/* Not one slot is free. */
static int on_a_full_stack(lua_State *L) {
  desist_token *token = (desist_token *)lua_touserdata(L, 1);
  int n;
  lua_settop(L, 0);
  for (n = 0; n < LUA_MINSTACK; n++) lua_getglobal(L, "forever");
  CHECK_INT(desist_lua_pcall(L, 0, 0, 0, token, 0), LUA_ERRRUN);
  check_error(L, token);
  return 0;
}

TEST(it_makes_room_for_itself) {
  lua_State *L = state_open();
  desist_source *source = desist_source_create();
  CHECK(desist_source_cancel(source, NULL));
  lua_pushcfunction(L, on_a_full_stack);
  lua_pushlightuserdata(L, desist_source_token(source));
  CHECK_INT(lua_pcall(L, 1, 0, 0), LUA_OK);
  desist_source_release(source);
  state_close(L);
}

TEST(without_the_module_it_says_so) {
  lua_State *L = luaL_newstate();
  desist_source *source = desist_source_create();
  lua_pushinteger(L, 1);
  lua_pushnil(L);
  lua_pushnil(L);
  CHECK_INT(desist_lua_pcall(L, 1, 5, 0, desist_source_token(source), 0),
            LUA_ERRRUN);
  CHECK_INT(lua_gettop(L), 2);
  CHECK_TEXT(lua_tostring(L, -1), "desist is not open in this state");
  desist_source_release(source);
  lua_close(L);
}

/* --- Who cancels -------------------------------------------------------- */

TEST_WITH_THREADS(another_thread_stops_an_endless_loop) {
  lua_State *L = state_open();
  size_t i;
  for (i = 0; i < COUNT(graces); i++) {
    struct later later;
    later_start(&later, MS(LATER));
    check_stopped(
        L, call(L, "forever", desist_source_token(later.source), graces[i]),
        later.source);
    later_end(&later);
  }
  state_close(L);
}

TEST(a_deadline_stops_an_endless_loop) {
  lua_State *L = state_open();
  int i;
  for (i = 0; i < 5; i++) check_guard(L);
  state_close(L);
}

TEST(the_second_error_comes_after_the_grace) {
  lua_State *L = state_open();
  int64_t grace;
  CHECK(lua_do(L, "function f() arm() stubborn() end", 0));
  for (grace = 0; grace <= MS(10); grace += MS(5)) {
    int64_t start = check_now();
    to_arm = desist_source_create();
    check_stopped(L, call(L, "f", desist_source_token(to_arm), grace), to_arm);
    CHECK(check_now() - start >= grace + MS(LATER));
    desist_source_release(to_arm);
  }
  state_close(L);
}

static void *send_signal(void *data) {
  check_sleep(MS(LATER));
  kill(getpid(), SIGUSR1);
  return data;
}

TEST_WITH_SIGNALS(a_signal_s_handler_stops_an_endless_loop) {
  lua_State *L = state_open();
  static const int signals[] = { SIGUSR1 };
  desist_source *source = desist_source_create_signals(signals, 1);
  pthread_t thread = thread_start(send_signal, NULL);
  check_stopped(
      L, call(L, "forever", desist_source_token(source), DESIST_LUA_GRACE),
      source);
  thread_join(thread);
  desist_source_release(source);
  state_close(L);
}

static void *cancel_by_script(void *data) {
  lua_State *L = state_open();
  desist_lua_push_source(L, (desist_source *)data);
  lua_setglobal(L, "source");
  check_sleep(MS(LATER));
  CHECK(lua_do(L, "assert(source:cancel('because'))", 0));
  lua_close(L);
  return NULL;
}

TEST_WITH_THREADS(another_state_s_script_stops_an_endless_loop) {
  lua_State *L = state_open();
  desist_source *source = desist_source_create();
  pthread_t thread = thread_start(cancel_by_script, source);
  lua_getglobal(L, "forever");
  CHECK_INT(desist_lua_pcall(L, 0, 0, 0, desist_source_token(source), 0),
            LUA_ERRRUN);
  desist_lua_push_reason(L, desist_source_token(source));
  CHECK_TEXT(lua_tostring(L, -1), "because");
  lua_pop(L, 1);
  check_error(L, desist_source_token(source));
  thread_join(thread);
  desist_source_release(source);
  state_close(L);
}

/* By a thread of its own, a deadline, or a linked source's input. */
TEST_WITH_THREADS(a_link_s_input_stops_an_endless_loop) {
  lua_State *L = state_open();
  struct later later;
  desist_source *link;
  desist_token *input;
  later_start(&later, MS(LATER));
  input = desist_source_token(later.source);
  link = desist_source_create_linked(&input, 1, DESIST_LINK_ANY);
  check_stopped(L, call(L, "forever", desist_source_token(link), 0), link);
  desist_source_release(link);
  later_end(&later);
  state_close(L);
}

/* --- Where it is called ------------------------------------------------- */

static const char at_many_places[] =
    "local function stopped(ok, err)\n"
    "  assert(not ok and err == token:error(), tostring(err))\n"
    "  return true\n"
    "end\n"
    "function inside() return stopped(guarded(token, forever)) end\n"
    "function in_coroutine()\n"
    "  return coroutine.wrap(function()\n"
    "    assert(not guarded(desist.source():token(), coroutine.yield))\n"
    "    return inside() and coroutine.wrap(inside)()\n"
    "  end)()\n"
    "end\n"
    "function around_coroutine()\n"
    "  return stopped(guarded(token, function()\n"
    "    coroutine.wrap(function() coroutine.wrap(forever)() end)()\n"
    "  end))\n"
    "end\n"
    "function in_callback()\n"
    "  local source, ok = desist.source(), nil\n"
    "  source:token():register(function() ok = inside() end)\n"
    "  assert(source:cancel())\n"
    "  return ok\n"
    "end\n"
    "function in_sort()\n"
    "  return pcall(table.sort, { 1, 2 }, inside)\n"
    "end\n"
    "function in_task()\n"
    "  return require('desist.async').run(inside)\n"
    "end\n"
    "function in_lua_guard()\n"
    "  return select(2, desist.guard(desist.source():token(), inside))\n"
    "end\n"
    "function around_lua_guard()\n"
    "  return stopped(guarded(token, desist.guard, desist.source():token(),\n"
    "                         forever))\n"
    "end\n"
    "function in_finalizer()\n"
    "  local ok\n"
    "  setmetatable({}, { __gc = function()\n"
    "    ok = inside()\n"
    "  end })\n"
    "  desist.guard(desist.source():token(), collectgarbage)\n"
    "  return ok\n"
    "end\n";

static const char *const places[] = {
  "inside",  "in_coroutine", "around_coroutine", "in_callback", "in_sort",
  "in_task", "in_lua_guard", "around_lua_guard", "in_finalizer"
};

static void check_places(lua_State *L) {
  size_t i;
  for (i = 0; i < COUNT(places); i++) {
    desist_source *source = source_after(MS(LATER));
    give_token(L, source);
    lua_getglobal(L, places[i]);
    if (!CHECK_INT(lua_pcall(L, 0, 1, 0), LUA_OK))
      fprintf(stderr, "%s: %s\n", places[i], lua_tostring(L, -1));
    CHECK(lua_toboolean(L, -1));
    lua_pop(L, 1);
    desist_source_release(source);
  }
  check_guard(L);
}

TEST(it_may_be_called_at_many_places) {
  lua_State *L = state_open();
  CHECK(lua_do(L, at_many_places, 0));
  check_places(L);
  state_close(L);
}

/* A thread that is a stack of values to its host, and never resumed. */
TEST(it_may_be_called_on_another_thread_than_the_main_one) {
  lua_State *L = state_open();
  lua_State *other = lua_newthread(L);
  CHECK(lua_do(L, at_many_places, 0));
  check_places(other);
  CHECK_INT(lua_gettop(other), 0);
  lua_pop(L, 1);
  state_close(L);
}

TEST(in_a_state_whose_main_thread_does_nothing) {
  lua_State *main = lua_newstate(memory_allocate, &memory), *L;
  luaL_openlibs(main);
  L = lua_newthread(main);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_setglobal(L, "desist");
  lua_global(L, "guarded", script_pcall);
  CHECK(lua_do(L, prelude, 0));
  CHECK(lua_do(L, at_many_places, 0));
  check_places(L);
  lua_pop(main, 1);
  state_close(main);
}

/* A message handler is called on what was interrupted. */
TEST(a_message_handler_gets_the_error) {
  lua_State *L = state_open();
  desist_source *source = to_arm = desist_source_create();
  CHECK(lua_do(L,
               "function handler(err)\n"
               "  trace = debug.traceback() return { err } end\n"
               "function f() arm() forever() end",
               0));
  lua_getglobal(L, "handler");
  lua_getglobal(L, "f");
  CHECK_INT(desist_lua_pcall(L, 0, 0, 1, desist_source_token(source),
                             DESIST_LUA_GRACE),
            LUA_ERRRUN);
  CHECK_INT(lua_rawgeti(L, -1, 1), LUA_TUSERDATA);
  check_error(L, desist_source_token(source));
  lua_getglobal(L, "trace");
  CHECK(strstr(lua_tostring(L, -1), "function 'f'") != NULL);
  lua_settop(L, 0);
  desist_source_release(source);
  state_close(L);
}

/* --- One in the other --------------------------------------------------- */

static const char nested[] = "function nested(outer, inner)\n"
                             "  local ok, err = guarded(outer, function()\n"
                             "    local ok, err = guarded(inner, forever)\n"
                             "    inner_ended = true\n"
                             "    assert(not ok)\n"
                             "    return err\n"
                             "  end)\n"
                             "  return ok, err\n"
                             "end\n";

/* In milliseconds, 0: never. */
static void check_nested(lua_State *L, int outer, int inner, bool outer_ends) {
  desist_source *outside = desist_source_create();
  desist_source *inside = desist_source_create();
  if (outer != 0) CHECK(desist_source_cancel_after(outside, MS(outer)));
  if (inner != 0) CHECK(desist_source_cancel_after(inside, MS(inner)));
  lua_getglobal(L, "nested");
  desist_lua_push_token(L, desist_source_token(outside));
  desist_lua_push_token(L, desist_source_token(inside));
  CHECK_INT(lua_pcall(L, 2, 2, 0), LUA_OK);
  CHECK_INT(lua_toboolean(L, -2), !outer_ends);
  check_error(L, desist_source_token(outer_ends ? outside : inside));
  lua_pop(L, 1);
  desist_source_release(outside);
  desist_source_release(inside);
}

TEST(guards_are_nested) {
  lua_State *L = state_open();
  CHECK(lua_do(L, nested, 0));
  check_nested(L, 0, LATER, false);
  check_nested(L, LATER, 0, true);
  check_nested(L, LATER, LATER, true);
  check_nested(L, 10000, LATER, false);
  check_nested(L, LATER, 10000, true);
  check_guard(L);
  state_close(L);
}

/* A script that runs another state's, and milliseconds until they are
** cancelled; 0: never. */
struct pair {
  lua_State *inner;
  desist_source *source, *inner_source;
  int outer_after, inner_after;
};

static int run_inner(lua_State *L) {
  struct pair *pair = (struct pair *)lua_touserdata(L, lua_upvalueindex(1));
  int status;
  if (pair->outer_after != 0)
    CHECK(desist_source_cancel_after(pair->source, MS(pair->outer_after)));
  CHECK(desist_source_cancel_after(pair->inner_source, MS(pair->inner_after)));
  status = call(pair->inner, "forever", desist_source_token(pair->inner_source),
                DESIST_LUA_GRACE);
  check_stopped(pair->inner, status, pair->inner_source);
  if (pair->outer_after >= pair->inner_after)
    check_sleep(MS(pair->outer_after - pair->inner_after));
  return 0;
}

static void check_states(int outer, int inner) {
  struct pair pair;
  int status;
  lua_State *L = state_open();
  pair.source = desist_source_create();
  pair.inner = state_open();
  pair.inner_source = desist_source_create();
  pair.outer_after = outer;
  pair.inner_after = inner;
  lua_pushlightuserdata(L, &pair);
  lua_pushcclosure(L, run_inner, 1);
  lua_setglobal(L, "run_inner");
  CHECK(lua_do(L,
               "function f()\n"
               "  coroutine.wrap(run_inner)()\n"
               "  if cancelled then forever() end\n"
               "end",
               0));
  lua_pushboolean(L, outer != 0);
  lua_setglobal(L, "cancelled");
  status = call(L, "f", desist_source_token(pair.source), DESIST_LUA_GRACE);
  if (outer != 0)
    check_stopped(L, status, pair.source);
  else
    CHECK_INT(status, LUA_OK);
  check_guard(L);
  check_guard(pair.inner);
  desist_source_release(pair.source);
  desist_source_release(pair.inner_source);
  lua_close(pair.inner);
  lua_close(L);
}

TEST(a_state_s_guards_are_its_own) {
  check_states(0, LATER);
  check_states(LATER, 3 * LATER);
  check_states(LATER, LATER);
  check_states(3 * LATER, LATER);
  CHECK_LIVE(0);
}

/* --- Hosts that resume -------------------------------------------------- */

static const char guarded_turns[] =
    "function turns()\n"
    "  return desist.guard(token, function()\n"
    "    for i = 1, 3 do coroutine.yield(i) end\n"
    "    forever()\n"
    "  end)\n"
    "end\n";

TEST(what_a_host_resumes_may_yield_in_guards) {
  lua_State *L = state_open(), *co = lua_newthread(L);
  desist_source *source = desist_source_create();
  int i, results;
  give_token(L, source);
  CHECK(lua_do(L, guarded_turns, 0));
  lua_getglobal(co, "turns");
  for (i = 1; i <= 3; i++) {
    CHECK_INT(desist_lua_resume(co, i == 2 ? NULL : L, 0, &results), LUA_YIELD);
    CHECK_INT(results, 1);
    CHECK_INT(lua_tointeger(co, -1), i);
    lua_pop(co, results);
    check_guard(L);
  }
  CHECK(desist_source_cancel_after(source, MS(LATER)));
  CHECK_INT(desist_lua_resume(co, L, 0, &results), LUA_OK);
  CHECK_INT(results, 2);
  CHECK(!lua_toboolean(co, -2));
  check_error(co, desist_source_token(source));
  lua_pop(L, 1);
  desist_source_release(source);
  state_close(L);
}

static int yields_seen;

/* resume_by_host(co, ...): each again and again until all have ended. */
static int resume_by_host(lua_State *L) {
  int i, live = 1, results;
  while (live != 0) {
    live = 0;
    for (i = 1; i <= lua_gettop(L); i++) {
      lua_State *co = lua_tothread(L, i);
      if (co == NULL) continue;
      if (desist_lua_resume(co, L, 0, &results) == LUA_YIELD) {
        lua_pop(co, results);
        yields_seen++;
        live++;
        continue;
      }
      if (lua_status(co) != LUA_OK) {
        lua_xmove(co, L, 1);
        return lua_error(L);
      }
      lua_pushnil(L);
      lua_replace(L, i);
      lua_gc(L, LUA_GCCOLLECT);
    }
  }
  return 0;
}

TEST(a_guard_around_a_host_s_scheduler_stops_what_it_resumes) {
  lua_State *L = state_open();
  desist_source *source = source_after(MS(LATER));
  lua_global(L, "schedule", resume_by_host);
  CHECK(lua_do(L,
               "local function turns(f)\n"
               "  return coroutine.create(function()\n"
               "    for i = 1, 10 do coroutine.yield() end f()\n"
               "  end)\n"
               "end\n"
               "local list = { turns(give), turns(give), turns(forever) }\n"
               "function f() schedule(table.unpack(list)) end",
               0));
  check_stopped(L, call(L, "f", desist_source_token(source), 0), source);
  check_guard(L);
  desist_source_release(source);
  state_close(L);
}

/* By lua_resume itself. */
TEST(guards_in_what_is_resumed_unseen_work_but_cannot_be_yielded_across) {
  lua_State *L = state_open(), *co = lua_newthread(L);
  desist_source *source = desist_source_create();
  int results;
  give_token(L, source);
  CHECK(lua_do(L, guarded_turns, 0));
  lua_getglobal(co, "turns");
  CHECK_INT(lua_resume(co, L, 0, &results), LUA_OK);
  CHECK_INT(results, 2);
  CHECK(!lua_toboolean(co, -2));
  CHECK_TEXT(lua_tostring(co, -1), "attempt to yield across a C-call boundary");
  lua_pop(co, 2);
  lua_getglobal(co, "desist");
  lua_getfield(co, -1, "guard");
  lua_remove(co, -2);
  desist_lua_push_token(co, desist_source_token(source));
  lua_getglobal(co, "forever");
  CHECK(desist_source_cancel_after(source, MS(LATER)));
  CHECK_INT(lua_resume(co, L, 2, &results), LUA_OK);
  CHECK_INT(results, 2);
  check_error(co, desist_source_token(source));
  lua_pop(L, 1);
  desist_source_release(source);
  state_close(L);
}

/* A host that keeps coroutines for reuse. */
TEST(a_coroutine_closed_in_a_guard_begins_anew_without_it) {
  lua_State *L = state_open(), *co = lua_newthread(L);
  desist_source *source = desist_source_create();
  int results;
  give_token(L, source);
  CHECK(lua_do(L, guarded_turns, 0));
  lua_getglobal(co, "turns");
  CHECK_INT(desist_lua_resume(co, L, 0, &results), LUA_YIELD);
  CHECK_INT(lua_resetthread(co), LUA_OK);
  CHECK(desist_source_cancel(source, NULL));
  desist_source_release(source);
  CHECK_INT(luaL_loadstring(co, "for i = 1, 1e5 do give(i) end return 'ok'"),
            LUA_OK);
  CHECK_INT(desist_lua_resume(co, L, 0, &results), LUA_OK);
  CHECK_TEXT(lua_tostring(co, -1), "ok");
  lua_pop(L, 1);
  check_guard(L);
  state_close(L);
}

/* The host would take it for a yield. */
TEST(a_budget_sets_nothing_aside_in_what_a_host_resumes) {
  lua_State *L = state_open();
  lua_global(L, "schedule", resume_by_host);
  yields_seen = 0;
  CHECK(lua_do(L,
               "local async = require 'desist.async'\n"
               "local loop, turns = async.loop(), 0\n"
               "local function busy()\n"
               "  for i = 1, 3e4 do local _ = ('x'):rep(9) end\n"
               "  turns = turns + 1\n"
               "end\n"
               "loop:spawn(function()\n"
               "  schedule(coroutine.create(busy))\n"
               "  busy()\n"
               "end)\n"
               "repeat loop:step(0, { budget = 1e-4 }) until turns == 2",
               0));
  CHECK_INT(yields_seen, 0);
  state_close(L);
}

TEST(where_the_module_is_not_open_it_is_lua_resume) {
  lua_State *L = luaL_newstate(), *co = lua_newthread(L);
  int results;
  luaL_openlibs(L);
  CHECK_INT(luaL_loadstring(co, "return ..., coroutine.yield(...)"), LUA_OK);
  lua_pushinteger(co, 5);
  CHECK_INT(desist_lua_resume(co, L, 1, &results), LUA_YIELD);
  CHECK_INT(results, 1);
  lua_pushinteger(co, 6);
  CHECK_INT(desist_lua_resume(co, L, 1, &results), LUA_OK);
  CHECK(results == 2 && lua_tointeger(co, -1) == 6);
  lua_close(L);
}

/* --- Threads ------------------------------------------------------------ */

static void *use_state(void *data) {
  lua_State *L = (lua_State *)data;
  check_guard(L);
  check_places(L);
  return NULL;
}

TEST_WITH_THREADS(a_state_goes_from_thread_to_thread) {
  lua_State *L = state_open();
  CHECK(lua_do(L, at_many_places, 0));
  check_guard(L);
  thread_join(thread_start(use_state, L));
  check_guard(L);
  thread_join(thread_start(use_state, L));
  check_guard(L);
  state_close(L);
}

static const char suspend[] =
    "suspended = coroutine.create(function()\n"
    "  local ok, err = desist.guard(token, function()\n"
    "    coroutine.yield()\n"
    "    forever()\n"
    "  end)\n"
    "  return not ok and err == token:error()\n"
    "end)\n"
    "assert(coroutine.resume(suspended))\n";
static const char resume[] =
    "local _, stopped = assert(coroutine.resume(suspended))\n"
    "assert(stopped and coroutine.status(suspended) == 'dead')\n";

static void *suspend_guard(void *data) {
  CHECK(lua_do((lua_State *)data, suspend, 0));
  return NULL;
}

static void *resume_guard(void *data) {
  CHECK(lua_do((lua_State *)data, resume, 0));
  return NULL;
}

TEST_WITH_THREADS(a_thread_ends_while_its_guards_are_suspended) {
  int i;
  for (i = 0; i < 3; i++) { /* cancelled before, after, or by a deadline */
    lua_State *L = state_open();
    desist_source *source = desist_source_create();
    give_token(L, source);
    thread_join(thread_start(suspend_guard, L));
    if (i == 0) CHECK(desist_source_cancel(source, NULL));
    if (i == 1) CHECK(desist_source_cancel_after(source, MS(LATER)));
    if (i == 2) CHECK(lua_do(L, "collectgarbage()", 0));
    check_guard(L);
    if (i == 2) CHECK(desist_source_cancel_after(source, MS(LATER)));
    thread_join(thread_start(resume_guard, L));
    check_guard(L);
    desist_source_release(source);
    state_close(L);
  }
}

/* --- What belongs to the thread and the process ------------------------- */

static bool is_blocked(void) {
  sigset_t mask;
  CHECK_INT(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
  return sigismember(&mask, SIGURG) == 1;
}

static void *guard_with_signals_blocked(void *data) {
  lua_State *L = (lua_State *)data;
  sigset_t all;
  sigfillset(&all);
  CHECK_INT(pthread_sigmask(SIG_SETMASK, &all, NULL), 0);
  check_guard(L);
  CHECK(is_blocked());
  CHECK(lua_do(L, suspend, 0));
  CHECK(is_blocked());
  CHECK(desist_source_cancel_after((desist_source *)lua_touserdata(L, 1),
                                   MS(LATER)));
  CHECK(lua_do(L, resume, 0));
  CHECK(is_blocked());
  check_states(LATER, 2 * LATER);
  CHECK(is_blocked());
  return NULL;
}

TEST_WITH_SIGNALS(a_thread_that_blocks_the_signal_does_so_afterwards) {
  lua_State *L = state_open();
  desist_source *source = desist_source_create();
  give_token(L, source);
  lua_pushlightuserdata(L, source);
  CHECK(!is_blocked());
  thread_join(thread_start(guard_with_signals_blocked, L));
  lua_pop(L, 1);
  check_guard(L);
  CHECK(!is_blocked());
  desist_source_release(source);
  state_close(L);
}

static void mask_urgent(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGURG);
  CHECK_INT(pthread_sigmask(how, &set, NULL), 0);
}

/* block([one of somebody else's]): until a tick waits behind it. */
static int script_block(lua_State *L) {
  sigset_t waiting;
  check_sleep(MS(1)); /* valgrind delivers ours here */
  mask_urgent(SIG_BLOCK);
  if (lua_toboolean(L, 1)) CHECK_INT(pthread_kill(pthread_self(), SIGURG), 0);
  check_sleep(MS(30));
  CHECK_INT(sigpending(&waiting), 0);
  CHECK_INT(sigismember(&waiting, SIGURG), 1);
  return 0;
}

static int script_unblock(lua_State *L) {
  (void)L;
  mask_urgent(SIG_UNBLOCK);
  return 0;
}

/* The inner guard's timer rings at the end of its grace, and is set anew. */
static void child_blocks(void) {
  lua_State *L = state_open();
  desist_source *source;
  int i;
  set_urgent_handler();
  lua_global(L, "block", script_block);
  lua_global(L, "unblock", script_unblock);
  CHECK(lua_do(L,
               "function f()\n"
               "  local inner = desist.source()\n"
               "  desist.guard({ token = inner:token(), grace = 0.01 },\n"
               "    function()\n"
               "      pcall(function() inner:cancel() forever() end)\n"
               "      block(others)\n"
               "    end)\n"
               "  outer:cancel() unblock() forever()\n"
               "end",
               0));
  for (i = 0; i < 4; i++) {
    source = desist_source_create();
    desist_lua_push_source(L, source);
    lua_setglobal(L, "outer");
    lua_pushboolean(L, i % 2);
    lua_setglobal(L, "others");
    urgent = 0;
    check_stopped(L, call(L, "f", desist_source_token(source), 0), source);
    CHECK_INT(urgent, i % 2);
    desist_source_release(source);
  }
  state_close(L);
}

TEST_WITH_SIGNALS(no_signal_is_lost_with_a_tick_that_waits) {
  if (GUARDS_IN_CHILDREN) end_child(start_child(child_blocks));
}

static int interrupted;

static int script_nap(lua_State *L) {
  struct timespec nap = { 5, 0 };
  (void)L;
  CHECK(desist_source_cancel_after(to_arm, MS(50))); /* asleep by then */
  if (nanosleep(&nap, NULL) == -1 && errno == EINTR) interrupted++;
  return 0;
}

static int script_read(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  char byte;
  CHECK_INT(read(fd, &byte, 1), 1);
  return 0;
}

static int script_compute(lua_State *L) {
  int64_t end = check_now() + MS(10);
  (void)L;
  errno = E2BIG;
  while (check_now() < end) CHECK_INT(errno, E2BIG);
  CHECK_INT(errno, E2BIG);
  return 0;
}

static void *write_later(void *data) {
  check_sleep(MS(6 * LATER));
  CHECK_INT(write(*(int *)data, "x", 1), 1);
  return NULL;
}

TEST_WITH_SIGNALS(calls_of_the_system_are_interrupted_or_go_on) {
  lua_State *L = state_open();
  struct later later;
  pthread_t writer;
  int ends[2];
  lua_global(L, "nap", script_nap);
  lua_global(L, "read", script_read);
  lua_global(L, "compute", script_compute);
  CHECK_INT(pipe(ends), 0);
  lua_pushinteger(L, ends[0]);
  lua_setglobal(L, "fd");
  CHECK(lua_do(L,
               "function f() nap() forever() end\n"
               "function g() read(fd) forever() end\n"
               "function h() compute() forever() end",
               0));
  to_arm = desist_source_create();
  check_stopped(L, call(L, "f", desist_source_token(to_arm), 0), to_arm);
  CHECK_INT(interrupted, 1);
  desist_source_release(to_arm);
  later_start(&later, MS(LATER));
  writer = thread_start(write_later, &ends[1]);
  check_stopped(L, call(L, "g", desist_source_token(later.source), 0),
                later.source);
  thread_join(writer);
  later_end(&later);
  later_start(&later, MS(LATER));
  check_stopped(L, call(L, "h", desist_source_token(later.source), 0),
                later.source);
  later_end(&later);
  close(ends[0]);
  close(ends[1]);
  state_close(L);
}

/* --- Fork --------------------------------------------------------------- */

static pid_t forked;

/* The time runs from here on: no hook comes before this returns. */
static int script_fork(lua_State *L) {
  (void)L;
  fflush(stdout);
  if (to_arm != NULL) (void)desist_source_cancel_after(to_arm, MS(LATER));
  forked = fork();
  if (forked == 0) {
    check.failures = 0;
    check_watch();
  }
  CHECK(forked >= 0);
  return 0;
}

static const char forking[] =
    "function fork_in_middle() fork() forever() end\n"
    "function fork_in_coroutine() coroutine.wrap(fork_in_middle)() end\n"
    "function fork_when_cancelled()\n"
    "  arm() pcall(forever) fork() forever()\n"
    "end\n";

static void leave_child(void) { _exit(check.failures != 0); }

/* In both: each is stopped, and can use guards. False: it came before that. */
static bool check_fork(const char *function, desist_source *source) {
  lua_State *L = state_open();
  desist_token *token = desist_source_token(source);
  forked = -1;
  CHECK(lua_do(L, forking, 0));
  check_stopped(L, call(L, function, token, MS(200)), source);
  check_guard(L);
  check_guard(L);
  lua_close(L);
  if (forked == 0) leave_child();
  if (forked > 0) end_child(forked);
  return forked > 0;
}

TEST_WITH_THREADS(parent_and_child_are_stopped_by_their_own_deadline) {
  static const char *const functions[] = { "fork_in_middle",
                                           "fork_in_coroutine",
                                           "fork_when_cancelled" };
  size_t i;
  if (!GUARDS_IN_CHILDREN) return;
  for (i = 0; i < COUNT(functions); i++) {
    to_arm = desist_source_create();
    CHECK(check_fork(functions[i], to_arm));
    desist_source_release(to_arm);
  }
}

/* The thread's work may be half done then. The child has not that thread, and
** its own deadline. */
TEST_WITH_THREADS(fork_while_another_thread_cancels) {
  int i;
  if (!CHECK_FORKS_ANYTIME || !GUARDS_IN_CHILDREN) return;
  to_arm = NULL;
  for (i = 0; i < check_size(20); i++) {
    struct later later;
    desist_token *inputs[2];
    desist_source *link, *deadline = source_after(MS(20));
    later_start(&later, MS(1) / 10 + i * 10000);
    inputs[0] = desist_source_token(later.source);
    inputs[1] = desist_source_token(deadline);
    link = desist_source_create_linked(inputs, 2, DESIST_LINK_ANY);
    if (!desist_token_is_cancelled(desist_source_token(link)))
      (void)check_fork("fork_in_middle", link);
    desist_source_release(link);
    desist_source_release(deadline);
    later_end(&later);
  }
}

/* --- The end ------------------------------------------------------------ */

static const char suspend_many[] =
    "for i = 1, 20 do\n"
    "  local co = coroutine.wrap(function()\n"
    "    desist.guard(token, desist.guard, desist.source():token(),\n"
    "                 coroutine.yield)\n"
    "  end)\n"
    "  co()\n"
    "  if i % 2 == 0 then kept = { kept, co } end\n"
    "end\n";

TEST(a_state_is_closed_with_suspended_guards) {
  int i;
  for (i = 0; i < 2; i++) {
    lua_State *L = state_open();
    desist_source *source = desist_source_create();
    give_token(L, source);
    CHECK(lua_do(L, suspend_many, 0));
    if (i == 0) CHECK(desist_source_cancel(source, NULL));
    lua_close(L);
    (void)desist_source_cancel(source, NULL);
    desist_source_release(source);
    CHECK_LIVE(0);
  }
}

/* Then no finalizer is called of what is made. */
TEST(guards_are_suspended_while_the_state_is_closed) {
  lua_State *L = state_open();
  desist_source *source = desist_source_create();
  give_token(L, source);
  CHECK(lua_do(L,
               "local token = token\n"
               "setmetatable({}, { __gc = function()\n"
               "  local co = coroutine.wrap(function()\n"
               "    desist.guard(token, coroutine.yield)\n"
               "  end)\n"
               "  co()\n"
               "end })",
               0));
  lua_close(L);
  CHECK(desist_source_cancel(source, NULL));
  desist_source_release(source);
  CHECK_LIVE(0);
}

static lua_State *to_exit;

static int script_close(lua_State *L) {
  (void)L;
  lua_close(to_exit);
  CHECK_LIVE(0);
  leave_child();
  return 0;
}

static int script_raise(lua_State *L) {
  (void)L;
  CHECK_INT(raise(SIGURG), 0);
  return 0;
}

/* As os.exit(true, true) does, inside of guards that have fired. The signal
** comes when what they guard by is gone. */
static void child_exits(void) {
  lua_State *L = to_exit = state_open();
  lua_global(L, "close_state", script_close);
  lua_global(L, "raise", script_raise);
  CHECK(lua_do(L,
               "witness = setmetatable({}, { __gc = raise })\n"
               "local sources = {}\n"
               "local function exit()\n"
               "  for _, source in ipairs(sources) do\n"
               "    pcall(function() source:cancel() forever() end)\n"
               "  end\n"
               "  close_state()\n"
               "end\n"
               "local function guard(...)\n"
               "  local source = desist.source()\n"
               "  sources[#sources + 1] = source\n"
               "  desist.guard({ token = source:token(), grace = 1000 }, ...)\n"
               "end\n"
               "guard(coroutine.wrap(function() guard(guard, exit) end))",
               0));
  (void)CHECK(false);
}

TEST_WITH_THREADS(the_state_is_closed_inside_of_guards) {
  if (GUARDS_IN_CHILDREN) end_child(start_child(child_exits));
}

CHECK_MAIN()
