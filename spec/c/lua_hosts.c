/*
** lua_hosts.c: the hosts of docs/embedding.md. Its C code stands here, to be
** compiled and run; embedding_spec.lua compares.
*/
#include "check.h"
#include "check_lua.h"
#include "check_threads.h"

#include <math.h>
#include <poll.h>

#include "desist_lua.h"

/* --- Opening ------------------------------------------------------------ */

static lua_State *open_state(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_pop(L, 1);
  return L;
}

/* --- Giving and taking -------------------------------------------------- */

static int find_path(lua_State *L) {
  lua_Integer cells = luaL_checkinteger(L, 1), i;
  desist_token *token = desist_lua_opt_token(L, 2);
  for (i = 0; i < cells; i++) {
    if (i % 1000 == 0) desist_lua_throw_if_cancelled(L, token);
    /* one cell */
  }
  lua_pushinteger(L, i);
  return 1;
}

static void give_token(lua_State *L, const char *name, desist_token *token) {
  desist_lua_push_token(L, token);
  lua_setglobal(L, name);
}

TEST(a_long_c_function_looks_at_its_token) {
  lua_State *L = open_state();
  desist_source *source = desist_source_create();
  lua_global(L, "find_path", find_path);
  give_token(L, "token", desist_source_token(source));
  CHECK(lua_do(L, "assert(find_path(5000, token) == 5000)", 0));
  CHECK(desist_source_cancel(source, NULL));
  CHECK(lua_do(L,
               "local ok, err = pcall(find_path, 5000, token)\n"
               "assert(not ok and err == token:error())",
               0));
  desist_source_release(source);
  lua_close(L);
}

/* --- A frame loop ------------------------------------------------------- */

typedef struct entity {
  desist_source *life;
} entity;

static void entity_begin(entity *self) { self->life = desist_source_create(); }

static void entity_die(entity *self, desist_reason *reason) {
  desist_source_cancel(self->life, reason);
  desist_source_release(self->life);
}

/* The script's function is on top of the stack, and is taken. */
static bool entity_run(entity *self, lua_State *L, int loop) {
  desist_token *token = desist_source_token(self->life);
  int status = desist_lua_loop_spawn(L, loop, 0, "behaviour", token);
  if (status != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_pop(L, 1); /* the task, or the error */
  return status == LUA_OK;
}

static void frame(lua_State *L, int loop, double seconds) {
  if (desist_lua_loop_step(L, loop, seconds, HUGE_VAL) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    lua_pop(L, 1);
  }
}

TEST(a_game_ties_scripts_to_entities) {
  lua_State *L = open_state();
  desist_reason *reason = desist_reason_create(1, "fell into a pit");
  entity troll, elf;
  int i, loop;
  CHECK_INT(desist_lua_loop_create(L, "game", 0), LUA_OK);
  loop = lua_gettop(L);
  entity_begin(&troll);
  entity_begin(&elf);
  for (i = 0; i < 2; i++) {
    luaL_loadstring(L, "local async = require 'desist.async'\n"
                       "local _ <close> = setmetatable({}, { __close =\n"
                       "  function(_, err) gone = err.reason end })\n"
                       "while true do async.sleep(0.25)\n"
                       "  turns = (turns or 0) + 1 end");
    CHECK(entity_run(i == 0 ? &troll : &elf, L, loop));
  }
  for (i = 0; i < 8; i++) frame(L, loop, 0.125);
  CHECK(lua_do(L, "assert(turns == 8 and gone == nil, turns)", 0));
  entity_die(&troll, reason);
  for (i = 0; i < 8; i++) frame(L, loop, 0.125);
  CHECK(lua_do(L, "assert(turns == 12, turns)", 0));
  CHECK(lua_do(L, "assert(gone == 'fell into a pit')", 0));
  entity_die(&elf, NULL);
  CHECK_INT(desist_lua_loop_close(L, loop), LUA_OK);
  desist_reason_release(reason);
  lua_close(L);
}

/* --- A poll loop -------------------------------------------------------- */

static bool stopping;

static void serve_descriptors(lua_State *L, int listener) {
  struct pollfd fds[2];
  fds[0].fd = listener;
  fds[1].fd = desist_lua_wakeup_fd(L);
  fds[0].events = fds[1].events = POLLIN;
  while (!stopping) {
    if (poll(fds, 2, -1) < 0) continue; /* a signal */
    if (fds[1].revents != 0) desist_lua_dispatch(L);
    /* fds[0].revents: requests */
  }
}

static int stop(lua_State *L) {
  (void)L;
  stopping = true;
  return 0;
}

static void *cancel_later(void *data) {
  check_sleep(MS(5));
  CHECK(desist_source_cancel((desist_source *)data, NULL));
  return NULL;
}

TEST(a_server_polls_the_descriptor) {
  lua_State *L = open_state();
  desist_source *source = desist_source_create();
  pthread_t thread;
  lua_global(L, "stop", stop);
  give_token(L, "token", desist_source_token(source));
  CHECK(lua_do(L, "token:register(stop)", 0));
  thread = thread_start(cancel_later, source);
  stopping = false;
  serve_descriptors(L, -1);
  thread_join(thread);
  desist_source_release(source);
  lua_close(L);
}

/* --- A condition variable ----------------------------------------------- */

typedef struct worker {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  bool woken, stopped;
} worker;

static void wake_worker(void *data) {
  worker *self = (worker *)data;
  pthread_mutex_lock(&self->mutex);
  self->woken = true;
  pthread_cond_signal(&self->changed);
  pthread_mutex_unlock(&self->mutex);
}

static void run_worker(worker *self, lua_State *L) {
  desist_lua_on_wakeup(L, wake_worker, self);
  while (!self->stopped) {
    pthread_mutex_lock(&self->mutex);
    while (!self->woken) pthread_cond_wait(&self->changed, &self->mutex);
    self->woken = false;
    pthread_mutex_unlock(&self->mutex);
    desist_lua_dispatch(L);
  }
  desist_lua_on_wakeup(L, NULL, NULL);
}

static int stop_worker(lua_State *L) {
  worker *self = (worker *)lua_touserdata(L, lua_upvalueindex(1));
  self->stopped = true;
  return 0;
}

TEST(a_worker_sleeps_until_it_is_woken) {
  lua_State *L = open_state();
  worker self = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false,
                  false };
  desist_source *source = desist_source_create();
  pthread_t thread;
  lua_pushlightuserdata(L, &self);
  lua_pushcclosure(L, stop_worker, 1);
  lua_setglobal(L, "stop");
  give_token(L, "token", desist_source_token(source));
  CHECK(lua_do(L, "token:register(stop)", 0));
  thread = thread_start(cancel_later, source);
  run_worker(&self, L);
  thread_join(thread);
  desist_source_release(source);
  lua_close(L);
}

/* --- What scripts hold -------------------------------------------------- */

static desist_source *current; /* what the user's Stop button cancels */

static int show_stop_button(lua_State *L) {
  desist_source *source = desist_lua_check_source(L, 1);
  desist_source_retain(source);
  desist_source_release(current);
  current = source;
  return 0;
}

static void on_stop_button(void) {
  desist_source_cancel(current, NULL); /* NULL: nothing happens */
}

TEST(a_button_cancels_what_a_script_has_shown) {
  lua_State *L = open_state();
  lua_global(L, "show_stop_button", show_stop_button);
  on_stop_button();
  CHECK(lua_do(L,
               "local desist = require 'desist'\n"
               "local source = desist.source()\n"
               "source:token():register(function() stopped = true end)\n"
               "show_stop_button(source)",
               0));
  CHECK(lua_do(L, "collectgarbage() collectgarbage()", 0));
  on_stop_button();
  CHECK_INT(desist_lua_dispatch(L), 1);
  CHECK(lua_do(L, "assert(stopped)", 0));
  desist_source_release(current);
  current = NULL;
  lua_close(L);
}

CHECK_MAIN()
