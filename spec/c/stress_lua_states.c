/*
** stress_lua_states.c: states on several threads that hand each other sources
** and tokens, cancel them, and are closed in the middle of it.
*/
#include "check.h"
#include "check_lua.h"
#include "check_threads.h"

enum { SLOTS = 12, THREADS = 4, LOADERS = 10 };

/* --- What states share -------------------------------------------------- */

static struct {
  pthread_mutex_t mutex;
  char handles[SLOTS][DESIST_HANDLE_SIZE * 2];
} shared = { PTHREAD_MUTEX_INITIALIZER, { { 0 } } };

static int share_put(lua_State *L) {
  lua_Integer slot = luaL_checkinteger(L, 1);
  const char *handle = luaL_checkstring(L, 2);
  luaL_argcheck(L, strlen(handle) < sizeof shared.handles[0], 2, "too long");
  luaL_argcheck(L, 1 <= slot && slot <= SLOTS, 1, "no such slot");
  pthread_mutex_lock(&shared.mutex);
  strcpy(shared.handles[slot - 1], handle);
  pthread_mutex_unlock(&shared.mutex);
  return 0;
}

static int share_get(lua_State *L) {
  char handle[sizeof shared.handles[0]];
  lua_Integer slot = luaL_checkinteger(L, 1);
  luaL_argcheck(L, 1 <= slot && slot <= SLOTS, 1, "no such slot");
  pthread_mutex_lock(&shared.mutex);
  strcpy(handle, shared.handles[slot - 1]);
  pthread_mutex_unlock(&shared.mutex);
  if (handle[0] == '\0')
    lua_pushnil(L);
  else
    lua_pushstring(L, handle);
  return 1;
}

static int share_dice(lua_State *L) {
  lua_pushinteger(L, 1 + dice((unsigned)luaL_checkinteger(L, 1)));
  return 1;
}

static lua_State *state_open(void) {
  lua_State *L = lua_open();
  lua_global(L, "put", share_put);
  lua_global(L, "get", share_get);
  lua_global(L, "dice", share_dice);
  lua_pushinteger(L, SLOTS);
  lua_setglobal(L, "slots");
  return L;
}

/* --- Exchanging and cancelling ------------------------------------------ */

static const char prelude[] =
    "desist = require 'desist'\n"
    "sources, entries, failure = {}, {}, nil\n"
    "desist.on_error(function(err) failure = failure or tostring(err) end)\n"
    "function watch(token)\n"
    "  local entry = { token = token, ran = 0, removed = 0 }\n"
    "  entry.registration = token:register(function(self, reason)\n"
    "    assert(self == entry and reason == token:reason())\n"
    "    assert(not self.registration or\n"
    "           not self.registration:is_active())\n"
    "    self.ran = self.ran + 1\n"
    "  end, entry)\n"
    "  entries[#entries + 1] = entry\n"
    "end\n"
    "function found()\n"
    "  local handle = get(dice(slots))\n"
    "  return handle and desist.from_handle(handle)\n"
    "end\n"
    "function any(list) return #list > 0 and list[dice(#list)] or nil end\n";

/* One of the things a program does. `closes` is a global. */
static const char step[] =
    "local what = dice(12)\n"
    "if what <= 3 then\n"
    "  local source = desist.source()\n"
    "  sources[#sources + 1] = source\n"
    "  watch(source:token())\n"
    "  put(dice(slots), dice(3) == 1 and source:token():handle()\n"
    "                   or source:handle())\n"
    "elseif what <= 6 then\n"
    "  local object = found()\n"
    "  if object and object.cancel then\n"
    "    watch(object:token())\n"
    "    if dice(2) == 1 then object:cancel(dice(100))\n"
    "    else sources[#sources + 1] = object end\n"
    "  elseif object then watch(object) end\n"
    "elseif what == 7 then\n"
    "  local source = any(sources)\n"
    "  if source then source:cancel_after(dice(100) * 1e-6) end\n"
    "elseif what == 8 then\n"
    "  local a, b = any(entries), any(entries)\n"
    "  if a then\n"
    "    local link = dice(2) == 1 and desist.linked(a.token, b.token)\n"
    "                 or desist.linked_all(a.token, b.token)\n"
    "    watch(link:token())\n"
    "    if dice(2) == 1 then put(dice(slots), link:handle()) end\n"
    "  end\n"
    "elseif what == 9 then\n"
    "  if #sources > 0 then table.remove(sources, dice(#sources)) end\n"
    "  if dice(3) == 1 then collectgarbage() end\n"
    "elseif what == 10 then\n"
    "  local entry = any(entries)\n"
    "  if entry and entry.registration:unregister() then\n"
    "    entry.removed = entry.removed + 1\n"
    "  end\n"
    "elseif what == 11 then\n"
    "  local source = any(sources)\n"
    "  if source then\n"
    "    if closes and dice(2) == 1 then source:close()\n"
    "    else source:cancel_async('async') end\n"
    "  end\n"
    "else desist.dispatch(dice(4)) end\n";

/* Every callback of a cancelled token runs once, at the latest now. Other
** threads go on cancelling: what was not yet is looked at no more. */
static const char settle[] =
    "local limit = desist.now() + 20\n"
    "for _, entry in ipairs(entries) do\n"
    "  local function once() return entry.ran + entry.removed end\n"
    "  local due = entry.token:is_cancelled() and not closes\n"
    "  while due and once() == 0 and desist.now() < limit do\n"
    "    desist.dispatch()\n"
    "  end\n"
    "  assert(once() <= 1, 'ran twice')\n"
    "  assert(not due or once() == 1, 'never ran')\n"
    "  assert(entry.ran == 0 or entry.token:is_cancelled(), 'ran too early')\n"
    "end\n"
    "assert(not failure, failure)\n";

static atomic_bool closing;

static void live_and_die(void) {
  lua_State *L = state_open();
  int i, steps = 20 + (int)dice(300);
  lua_pushboolean(L, atomic_load(&closing));
  lua_setglobal(L, "closes");
  if (lua_do(L, prelude, 0))
    for (i = 0; i < steps && lua_do(L, step, 0); i++) {
    }
  if (dice(3) != 0) lua_do(L, settle, 0);
  lua_close(L);
}

static void *live_and_die_often(void *data) {
  (void)data;
  do live_and_die();
  while (check_time_is_left());
  return NULL;
}

static void live_together(bool closes) {
  pthread_t threads[THREADS];
  int i;
  atomic_store(&closing, closes);
  for (i = 0; i < THREADS; i++)
    threads[i] = thread_start(live_and_die_often, NULL);
  for (i = 0; i < THREADS; i++) thread_join(threads[i]);
}

TEST(states_cancel_each_others_sources) { live_together(false); }
TEST(states_close_them_as_well) { live_together(true); }

/* --- Closing a state while others cancel --------------------------------- */

static void prepare_nothing(void *data) { (void)data; }

static void close_or_cancel(int party, void *data) {
  int i;
  (void)data;
  if (party == 0) {
    lua_State *L = state_open();
    lua_do(L, prelude, 0);
    lua_do(L,
           "for i = 1, slots do\n"
           "  local source = desist.source()\n"
           "  sources[i] = source\n"
           "  for _ = 1, 5 do watch(source:token()) end\n"
           "  put(i, source:handle())\n"
           "  if i % 3 == 0 then source:cancel_after(1e-4) end\n"
           "end\n",
           0);
    dawdle();
    if (dice(2)) lua_do(L, "desist.dispatch()", 0);
    lua_close(L);
    return;
  }
  for (i = 0; i < SLOTS; i++) {
    char handle[sizeof shared.handles[0]];
    desist_source *source;
    dawdle();
    pthread_mutex_lock(&shared.mutex);
    strcpy(handle, shared.handles[i]);
    pthread_mutex_unlock(&shared.mutex);
    source = desist_source_from_handle(handle);
    desist_source_cancel(source, NULL);
    desist_source_release(source);
  }
}

TEST(a_state_is_closed_while_others_cancel) {
  race_repeat(3, prepare_nothing, close_or_cancel, prepare_nothing, NULL);
}

/* --- Loading ------------------------------------------------------------ */

static void load_and_use(int party, void *data) {
  lua_State *L = state_open();
  (void)party, (void)data;
  lua_do(L,
         "local desist = require 'desist'\n"
         "local source, ran = desist.source(), 0\n"
         "source:token():register(function() ran = ran + 1 end)\n"
         "local after = desist.after(1e-4)\n"
         "assert(source:cancel('done') and ran == 1)\n"
         "assert(after:token():wait(20))\n",
         0);
  lua_close(L);
}

TEST(ten_states_in_ten_threads_load_at_once) {
  race_repeat(LOADERS, prepare_nothing, load_and_use, prepare_nothing, NULL);
}

CHECK_MAIN()
