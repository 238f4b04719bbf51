/*
** desist.h: cooperative cancellation. This header is the specification.
**
** A source may cancel. A token observes one source and can never cancel it:
** it is polled (desist_token_is_cancelled), called back (desist_register),
** waited on (desist_token_wait) or watched through a descriptor
** (desist_token_fd). A link is a source that is also cancelled when its
** inputs are.
**
** Three moments are kept apart. Cancellation is REQUESTED when the flag reads
** true; DELIVERED when the callbacks have run and the waiters woke; FINISHED
** when the work it stopped has ended, which only the caller can know.
**
** Threads. Every function may be called from any thread, also from inside a
** callback, unless it says otherwise. No lock is held while a callback runs.
**
** NULL. A NULL token is the token that is never cancelled; every function
** takes it. Releasing and closing NULL does nothing; the other functions of a
** source answer false or NULL for it.
**
** Memory. Objects are counted. "Borrowed" results live as long as what they
** were asked of. Only functions that say so allocate; cancelling never does.
**
** Time. int64_t nanoseconds; moments are read off the source's clock.
**
** Fork. The child works: deadlines fire there, armed before or after, and it
** has descriptors of its own under the same numbers. What another thread was
** in the middle of at that moment is lost to the child: a cancellation it was
** delivering, deadlines that were due on a manual clock it was moving (the
** clock can be moved on), a source it was just changing.
**
** Order of a cancellation:
**   1. the source and all that is linked to it, transitively, read cancelled,
**      and their descriptors are readable, before the first callback runs;
**   2. within a source the newest registration runs first, and a link takes
**      its turn there as if it were a callback: its own run when it comes;
**   3. callbacks are taken one at a time, so that one which has not started
**      can still be unregistered, from another callback too;
**   4. a chain of links of any length takes a constant amount of C stack.
** (Order and the running of callbacks on the cancelling thread are those of
** .NET's CancellationTokenSource; the first phase is desist's own.)
**
** Switches, for who compiles the library (docs/building.md):
**   DESIST_NO_THREADS  it starts no thread and takes no lock: one thread uses
**                      it, and polls and waits look for deadlines and signals.
**                      To be defined where this header is used as well, for
**                      desist_token_is_cancelled is such a poll
**   DESIST_NO_SIGNALS  it installs no signal handler and starts no thread for
**                      signals; desist_source_create_signals fails with ENOSYS
**   DESIST_NO_GUARD    nothing interrupts Lua code (desist_lua.h)
**   DESIST_NO_LUA      in the amalgamation: the core alone, no lua.h
*/
#ifndef DESIST_H
#define DESIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DESIST_VERSION "0.1.0"

/* A moment or a duration that never comes. */
#define DESIST_NEVER INT64_MAX

/* A handle's text and its terminating zero fit in this many bytes. */
#define DESIST_HANDLE_SIZE 48

#ifndef DESIST_API
#  if defined(_WIN32)
#    define DESIST_API
#  else
#    define DESIST_API __attribute__((visibility("default")))
#  endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct desist_source desist_source;
typedef struct desist_token desist_token;
typedef struct desist_reason desist_reason;
typedef struct desist_clock desist_clock;
typedef struct desist_registration desist_registration;

typedef enum desist_link_mode {
  DESIST_LINK_ANY, /* cancelled when the first input is */
  DESIST_LINK_ALL  /* cancelled when the last input is */
} desist_link_mode;

typedef enum desist_kind {
  DESIST_KIND_CANCELLED, /* somebody asked for it */
  DESIST_KIND_DEADLINE,  /* the time was up */
  DESIST_KIND_FAILURE    /* something beside it failed */
} desist_kind;

/* `reason` is borrowed for the length of the call. */
typedef void (*desist_callback)(void *data, desist_reason *reason);

/* The library's part of what stands in its lists. */
typedef struct desist_node desist_node;
struct desist_node {
  desist_node *next, *previous;
  uintptr_t owner;
};

/*
** One callback on one token; 48 bytes that belong to the caller. The fields
** are the library's. The node must stay where it is until unregister returned
** true, its callback has returned, or the source dropped it (close,
** try_reset, last release). Its own callback may free it or register it again.
*/
struct desist_registration {
  desist_node node_;
  desist_callback callback_;
  void *data_;
  uintptr_t state_;
};

/* --- Sources ----------------------------------------------------------- */

/* A source on the real clock, with one reference. NULL: out of memory. */
DESIST_API desist_source *desist_source_create(void);

/* The same on `clock` (NULL: the real one), which it retains. */
DESIST_API desist_source *desist_source_create_on(desist_clock *clock);

/*
** A source that is also cancelled when any, or all, of `inputs` are.
**
** ANY: NULL inputs and inputs that can no longer be cancelled are skipped; a
** link without inputs is a plain source. An input already cancelled: the link
** is born cancelled, by the first such in the order of the array.
** ALL: `count` must not be 0 (else NULL). An input that can never be
** cancelled leaves a link that only its own cancel and deadline reach. All
** cancelled already: born cancelled, by the last in the order of the array.
** Duplicates count once.
**
** The link keeps its inputs' memory, not their sources, alive. When it is
** closed or gone, or cancelled and its callbacks have run, it has left every
** input. Its own deadline is on
** the clock that its inputs share, else on the real one. NULL: out of memory.
*/
DESIST_API desist_source *desist_source_create_linked(
    desist_token *const *inputs, size_t count, desist_link_mode mode);

/*
** A source that the first of these signals of the process cancels: kind
** CANCELLED, code the signal's number, text its name ("SIGINT"). The handlers
** found are put back by that first signal, by close and by the last release,
** so that a second Ctrl-C does what it did before. Sources of one signal are
** served newest first, one signal each. Cancelling happens on a thread of the
** library's, at once; in a build without threads, polls and waits look for the
** signal. A signal that comes so shortly before the end of a source that it
** does not cancel it any more is sent to the process again, and does what it
** did before; only where something else cancels the source in that moment it
** counts as heard. Callbacks registered from C run on the thread for signals,
** and must not wait for another signal there.
**
** A handler that somebody puts over the library's hears in its place, and has
** the last word: it is not replaced when the sources end. But each new source
** sees to it that the library's handler is in place, for the older sources of
** that signal too; the handler it found is then the one that is put back. Who
** was put over it may call it at any time: from the first source on the library
** stays loaded until the process ends.
**
** NULL, and errno tells why: EINVAL (count 0 or above 8, or a number that
** cannot be caught), ENOMEM, EAGAIN (no thread), ENOSYS (built with
** DESIST_NO_SIGNALS).
*/
DESIST_API desist_source *desist_source_create_signals(const int *signals,
                                                       size_t count);

DESIST_API void desist_source_retain(desist_source *source);

/*
** Gives a reference back. The last one closes the source if it is not
** cancelled; a cancellation in progress has a reference of its own and runs
** what has not run yet. Dropping a long chain of links does not recurse.
*/
DESIST_API void desist_source_release(desist_source *source);

/*
** Gives a reference back, as release does; but after the last one the source
** stays as long as something else can still cancel it (an armed deadline, an
** input) and somebody can see it (a token, a registration, a link).
*/
DESIST_API void desist_source_detach(desist_source *source);

/* Borrowed; the same at every call; valid after close too. */
DESIST_API desist_token *desist_source_token(desist_source *source);

/*
** Cancels, and runs the callbacks of the source and all that is linked to it
** before it returns. True if this call did it; false if the source was
** cancelled before or is closed. `reason` is retained; NULL stands for kind
** CANCELLED, code 0, text "cancelled". Allocates nothing and cannot fail. An
** explicit cancel disarms the deadline; the first reason stays for ever.
*/
DESIST_API bool desist_source_cancel(desist_source *source,
                                     desist_reason *reason);

/*
** Arms the deadline, or arms it anew, `nanoseconds` from now; by it the
** source is cancelled with kind DEADLINE, code 0, text "deadline exceeded".
**   0             cancels here and now, callbacks included; starts no thread
**   negative      false
**   DESIST_NEVER, or more than the clock can hold: disarms, true
** False as well when the source is cancelled or closed, and when no thread or
** memory could be had; then nothing has changed. The first deadline on the
** real clock starts the process's service thread. Callbacks registered from C
** run on that thread and must be short; all that is due is marked cancelled
** before the first of them runs. One that waits for a token all the same does
** not hold up deadlines: they cancel in time, but their callbacks run when it
** has returned. In a build without threads polls and waits look at deadlines,
** and run what is due on the only thread there is, in the same way.
*/
DESIST_API bool desist_source_cancel_after(desist_source *source,
                                           int64_t nanoseconds);

/*
** The same with a moment of the source's clock. One that has come or gone,
** negative ones too: cancelled before the call returns.
*/
DESIST_API bool desist_source_cancel_at(desist_source *source, int64_t time);

/*
** Makes a source as good as new for its next use: true, with all
** registrations dropped and the deadline disarmed, if it was never cancelled,
** is not closed and no other source is linked to it; else false and nothing
** has changed. A link stays linked to its inputs. Waits go on. (.NET's
** CancellationTokenSource.TryReset.)
*/
DESIST_API bool desist_source_try_reset(desist_source *source);

/*
** Disarms, leaves the inputs, drops the callbacks unrun. Does not cancel and
** does not wait: no callback of the source starts after it, except one that
** another thread had taken already. Afterwards nothing cancels the source and
** waiters have been woken. On a source that is being cancelled it drops that
** source's own callbacks only; links below it still get their turn.
*/
DESIST_API void desist_source_close(desist_source *source);

/* A name for people. The text is copied. False: out of memory, or NULL. */
DESIST_API bool desist_source_set_name(desist_source *source, const char *name);

/* --- Tokens ------------------------------------------------------------ */

DESIST_API void desist_token_retain(desist_token *token);
DESIST_API void desist_token_release(desist_token *token);

/* The out-of-line twin of desist_token_is_cancelled, for other languages. */
DESIST_API bool desist_token_poll(const desist_token *token);

/*
** One atomic load. True from the moment of the request, on every thread.
** What the cancelling thread wrote before is visible once it reads true.
*/
static inline bool desist_token_is_cancelled(const desist_token *token) {
#if defined(__GNUC__) && !defined(DESIST_NO_THREADS)
  return token != NULL &&
         (__atomic_load_n((const uint16_t *)(const void *)token,
                          __ATOMIC_ACQUIRE) &
          1u) != 0;
#else
  return desist_token_poll(token);
#endif
}

/*
** False for NULL and once nothing can cancel it any more: closed, or given up
** uncancelled. Stays true after a cancellation.
*/
DESIST_API bool desist_token_can_be_cancelled(const desist_token *token);

/* Borrowed; NULL while live. */
DESIST_API desist_reason *desist_token_reason(const desist_token *token);

/* The token where the cancellation began: borrowed; NULL while live. */
DESIST_API desist_token *desist_token_origin(const desist_token *token);

/*
** Blocks this thread until cancelled (true) or the time is up (false); a
** negative limit is none, nor is DESIST_NEVER. Without a limit, on what can
** never be cancelled: false at once. Closing wakes waiters, who return false;
** with a limit, they wait until the time is up. Needs no memory and no
** descriptor.
*/
DESIST_API bool desist_token_wait(desist_token *token, int64_t nanoseconds);

/*
** A descriptor that is readable, for ever, from the moment of the request;
** for poll, epoll, select. Made by the first call, the same at every call,
** close-on-exec, non-blocking; reading it does not use it up. The library's:
** do not close it. Open until the last reference to source and token is gone.
** Or a negative errno: -EINVAL for NULL and for closed uncancelled, -EMFILE
** and the like when none can be had; the token works on.
*/
DESIST_API int desist_token_fd(desist_token *token);

/*
** The effective deadline: the nearest over the source and its inputs,
** transitively, by what is left of it; for a link of all inputs the farthest
** of theirs (none while an input that is still live has none), and never
** later than its own. `deadline` is a moment of that source's clock,
** `remaining` what is left: 0 once cancelled or past. DESIST_NEVER: none; a
** cancelled token has no deadline. Looking through more than some dozens of
** inputs takes memory for the length of the call; where there is none, only
** those seen so far count.
*/
DESIST_API int64_t desist_token_deadline(const desist_token *token);
DESIST_API int64_t desist_token_remaining(const desist_token *token);

/* Borrowed, until the source is given another; NULL: has none. */
DESIST_API const char *desist_token_name(const desist_token *token);

/* --- Registrations ----------------------------------------------------- */

/*
** Calls `callback(data, reason)` once, when the token is cancelled: on the
** cancelling thread. Already cancelled: the callback runs here, before
** register returns. On NULL, or once nothing can cancel the token, nothing
** ever runs. Allocates nothing. Writes the whole node, which need not be
** initialised; the same function may be registered many times.
*/
DESIST_API void desist_register(desist_token *token,
                                desist_registration *registration,
                                desist_callback callback, void *data);

/*
** True if, because of this call, the callback will never run. False if it
** ran, runs, was dropped, or was unregistered before. Does not wait: while the
** callback runs on another thread only unregister_wait tells when the node
** may go. Works after the source is gone, on an all-zero node, and from any
** callback, its own too.
*/
DESIST_API bool desist_unregister(desist_registration *registration);

/*
** The same, and when it returns the callback does not run on another thread
** any more: node and data may go. Called from inside that callback it returns
** at once. From inside another callback it waits; where that would close a
** circle of callbacks that wait for each other, the call that would close it
** returns false at once, as from inside itself. (std::stop_callback's
** destructor, without its deadlock.)
*/
DESIST_API bool desist_unregister_wait(desist_registration *registration);

/* Whether the callback is still to come. */
DESIST_API bool desist_is_registered(const desist_registration *registration);

/* --- Reasons ----------------------------------------------------------- */

/*
** A reason with one reference: a number and a text of the caller's, kind
** CANCELLED. The text is copied; NULL reads as "". NULL: out of memory.
** Reasons never change.
*/
DESIST_API desist_reason *desist_reason_create(int code, const char *text);

/* The same with a kind. */
DESIST_API desist_reason *desist_reason_create_kind(desist_kind kind, int code,
                                                    const char *text);

DESIST_API void desist_reason_retain(desist_reason *reason);
DESIST_API void desist_reason_release(desist_reason *reason);

/* NULL reads as CANCELLED, 0, "". The text is borrowed. */
DESIST_API desist_kind desist_reason_kind(const desist_reason *reason);
DESIST_API int desist_reason_code(const desist_reason *reason);
DESIST_API const char *desist_reason_text(const desist_reason *reason);

/* --- Clocks ------------------------------------------------------------ */

/* The real clock: monotonic, unaffected by changes of the date. */
DESIST_API int64_t desist_now(void);

/*
** A clock that moves only when told to, with one reference. When its last
** reference goes it can move no more: what is armed on it is disarmed.
** NULL: out of memory.
*/
DESIST_API desist_clock *desist_clock_create(int64_t start);
DESIST_API void desist_clock_retain(desist_clock *clock);
DESIST_API void desist_clock_release(desist_clock *clock);

/* NULL is the real clock. Inside a callback of a moving clock: the moment of
** the deadline that fired. */
DESIST_API int64_t desist_clock_now(const desist_clock *clock);

/*
** Moves a manual clock forward, by a duration or to a moment, and cancels what
** comes due in the order of the deadlines, ties in the order of arming (what
** is due at one moment is marked cancelled before the first callback of that
** moment runs); callbacks run before the call returns. A deadline armed by one
** of them within the span fires in the same call. False, and nothing moved:
** backwards, NULL, or while it is moving (from inside, or by another thread).
** Past the clock's end: to its end.
*/
DESIST_API bool desist_clock_advance(desist_clock *clock, int64_t nanoseconds);
DESIST_API bool desist_clock_set(desist_clock *clock, int64_t time);

/* --- Handles ----------------------------------------------------------- */

/*
** A text by which another part of the process, another lua_State say, finds
** the object. Unguessable; keeps nothing alive; a token's never gives a
** source. The same at every call. False: NULL, closed uncancelled, out of
** memory, or no randomness to be had.
*/
DESIST_API bool desist_source_handle(desist_source *source,
                                     char handle[DESIST_HANDLE_SIZE]);
DESIST_API bool desist_token_handle(desist_token *token,
                                    char handle[DESIST_HANDLE_SIZE]);

/*
** The object, retained; NULL for what is dead, forged or malformed. A
** source's handle is dead once its last reference is gone.
*/
DESIST_API desist_source *desist_source_from_handle(const char *handle);
DESIST_API desist_token *desist_token_from_handle(const char *handle);

/* --- The library ------------------------------------------------------- */

/* "major.minor.patch". */
DESIST_API const char *desist_version(void);

/*
** Where the core gets its memory: like lua_Alloc, `size` 0 frees. Set before
** the first object is made; NULL is malloc and free. Called from any thread.
*/
typedef void *(*desist_allocator)(void *data, void *block, size_t old_size,
                                  size_t size);
DESIST_API void desist_set_allocator(desist_allocator allocator, void *data);

#ifdef __cplusplus
}
#endif

#endif
