/*
** lua_binding.h: what the files of the Lua binding share.
**
** A state has one host. Each core source that the state knows has at most one
** token object that scripts can come by, and at most one source object on it.
** (A second one there is for a time if a finalizer asks for a handle while the
** first, with callbacks, is about to be finalized: that one comes back for
** them. So registrations find their token by its box.) What keeps what:
**
**   source object -> token object -> pins: registrations, and tokens of links
**   token of a link -> tokens of its inputs
**   registry -> host, weakly: tokens that must be found by their core object,
**     or for their registrations
**   registry -> anchors: tokens with pins that something outside of the
**     state's own objects can still cancel (a real deadline, a signal, another
**     state, the host program)
**   source object -> its manual clock -> tokens with pins and a deadline
**     armed on it
**
** So callbacks are reachable exactly as long as something can still make them
** run, and cycles through them are garbage like any others. A token's pins
** are counted; at the first it is pinned in its inputs, at the last let go.
**
** Nothing that may raise a Lua error stands between taking something from the
** core and storing it in an object with a finalizer. While the core is inside
** a call (desist__cancel and the like), nothing may raise at all.
*/
#ifndef DESIST_LUA_BINDING_H
#define DESIST_LUA_BINDING_H

#include "platform.h"

#include "lua_compat.h"

#include "desist.h"
#include "desist_lua.h"
#include "lua_guard.h"
#include "queue.h"

DESIST__BEGIN

typedef struct host host;
typedef struct source_box source_box;
typedef struct token_box token_box;
typedef struct registration_box registration_box;
typedef struct clock_box clock_box;
typedef struct error_box error_box;

/* Each userdata begins with the address of its type. */
typedef struct box_type {
  const char *name; /* the metatable's */
  size_t size;      /* at least */
} box_type;

extern const box_type desist__source_type, desist__token_type,
    desist__registration_type, desist__clock_type, desist__error_type;

struct host {
  desist__inbox *inbox; /* NULL: the state is being closed */
  token_box *tokens;    /* all of the state, for its end */
  source_box *sources;  /* those that are not shared */
  source_box *shared;
  clock_box *clocks;
  /* In the registry. */
  int objects;  /* weak: core token -> token, core token + 1 -> source, core
                ** clock -> clock, token_box -> its token */
  int anchors;  /* token_box -> its token */
  int on_error; /* the handler; LUA_NOREF: the default one */
  int add_traceback; /* the message handler of lua_report.c */
  const char
      *own; /* what names of our Lua chunks begin with; NULL: not known */
  size_t own_length;
  int metatables[8];
  int sentinel; /* the metatable of those of lua_shared.c */
  int none;     /* desist.none */
  int loops;    /* the module desist.async.embedding; LUA_NOREF: not loaded */
  bool open;    /* all of it is there */
  bool watched; /* there is a sentinel */
#if LUA_VERSION_NUM < 502
  lua_State *main; /* the main thread, as far as is known */
#endif
  int most_arguments; /* of any registration so far */
  bool tracing;   /* where and when things are made is noted (lua_inspect.c) */
  unsigned calls; /* how many cancelling calls of this state are under way */
  uint64_t pin_calls; /* a number for each change of pins and anchors */
#if DESIST__GUARD
  desist__guards guards;
#endif
};

enum {
  SOURCE_META,
  TOKEN_META,
  REGISTRATION_META,
  CLOCK_META,
  ERROR_META,
  TIMERS_META,
  GUARD_META,
  VIEW_META
};

struct source_box {
  const box_type *type;
  host *owner;
  desist_source *core; /* NULL: finalized, or not made */
  token_box *token;    /* user value 1 */
  source_box *next, *previous;
  bool listed; /* in objects */
  bool shared; /* something outside of the state may hold it, too */
};

enum { SOURCE_TOKEN = 1, SOURCE_CLOCK }; /* user values */

struct token_box {
  const box_type *type;
  host *owner;
  desist_token *core; /* NULL: desist.none, finalized, or not made */
  registration_box *first;
  token_box *next, *previous;
  desist_clock *clock; /* a manual one of the state, not kept; or NULL */
  uint64_t reserved;   /* for the pin_calls of who is entering it */
  uint32_t pins;
  uint16_t inputs;
  bool never;       /* desist.none */
  bool listed;      /* in objects, by the core token */
  bool known;       /* there too, by the box: its registrations find it */
  bool foreign;     /* something outside of the state may cancel it */
  bool settled;     /* for its inputs, which it has left, the origin is kept */
  uint8_t anchored; /* in anchors, or in its clock's; see lua_pins.c */
};

/* User values of a token; a plain one has TOKEN_VALUES. */
enum {
  TOKEN_PINS = 1, /* a table: ref -> registration, token of a link -> true */
  TOKEN_REASON,   /* the reason, where it is an object of this state */
  TOKEN_ERROR,
  TOKEN_VALUES = TOKEN_ERROR,
  TOKEN_INPUTS /* of a link, from here on: their tokens */
};

struct registration_box {
  const box_type *type;
  host *owner;
  desist__watch watch;
  token_box *token;
  registration_box *next, *previous; /* the token's, while active */
  int ref;                           /* in the token's pins */
  int arguments;
  bool active;
  bool dropped; /* while its token could not be found */
  bool noted;   /* behind its arguments: where it was made, and when */
};

static inline registration_box *desist__registration_of(desist__watch *watch) {
  return (registration_box *)(void *)((char *)watch -
                                      offsetof(registration_box, watch));
}

enum { REGISTRATION_TOKEN = 1, REGISTRATION_CALLBACK, REGISTRATION_FIRST };

struct clock_box {
  const box_type *type;
  host *owner;
  desist_clock *core; /* NULL: finalized, or not made */
  clock_box *next, *previous;
};

enum { CLOCK_ANCHORS = 1 };

/* --- Boxes (lua_host.c) --- */

/* The box at `index`, or NULL. */
static inline void *desist__test(lua_State *L, int index,
                                 const box_type *type) {
  void *box = lua_touserdata(L, index);
  if (box != NULL && lua_rawlen(L, index) >= type->size &&
      *(const box_type **)box == type)
    return box;
  return NULL;
}

/* For messages; may push a value. */
const char *desist__type_name(lua_State *L, int index);
/* Raises the argument error. */
int desist__type_error(lua_State *L, int index, const char *expected);
void *desist__wrong_type(lua_State *L, int index, const box_type *type);

static inline void *desist__check(lua_State *L, int index,
                                  const box_type *type) {
  void *box = desist__test(L, index, type);
  return box != NULL ? box : desist__wrong_type(L, index, type);
}

#define desist__check_source(L, i) \
  ((source_box *)desist__check((L), (i), &desist__source_type))
#define desist__check_token(L, i) \
  ((token_box *)desist__check((L), (i), &desist__token_type))

host *desist__host_of(lua_State *L); /* upvalue 1 of the module's functions */
/* Pushes a userdata with its metatable, closed. */
void *desist__new_box(lua_State *L, host *owner, const box_type *type,
                      int metatable, size_t size, int values);
token_box *desist__new_token(lua_State *L, host *owner, int inputs);
/* On the token at `token`, which it keeps. `timed`: it has room for a clock. */
source_box *desist__new_source(lua_State *L, host *owner, int token,
                               bool timed);
/* Such a source keeps the manual clock that its core is on, if it is one of
** this state. */
void desist__keep_clock(lua_State *L, int source);
/* Take over a reference. */
void desist__own_token(token_box *box, desist_token *core);
void desist__own_source(source_box *box, desist_source *core);
void desist__own_clock(clock_box *box, desist_clock *core);
/* Takes it out of the state's list. */
void desist__unlink_source(source_box *box);

/* So that it is found by `key`, by its core object (unless another token is),
** or by its box. */
void desist__list(lua_State *L, const host *owner, int index, void *key);
void desist__list_token(lua_State *L, int index);
void desist__list_box(lua_State *L, int index);
void desist__list_source(lua_State *L, int index);
/* Pushes what is listed, or nil. */
void desist__find(lua_State *L, const host *owner, const void *key);
void desist__find_token(lua_State *L, const host *owner,
                        const desist_token *core);
/* Pushes the state's token for a core token, made if need be. */
void desist__push_token(lua_State *L, host *owner, desist_token *core);
/* Pushes the state's source for a core source, made if need be. */
void desist__push_source(lua_State *L, host *owner, desist_source *core);
/* Pushes the token where the cancellation of this one began: nil if this
** state's links do not lead there (lua_origin.c); or else as push_token. */
void desist__find_origin(lua_State *L, int token);
void desist__push_origin(lua_State *L, int token);
/* A finished link keeps none of its inputs but the origin of its cancellation,
** once its callbacks are gone. May raise, changing nothing. */
void desist__settle_inputs(lua_State *L, int token);
/* The token and its inputs, transitively: something outside of the state may
** lead back to any of them. */
void desist__list_all(lua_State *L, int token);
/* The end of a token: the core does not know its registrations any more. */
void desist__forget_token(token_box *box);
void desist__forget_source(source_box *box);
void desist__forget_clock(clock_box *box);

int desist__no_memory(lua_State *L);
void desist__set_methods(lua_State *L, host *owner, int which,
                         const box_type *type, const luaL_Reg *methods);

/* --- Pins and anchors (lua_pins.c) --- */

/* Pushes the token's pins, made if need be. */
void desist__push_pins(lua_State *L, int token);
/* One more reason to be kept. False, and an error is on top of the stack:
** nothing has changed. */
bool desist__pin(lua_State *L, int token);
/* One less. Never raises. */
void desist__unpin(lua_State *L, int token);
/* A link is kept by its inputs no more, and does not keep them. Never raises.
*/
void desist__leave_inputs(lua_State *L, int token);
/* If the token is closed: lets go of what was kept for it, and of links that
** have ended or lost their inputs with it (lua_leave.c). Never raises. */
void desist__end_token(lua_State *L, int token);
/* After it was armed, disarmed or closed. May raise where it was not anchored
** for that before. */
void desist__update_anchor(lua_State *L, int token);
/* Before a deadline is armed; sets `foreign`. They may raise, and then have
** changed nothing. */
void desist__anchor_armed(lua_State *L, int token);
void desist__anchor_foreign(lua_State *L, int token);
/* Nothing outside of the state can cancel it any more. Never raises. */
void desist__anchor_no_more(lua_State *L, token_box *token);

/* --- Shared sources (lua_shared.c) --- */

/* The source at `index` may be held outside of the state from now on. It may
** raise, and then has changed nothing. */
void desist__share_source(lua_State *L, int index);
void desist__shared_open(lua_State *L, host *owner);

/* --- Calls into Lua (lua_call.c) --- */

/*
** A call of the core in this state's name. It needs DESIST__CALL_SLOTS stack
** slots from `base` on; between begin and end nothing raises.
*/
typedef struct desist__call {
  desist__runner runner; /* first */
  lua_State *L;
  host *owner;
  int base;        /* slots: token, its pins, reason; then the errors */
  int hint;        /* where a token stands that may not be listed; 0: none */
  int errors;      /* kept on the stack */
  bool to_handler; /* else they are kept */
  bool stop;       /* at the first error */
  bool stopped;
} desist__call;

/* Pushes the slots; the reason is on top of the stack, and is taken. */
void desist__call_begin(desist__call *call, lua_State *L, host *owner,
                        int hint);
/* Lets go of what was dropped meanwhile, and pops the slots; raises what was
** kept. */
void desist__call_end(desist__call *call);
/* Lets go of what other calls of the core dropped. */
void desist__drain(lua_State *L, host *owner, int hint);
/* Runs one callback that was taken from the inbox. */
void desist__call_run(const desist__runner *runner, desist__watch *watch);

/* --- Errors that nobody called for (lua_report.c) --- */

/* For a protected call, of which the result, an error, is reported then and
** popped. */
void desist__push_message_handler(lua_State *L, const host *owner);
void desist__report_raised(lua_State *L, host *owner, int handler, int status);
/* Error and traceback are on top of the stack: to the state's handler. Never
** raises. */
void desist__report(lua_State *L, host *owner);
int desist__on_error(lua_State *L);
void desist__report_open(lua_State *L, host *owner);

/* --- Registrations (lua_registration.c) --- */

/* It ran, or was dropped or unregistered: lets go of callback and arguments.
** `pins` are its token's. Never raises. */
void desist__registration_end(lua_State *L, registration_box *box, int index,
                              int pins);
/* The same, and its token is pinned by it no more. */
void desist__registration_drop(lua_State *L, registration_box *box, int token);
void desist__registration_open(lua_State *L, host *owner);
int desist__token_register(lua_State *L);

/* --- Reasons (lua_reason.c) --- */

/* The value at `index` as a reason with a reference; NULL for nil, where that
** is the default. An object is kept in the token at `token`; 0: only its text
** is. */
desist_reason *desist__to_reason(lua_State *L, host *owner, int index,
                                 int token, desist_kind kind);
/* Pushes what it carries; of an object the text. */
void desist__push_value(lua_State *L, const desist_reason *reason);
/* Pushes the text of any value, whatever its __tostring does. */
void desist__push_text(lua_State *L, int index);
/* Pushes the reason of a cancelled token. */
void desist__push_reason(lua_State *L, int token);

/* --- Errors (lua_error.c) --- */

/* Pushes the error of a cancelled token, the same at every call. */
void desist__push_error(lua_State *L, int token);
/* Whether the value at the index is the error of a cancellation, whose it may
** be (NULL: of any). Never raises. */
bool desist__is_error_of(lua_State *L, int index, const desist_token *token);
/* host, any values: gives one error of kind "callbacks". */
int desist__collect_errors(lua_State *L);
int desist__is_cancelled_error(lua_State *L);
int desist__is_timeout(lua_State *L);
void desist__error_open(lua_State *L, host *owner);

/* --- For the Lua modules (lua_async.c) --- */

/* Pushes the table of what only they use. */
void desist__push_inside(lua_State *L, host *owner);
int desist__source_fail(lua_State *L);
int desist__error_make(lua_State *L);
/* Whether the chunk of that name is one of our Lua files. Never raises. */
bool desist__is_own(const host *owner, const char *chunk);
/* Pushes the functions of lua_timers.c. */
void desist__push_timers(lua_State *L, host *owner);

/* --- Guards (lua_guard.c, lua_frame.c, lua_coroutine.c) --- */

/* desist.guard and its neighbours; they raise where they were left out. */
int desist__guard(lua_State *L);
int desist__can_interrupt(lua_State *L);
int desist__track_coroutines(lua_State *L);
/* For the Lua files: seconds, function, ...: calls it with a budget. */
int desist__budget(lua_State *L);
int desist__watch_guards(lua_State *L);
void desist__guard_open(lua_State *L, host *owner);
/* At the end of the state. */
void desist__guards_end(host *owner);
/* Inside a long wait: raises what a guard around it has to raise. `give`: the
** first time it is only pushed, and the result is true. */
bool desist__guard_check(lua_State *L, host *owner, bool give);
/* Callbacks have run, and L goes on. */
void desist__guards_called(lua_State *L, host *owner);
/* The moment when a wait must look again; DESIST_NEVER: when it is woken. */
int64_t desist__guard_until(const host *owner);

#if DESIST__GUARD

typedef struct guard_box {
  const box_type *type;
  desist__frame frame;
} guard_box;

extern const box_type desist__guard_type;

/* Pushes the box of the innermost guard of `co`, or nil. Not on the stack of
** `co`: making room there enlarges the frame that it was set aside in. */
guard_box *desist__push_guard_box(lua_State *L, const desist__guards *guards,
                                  const lua_State *co);
void desist__guards_open(lua_State *L, host *owner);

static inline host *desist__host_with(desist__guards *guards) {
  return (host *)(void *)((char *)guards - offsetof(host, guards));
}

/* Replaces coroutine.resume and so on, the first time. */
void desist__track(lua_State *L, host *owner);
/* Around a resume: the guards that `co` has yielded in come back; those that
** are above `top` go. */
void desist__guards_resuming(desist__guards *guards, lua_State *co,
                             lua_State *from);
void desist__guards_resumed(desist__guards *guards, lua_State *co,
                            lua_State *from, desist__frame *top, bool yielded);
/* The guards that `co` has yielded in are its own affair no more. */
void desist__guards_drop(desist__guards *guards, lua_State *co,
                         lua_State *from);
/* resume and close for the loops' tasks. What is set aside gives true and the
** address of that key. */
extern const char desist__aside_key;
int desist__resume_task(lua_State *L);
int desist__close_task(lua_State *L);

#endif

/* --- Looking (lua_inspect.c) --- */

/* While tracing: where and when it was made. The first never raises; the second
** is for a registration with so many more user values, and may raise. */
enum { REGISTRATION_NOTES = 2 };
void desist__note_source(lua_State *L, const host *owner,
                         desist_source *source);
void desist__note_registration(lua_State *L, registration_box *box, int index);
/* Adds its functions to the table on top of the stack. */
void desist__inspect_open(lua_State *L, host *owner);

/* --- The other types and the module's functions --- */

int64_t desist__check_duration(lua_State *L, int index);
/* NaN raises; +-infinity are the ends. */
int64_t desist__check_time(lua_State *L, int index);
double desist__seconds(int64_t nanoseconds);

/* Fills the boxes at `token` and `source`; takes over the reference. NULL
** raises: out of memory. */
void desist__fill(lua_State *L, int token, int source, desist_source *core);

void desist__source_open(lua_State *L, host *owner);
void desist__token_open(lua_State *L, host *owner);
void desist__clock_open(lua_State *L, host *owner);
int desist__source_make(lua_State *L);
int desist__linked_make(lua_State *L);
int desist__linked_all_make(lua_State *L);
int desist__after(lua_State *L);
int desist__cancelled_token(lua_State *L);
int desist__signal(lua_State *L);
int desist__from_handle(lua_State *L);
int desist__clock_make(lua_State *L);
int desist__clock_real(lua_State *L);
int desist__dispatch(lua_State *L);
int desist__wakeup_fd(lua_State *L);
int desist__token_wait(lua_State *L);
/* Runs what is queued now, at most `max`; how many ran. */
size_t desist__run_queued(lua_State *L, host *owner, size_t max);
/* The same, adding to `ran` as they run: it may raise, for want of memory. */
void desist__run_counting(lua_State *L, host *owner, size_t max, size_t *ran);

/* --- For hosts (desist_lua.h) --- */

/* The state's host; NULL: the module is not open in it. Never raises. */
host *desist__host_in(lua_State *L);
/* The same, or raises. */
host *desist__host_or_error(lua_State *L);

DESIST__END

#endif
