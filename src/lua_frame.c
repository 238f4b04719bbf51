/*
** lua_frame.c: guards and budgets as frames around what runs: entered, left,
** and put by with the coroutine that has yielded inside of them. Rule #1 of
** lua_interrupt.c is kept here.
*/
#include "lua_binding.h"

#if DESIST__GUARD

#  include "atomic.h"

/* --- Frames --- */

static void hold(desist__frame *frame) {
  desist_token_retain(frame->token);
  frame->held = true;
  desist_register(frame->token, &frame->registration, desist__guard_cancelled,
                  frame->guards);
}

/* The handler does not know it any more. */
void desist__frame_let_go(desist__frame *frame) {
  if (!frame->held) return;
  frame->held = false;
  (void)desist_unregister_wait(&frame->registration);
  desist_token_release(frame->token);
}

void desist__frame_enter(desist__guards *guards, desist__frame *frame,
                         lua_State *L) {
  frame->guards = guards;
  frame->L = L;
  frame->before = guards->running;
  frame->resumes = guards->resumes;
  frame->below = guards->top;
  frame->calls = desist__host_with(guards)->calls;
  frame->stage = DESIST__QUIET;
  if (guards->top == NULL) desist__guards_start(guards);
  desist__store_release(&guards->running, L);
  desist__store_release(&guards->top, frame);
  if (frame->token != NULL)
    hold(frame);
  else
    desist__guard_set_timer(guards, desist_now());
  if (!guards->by_signal) desist__guard_arm(guards, L, DESIST__MANY);
}

/* The frame is the innermost. */
void desist__frame_leave(desist__frame *frame) {
  desist__guards *guards = frame->guards;
  desist__store_release(&guards->top, frame->below);
  desist__store_release(&guards->running, frame->before);
  if (guards->top == NULL)
    desist__guards_stop(guards);
  else
    desist__guard_set_timer(guards, desist_now());
  desist__frame_let_go(frame);
  desist__guard_rest(guards, frame->L);
  if (guards->alert && desist__guard_due(guards, desist_now()) != NULL)
    desist__guard_arm(guards, frame->L, 1);
}

void desist__guards_open(lua_State *L, host *owner) {
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

void desist__frame_let_go_all(desist__frame *frame) {
  for (; frame != NULL; frame = frame->below) desist__frame_let_go(frame);
}

void desist__guards_end(host *owner) {
  desist__guards *guards = &owner->guards;
  desist__frame *top = guards->top;
  desist__store_release(&guards->top, (desist__frame *)NULL);
  if (top != NULL) desist__guards_stop(guards);
  desist__frame_let_go_all(top); /* os.exit inside of them */
  for (; guards->kept != NULL; guards->kept = guards->kept->next) {
    guards->kept->kept = false;
    desist__frame_let_go_all(guards->kept);
  }
#  if DESIST__INTERRUPTS
  desist__interrupt_end(&guards->interrupt);
#  endif
}

/* --- Coroutines (for lua_coroutine.c) --- */

void desist__frame_keep(desist__frame *frame) {
  desist__guards *guards = frame->guards;
  frame->kept = true;
  frame->previous = NULL;
  frame->next = guards->kept;
  if (frame->next != NULL) frame->next->previous = frame;
  guards->kept = frame;
}

void desist__frame_keep_no_more(desist__frame *frame) {
  frame->kept = false;
  if (frame->next != NULL) frame->next->previous = frame->previous;
  if (frame->previous != NULL)
    frame->previous->next = frame->next;
  else
    frame->guards->kept = frame->next;
}

/* Pushes the box of the innermost guard of `co`, or nil. Not on the stack of
** `co`: making room there enlarges the frame that it was set aside in. */
guard_box *desist__push_guard_box(lua_State *L, const desist__guards *guards,
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
  box = desist__push_guard_box(from, guards, co);
  lua_pop(from, 1);
  if (box == NULL || !box->frame.kept) return NULL;
  desist__frame_keep_no_more(&box->frame);
  return &box->frame;
}

void desist__guards_resuming(desist__guards *guards, lua_State *co,
                             lua_State *from) {
  desist__frame *frame = take_kept(guards, co, from);
  if (frame != NULL && lua_status(co) != LUA_YIELD) {
    desist__frame_let_go_all(frame); /* it was closed unseen, and begins anew */
  } else if (frame != NULL) {
    desist__frame *last = frame;
    while (last->below != NULL) last = last->below;
    last->below = guards->top;
    if (guards->top == NULL) desist__guards_start(guards);
    desist__store_release(&guards->top, frame);
    desist__guard_set_timer(guards, desist_now());
  }
  if (guards->top == NULL) return;
  guards->looked = 0;
  if (!guards->by_signal) desist__guard_arm(guards, co, DESIST__MANY);
  if (guards->alert && desist__guard_due(guards, desist_now()) != NULL)
    desist__guard_arm(guards, co, 1);
}

/* The frames above `top` are those of a coroutine that has yielded, or died. */
static void put_by(desist__guards *guards, desist__frame *top, bool yielded) {
  desist__frame *first = guards->top, *last = first;
  desist__store_release(&guards->top, top);
  if (top == NULL) desist__guards_stop(guards);
  while (last->below != top) last = last->below;
  last->below = NULL;
  if (yielded)
    desist__frame_keep(first);
  else
    desist__frame_let_go_all(first);
}

/* It is closed with the guards it has yielded in. */
void desist__guards_drop(desist__guards *guards, lua_State *co,
                         lua_State *from) {
  desist__frame_let_go_all(take_kept(guards, co, from));
}

void desist__guards_resumed(desist__guards *guards, lua_State *co,
                            lua_State *from, desist__frame *top, bool yielded) {
  if (guards->top != top) {
    put_by(guards, top, yielded);
    if (top != NULL) desist__guard_set_timer(guards, desist_now());
  }
  guards->looked = 0;
  desist__guard_disarm(guards, co);
  if (guards->alert && from != NULL &&
      desist__guard_due(guards, desist_now()) != NULL) {
    desist__guard_arm(guards, from, 1);
    guards->looked = 0;
  }
}

#endif
