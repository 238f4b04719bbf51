/*
** stress_lua_cancels.c: no cancel from another thread is lost, and none comes
** twice. Scripts register callbacks, hand the sources to C and keep nothing of
** them; threads of the host cancel them; the states sleep until that comes.
**
** Prints how many. In 20 seconds that are millions.
*/
#include "check.h"
#include "check_lua.h"
#include "check_threads.h"

#include <poll.h>

enum { CANCELLERS = 2, STATES = 3, ROOM = 4096 };

/* --- What is to be cancelled -------------------------------------------- */

struct item {
  desist_source *source; /* a reference */
  int code;              /* of its reason; 0: the default one */
};

static struct {
  pthread_mutex_t mutex;
  pthread_cond_t filled;
  struct item items[ROOM];
  unsigned first, count;
  bool over;
} queue = { .mutex = PTHREAD_MUTEX_INITIALIZER,
            .filled = PTHREAD_COND_INITIALIZER };

static atomic_long cancels, callbacks;

/* give(handle, code) */
static int script_give(lua_State *L) {
  struct item item;
  item.source = desist_source_from_handle(luaL_checkstring(L, 1));
  item.code = (int)luaL_checkinteger(L, 2);
  CHECK(item.source != NULL);
  pthread_mutex_lock(&queue.mutex);
  CHECK(queue.count < ROOM);
  queue.items[(queue.first + queue.count) % ROOM] = item;
  queue.count++;
  pthread_cond_signal(&queue.filled);
  pthread_mutex_unlock(&queue.mutex);
  return 0;
}

static bool take(struct item *item) {
  bool found;
  pthread_mutex_lock(&queue.mutex);
  while (queue.count == 0 && !queue.over)
    pthread_cond_wait(&queue.filled, &queue.mutex);
  found = queue.count > 0;
  if (found) {
    *item = queue.items[queue.first];
    queue.first = (queue.first + 1) % ROOM;
    queue.count--;
  }
  pthread_mutex_unlock(&queue.mutex);
  return found;
}

static void *cancel_what_comes(void *data) {
  struct item item;
  (void)data;
  while (take(&item)) {
    desist_reason *reason = NULL;
    if (item.code != 0) {
      char text[16];
      snprintf(text, sizeof text, "%d", item.code);
      reason = desist_reason_create(item.code, text);
    }
    if (dice(4) == 0) dawdle();
    CHECK(desist_source_cancel(item.source, reason));
    atomic_fetch_add_explicit(&cancels, 1, memory_order_relaxed);
    desist_reason_release(reason);
    desist_source_release(item.source);
  }
  return NULL;
}

/* --- States ------------------------------------------------------------- */

/* ran(callbacks): when a state has had them all */
static int script_ran(lua_State *L) {
  atomic_fetch_add(&callbacks, (long)luaL_checkinteger(L, 1));
  return 0;
}

static int script_time_is_left(lua_State *L) {
  lua_pushboolean(L, check_time_is_left());
  return 1;
}

/* Sleeps until a descriptor is readable. */
static int script_poll(lua_State *L) {
  struct pollfd fd = { .fd = (int)luaL_checkinteger(L, 1), .events = POLLIN };
  CHECK_INT(poll(&fd, 1, -1), 1);
  return 0;
}

static lua_State *state_open(void) {
  lua_State *L = lua_open();
  lua_global(L, "give", script_give);
  lua_global(L, "ran", script_ran);
  lua_global(L, "time_is_left", script_time_is_left);
  lua_global(L, "poll", script_poll);
  return L;
}

/*
** out: how many sources are handed out and not back yet. Each has a callback;
** every eighth has another one on a link of its own, which must run first.
** `changed` is called after each.
*/
static const char prelude[] =
    "desist, async = require 'desist', require 'desist.async'\n"
    "out, made, back, failure = 0, 0, 0, nil\n"
    "desist.on_error(function(err) failure = failure or tostring(err) end)\n"
    "function changed() end\n"
    "local pending, links = {}, {}\n"
    "local function came(code, reason)\n"
    "  assert(pending[code], 'twice')\n"
    "  assert(not links[code], 'the link has not had its turn')\n"
    "  assert(reason == (code % 2 == 0 and tostring(code) or 'cancelled'))\n"
    "  pending[code] = nil\n"
    "  out, back = out - 1, back + 1\n"
    "  changed()\n"
    "end\n"
    "local function came_by_link(code)\n"
    "  assert(pending[code] and links[code], 'twice, by a link')\n"
    "  links[code] = nil\n"
    "end\n"
    "function hand_out()\n"
    "  made, out = made + 1, out + 1\n"
    "  local source, code = desist.source(), made\n"
    "  pending[code] = true\n"
    "  source:token():register(came, code)\n"
    "  if code % 8 == 0 then\n"
    "    links[code] = true\n"
    "    desist.linked(source:token()):token():register(came_by_link, code)\n"
    "  end\n"
    "  give(source:handle(), code % 2 == 0 and code or 0)\n"
    "end\n"
    "function finish()\n"
    "  assert(not failure, failure)\n"
    "  assert(out == 0 and back == made and not next(pending)\n"
    "         and not next(links))\n"
    "  assert(desist.dispatch() == 0, 'something is left')\n"
    "  ran(back)\n"
    "end\n";

/* Idle whenever it waits: few are out then, or none, or many. */
static const char by_run[] =
    "async.run(function()\n"
    "  local wake, few\n"
    "  function changed()\n"
    "    if wake and out <= few then\n"
    "      local resume = wake\n"
    "      wake = nil\n"
    "      resume()\n"
    "    end\n"
    "  end\n"
    "  local function until_few(n)\n"
    "    few = n\n"
    "    if out > n then\n"
    "      async.await(function(resume) wake = resume end)\n"
    "    end\n"
    "  end\n"
    "  repeat\n"
    "    for _ = 1, math.random(100) do hand_out() end\n"
    "    until_few(math.random(3) == 1 and math.random(200) or 0)\n"
    "  until not time_is_left()\n"
    "  until_few(0)\n"
    "end)\n"
    "finish()\n";

static const char by_dispatch[] =
    "local fd = desist.wakeup_fd()\n"
    "repeat\n"
    "  for _ = 1, math.random(100) do hand_out() end\n"
    "  while out > 0 do\n"
    "    poll(fd)\n"
    "    desist.dispatch(math.random(50))\n"
    "  end\n"
    "until not time_is_left()\n"
    "finish()\n";

/* A wait for a token whose cancel comes from a callback. */
static const char by_wait[] =
    "local none_out\n"
    "function changed() if out == 0 then none_out:cancel() end end\n"
    "repeat\n"
    "  none_out = desist.source()\n"
    "  for _ = 1, math.random(100) do hand_out() end\n"
    "  assert(none_out:token():wait())\n"
    "until not time_is_left()\n"
    "finish()\n";

static void *live(void *data) {
  lua_State *L = state_open();
  if (lua_do(L, prelude, 0)) lua_do(L, (const char *)data, 0);
  lua_close(L);
  return NULL;
}

/* One script for each state. */
static void cancel_and_count(int states, const char *const *scripts) {
  pthread_t threads[STATES], cancellers[CANCELLERS];
  long before = atomic_load(&cancels);
  int i;
  for (i = 0; i < CANCELLERS; i++)
    cancellers[i] = thread_start(cancel_what_comes, NULL);
  for (i = 0; i < states; i++)
    threads[i] = thread_start(live, (void *)(uintptr_t)scripts[i]);
  for (i = 0; i < states; i++) thread_join(threads[i]);
  pthread_mutex_lock(&queue.mutex);
  queue.over = true;
  pthread_cond_broadcast(&queue.filled);
  pthread_mutex_unlock(&queue.mutex);
  for (i = 0; i < CANCELLERS; i++) thread_join(cancellers[i]);
  queue.over = false;
  CHECK(atomic_load(&cancels) > before);
  CHECK_INT(atomic_load(&callbacks), atomic_load(&cancels));
}

TEST(the_built_in_loop_gets_every_cancel) {
  static const char *const scripts[] = { by_run };
  cancel_and_count(1, scripts);
}

TEST(a_state_that_dispatches_gets_every_cancel) {
  static const char *const scripts[] = { by_dispatch };
  cancel_and_count(1, scripts);
}

TEST(a_state_that_waits_gets_every_cancel) {
  static const char *const scripts[] = { by_wait };
  cancel_and_count(1, scripts);
}

TEST(several_states_get_theirs) {
  static const char *const scripts[] = { by_run, by_dispatch, by_wait };
  cancel_and_count(3, scripts);
}

TEST(how_many) {
  printf("%ld cancels, %ld callbacks\n", atomic_load(&cancels),
         atomic_load(&callbacks));
}

CHECK_MAIN()
