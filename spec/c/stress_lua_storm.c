/*
** stress_lua_storm.c: states that run random programs on each other's sources,
** move from thread to thread, and are closed and opened in the middle; the
** host takes part. Beyond stress_lua_states.c: callbacks that do all of this
** themselves, tasks, waits, finalizers, every byte counted.
**
** What holds: a callback runs at most once, and once if its token is cancelled
** and nobody took it out; flags and reasons never go back; a closed state
** leaves nothing.
**
** Prints its seed; $DESIST_SEED repeats the same programs, though the threads
** mix them anew.
*/
#include "check.h"
#include "check_lua.h"
#include "check_threads.h"

#include "desist_lua.h"

enum { THREADS = 3, STATES = 6, BOARD = 24, WATCHED = 16 };

/* --- Memory ------------------------------------------------------------- */

/* Relaxed: counting must not order the threads, which would hide races. */
struct account {
  atomic_long blocks, bytes;
};

static struct account of_core;

static void *count_memory(void *data, void *block, size_t old_size,
                          size_t size) {
  struct account *account = (struct account *)data;
  void *result = NULL;
  if (size > 0) {
    result = realloc(block, size);
    if (!result) abort();
  } else {
    free(block);
  }
  if (!block) old_size = 0;
  atomic_fetch_add_explicit(&account->blocks, (size > 0) - (block != NULL),
                            memory_order_relaxed);
  atomic_fetch_add_explicit(&account->bytes, (long)size - (long)old_size,
                            memory_order_relaxed);
  return result;
}

__attribute__((constructor)) static void count_core(void) {
  desist_set_allocator(count_memory, &of_core);
}

/* --- What states and host share ----------------------------------------- */

/* A loose source may be closed or reset by whoever finds it. */
struct post {
  char handle[DESIST_HANDLE_SIZE];
  bool loose;
};

static struct {
  pthread_mutex_t mutex;
  struct post posts[BOARD];
} board = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static void board_get(struct post *post, unsigned number) {
  pthread_mutex_lock(&board.mutex);
  *post = board.posts[number % BOARD];
  pthread_mutex_unlock(&board.mutex);
}

/* put(number, handle, loose) */
static int script_put(lua_State *L) {
  struct post *post = &board.posts[luaL_checkinteger(L, 1) % BOARD];
  size_t length;
  const char *handle = luaL_checklstring(L, 2, &length);
  luaL_argcheck(L, length < sizeof post->handle, 2, "too long");
  pthread_mutex_lock(&board.mutex);
  strcpy(post->handle, handle);
  post->loose = lua_toboolean(L, 3) != 0;
  pthread_mutex_unlock(&board.mutex);
  return 0;
}

/* get(number): handle, loose */
static int script_get(lua_State *L) {
  struct post post;
  board_get(&post, (unsigned)luaL_checkinteger(L, 1));
  lua_pushstring(L, post.handle);
  lua_pushboolean(L, post.loose);
  return 2;
}

/* --- The programs ------------------------------------------------------- */

static const char prelude[] =
    "desist, async = require 'desist', require 'desist.async'\n"
    "sources, entries, loose, failure = {}, {}, {}, nil\n"
    "setmetatable(loose, { __mode = 'k' })\n"
    "clock, loop = desist.manual_clock(), async.loop()\n"
    "dice, depth, finalizing = math.random, 0, false\n"
    "function check(fact, what) if not fact then\n"
    "  failure = failure or debug.traceback(what) end end\n"
    "desist.on_error(function(err)\n"
    "  check(err == 'thrown', tostring(err)) end)\n"
    "function any(list) return list[dice(math.max(#list, 1))] end\n"

    /* Errors of callbacks are their own affair. */
    "function try(fn, ...)\n"
    "  local ok, err = pcall(fn, ...)\n"
    "  if ok then return err end\n"
    "  check(err == 'thrown' or type(err) ~= 'string'\n"
    "        and err.kind == 'callbacks', tostring(err))\n"
    "end\n"

    /* What a finalizer brings back is finalized all the same: then it only
    ** counts. */
    "local function called(entry, reason)\n"
    "  entry.ran = entry.ran + 1\n"
    "  check(entry.ran == 1 and not entry.over, 'ran again')\n"
    "  check(entry.token:is_cancelled(), 'too early')\n"
    "  check(not entry.registration or\n"
    "        not entry.registration:is_active(), 'active inside')\n"
    "  if finalizing then return end\n"
    "  check(reason == entry.token:reason(), 'another reason')\n"
    "  if depth < 3 then\n"
    "    depth = depth + 1\n"
    "    try(act, dice(30), entry.token)\n"
    "    depth = depth - 1\n"
    "  end\n"
    "  if dice(8) == 1 then error('thrown', 0) end\n"
    "end\n"

    "function watch(token)\n"
    "  local entry = { token = token, ran = 0, removed = 0,\n"
    "                  loose = loose[token] }\n"
    "  entry.registration = try(token.register, token, called, entry)\n"
    "  if dice(4) > 1 then entries[#entries + 1] = entry end\n"
    "end\n"
    "function found()\n"
    "  local handle, is_loose = get(dice(100))\n"
    "  local object = desist.from_handle(handle)\n"
    "  if not object then return end\n"
    "  local token = object.token and object:token() or object\n"
    "  loose[token] = is_loose\n"
    "  return token, object.cancel and object\n"
    "end\n"
    "function cancel(source, how)\n"
    "  if not source then return\n"
    "  elseif how == 1 then source:cancel_async('later')\n"
    "  elseif how == 2 then source:cancel_after(dice(300) * 1e-6)\n"
    "  elseif how == 3 then source:cancel_after(math.huge)\n"
    "  else source:cancel(any { dice(9), 'text', false, {} }) end\n"
    "end\n"
    "function add(source)\n"
    "  local token = source:token()\n"
    "  loose[token] = dice(3) == 1\n"
    "  sources[#sources + 1] = source\n"
    "  watch(token)\n"
    "  put(dice(100), any { source, token }:handle(), loose[token])\n"
    "end\n";

static const char acting[] =
    "function wait_in_task(token)\n"
    "  local done, err = async.scope({ token = token }, function()\n"
    "    async.sleep(dice(5))\n"
    "    return 'slept'\n"
    "  end)\n"
    "  check(done == 'slept' or token:is_cancelled()\n"
    "        and desist.is_cancelled(err), 'a scope ended so')\n"
    "end\n"
    "function run_a_moment(token)\n"
    "  async.run(async.move_on_after, dice(200) * 1e-6, function()\n"
    "    async.await(function(resume)\n"
    "      local registration = token:register(resume)\n"
    "      return function() registration:unregister() end\n"
    "    end)\n"
    "    check(token:is_cancelled(), 'woken for nothing')\n"
    "  end)\n"
    "end\n"

    "local acts = {\n"
    "  function() add(desist.source()) end,\n"
    "  function() add(desist.source { clock = clock }) end,\n"
    "  function(token)\n"
    "    local link = any { desist.linked, desist.linked_all }\n"
    "    add(link(token, (found() or token), any(entries).token))\n"
    "  end,\n"
    "  function()\n"
    "    local token, source = found()\n"
    "    if token then watch(token) end\n"
    "    if source then sources[#sources + 1] = source end\n"
    "  end,\n"
    "  function() cancel(select(2, found()), dice(6)) end,\n"
    "  function() cancel(any(sources), dice(6)) end,\n"
    "  function()\n"
    "    if #sources > 0 then table.remove(sources, dice(#sources)) end\n"
    "    if #entries > 40 then table.remove(entries, dice(#entries)) end\n"
    "    if dice(8) == 1 then collectgarbage(any { 'collect', 'step' }) end\n"
    "  end,\n"
    "  function()\n"
    "    local entry = any(entries)\n"
    "    if entry.registration and entry.registration:unregister() then\n"
    "      check(entry.ran == 0, 'it had run')\n"
    "      entry.removed, entry.over = entry.removed + 1, true\n"
    "      check(entry.removed == 1, 'removed twice')\n"
    "    end\n"
    "  end,\n"
    "  function()\n"
    "    local source = any(sources)\n"
    "    if source and loose[source:token()] then\n"
    "      if dice(2) == 1 then source:close() else source:try_reset() end\n"
    "    end\n"
    "  end,\n"
    "  function() desist.dispatch(dice(5) - 1) end,\n"
    "  function(token) token:wait(dice(100) * 1e-6) end,\n"
    "  function() if depth == 0 then clock:advance(dice(3) * 1e-4) end end,\n"
    "  function(token) loop:spawn(wait_in_task, token) end,\n"
    "  function() if depth == 0 then loop:step(dice(3)) end end,\n"
    "  function(token) if depth == 0 then run_a_moment(token) end end,\n"
    "  function(token) watch(token) end,\n"
    "  function(token) if dice(4) == 1 then token:fd() end end,\n"
    "  function(token)\n"
    "    local source = any(sources)\n"
    "    setmetatable({}, { __gc = function()\n"
    "      local before = finalizing\n"
    "      finalizing = true\n"
    "      try(cancel, source, 4)\n"
    "      finalizing = before\n"
    "    end })\n"
    "  end,\n"
    "}\n"
    "function act(what, token) if acts[what] then acts[what](token) end end\n"

    "function step()\n"
    "  if #entries == 0 then add(desist.source()) end\n"
    "  if #entries == 0 then return end\n"
    "  local token = any(entries).token\n"
    "  if dice(4) == 1 then\n"
    "    coroutine.wrap(try)(act, dice(#acts), token)\n"
    "  else\n"
    "    try(act, dice(#acts), token)\n"
    "  end\n"
    "  local entry = any(entries)\n"
    "  if entry and entry.token:is_cancelled() then\n"
    "    local reason = entry.token:reason()\n"
    "    check(entry.reason == nil or entry.reason == reason, 'a new reason')\n"
    "    entry.reason = reason\n"
    "  elseif entry then check(entry.reason == nil, 'back to live') end\n"
    "end\n"

    /* At the latest now; or it was dropped, and never runs. */
    "function settle()\n"
    "  local limit = desist.now() + 30\n"
    "  for _, entry in ipairs(entries) do\n"
    "    local function is_done()\n"
    "      if entry.ran + entry.removed == 1 then return true end\n"
    "      entry.over = entry.loose and entry.registration and\n"
    "                   not entry.registration:is_active()\n"
    "      return entry.over\n"
    "    end\n"
    "    local due = entry.token:is_cancelled() -- others go on with it\n"
    "    while due and not is_done() and desist.now() < limit do\n"
    "      desist.dispatch()\n"
    "    end\n"
    "    check(not due or is_done(), 'never ran')\n"
    "    check(entry.ran == 0 or entry.token:is_cancelled(), 'too early')\n"
    "  end\n"
    "end\n"
    "function end_tasks()\n"
    "  loop:cancel()\n"
    "  for _ = 1, 20 do loop:step(0) end\n"
    "  check(loop:is_idle(), 'tasks are left')\n"
    "end\n";

/* --- States ------------------------------------------------------------- */

static uint64_t seed;
static atomic_uint lives;
static atomic_long steps;

struct state {
  lua_State *L; /* NULL: none at the moment */
  struct account memory;
  bool busy; /* under pool_mutex; who sets it has the rest */
};

static struct state pool[STATES];
static pthread_mutex_t pool_mutex = PTHREAD_MUTEX_INITIALIZER;

static void state_open(struct state *state) {
  lua_State *L = state->L = lua_newstate(count_memory, &state->memory);
  unsigned life = atomic_fetch_add(&lives, 1);
  if (!L) abort();
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_pop(L, 1);
  lua_global(L, "put", script_put);
  lua_global(L, "get", script_get);
  lua_getglobal(L, "math");
  lua_getfield(L, -1, "randomseed");
  lua_pushinteger(L, (lua_Integer)(seed + life));
  lua_call(L, 1, 0);
  lua_pop(L, 1);
  if (lua_do(L, prelude, 0)) lua_do(L, acting, 0);
}

static void state_close(struct state *state) {
  unsigned how = dice(4);
  lua_State *L = state->L;
  if (how > 0) lua_do(L, "settle()", 0);
  if (how > 1) lua_do(L, "end_tasks() settle()", 0);
  lua_do(L, "assert(not failure, failure)", 0);
  lua_close(L);
  state->L = NULL;
  CHECK_INT(atomic_load(&state->memory.blocks), 0);
  CHECK_INT(atomic_load(&state->memory.bytes), 0);
}

static void state_run(struct state *state) {
  int i, count = 1 + (int)dice(60);
  if (!state->L) state_open(state);
  for (i = 0; i < count; i++)
    if (!lua_do(state->L, "step()", 0)) break;
  atomic_fetch_add_explicit(&steps, i, memory_order_relaxed);
  if (dice(12) == 0) state_close(state);
}

/* One that no other thread has. */
static struct state *state_take(void) {
  struct state *state = NULL;
  pthread_mutex_lock(&pool_mutex);
  while (!state || state->busy) state = &pool[dice(STATES)];
  state->busy = true;
  pthread_mutex_unlock(&pool_mutex);
  return state;
}

static void state_give_back(struct state *state) {
  pthread_mutex_lock(&pool_mutex);
  state->busy = false;
  pthread_mutex_unlock(&pool_mutex);
}

static void *run_states(void *data) {
  (void)data;
  do {
    struct state *state = state_take();
    state_run(state);
    state_give_back(state);
  } while (check_time_is_left());
  return NULL;
}

/* --- The host ----------------------------------------------------------- */

struct watched {
  desist_token *token; /* a reference */
  bool loose, cancelled;
  desist_reason *reason;
  desist_registration node;
  atomic_int ran;
};

static void count_run(void *data, desist_reason *reason) {
  struct watched *watched = (struct watched *)data;
  CHECK(desist_token_is_cancelled(watched->token));
  CHECK(reason == desist_token_reason(watched->token));
  CHECK_INT(atomic_fetch_add(&watched->ran, 1), 0);
}

static void watched_end(struct watched *watched) {
  if (!watched->token) return;
  if (desist_unregister_wait(&watched->node))
    CHECK_INT(atomic_load(&watched->ran), 0);
  else
    CHECK(atomic_load(&watched->ran) == 1 || watched->loose ||
          !desist_token_can_be_cancelled(watched->token));
  desist_token_release(watched->token);
  watched->token = NULL;
}

static void watched_look(struct watched *watched) {
  bool is_cancelled = desist_token_is_cancelled(watched->token);
  desist_reason *reason = desist_token_reason(watched->token);
  CHECK(is_cancelled || !watched->cancelled);
  if (watched->reason) CHECK(reason == watched->reason);
  if (is_cancelled) CHECK(desist_token_reason(watched->token) != NULL);
  watched->cancelled = is_cancelled;
  watched->reason = reason;
}

static void watched_begin(struct watched *watched, const struct post *post) {
  desist_source *source = desist_source_from_handle(post->handle);
  watched->token = desist_token_from_handle(post->handle);
  if (source) {
    desist_token_retain(watched->token = desist_source_token(source));
    switch (dice(5)) {
    case 0:
      desist_source_cancel(source, NULL);
      break;
    case 1:
      desist_source_cancel_after(source, 1 + (int)dice(300000));
      break;
    case 2:
      if (post->loose) desist_source_close(source);
      break;
    default:
      break;
    }
    desist_source_release(source);
  }
  if (!watched->token) return;
  watched->loose = post->loose;
  watched->cancelled = false;
  watched->reason = NULL;
  atomic_store(&watched->ran, 0);
  desist_register(watched->token, &watched->node, count_run, watched);
}

/* It holds tokens and watches them. */
static void *be_the_host(void *data) {
  static struct watched all[WATCHED];
  int i;
  (void)data;
  do {
    struct watched *watched = &all[dice(WATCHED)];
    struct post post;
    watched_end(watched);
    board_get(&post, dice(BOARD));
    watched_begin(watched, &post);
    for (i = 0; i < WATCHED; i++)
      if (all[i].token) watched_look(&all[i]);
    dawdle();
    if (dice(4) == 0) check_sleep((int)dice(100000));
  } while (check_time_is_left());
  for (i = 0; i < WATCHED; i++) watched_end(&all[i]);
  return NULL;
}

/* ------------------------------------------------------------------------ */

static void choose_seed(void) {
  const char *text = getenv("DESIST_SEED");
  seed = text ? strtoull(text, NULL, 10) : (uint64_t)check_now() % 1000000000;
  printf("seed %llu\n", (unsigned long long)seed);
  fflush(stdout);
}

TEST(a_storm_over_states_that_come_and_go) {
  pthread_t threads[THREADS], host;
  int i;
  choose_seed();
  host = thread_start(be_the_host, NULL);
  for (i = 0; i < THREADS; i++) threads[i] = thread_start(run_states, NULL);
  for (i = 0; i < THREADS; i++) thread_join(threads[i]);
  thread_join(host);
  for (i = 0; i < STATES; i++)
    if (pool[i].L) state_close(&pool[i]);
  CHECK_SOON(atomic_load(&of_core.blocks) == 0 &&
             atomic_load(&of_core.bytes) == 0);
  printf("%u states, %ld steps\n", atomic_load(&lives), atomic_load(&steps));
}

CHECK_MAIN()
