/*
** stress_lua_inspect.c: states that look at graphs which other threads make,
** register on, wait for, cancel and close meanwhile.
*/
#include "check.h"
#include "check_lua.h"
#include "check_threads.h"

#include "desist_lua.h"

enum { SHARED = 4, WORKERS = 2, LOOKERS = 2 };

static desist_source *shared[SHARED];

static int push_shared(lua_State *L) {
  lua_Integer i = luaL_checkinteger(L, 1);
  char text[DESIST_HANDLE_SIZE];
  luaL_argcheck(L, 1 <= i && i <= SHARED, 1, "no such source");
  if (desist_token_handle(desist_source_token(shared[i - 1]), text))
    lua_pushstring(L, text);
  else
    lua_pushnil(L);
  return 1;
}

static int push_dice(lua_State *L) {
  lua_pushinteger(L, 1 + dice((unsigned)luaL_checkinteger(L, 1)));
  return 1;
}

/* Looks at all it can see, while it changes it. */
static const char script[] =
    "local desist = require 'desist'\n"
    "local tokens, kept, seen = {}, {}, 0\n"
    "for i = 1, 4 do\n"
    "  local handle = handle(i)\n"
    "  tokens[i] = handle and desist.from_handle(handle) or desist.none\n"
    "end\n"
    "for _ = 1, 60 do\n"
    "  local token, what = tokens[dice(4)], dice(7)\n"
    "  if what == 1 then\n"
    "    kept[dice(20)] = token:register(function() end)\n"
    "  elseif what == 2 then\n"
    "    local link = desist.linked(token, tokens[dice(4)])\n"
    "    link:token():register(function() end)\n"
    "    kept[dice(20)] = link\n"
    "  elseif what == 3 then\n"
    "    local old = kept[dice(20)]\n"
    "    if old then old:close() end\n"
    "  elseif what == 4 then\n"
    "    desist.trace(dice(2) == 1)\n"
    "  elseif what == 5 then desist.dispatch()\n"
    "  else\n"
    "    local text = desist.inspect(token)\n"
    "    assert(text:find '^token ' and not text:find '\\n\\n', text)\n"
    "    seen = seen + #text\n"
    "  end\n"
    "end\n"
    "assert(seen > 0)\n";

static void look_around(void) {
  lua_State *L = luaL_newstate();
  if (!L) abort();
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  lua_pop(L, 1);
  lua_global(L, "handle", push_shared);
  lua_global(L, "dice", push_dice);
  lua_do(L, script, 0);
  lua_close(L);
}

static atomic_bool done;

static void nothing(void *data, desist_reason *reason) {
  (void)data, (void)reason;
}

static void *work(void *data) {
  (void)data;
  while (!atomic_load(&done)) {
    desist_token *inputs[2];
    desist_source *link, *below;
    desist_registration registration;
    inputs[0] = desist_source_token(shared[dice(SHARED)]);
    inputs[1] = desist_source_token(shared[dice(SHARED)]);
    link = desist_source_create_linked(
        inputs, 2, dice(2) ? DESIST_LINK_ANY : DESIST_LINK_ALL);
    inputs[0] = desist_source_token(link);
    below = desist_source_create_linked(inputs, 1, DESIST_LINK_ANY);
    desist_source_set_name(link, dice(2) ? "one" : "another");
    desist_register(inputs[0], &registration, nothing, NULL);
    if (dice(3) == 0) desist_source_cancel_after(link, (int64_t)dice(100000));
    if (dice(20) == 0) desist_token_wait(inputs[1], 10000);
    dawdle();
    if (dice(2)) desist_source_cancel(link, NULL);
    if (dice(2)) desist_source_close(link);
    if (dice(10) == 0) desist_source_cancel(shared[dice(SHARED)], NULL);
    (void)desist_unregister_wait(&registration);
    desist_source_release(link);
    desist_source_release(below);
  }
  return NULL;
}

static void *look_often(void *data) {
  int i;
  (void)data;
  for (i = 0; i < 3; i++) look_around();
  return NULL;
}

TEST(states_look_at_what_others_change) {
  do {
    pthread_t workers[WORKERS], lookers[LOOKERS];
    int i;
    for (i = 0; i < SHARED; i++) {
      shared[i] = desist_source_create();
      desist_source_set_name(shared[i], "shared");
    }
    atomic_store(&done, false);
    for (i = 0; i < WORKERS; i++) workers[i] = thread_start(work, NULL);
    for (i = 0; i < LOOKERS; i++) lookers[i] = thread_start(look_often, NULL);
    for (i = 0; i < LOOKERS; i++) thread_join(lookers[i]);
    atomic_store(&done, true);
    for (i = 0; i < WORKERS; i++) thread_join(workers[i]);
    for (i = 0; i < SHARED; i++) desist_source_release(shared[i]);
  } while (check_time_is_left());
}

CHECK_MAIN()
