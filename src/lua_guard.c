/*
** lua_guard.c: desist.guard, which stops Lua code that never asks, and the
** budget of a step, which sets it aside.
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

enum { QUIET, PUT_OFF, RAISED, STOPPING, DONE };

enum {
  /* Instructions between two looks without signals. A prime: others' hooks
  ** count too, and must not always be what the last one falls on. */
  MANY = 997,
  TICK_NANOSECONDS = 2000000,
  LONG_NANOSECONDS = 500000, /* of computing, between two looks */
  STILL = 2                  /* looks at which nothing has moved */
};

static const int64_t default_grace = 100000000;

static void on_hook(lua_State *L, lua_Debug *ar);

/* --- What is to be done --- */

static bool is_over(const desist__frame *frame) {
  return frame->token == NULL ? frame->stage != DONE
                              : desist_token_is_cancelled(frame->token);
}

/* Its next moment: in the past, something is to be done now. */
static int64_t moment_of(const desist__frame *frame) {
  if (!is_over(frame)) return DESIST_NEVER;
  if (frame->token == NULL) return frame->until;
  if (frame->stage == PUT_OFF) return frame->until;
  if (frame->stage != RAISED) return 0;
  return frame->late < frame->until ? frame->late : frame->until;
}

/* The outermost guard that has to raise now; else a budget that is over; else
** NULL. */
static desist__frame *find_due(const desist__guards *guards, int64_t now) {
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

static void set_timer_once(desist__guards *guards, int64_t now) {
  const desist__frame *frame;
  int64_t next = DESIST_NEVER;
  bool alert = false;
  for (frame = guards->top; frame != NULL; frame = frame->below) {
    int64_t moment = moment_of(frame);
    if (moment < next) next = moment;
    if (frame->token != NULL ? moment != DESIST_NEVER : moment <= now)
      alert = true;
  }
  guards->alert = alert;
#  if DESIST__INTERRUPTS
  if (next <= now) next = 1; /* and again, as long as it is so */
  if (next == DESIST_NEVER) next = 0;
  if (!guards->by_signal || next == guards->timer) return;
  guards->timer = next;
  desist__interrupt_after(&guards->interrupt,
                          next > now  ? next - now
                          : next != 0 ? TICK_NANOSECONDS
                                      : 0,
                          TICK_NANOSECONDS);
#  endif
}

/* When the timer is to ring. The handler does this too, which may come in the
** middle of it. */
static void set_timer(desist__guards *guards, int64_t now) {
  unsigned rings = desist__load_relaxed(&guards->rings);
  set_timer_once(guards, now);
  while (desist__load_relaxed(&guards->rings) != rings) {
    rings = desist__load_relaxed(&guards->rings);
    set_timer_once(guards, desist_now());
  }
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
static void arm(desist__guards *guards, lua_State *L, int count) {
  lua_Hook hook = lua_gethook(L);
  int mask = LUA_MASKCOUNT;
  if (hook != on_hook) note_hook(guards, L, hook);
  if (!guards->by_signal) mask |= hook_of(guards, L).mask;
  lua_sethook(L, on_hook, mask, count);
}

/* The other one, if ours is there. */
static void disarm(desist__guards *guards, lua_State *L) {
  desist__hook other;
  desist__hook *at;
  if (lua_gethook(L) != on_hook) return;
  other = hook_of(guards, L);
  at = find_hook(guards, L);
  if (at != NULL) at->L = NULL; /* first: the handler may note it again */
  lua_sethook(L, other.hook, other.mask, other.count);
}

/* What is there between two things to do. */
static void rest(desist__guards *guards, lua_State *L) {
  if (guards->top != NULL && !guards->by_signal)
    arm(guards, L, MANY);
  else
    disarm(guards, L);
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
  arm(guards, L, 1);
  if (look && time - guards->looked < LONG_NANOSECONDS) return;
  guards->looked = time;
  if (!look) memset(guards->stands, 0, sizeof guards->stands);
  for (i = 0; look && i < DESIST__UNSEEN; i++) {
    if (!stands_still(&guards->stands[i], L)) return;
    L = resumed_in(L);
    if (L == NULL) return; /* a long C function */
    arm(guards, L, 1);
  }
}

static void on_interrupt(desist__interrupt *self) {
  desist__guards *guards = (desist__guards *)self;
  int64_t now = desist_now();
  if (find_due(guards, now) != NULL) point(guards);
  set_timer(guards, now);
  desist__store_relaxed(&guards->rings, guards->rings + 1);
}

#  endif

/* Of the token, on the cancelling thread. */
static void on_cancel(void *data, desist_reason *reason) {
  desist__guards *guards = (desist__guards *)data;
  (void)reason;
#  if DESIST__INTERRUPTS
  desist__interrupt_raise(&guards->interrupt);
#  endif
  desist__inbox_wake(desist__host_with(guards)->inbox);
}

/* --- Raising --- */

static void push_error(lua_State *L, const desist__frame *frame) {
  luaL_checkstack(L, 20, NULL);
  desist__push_token(L, desist__host_with(frame->guards), frame->token);
  desist__push_error(L, -1);
  lua_remove(L, -2);
}

static int64_t later(int64_t now, int64_t duration) {
  return duration >= DESIST_NEVER - now ? DESIST_NEVER : now + duration;
}

/* Keeps #2, where callbacks run. */
static bool put_off(lua_State *L, desist__frame *frame) {
  desist__guards *guards = frame->guards;
  int64_t now = desist_now();
  if (frame->stage != QUIET || frame->grace == 0 ||
      desist__host_with(guards)->calls <= frame->calls)
    return false;
  frame->stage = PUT_OFF;
  frame->until = later(now, frame->grace);
  rest(guards, L);
  set_timer(guards, now);
  return true;
}

void desist__guards_called(lua_State *L, host *owner) {
  desist__guards *guards = &owner->guards;
  desist__frame *frame;
  for (frame = guards->top; frame != NULL; frame = frame->below) {
    if (frame->stage != PUT_OFF || owner->calls > frame->calls) continue;
    frame->stage = QUIET;
    arm(guards, L, 1);
    set_timer(guards, desist_now());
  }
}

/* Notes that the error is raised now; keeps #2 and #5. */
static void note_raised(lua_State *L, desist__frame *frame) {
  desist__guards *guards = frame->guards;
  int64_t now = desist_now();
  if (frame->stage == QUIET && L != guards->finalizing) {
    frame->raised = now;
    frame->late = later(now, guards->late_after);
  }
  if (frame->stage == QUIET && frame->grace > 0) {
    if (L != guards->finalizing) {
      frame->stage = RAISED;
      frame->until = later(now, frame->grace);
    }
    rest(guards, L);
  } else {
    frame->stage = STOPPING;
    arm(guards, L, 1);
  }
  set_timer(guards, now);
}

static int raise_in(lua_State *L, desist__frame *frame) {
  note_raised(L, frame);
  push_error(L, frame);
  return lua_error(L);
}

bool desist__guard_check(lua_State *L, host *owner, bool give) {
  desist__frame *frame;
  if (owner->guards.top == NULL) return false;
  frame = find_due(&owner->guards, desist_now());
  if (frame == NULL || frame->token == NULL || put_off(L, frame)) return false;
  if (!give || frame->stage != QUIET || frame->grace == 0)
    (void)raise_in(L, frame);
  push_error(L, frame);
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
    arm(guards, L, MANY);
    return;
  }
  budget->stage = DONE;
  guards->aside = true;
  rest(guards, L);
  set_timer(guards, desist_now());
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
  if (frame->stage < RAISED || now < frame->late) return false;
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
  if (frame->stage == STOPPING || now >= frame->until) return false;
  rest(guards, L);
  set_timer(guards, desist_now());
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
  frame = find_due(guards, desist_now());
  if (frame == NULL)
    rest(guards, L);
  else if (is_own(owner, L, ar))
    arm(guards, L, 1);
  else if (frame->token == NULL)
    set_aside(frame, L);
  else if (!put_off(L, frame) && !tell_late(L, frame))
    (void)raise_in(L, frame);
}

/* --- Frames --- */

static void start(desist__guards *guards) {
#  if DESIST__INTERRUPTS
  guards->interrupt.run = on_interrupt;
  guards->timer = 0;
  guards->by_signal = desist__interrupt_enter(&guards->interrupt);
#  else
  guards->by_signal = false;
#  endif
}

static void stop(desist__guards *guards) {
#  if DESIST__INTERRUPTS
  if (guards->by_signal) desist__interrupt_leave(&guards->interrupt);
#  endif
  guards->looked = 0;
  guards->alert = false;
}

static void hold(desist__frame *frame) {
  desist_token_retain(frame->token);
  frame->held = true;
  desist_register(frame->token, &frame->registration, on_cancel, frame->guards);
}

/* The handler does not know it any more. */
static void let_go(desist__frame *frame) {
  if (!frame->held) return;
  frame->held = false;
  (void)desist_unregister_wait(&frame->registration);
  desist_token_release(frame->token);
}

static void enter(desist__guards *guards, desist__frame *frame, lua_State *L) {
  frame->guards = guards;
  frame->L = L;
  frame->before = guards->running;
  frame->resumes = guards->resumes;
  frame->below = guards->top;
  frame->calls = desist__host_with(guards)->calls;
  frame->stage = QUIET;
  if (guards->top == NULL) start(guards);
  desist__store_release(&guards->running, L);
  desist__store_release(&guards->top, frame);
  if (frame->token != NULL)
    hold(frame);
  else
    set_timer(guards, desist_now());
  if (!guards->by_signal) arm(guards, L, MANY);
}

/* The frame is the innermost. */
static void leave(desist__frame *frame) {
  desist__guards *guards = frame->guards;
  desist__store_release(&guards->top, frame->below);
  desist__store_release(&guards->running, frame->before);
  if (guards->top == NULL)
    stop(guards);
  else
    set_timer(guards, desist_now());
  let_go(frame);
  rest(guards, frame->L);
  if (guards->alert && find_due(guards, desist_now()) != NULL)
    arm(guards, frame->L, 1);
}

static void open_guards(lua_State *L, host *owner) {
  desist__guards *guards = &owner->guards;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  guards->running = lua_tothread(L, -1);
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v"); /* the coroutine's stack holds the box */
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  guards->boxes = luaL_ref(L, LUA_REGISTRYINDEX);
  guards->finalizer = LUA_NOREF;
  guards->on_late = LUA_NOREF;
  guards->late_after = DESIST_NEVER;
}

static void let_go_all(desist__frame *frame) {
  for (; frame != NULL; frame = frame->below) let_go(frame);
}

void desist__guards_end(host *owner) {
  desist__guards *guards = &owner->guards;
  desist__frame *top = guards->top;
  desist__store_release(&guards->top, (desist__frame *)NULL);
  if (top != NULL) stop(guards);
  let_go_all(top); /* os.exit inside of them */
  for (; guards->kept != NULL; guards->kept = guards->kept->next) {
    guards->kept->kept = false;
    let_go_all(guards->kept);
  }
#  if DESIST__INTERRUPTS
  desist__interrupt_end(&guards->interrupt);
#  endif
}

/* --- Coroutines (for lua_coroutine.c) --- */

static void keep(desist__frame *frame) {
  desist__guards *guards = frame->guards;
  frame->kept = true;
  frame->previous = NULL;
  frame->next = guards->kept;
  if (frame->next != NULL) frame->next->previous = frame;
  guards->kept = frame;
}

static void keep_no_more(desist__frame *frame) {
  frame->kept = false;
  if (frame->next != NULL) frame->next->previous = frame->previous;
  if (frame->previous != NULL)
    frame->previous->next = frame->next;
  else
    frame->guards->kept = frame->next;
}

/* Pushes the box of the innermost guard of `co`, or nil. Not on the stack of
** `co`: making room there enlarges the frame that it was set aside in. */
static guard_box *push_box(lua_State *L, const desist__guards *guards,
                           const lua_State *co) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, guards->boxes);
  (void)lua_rawgetp(L, -1, co);
  lua_remove(L, -2);
  return (guard_box *)lua_touserdata(L, -1);
}

/* The innermost guard that `co` has yielded in, or NULL: not kept any more. */
static desist__frame *take_kept(desist__guards *guards, lua_State *co,
                                lua_State *from) {
  guard_box *box;
  if (from == NULL) from = co;
  if (guards->kept == NULL || !lua_checkstack(from, 5)) return NULL;
  box = push_box(from, guards, co);
  lua_pop(from, 1);
  if (box == NULL || !box->frame.kept) return NULL;
  keep_no_more(&box->frame);
  return &box->frame;
}

void desist__guards_resuming(desist__guards *guards, lua_State *co,
                             lua_State *from) {
  desist__frame *frame = take_kept(guards, co, from);
  if (frame != NULL && lua_status(co) != LUA_YIELD) {
    let_go_all(frame); /* it was closed unseen, and begins anew */
  } else if (frame != NULL) {
    desist__frame *last = frame;
    while (last->below != NULL) last = last->below;
    last->below = guards->top;
    if (guards->top == NULL) start(guards);
    desist__store_release(&guards->top, frame);
    set_timer(guards, desist_now());
  }
  if (guards->top == NULL) return;
  guards->looked = 0;
  if (!guards->by_signal) arm(guards, co, MANY);
  if (guards->alert && find_due(guards, desist_now()) != NULL)
    arm(guards, co, 1);
}

/* The frames above `top` are those of a coroutine that has yielded, or died. */
static void put_by(desist__guards *guards, desist__frame *top, bool yielded) {
  desist__frame *first = guards->top, *last = first;
  desist__store_release(&guards->top, top);
  if (top == NULL) stop(guards);
  while (last->below != top) last = last->below;
  last->below = NULL;
  if (yielded)
    keep(first);
  else
    let_go_all(first);
}

/* It is closed with the guards it has yielded in. */
void desist__guards_drop(desist__guards *guards, lua_State *co,
                         lua_State *from) {
  let_go_all(take_kept(guards, co, from));
}

void desist__guards_resumed(desist__guards *guards, lua_State *co,
                            lua_State *from, desist__frame *top, bool yielded) {
  if (guards->top != top) {
    put_by(guards, top, yielded);
    if (top != NULL) set_timer(guards, desist_now());
  }
  guards->looked = 0;
  disarm(guards, co);
  if (guards->alert && from != NULL && find_due(guards, desist_now()) != NULL) {
    arm(guards, from, 1);
    guards->looked = 0;
  }
}

/* --- The guard function --- */

/* token, or { token =, grace = }, at 1: leaves the token at 1. */
static int64_t check_options(lua_State *L) {
  int64_t grace = default_grace;
  if (lua_type(L, 1) == LUA_TTABLE) {
    lua_getfield(L, 1, "grace");
    if (!lua_isnil(L, -1)) {
      lua_Number seconds = lua_tonumber(L, -1);
      if (lua_type(L, -1) != LUA_TNUMBER || !(seconds >= 0))
        (void)luaL_argerror(
            L, 1,
            lua_pushfstring(L,
                            "option 'grace': 0 or more seconds expected, "
                            "got %s",
                            luaL_tolstring(L, -1, NULL)));
      grace = desist__check_duration(L, -1);
    }
    lua_pop(L, 1);
    lua_getfield(L, 1, "token");
    if (desist__test(L, -1, &desist__token_type) == NULL)
      (void)luaL_argerror(
          L, 1,
          lua_pushfstring(L, "option 'token': desist.token expected, got %s",
                          desist__type_name(L, -1)));
    lua_replace(L, 1);
  } else {
    (void)desist__check_token(L, 1);
  }
  return grace;
}

static void check_callable(lua_State *L, int index) {
  if (lua_isfunction(L, index)) return;
  if (luaL_getmetafield(L, index, "__call") == LUA_TNIL)
    (void)desist__type_error(L, index, "function");
  lua_pop(L, 1);
}

/* The error on top is that of a guard around this one, which goes on. */
static bool is_from_below(lua_State *L, const desist__frame *frame) {
  bool is = false;
  for (; frame != NULL && !is; frame = frame->below) {
    if (frame->token == NULL || frame->stage < RAISED) continue;
    push_error(L, frame);
    is = lua_rawequal(L, -1, -2) != 0;
    lua_pop(L, 1);
  }
  return is;
}

/* Results from `first` on, or the error on top; `below` is around it. */
static int give(lua_State *L, const desist__frame *below, int status,
                int first) {
  luaL_checkstack(L, 10, "too many results");
  if (status == LUA_OK || status == LUA_YIELD) {
    lua_pushboolean(L, 1);
    lua_insert(L, first);
    return lua_gettop(L) - first + 1;
  }
  if (is_from_below(L, below)) return lua_error(L);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

const box_type desist__guard_type = { "desist.guard", sizeof(guard_box) };

/* Collected with its coroutine, those around it in there after it. */
static int guard_gc(lua_State *L) {
  guard_box *box = (guard_box *)desist__check(L, 1, &desist__guard_type);
  if (!box->frame.kept) return 0;
  keep_no_more(&box->frame);
  let_go_all(&box->frame);
  return 0;
}

/* boxes[running] = the value at the index, or nil. */
static void set_box(lua_State *L, const desist__guards *guards, int index) {
  index = index == 0 ? 0 : lua_absindex(L, index);
  lua_rawgeti(L, LUA_REGISTRYINDEX, guards->boxes);
  if (index == 0)
    lua_pushnil(L);
  else
    lua_pushvalue(L, index);
  lua_rawsetp(L, -2, L);
  lua_pop(L, 1);
}

enum { GUARD_OUTER = 1 }; /* user value: the box around it in its coroutine */

/* Index 2 is the box. */
static int end_yielding(lua_State *L, int status, lua_KContext context) {
  guard_box *box = (guard_box *)lua_touserdata(L, 2);
  desist__frame *below = box->frame.below;
  (void)context;
  if (box->frame.guards->top == &box->frame) {
    leave(&box->frame);
  } else { /* resumed in a way that is not tracked */
    if (box->frame.kept) {
      keep_no_more(&box->frame);
      if (below != NULL) keep(below);
    }
    let_go(&box->frame);
    below = NULL;
  }
  luaL_checkstack(L, 10, "too many results");
  lua_getiuservalue(L, 2, GUARD_OUTER);
  if (lua_isnil(L, -1))
    set_box(L, box->frame.guards, 0);
  else
    set_box(L, box->frame.guards, -1);
  lua_pop(L, 1);
  return give(L, below, status, 3);
}

/* Inside a coroutine that may yield meanwhile. */
static int guard_yielding(lua_State *L, host *owner, int64_t grace) {
  guard_box *box = (guard_box *)desist__new_box(
      L, owner, &desist__guard_type, GUARD_META, sizeof *box, GUARD_OUTER);
  lua_insert(L, 2);
  (void)push_box(L, &owner->guards, L);
  lua_setiuservalue(L, 2, GUARD_OUTER);
  set_box(L, &owner->guards, 2);
  box->frame.token = ((token_box *)lua_touserdata(L, 1))->core;
  box->frame.grace = grace;
  enter(&owner->guards, &box->frame, L);
  return end_yielding(
      L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 0, 0, end_yielding), 0);
}

/* Nothing can cancel its token. */
static int end_unguarded(lua_State *L, int status, lua_KContext context) {
  return give(L, ((const desist__guards *)context)->top, status, 2);
}

int desist__guard(lua_State *L) {
  host *owner = desist__host_of(L);
  desist__guards *guards = &owner->guards;
  int64_t grace = check_options(L);
  desist_token *token = ((token_box *)lua_touserdata(L, 1))->core;
  desist__frame frame;
  int status;
  check_callable(L, 2);
  desist__track(L, owner);
  luaL_checkstack(L, 20, NULL);
  if (desist_token_is_cancelled(token)) {
    lua_pushboolean(L, 0);
    desist__push_error(L, 1);
    return 2;
  }
  if (!desist_token_can_be_cancelled(token))
    return end_unguarded(L,
                         lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0,
                                    (lua_KContext)guards, end_unguarded),
                         (lua_KContext)guards);
  desist__list_token(L, 1); /* to be found for its error */
  if (lua_isyieldable(L) && guards->running == L)
    return guard_yielding(L, owner, grace);
  memset(&frame, 0, sizeof frame);
  frame.token = token;
  frame.grace = grace;
  enter(guards, &frame, L);
  status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
  leave(&frame);
  return give(L, frame.below, status, 2);
}

/* seconds, function, ... */
int desist__budget(lua_State *L) {
  host *owner = desist__host_of(L);
  desist__guards *guards = &owner->guards;
  int64_t limit = desist__check_duration(L, 1), now = desist_now();
  desist__frame frame;
  int status;
  desist__track(L, owner);
  memset(&frame, 0, sizeof frame);
  frame.until = later(now, limit);
  enter(guards, &frame, L);
  status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
  leave(&frame);
  if (status != LUA_OK) return lua_error(L);
  return lua_gettop(L) - 1;
}

/* Whether it can, and how. */
int desist__can_interrupt(lua_State *L) {
  lua_pushboolean(L, 1);
  lua_pushstring(L, desist_lua_can_interrupt() == DESIST_LUA_BY_SIGNAL
                        ? "signal"
                        : "hook");
  return 2;
}

void desist__guard_open(lua_State *L, host *owner) {
  static const luaL_Reg methods[] = {
    { "__gc", guard_gc },
    { NULL, NULL },
  };
  desist__set_methods(L, owner, GUARD_META, &desist__guard_type, methods);
  open_guards(L, owner);
}

/* --- For hosts --- */

static int not_open(lua_State *L) {
  return luaL_error(L, "desist is not open in this state");
}

/* token */
static int raise_of(lua_State *L) {
  desist__push_token(L, desist__host_in(L),
                     (desist_token *)lua_touserdata(L, 1));
  desist__push_error(L, -1);
  return lua_error(L);
}

static int track(lua_State *L) {
  desist__track(L, desist__host_in(L));
  return 0;
}

/* In the place of the call; the status. */
static int fail(lua_State *L, int arguments, lua_CFunction raise,
                desist_token *token, int handler) {
  if (handler != 0) handler = lua_absindex(L, handler);
  lua_settop(L, -arguments - 2);
  if (!lua_checkstack(L, 2)) {
    lua_pushnil(L);
    return LUA_ERRMEM;
  }
  lua_pushcfunction(L, raise);
  lua_pushlightuserdata(L, token);
  return lua_pcall(L, 1, 0, handler);
}

int desist_lua_pcall(lua_State *L, int arguments, int results, int handler,
                     desist_token *token, int64_t grace) {
  host *owner = desist__host_in(L);
  desist__frame frame;
  int status;
  if (owner == NULL || owner->inbox == NULL)
    return fail(L, arguments, not_open, NULL, handler);
  if (!desist_token_can_be_cancelled(token))
    return lua_pcall(L, arguments, results, handler);
  if (desist_token_is_cancelled(token))
    return fail(L, arguments, raise_of, token, handler);
  if (!owner->guards.tracked) {
    if (handler != 0) handler = lua_absindex(L, handler);
    if (!lua_checkstack(L, 1)) return fail(L, arguments, track, NULL, handler);
    lua_pushcfunction(L, track);
    status = lua_pcall(L, 0, 0, 0);
    if (status != LUA_OK) {
      lua_insert(L, -arguments - 2);
      lua_pop(L, arguments + 1);
      return status;
    }
  }
  memset(&frame, 0, sizeof frame);
  frame.token = token;
  frame.grace = grace < 0 ? default_grace : grace;
  enter(&owner->guards, &frame, L);
  status = lua_pcall(L, arguments, results, handler);
  leave(&frame);
  return status;
}

desist_lua_interrupts desist_lua_can_interrupt(void) {
#  if DESIST__INTERRUPTS
  return DESIST_LUA_BY_SIGNAL;
#  else
  return DESIST_LUA_BY_HOOK;
#  endif
}

#else

static int refuse(lua_State *L) {
  return luaL_error(L, "this build of desist has no guard");
}

int desist__guard(lua_State *L) { return refuse(L); }
int desist__budget(lua_State *L) { return refuse(L); }

int desist__watch_guards(lua_State *L) {
  (void)L;
  return 0;
}

int desist__track_coroutines(lua_State *L) { return refuse(L); }

int desist__can_interrupt(lua_State *L) {
  lua_pushboolean(L, 0);
  lua_pushliteral(L, "this build of desist has no guard");
  return 2;
}

void desist__guard_open(lua_State *L, host *owner) {
  (void)L;
  (void)owner;
}

void desist__guards_end(host *owner) { (void)owner; }

bool desist__guard_check(lua_State *L, host *owner, bool give) {
  (void)L;
  (void)owner;
  (void)give;
  return false;
}

void desist__guards_called(lua_State *L, host *owner) {
  (void)L;
  (void)owner;
}

int64_t desist__guard_until(const host *owner) {
  (void)owner;
  return DESIST_NEVER;
}

int desist_lua_pcall(lua_State *L, int arguments, int results, int handler,
                     desist_token *token, int64_t grace) {
  (void)results;
  (void)handler;
  (void)token;
  (void)grace;
  lua_settop(L, -arguments - 2);
  lua_pushliteral(L, "this build of desist has no guard");
  return LUA_ERRRUN;
}

desist_lua_interrupts desist_lua_can_interrupt(void) {
  return DESIST_LUA_CANNOT;
}

#endif
