/*
** desist_lua.h: desist for hosts that embed Lua. This header is the
** specification; docs/embedding.md shows it at work.
**
** Threads. A lua_State is used by one thread at a time: call these functions
** on the thread that runs the state, unless one says "any thread". What other
** threads do to sources (desist.h: any thread) reaches the state through flags,
** which turn at once, and callbacks, which run in its next dispatch.
**
** Coroutines. L is the running coroutine. Callbacks run on the L of the call
** that runs them.
**
** The module. All functions but the luaopen ones want it open in the state.
** Where it is not, those that may raise do so, "desist is not open in this
** state", the protected ones give that error, and those that never raise find
** nothing and do nothing. What lua_close finalizes after desist may get the
** error "the state is being closed".
**
** Errors. "Raises": a Lua error, as lua_error does, of memory at least; call
** it from protected code. "Protected": returns LUA_OK or an error's status, as
** lua_pcall does, with the error on top of the stack. "Never raises": also
** where memory is wanting.
**
** Stack. Functions make room for themselves, and leave the stack as it was but
** for what they say. Indices are as in Lua; `arg` is an argument's.
**
** NULL. A NULL token is the token that is never cancelled, desist.none in Lua.
**
** Memory. Userdata and tables come from the state's own allocator, what the
** core makes from desist_set_allocator's.
**
** Lua built as C++. Its errors are exceptions. Compile desist as C++ too, so
** that they pass through it and destructors run. In a C++ program whose Lua is
** built as C, include lua.hpp before this header.
*/
#ifndef DESIST_LUA_H
#define DESIST_LUA_H

#include <lua.h>

#include "desist.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- Opening ----------------------------------------------------------- */

/*
** Pushes the module that `require "desist"` gives, and puts desist.async,
** desist.sync and the loops into package.preload. Works statically linked,
** with no dlopen and no package.path: the Lua files are inside the library.
** Register it before running scripts:
**
**   luaL_requiref(L, "desist", luaopen_desist, 0); lua_pop(L, 1);
**
** or put it into package.preload. Any number of states, on any threads, may
** open it at the same time. The package library is to be open before. Raises.
*/
DESIST_API int luaopen_desist(lua_State *L);

/* The C part alone: what `require "desist.core"` gives. Raises. */
DESIST_API int luaopen_desist_core(lua_State *L);

/* --- Sources and tokens ------------------------------------------------ */

/*
** Pushes this state's object for a source or a token: the same one as long as
** it lives. It takes a reference of its own, which the collector gives back;
** the caller keeps his. A pushed source can be cancelled by scripts, and its
** collection does not close what the caller still holds.
**
** Callbacks that scripts register on it are kept, with all they refer to, as
** long as anybody but this state can cancel the source; then they are garbage
** like any others. (What the last release of a source drops is let go of by the
** state's next dispatch.)
**
** NULL source: nil. Raises.
*/
DESIST_API void desist_lua_push_source(lua_State *L, desist_source *source);
DESIST_API void desist_lua_push_token(lua_State *L, desist_token *token);

/*
** What the value at an index is, borrowed from it: retain it to keep it
** longer. NULL: something else, or no value; for a token also desist.none,
** which desist_lua_is_token tells apart. A source is not taken for its token.
** Never raise. (Should memory be wanting in the first such call for an object,
** pushing it may give another one.)
*/
DESIST_API desist_source *desist_lua_to_source(lua_State *L, int index);
DESIST_API desist_token *desist_lua_to_token(lua_State *L, int index);
DESIST_API bool desist_lua_is_token(lua_State *L, int index);

/* The same for an argument of a C function; anything else raises an argument
** error. `opt`: none or nil reads as the token that is never cancelled. */
DESIST_API desist_source *desist_lua_check_source(lua_State *L, int arg);
DESIST_API desist_token *desist_lua_check_token(lua_State *L, int arg);
DESIST_API desist_token *desist_lua_opt_token(lua_State *L, int arg);

/* --- Reasons and errors ------------------------------------------------ */

/*
** The value at an index as a reason with one reference, kind CANCELLED, for
** desist_source_cancel. Booleans, numbers and strings are themselves in every
** state; of anything else its tostring text is kept. Nil or no value: NULL,
** which stands for the default there. Raises.
*/
DESIST_API desist_reason *desist_lua_to_reason(lua_State *L, int index);

/* Pushes what token:reason() gives: nil while it is live. Raises. */
DESIST_API void desist_lua_push_reason(lua_State *L, desist_token *token);

/* Pushes what token:error() gives: nil while it is live. Raises. */
DESIST_API void desist_lua_push_error(lua_State *L, desist_token *token);

/* For C functions that take long: raises the token's error if it is cancelled;
** else it costs one atomic load and does nothing. */
DESIST_API void desist_lua_throw_if_cancelled(lua_State *L,
                                              desist_token *token);

/* Whether a value is the error of a cancellation; of this token's, unless it
** is NULL. Never raises. */
DESIST_API bool desist_lua_is_cancelled(lua_State *L, int index,
                                        desist_token *token);

/* --- Dispatch ---------------------------------------------------------- */

/*
** Runs the callbacks that are queued now for the state, and returns how many
** ran. Errors of theirs go to the state's handler (desist.on_error). Never
** raises; what does not run for want of memory stays queued. Cheap when nothing
** is queued: call it once a frame.
*/
DESIST_API size_t desist_lua_dispatch(lua_State *L);

/*
** `function(data)` will be called each time the state's queue stops being
** empty, from whatever thread filled it (the deadline service's or the state's
** own, too), with no lock held: to post an event to the state's event loop,
** say, which then calls desist_lua_dispatch. It is also called for what is
** queued while a dispatch is under way, and for what one leaves; so who
** dispatches once after each call misses nothing. It must be short and must not
** call Lua. Calls do not overlap: what would be one during a call, of any
** thread, becomes one more after it.
**
** A state has one function; this replaces it. If callbacks are queued already,
** the new one is called before this returns. NULL: no more calls. When this
** returns, the old one is running on no other thread, so its data may go: hold
** no lock here that the function takes. The end of the state does the same.
** The function itself may remove itself, where it is called on the state's
** thread. In a child of fork it stays; what the parent was told of may have got
** lost, so dispatch there once. Never raises.
*/
typedef void (*desist_lua_wakeup)(void *data);
DESIST_API void desist_lua_on_wakeup(lua_State *L, desist_lua_wakeup function,
                                     void *data);

/*
** A descriptor for poll, epoll and select: readable while callbacks are queued;
** desist.wakeup_fd in Lua. Made by the first call, the same at every call; the
** library's, until the state is closed. Or a negative errno: -EINVAL where
** desist is not open. Never raises.
*/
DESIST_API int desist_lua_wakeup_fd(lua_State *L);

/*
** Which coroutine is the state's main thread. Lua 5.2 and later know, and
** this changes nothing; a host of 5.1 that opens desist inside a coroutine
** says so after that, before anything else. Never raises.
*/
DESIST_API void desist_lua_set_main(lua_State *L, lua_State *main);

/* --- Stopping code that does not yield --------------------------------- */

/* The default of grace: 0.1 s. */
#define DESIST_LUA_GRACE INT64_C(-1)

/*
** lua_pcall under a guard (desist.guard in Lua): when the token is cancelled,
** on any thread, while the function runs Lua code, the token's error is raised
** inside it, in whichever coroutine runs; code that catches it and goes on is
** given `grace` nanoseconds to clean up, and then stopped at every instruction
** until it has left. `handler` is the index of a message handler, or 0.
** Protected: what the function gave, or the error. A token that is cancelled
** already: LUA_ERRRUN and its error, as if the function had raised it, which
** is not called. The function cannot yield across this call. As desist.guard
** does, the first call has coroutines tracked (desist.track_coroutines). What
** can be stopped and what cannot: docs/guard.md. Built with DESIST_NO_GUARD:
** LUA_ERRRUN and a message.
*/
DESIST_API int desist_lua_pcall(lua_State *L, int arguments, int results,
                                int handler, desist_token *token,
                                int64_t grace);

/*
** lua_resume, for hosts that schedule coroutines of their own: it gives what
** lua_resume of Lua 5.4 gives, in every Lua, and keeps track of which coroutine
** runs, as coroutine.resume does once it is tracked. Then a guard around this
** call finds the code at once, and a guard that is entered in the coroutine may
** be yielded across: it goes on with it. A coroutine that is resumed by
** lua_resume itself has guards which cannot be yielded across, and one that is
** made before the guard is found only where Lua code called what resumed it,
** and only by signals. The budget of a step does not set aside what runs in
** this call; the host closes coroutines as it likes.
*/
DESIST_API int desist_lua_resume(lua_State *co, lua_State *from, int arguments,
                                 int *results);

/* How a guard interrupts Lua code in this build, on this thread. */
typedef enum desist_lua_interrupts {
  DESIST_LUA_CANNOT,   /* built with DESIST_NO_GUARD, or for Lua before 5.4 */
  DESIST_LUA_BY_HOOK,  /* a count hook that looks at the token: costs time;
                       ** with DESIST_NO_SIGNALS or DESIST_NO_THREADS, or
                       ** elsewhere than on Linux */
  DESIST_LUA_BY_SIGNAL /* costs nothing until the cancellation */
} desist_lua_interrupts;

/* Any thread. Never raises. */
DESIST_API desist_lua_interrupts desist_lua_can_interrupt(void);

/* --- Loops ------------------------------------------------------------- */

/*
** Task loops that the host drives, async.loop in Lua. A loop is a Lua value:
** keep it by luaL_ref or in a table. `loop` is its index; what is no such loop
** is an error. All but the last two are protected. The first call loads
** desist.async by the global `require`.
*/

/* Pushes a new loop. Its clock begins at `start` seconds; the name may be
** NULL. */
DESIST_API int desist_lua_loop_create(lua_State *L, const char *name,
                                      double start);

/*
** A task: the function and its arguments are on top of the stack, as for
** lua_call, and are taken; the task is pushed. It starts in the next step. The
** name may be NULL. Cancelling the token cancels the task, which is how a
** script is tied to its entity; where that comes before the step in which it
** would start, it never runs. An error: nothing was started.
*/
DESIST_API int desist_lua_loop_spawn(lua_State *L, int loop, int arguments,
                                     const char *name, desist_token *token);

/*
** Advances the loop's clock by `seconds`, and runs what is ready. With a
** budget, in seconds of real time (infinity: none), tasks that overrun it are
** set aside in the middle of their Lua code and go on in the next step.
** Errors of tasks are not the step's: they go to desist.on_error unless
** somebody joins them. It dispatches first, as desist_lua_dispatch does.
*/
DESIST_API int desist_lua_loop_step(lua_State *L, int loop, double seconds,
                                    double budget);

/* Cancels all tasks; scripts see the reason's value, or its text. NULL: the
** default one. They end in the next step. Errors of callbacks on their tokens
** are this one's, when all is done. */
DESIST_API int desist_lua_loop_cancel(lua_State *L, int loop,
                                      desist_reason *reason);

/* Ends live tasks by coroutine.close, and the loop with them: then it can only
** be asked, and closed again. */
DESIST_API int desist_lua_loop_close(lua_State *L, int loop);

/* Whether no task is alive. Something else than a loop: true. Never raises. */
DESIST_API bool desist_lua_loop_is_idle(lua_State *L, int loop);

/* When there is something to do, in seconds of the loop's clock: -infinity if
** something is ready, +infinity if only the outside can wake it. Never raises.
*/
DESIST_API double desist_lua_loop_next_time(lua_State *L, int loop);

#ifdef __cplusplus
}
#endif

#endif
