/*
** lua_guard.h: stopping Lua code that does not yield. See lua_interrupt.c.
*/
#ifndef DESIST_LUA_GUARD_H
#define DESIST_LUA_GUARD_H

#include "platform.h"

#include <lua.h>

#include "desist.h"

/* Lua before 5.4 is not done yet. */
#if !defined(DESIST_NO_GUARD) && LUA_VERSION_NUM >= 504
#  define DESIST__GUARD 1
#else
#  define DESIST__GUARD 0
#endif

#if DESIST__GUARD

DESIST__BEGIN

typedef struct desist__frame desist__frame;
typedef struct desist__resumed desist__resumed;
typedef struct desist__guards desist__guards;

/* A frame's stages. A guard's error: not raised; put off until callbacks have
** run; raised once; raised at every instruction. A budget's: done. */
enum {
  DESIST__QUIET,
  DESIST__PUT_OFF,
  DESIST__RAISED,
  DESIST__STOPPING,
  DESIST__DONE
};

enum {
  /* Instructions between two looks without signals. A prime: others' hooks
  ** count too, and must not always be what the last one falls on. */
  DESIST__MANY = 997
};

/* A guard, or the budget of a step, that is around what runs. */
struct desist__frame {
  desist__frame *below;     /* entered before it */
  desist__guards *guards;   /* the state's */
  lua_State *L;             /* the coroutine that called */
  lua_State *before;        /* guards->running then */
  desist__resumed *resumes; /* guards->resumes then */
  desist_token *token;      /* NULL: a budget */
  desist_registration registration;
  int64_t grace;
  int64_t until;  /* PUT_OFF, RAISED: end of the grace; a budget: its end */
  int64_t raised; /* when its error was raised first */
  int64_t late;   /* when it is to be told that it still runs */
  unsigned calls; /* the host's, when it was entered */
  uint8_t stage;
  bool held; /* registered, with a reference */
  bool kept; /* the innermost of a coroutine that has yielded */
  desist__frame *next, *previous; /* guards->kept, if it is */
};

/* A tracked resume, while it runs. */
struct desist__resumed {
  desist__resumed *below;
  lua_State *co, *from; /* from NULL: by a host; nothing is set aside there */
  bool task;            /* by a loop: what is set aside comes back here */
};

/* A hook of somebody else's, which ours is in the place of. */
typedef struct desist__hook {
  lua_State *L; /* NULL: none */
  lua_Hook hook;
  int mask, count;
} desist__hook;

enum { DESIST__HOOKS = 8 };

/* How a coroutine stood at the signal handler's last look, and for how many
** looks in a row. One that has resumed another unseen stands still. */
typedef struct desist__stand {
  const void *frame;
  int top;
  int looks;
} desist__stand;

enum { DESIST__UNSEEN = 8 }; /* coroutines resumed one inside the other */

/* What a state's host has for it. The signal handler, on the same thread, reads
** and writes here too. */
struct desist__guards {
#  if DESIST__INTERRUPTS
  desist__interrupt interrupt; /* first */
#  endif
  desist__frame *top;       /* innermost; NULL: the state is not interrupted */
  lua_State *running;       /* the coroutine that runs, as far as is known */
  desist__resumed *resumes; /* innermost */
  /* Since the hook that the handler has set in `running` was not called, the
  ** thread's processor time at the last look; 0: it was called, or not set. */
  int64_t looked;
  /* Of running, of what it resumed, and so on. */
  desist__stand stands[DESIST__UNSEEN];
  int64_t timer; /* when it rings first, then again and again; 0: never */
  desist__hook hooks[DESIST__HOOKS];
  int next_hook;
  bool by_signal;
  bool alert; /* some frame is cancelled or over; atomic */
  bool aside; /* what yields now is set aside */
  bool tracked;
  desist__frame *kept; /* of coroutines that have yielded inside of guards */
  int boxes;           /* registry: coroutine -> its innermost guard, weakly */
  int finalizer;       /* registry: the coroutine that runs finalizers */
  lua_State *finalizing; /* that one, while it does */
  lua_State *hookless;   /* it died of an error, and is being closed */
  int64_t late_after;    /* so long after the error a frame is late */
  int on_late;           /* registry: who is to be told; LUA_NOREF: nobody */
};

/* --- Interrupting (lua_interrupt.c) --- */

/* A moment so much later; at most DESIST_NEVER. */
int64_t desist__guard_later(int64_t now, int64_t duration);
/* The outermost guard that has to raise now; else a budget that is over; else
** NULL. */
desist__frame *desist__guard_due(const desist__guards *guards, int64_t now);
/* After frames have changed: when the timer rings. */
void desist__guard_set_timer(desist__guards *guards, int64_t now);
/* Sets our hook, to be called after so many instructions; */
void desist__guard_arm(desist__guards *guards, lua_State *L, int count);
/* the one that was there; whichever fits while nothing is to be done. */
void desist__guard_disarm(desist__guards *guards, lua_State *L);
void desist__guard_rest(desist__guards *guards, lua_State *L);
/* The callback of a frame's token; the guards are its data. */
void desist__guard_cancelled(void *data, desist_reason *reason);
/* Before the first frame is entered on this thread, after the last has gone. */
void desist__guards_start(desist__guards *guards);
void desist__guards_stop(desist__guards *guards);

/* --- Frames (lua_frame.c) --- */

/* token and grace, or until, are set. */
void desist__frame_enter(desist__guards *guards, desist__frame *frame,
                         lua_State *L);
/* The innermost one. */
void desist__frame_leave(desist__frame *frame);
/* Gives back its token, if it has that; and so do all below it. */
void desist__frame_let_go(desist__frame *frame);
void desist__frame_let_go_all(desist__frame *frame);
/* Its coroutine has yielded inside of it; goes on, or is gone. */
void desist__frame_keep(desist__frame *frame);
void desist__frame_keep_no_more(desist__frame *frame);

DESIST__END

#endif

#endif
