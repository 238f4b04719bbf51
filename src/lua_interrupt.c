/*
** lua_interrupt.c: what is done to Lua code that a guard stops, or a budget
** sets aside: when, and by which hook.
**
** Nothing is done until there is something to do: then a signal directed to the
** thread finds it in the middle of Lua code, and gives the coroutine that runs
** a hook. That is what Lua's own interpreter does on Ctrl-C, and all that it
** allows there. The hook, called before the next instruction, raises the error
** (or yields). Where there are no such signals a count hook looks now and then.
**
** Rules:
**   #1 A frame stands in the list of active ones exactly while what it guards
**      is on the stack of this thread: its function's C frame is there, or that
**      of the tracked resume of the coroutine it is in. So the handler never
**      touches a state that may be at work elsewhere. It holds its token.
**   #2 A token's error is raised once. Then there is grace, so that cleanup can
**      run; then it is raised before every instruction until the guard is left.
**      Callbacks that a cancellation runs, this token's own perhaps, have the
**      grace before that: the error is put off until they have run, for it
**      would be theirs and not reach what is guarded.
**   #3 Never inside the Lua files of desist: they would be left half done. What
**      they call is interrupted, and their waits are.
**   #4 A hook that finds nothing to do takes itself away, and puts back the one
**      it took the place of: coroutines inherit hooks, and switch unseen.
**   #5 Finalizers run with hooks off, and so does what a coroutine closes that
**      the error has ended: those of tracked metatables excepted
**      (lua_coroutine.c). What is raised in finalizers does not count for #2.
**
** Who runs: guards.running, kept by tracked resumes. If its hook is not called
** although the thread computes, and nothing moves in it, it has resumed another
** coroutine unseen, which then is an argument or an upvalue of the C function
** it is in.
*/
#include "lua_binding.h"

#if DESIST__GUARD

#  include <string.h>

#  include "atomic.h"

enum {
  TICK_NANOSECONDS = 2000000,
  LONG_NANOSECONDS = 500000, /* of computing, between two looks */
  STILL = 2                  /* looks at which nothing has moved */
};

static void on_hook(lua_State *L, lua_Debug *ar);

/* --- What is to be done --- */

static bool is_over(const desist__frame *frame) {
  return frame->token == NULL ? frame->stage != DESIST__DONE
                              : desist_token_is_cancelled(frame->token);
}

/* Its next moment: in the past, something is to be done now. */
static int64_t moment_of(const desist__frame *frame) {
  if (!is_over(frame)) return DESIST_NEVER;
  if (frame->token == NULL) return frame->until;
  if (frame->stage == DESIST__PUT_OFF) return frame->until;
  if (frame->stage != DESIST__RAISED) return 0;
  return frame->late < frame->until ? frame->late : frame->until;
}

/* The outermost guard that has to raise now; else a budget that is over; else
** NULL. */
desist__frame *desist__guard_due(const desist__guards *guards, int64_t now) {
  desist__frame *frame, *guard = NULL, *budget = NULL;
  for (frame = desist__load_acquire(&guards->top); frame != NULL;
       frame = frame->below) {
    if (moment_of(frame) > now) continue;
    if (frame->token != NULL)
      guard = frame;
    else
      budget = frame;
  }
  return guard != NULL ? guard : budget;
}

/* --- The timer --- */

/* Notes, too, whether any frame is cancelled or over. */
static int64_t next_moment(desist__guards *guards, int64_t now) {
  const desist__frame *frame;
  int64_t next = DESIST_NEVER;
  desist__store(&guards->alert, false); /* before the handler says otherwise */
  for (frame = guards->top; frame != NULL; frame = frame->below) {
    int64_t moment = moment_of(frame);
    if (moment < next) next = moment;
    if (frame->token != NULL ? moment != DESIST_NEVER : moment <= now)
      desist__store(&guards->alert, true);
  }
  return next;
}

#  if DESIST__INTERRUPTS

/* From now on, as long as there is something to do. False: it does already. */
static bool tick(desist__guards *guards, int64_t now) {
  if (guards->timer != 0 && guards->timer <= now) return false;
  guards->timer = now;
  desist__interrupt_at(&guards->interrupt, now + TICK_NANOSECONDS,
                       TICK_NANOSECONDS);
  return true;
}

/* Whether the timer had to be set. */
static bool set_timer(desist__guards *guards, int64_t now) {
  int64_t next = next_moment(guards, now);
  if (!guards->by_signal) return false;
  if (next <= now) return tick(guards, now);
  if (next == DESIST_NEVER) next = 0;
  if (guards->timer == next) return false;
  desist__interrupt_at(&guards->interrupt, next, TICK_NANOSECONDS);
  guards->timer = next; /* whatever the handler has made of it meanwhile */
  return true;
}

#  else

static bool set_timer(desist__guards *guards, int64_t now) {
  (void)next_moment(guards, now);
  return false;
}

#  endif

/* Looks again after each change: the handler may have come in the middle. */
void desist__guard_set_timer(desist__guards *guards, int64_t now) {
  while (set_timer(guards, now)) now = desist_now();
}

/* --- Hooks --- */

static desist__hook *find_hook(desist__guards *guards, const lua_State *L) {
  int i;
  for (i = 0; i < DESIST__HOOKS; i++)
    if (guards->hooks[i].L == L) return &guards->hooks[i];
  return NULL;
}

/* Notes the hook that is there, which is not ours. */
static void note_hook(desist__guards *guards, lua_State *L, lua_Hook hook) {
  desist__hook *at = find_hook(guards, L);
  if (hook == NULL) {
    if (at != NULL) at->L = NULL;
    return;
  }
  if (at == NULL) {
    at = &guards->hooks[guards->next_hook];
    guards->next_hook = (guards->next_hook + 1) % DESIST__HOOKS;
  }
  at->hook = hook;
  at->mask = lua_gethookmask(L);
  at->count = lua_gethookcount(L);
  desist__store_release(&at->L, L);
}

/* The hook of `L` that ours is in the place of. One that was inherited with
** ours is that of another coroutine. */
static desist__hook hook_of(desist__guards *guards, const lua_State *L) {
  desist__hook none;
  desist__hook *at = find_hook(guards, L);
  int i;
  memset(&none, 0, sizeof none);
  for (i = 0; at == NULL && i < DESIST__HOOKS; i++)
    if (guards->hooks[i].L != NULL) at = &guards->hooks[i];
  return at != NULL ? *at : none;
}

/* Ours. Without signals the events of the other one go on to it. */
void desist__guard_arm(desist__guards *guards, lua_State *L, int count) {
  lua_Hook hook = lua_gethook(L);
  int mask = LUA_MASKCOUNT;
  if (hook != on_hook) note_hook(guards, L, hook);
  if (!guards->by_signal) mask |= hook_of(guards, L).mask;
  lua_sethook(L, on_hook, mask, count);
}

/* The other one, if ours is there. */
void desist__guard_disarm(desist__guards *guards, lua_State *L) {
  desist__hook other;
  desist__hook *at;
  if (lua_gethook(L) != on_hook) return;
  other = hook_of(guards, L);
  at = find_hook(guards, L);
  if (at != NULL) at->L = NULL; /* first: the handler may note it again */
  lua_sethook(L, other.hook, other.mask, other.count);
}

/* What is there between two things to do. */
void desist__guard_rest(desist__guards *guards, lua_State *L) {
  if (guards->top != NULL && !guards->by_signal)
    desist__guard_arm(guards, L, DESIST__MANY);
  else
    desist__guard_disarm(guards, L);
}

/* --- The signal handler --- */

#  if DESIST__INTERRUPTS

/*
** The coroutine that the C function which `L` is in was given to resume. Only
** where that function has not returned for long: else its frame may just be in
** the making, and lead anywhere.
*/
static lua_State *resumed_in(lua_State *L) {
  lua_Debug ar;
  lua_State *other;
  if (!lua_getstack(L, 0, &ar) || !lua_getinfo(L, "S", &ar) || *ar.what != 'C')
    return NULL;
  other = lua_tothread(L, 1);
  return other != NULL ? other : lua_tothread(L, lua_upvalueindex(1));
}

/* Whether nothing has moved in `L` for some looks. */
static bool stands_still(desist__stand *stand, lua_State *L) {
  lua_Debug ar;
  int top = lua_gettop(L);
  const void *frame = lua_getstack(L, 0, &ar) ? (const void *)ar.i_ci : NULL;
  if (frame == NULL || frame != stand->frame || top != stand->top)
    stand->looks = 0;
  else
    stand->looks++;
  stand->frame = frame;
  stand->top = top;
  return stand->looks >= STILL;
}

/*
** The coroutines are found anew each time, from the one that is known to run:
** those that stand still are alive. The hook is set at each look: where the
** interpreter has just looked whether there is one, it takes no notice.
*/
static void point(desist__guards *guards) {
  lua_State *L = guards->running;
  int64_t time = desist__thread_time();
  bool look = guards->looked != 0 && lua_gethook(L) == on_hook;
  int i;
  desist__guard_arm(guards, L, 1);
  if (look && time - guards->looked < LONG_NANOSECONDS) return;
  guards->looked = time;
  if (!look) memset(guards->stands, 0, sizeof guards->stands);
  for (i = 0; look && i < DESIST__UNSEEN; i++) {
    if (!stands_still(&guards->stands[i], L)) return;
    L = resumed_in(L);
    if (L == NULL) return; /* a long C function */
    desist__guard_arm(guards, L, 1);
  }
}

/* It only lets the timer tick: the rest is for the code that changes frames. */
static void on_interrupt(desist__interrupt *self) {
  desist__guards *guards = (desist__guards *)self;
  int64_t now = desist_now();
  if (desist__guard_due(guards, now) == NULL) return;
  desist__store(&guards->alert, true);
  point(guards);
  (void)tick(guards, now);
}

#  endif

/* Of the token, on the cancelling thread. */
void desist__guard_cancelled(void *data, desist_reason *reason) {
  desist__guards *guards = (desist__guards *)data;
  (void)reason;
#  if DESIST__INTERRUPTS
  desist__interrupt_raise(&guards->interrupt);
#  endif
  desist__inbox_wake(desist__host_with(guards)->inbox);
}

/* --- Raising --- */

int64_t desist__guard_later(int64_t now, int64_t duration) {
  return duration >= DESIST_NEVER - now ? DESIST_NEVER : now + duration;
}

/* Keeps #2, where callbacks run. */
static bool put_off(lua_State *L, desist__frame *frame) {
  desist__guards *guards = frame->guards;
  int64_t now = desist_now();
  if (frame->stage != DESIST__QUIET || frame->grace == 0 ||
      desist__host_with(guards)->calls <= frame->calls)
    return false;
  frame->stage = DESIST__PUT_OFF;
  frame->until = desist__guard_later(now, frame->grace);
  desist__guard_rest(guards, L);
  desist__guard_set_timer(guards, now);
  return true;
}

void desist__guards_called(lua_State *L, host *owner) {
  desist__guards *guards = &owner->guards;
  desist__frame *frame;
  for (frame = guards->top; frame != NULL; frame = frame->below) {
    if (frame->stage != DESIST__PUT_OFF || owner->calls > frame->calls)
      continue;
    frame->stage = DESIST__QUIET;
    desist__guard_arm(guards, L, 1);
    desist__guard_set_timer(guards, desist_now());
  }
}

/* Notes that the error is raised now; keeps #2 and #5. */
static void note_raised(lua_State *L, desist__frame *frame) {
  desist__guards *guards = frame->guards;
  int64_t now = desist_now();
  if (frame->stage == DESIST__QUIET && L != guards->finalizing) {
    frame->raised = now;
    frame->late = desist__guard_later(now, guards->late_after);
  }
  if (frame->stage == DESIST__QUIET && frame->grace > 0) {
    if (L != guards->finalizing) {
      frame->stage = DESIST__RAISED;
      frame->until = desist__guard_later(now, frame->grace);
    }
    desist__guard_rest(guards, L);
  } else {
    frame->stage = DESIST__STOPPING;
    desist__guard_arm(guards, L, 1);
  }
  desist__guard_set_timer(guards, now);
}

static int raise_in(lua_State *L, desist__frame *frame) {
  note_raised(L, frame);
  desist_lua_push_error(L, frame->token);
  return lua_error(L);
}

bool desist__guard_check(lua_State *L, host *owner, bool give) {
  desist__frame *frame;
  if (owner->guards.top == NULL) return false;
  frame = desist__guard_due(&owner->guards, desist_now());
  if (frame == NULL || frame->token == NULL || put_off(L, frame)) return false;
  if (!give || frame->stage != DESIST__QUIET || frame->grace == 0)
    (void)raise_in(L, frame);
  desist_lua_push_error(L, frame->token);
  note_raised(L, frame);
  return true;
}

int64_t desist__guard_until(const host *owner) {
  const desist__frame *frame;
  int64_t until = DESIST_NEVER;
  for (frame = owner->guards.top; frame != NULL; frame = frame->below)
    if (frame->token != NULL && moment_of(frame) < until)
      until = moment_of(frame);
  return until;
}

/* Whether the running function is one of our Lua files'. */
static bool is_own(const host *owner, lua_State *L, lua_Debug *ar) {
  return lua_getinfo(L, "S", ar) && desist__is_own(owner, ar->source);
}

/* --- Setting aside --- */

/*
** Whether all coroutines from `L` down to a task of the loop that the budget
** is for can yield now: each is resumed in a tracked way, with no C function in
** between that cannot be left.
*/
static bool can_set_aside(const desist__frame *budget, lua_State *L) {
  const desist__resumed *at = budget->guards->resumes;
  const lua_State *co = L;
  for (; at != NULL && at != budget->resumes; at = at->below) {
    if (at->co != co || !lua_isyieldable(at->co)) return false;
    if (at->task) return true;
    co = at->from;
  }
  return false;
}

static void set_aside(desist__frame *budget, lua_State *L) {
  desist__guards *guards = budget->guards;
  if (!can_set_aside(budget, L)) {
    desist__guard_arm(guards, L, DESIST__MANY);
    return;
  }
  budget->stage = DESIST__DONE;
  guards->aside = true;
  desist__guard_rest(guards, L);
  desist__guard_set_timer(guards, desist_now());
  (void)lua_yield(L, 0);
}

/* An event for the hook that ours is in the place of. */
static void pass_on(desist__guards *guards, lua_State *L, lua_Debug *ar) {
  desist__hook other = hook_of(guards, L);
  if (other.hook != NULL) other.hook(L, ar);
}

/* --- What is late --- */

/* Tells who listens that it still runs. Whether that is all there was to do. */
static bool tell_late(lua_State *L, desist__frame *frame) {
  desist__guards *guards = frame->guards;
  host *owner = desist__host_with(guards);
  int64_t now = desist_now();
  if (frame->stage < DESIST__RAISED || now < frame->late) return false;
  frame->late = DESIST_NEVER;
  luaL_checkstack(L, 20, NULL);
  desist__push_message_handler(L, owner);
  lua_rawgeti(L, LUA_REGISTRYINDEX, guards->on_late);
  lua_pushnumber(L, (lua_Number)desist__seconds(now - frame->raised));
  desist__push_token(L, owner, frame->token);
  if (lua_isfunction(L, -3)) {
    int handler = lua_gettop(L) - 3;
    int status = lua_pcall(L, 2, 0, handler);
    if (status != LUA_OK) desist__report_raised(L, owner, handler, status);
    lua_settop(L, handler - 1);
  } else {
    lua_pop(L, 4);
  }
  if (frame->stage == DESIST__STOPPING || now >= frame->until) return false;
  desist__guard_rest(guards, L);
  desist__guard_set_timer(guards, desist_now());
  return true;
}

/* seconds, function(seconds since, token): is called in the coroutine that
** runs, by a hook, once for each guard that still runs so long after its error
** was raised. nil: nobody is told. */
int desist__watch_guards(lua_State *L) {
  desist__guards *guards = &desist__host_of(L)->guards;
  luaL_unref(L, LUA_REGISTRYINDEX, guards->on_late);
  guards->on_late = LUA_NOREF;
  guards->late_after = DESIST_NEVER;
  if (lua_isnoneornil(L, 1)) return 0;
  guards->late_after = desist__check_duration(L, 1);
  lua_settop(L, 2);
  guards->on_late = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

/* --- The hook --- */

static void on_hook(lua_State *L, lua_Debug *ar) {
  host *owner = desist__host_in(L);
  desist__guards *guards;
  desist__frame *frame;
  if (owner == NULL || owner->inbox == NULL) {
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  guards = &owner->guards;
  if (ar->event != LUA_HOOKCOUNT) {
    pass_on(guards, L, ar);
    return;
  }
  guards->looked = 0;
  desist__look();
  frame = desist__guard_due(guards, desist_now());
  if (frame == NULL)
    desist__guard_rest(guards, L);
  else if (is_own(owner, L, ar))
    desist__guard_arm(guards, L, 1);
  else if (frame->token == NULL)
    set_aside(frame, L);
  else if (!put_off(L, frame) && !tell_late(L, frame))
    (void)raise_in(L, frame);
}

/* --- Beginning and end --- */

void desist__guards_start(desist__guards *guards) {
#  if DESIST__INTERRUPTS
  guards->interrupt.run = on_interrupt;
  guards->timer = 0;
  guards->by_signal = desist__interrupt_enter(&guards->interrupt);
#  else
  guards->by_signal = false;
#  endif
}

void desist__guards_stop(desist__guards *guards) {
#  if DESIST__INTERRUPTS
  if (guards->by_signal) desist__interrupt_leave(&guards->interrupt);
#  endif
  guards->looked = 0;
  guards->alert = false;
}

#endif
