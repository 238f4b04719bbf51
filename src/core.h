/*
** core.h: what the files of the core share. Nobody else includes it.
**
** A source and its token are one object. All that wants to be told about its
** cancellation stands in ONE list, newest first: callbacks, watches of a
** lua_State (queue.h), waiting threads, links.
**
** Invariants
**  #1 A node is in a source's list only while the source is live, or while its
**     delivery has not come to the node yet. The list only shrinks once the
**     source is cancelled.
**  #2 A registration moves ACTIVE -> BUSY -> TAKEN (delivered) or IDLE
**     (unregistered, dropped). Who makes it BUSY is who takes it out. Its
**     source cannot be freed meanwhile: whoever empties the list for that
**     waits, without the lock, until a BUSY node is gone.
**  #3 A link keeps a memory reference on each input until it has finished. So
**     its node may always be taken out of the input's list, under the input's
**     lock.
**  #4 A source is marked cancelled by exactly one thread, which delivers it: a
**     link when it comes, in its walk, to the input it was settled on.
**  #5 refs == 0 is death: nothing takes a reference from there.
**  #6 A link reads cancelled no later than the input that cancels it.
**
** References. `handles` counts source references; together they own one of
** `refs`. The others: tokens, links on the source (#3), links that it began
** the cancellation of, an armed deadline, a delivery in progress.
**
** Lock order: the gate (cancel.c); the marking lock; a descriptor's making;
** sources, from inputs to links; then any one of: a clock's, an inbox's, the
** catchers', a shard's of running.c, a waiter's. The events' lock comes last.
** Fork takes the table of locks (fork_lock.c) before the locks in it.
** Waiters' and handles' tables: with no lock of a source held.
** No lock is held while a callback runs.
*/
#ifndef DESIST_CORE_H
#define DESIST_CORE_H

#include "platform.h"

#include "atomic.h"
#include "desist.h"
#include "queue.h"
#include "wheel.h"

DESIST__BEGIN

/* --- Memory (memory.c) --- */

void *desist__allocate(size_t size);
void desist__free(void *block, size_t size);

/* --- Locks that fork takes (fork_lock.c) --- */

/* The mutex of an object that comes and goes. Fork takes them all, so that no
** child is born with one that is locked, or an object half changed. */
typedef struct desist__fork_lock desist__fork_lock;
struct desist__fork_lock {
  desist__mutex mutex;
  desist__fork_lock *next, *previous; /* all of the process, for fork */
  /* Under the mutex: the thread that is in the middle of something longer, or
  ** 0. A child that has not this thread forgets about it. */
  uintptr_t worker;
};

void desist__fork_lock_init(desist__fork_lock *lock);
void desist__fork_lock_destroy(desist__fork_lock *lock);
void desist__fork_locks_before_fork(void);
void desist__fork_locks_after_fork(bool child);

/* --- Nodes --- */

typedef desist_node desist__node;

/* The low bits of a node's owner: what it is. */
enum {
  DESIST__CALLBACK = 0,
  DESIST__WAITER = 1,
  DESIST__WATCH = 2,
  DESIST__LINK = 4, /* with one bit each for the ends of a link's nodes: */
  DESIST__FIRST = 1,
  DESIST__LAST = 2,
  DESIST__NODE_BITS = 7
};

enum { /* desist_registration.state_ */
       DESIST__IDLE,
       DESIST__ACTIVE,
       DESIST__BUSY, /* with the generation above it, as for locks */
       DESIST__TAKEN
};

static inline uintptr_t desist__busy(void) {
  return DESIST__BUSY | (uintptr_t)desist__generation << 8;
}

/* From ACTIVE to BUSY; so too for one that a lost thread made BUSY. */
static inline bool desist__claim_node(uintptr_t *state) {
  uintptr_t seen;
  if (desist__claim(state, DESIST__ACTIVE, desist__busy())) return true;
  seen = desist__load_acquire(state);
  return (seen & 0xff) == DESIST__BUSY && seen != desist__busy() &&
         desist__claim(state, seen, desist__busy());
}

/* --- Sources --- */

enum {                        /* desist_source.flags */
       DESIST__CANCELLED = 1, /* desist.h's inline poll knows this bit */
       DESIST__CLOSED = 2, /* dropped what it had; if live, stays so for ever */
       DESIST__LINKED = 4, /* a link stands or stood in the list */
       DESIST__WAITED = 8, /* so for a waiter */
       DESIST__REACHED = 16, /* marked through an input, which gives the turn */
       DESIST__FRESH = 32,   /* so, and the input is not settled yet */
       DESIST__HELD = 64 /* without handles: a reference for the list, as long
                         ** as there is anything in it */
};

enum { DESIST__PLAIN, DESIST__ANY, DESIST__ALL }; /* desist_source.link */

typedef struct desist__extra desist__extra;
typedef struct desist__trace desist__trace;

enum { /* desist__extra.armed */
       DESIST__DISARMED,
       DESIST__ARMED,
       DESIST__DUE /* taken from the wheel; may still be disarmed */
};

struct desist_source {
  /* Written under the lock, read by anybody. */
  uint16_t flags; /* first: desist.h's inline poll reads it here */
  desist__lock lock;
  uint8_t link; /* set once */
  /* Under the lock. Live: how many inputs must still be heard of (ALL) or can
  ** still be (ANY); 0: the inputs cannot cancel it. REACHED: by which input. */
  uint32_t live;
  /* Atomic. */
  uint32_t handles;
  uint32_t refs;
  /* Under the lock. */
  desist__node *first;
  /* Written under the lock, read by anybody: the reason, or an extra | 1. */
  uintptr_t slot;
};

/* A source with inputs: its nodes in their lists follow it. */
typedef struct desist__linked {
  desist_source source;
  desist_source *origin; /* set before CANCELLED; NULL: itself */
  desist__node inputs[1];
} desist__linked;

/* What few sources have; made when first needed, gone with the source. */
struct desist__extra {
  desist_source *source;
  uintptr_t reason;    /* as slot would be */
  desist_clock *clock; /* set once; NULL: the real one */
  /* Under the clock's lock; `armed` read by anybody. */
  desist__alarm alarm;
  uint8_t armed; /* DESIST__DISARMED and so on */
  /* The thread that fires it. */
  bool marked;
  desist__extra *next_due;
  /* Under the source's lock. */
  bool has_event;
  desist__event event;
  char *name;
  desist__trace *trace;            /* set once; or NULL */
  struct desist__catcher *catcher; /* set once; of signals, or NULL */
  /* Under the handles' lock. */
  struct desist__handle *handles[2];
};

static inline desist_source *desist__source_of(const desist_token *token) {
  return (desist_source *)(uintptr_t)token;
}

static inline desist_token *desist__token_of(desist_source *source) {
  return (desist_token *)(void *)source;
}

static inline desist__extra *desist__extra_of(const desist_source *source) {
  uintptr_t slot = desist__load_acquire(&source->slot);
  return (slot & 1) == 0 ? NULL : (desist__extra *)(slot & ~(uintptr_t)1);
}

static inline unsigned desist__flags(const desist_source *source) {
  return desist__load_acquire(&source->flags);
}

/* Release: what was written before is seen by who reads the flag. */
static inline void desist__flag_locked(desist_source *source, unsigned on,
                                       unsigned off) {
  unsigned flags = desist__load_relaxed(&source->flags);
  desist__store_release(&source->flags, (uint16_t)((flags | on) & ~off));
}

/* source.c */
/* The extra, made if need be; NULL: out of memory. */
desist__extra *desist__extra_make(desist_source *source);
/* A source of `size` bytes with one handle. */
desist_source *desist__source_new(size_t size);
static inline void desist__retain(desist_source *source) {
  desist__count_up(&source->refs);
}
void desist__release(desist_source *source);
/* A reference for what is in the list, of a source without handles. */
void desist__hold_locked(desist_source *source);
/* Closes what has no handle and what nothing can cancel any more. */
void desist__reconsider(desist_source *source);

/* --- The list (list.c) --- */

void desist__list_add_locked(desist_source *source, desist__node *node,
                             unsigned kind);
void desist__list_remove_locked(desist_source *source, desist__node *node);
/* After that: true if the list's own reference (HELD) is to be given back. */
bool desist__list_ended_locked(desist_source *source);
/* A link's node that is in no list. */
static inline bool desist__is_listed(const desist__node *node) {
  return node->previous != node;
}

/*
** Takes out all registrations and, if `links`, hands out the links' nodes in
** a chain by `next`; waiters stay if `keep_waiters`. What somebody else makes
** BUSY he takes out; `wait`: lets go of the lock until that is done (#2).
*/
desist__node *desist__list_drop_locked(desist_source *source, bool links,
                                       bool keep_waiters, bool wait);

/* --- Links (link.c) --- */

/* A link clears the owners of its nodes while others look at their kinds:
** these are relaxed, each part has its own order (the input's, the link's
** lock). */
static inline unsigned desist__kind(const desist__node *node) {
  return (unsigned)(desist__load_relaxed(&node->owner) & DESIST__NODE_BITS);
}

/* Whose list the node is for; NULL: nobody's any more. */
static inline desist_source *desist__owner(const desist__node *node) {
  return (desist_source *)(desist__load_relaxed(&node->owner) &
                           ~(uintptr_t)DESIST__NODE_BITS);
}

static inline desist__linked *desist__linked_of(desist_source *source) {
  return (desist__linked *)(void *)source;
}

/* The link that a link's node is of. */
desist__linked *desist__link_of(desist__node *node);
/* How many inputs a link was made with. */
size_t desist__link_count(const desist__linked *link);
/* Takes a link's node out of the input's list, if it is there still. True: the
** list's own reference on the input is to be given back. */
bool desist__link_unlist(desist_source *input, desist__node *node);
/* Takes the link out of all its inputs' lists, and gives back #3's
** references. Called when the link is finished, or its inputs cannot cancel it
** any more; two threads may do so at once. */
void desist__link_leave(desist__linked *link);
/* An input died uncancelled. True: with it the inputs cannot cancel the link
** any more, and the caller makes it leave them. */
bool desist__link_input_died(desist__linked *link);

/* --- Cancelling (cancel.c) --- */

/* Fires deadlines: a chain by next_due, each with a reference for this.
** All are marked before the first is delivered. */
void desist__fire(desist__extra *due, const desist__runner *runner);
/*
** What is due on the real clock now, after what a thread that fork has lost was
** at. On the service thread; without threads, on any. From inside a callback
** of it: only marks, the rest comes when the callback has returned. False: the
** callback forked, and this is no longer the service thread.
*/
bool desist__fire_real(void);
bool desist__has_in_hand(void);
/* Returns when nobody is in the middle of marking a graph. */
void desist__marking_pause(void);
void desist__cancel_before_fork(void);
void desist__cancel_after_fork(void);

/* --- Looking (inspect.c) --- */

/* What is noted of a source that is traced. Under its lock. */
struct desist__trace {
  int64_t made;      /* on its clock */
  int64_t cancelled; /* likewise; DESIST_NEVER: it is live */
  size_t size;       /* of this */
  char place[1];     /* where it was made; set once */
};

/* It is about to read cancelled. */
void desist__trace_cancelled_locked(const desist_source *source,
                                    desist__trace *trace);
void desist__trace_free(desist__trace *trace);

/* --- Running callbacks (running.c) --- */

/* A thread that runs callbacks, one after the other; on its stack. */
typedef struct desist__running desist__running;
struct desist__running {
  desist__running *next, *previous; /* under the shard's lock */
  uintptr_t current;                /* registration, atomic; 0 between them */
  uintptr_t thread;                 /* set once; 0: not begun */
  uint32_t waited;                  /* atomic: somebody waits for one */
};

/* Before the state says TAKEN; the first time it makes the thread known. */
void desist__running_enter(desist__running *running,
                           desist_registration *registration);
void desist__running_leave(desist__running *running);
void desist__running_end(desist__running *running);
void desist__running_before_fork(void);
void desist__running_after_fork(bool child);

/* --- Reasons (reason.c) --- */

extern desist_reason desist__cancelled, desist__deadline;
desist_reason *desist__reason_of(const desist_source *source);
/* Before the flag. */
void desist__reason_set_locked(desist_source *source, desist_reason *reason);

/* --- Clocks (clock.c, service.c) --- */

struct desist_clock {
  uint32_t handles;       /* atomic */
  uint32_t refs;          /* atomic; the handles own one */
  desist__fork_lock lock; /* its worker moves the clock */
  /* Under the lock. */
  int64_t now; /* manual */
  bool dead;
  desist__wheel wheel;
};

/* The source's own deadline, and what is left of it; both DESIST_NEVER: none.
*/
void desist__own_deadline(const desist_source *source, int64_t *time,
                          int64_t *left);
/* True: the deadline's reference is to be given back. One that is due keeps
** it, for the thread that fires it. */
bool desist__disarm(desist__extra *extra);
/* Whether it is still due, which it is no more. */
bool desist__take_due(desist__extra *extra);
void desist__clock_retain(desist_clock *clock);
void desist__clock_release(desist_clock *clock);
desist_clock *desist__clock_of(const desist_source *source);

/* Takes out what is due by `time`, or only what is due at the first moment of
** it: a chain by next_due, in firing order, with the alarms' references. */
desist__extra *desist__take_due_locked(desist_clock *clock, int64_t time,
                                       bool one_moment);

/* The real clock's part of arming; under its lock. */
extern desist_clock desist__real;
bool desist__service_start(void);
void desist__service_hurry_locked(int64_t time);
/* What is due now; under the gate, so that no child loses it. */
desist__extra *desist__service_take(void);
#if defined(DESIST_NO_THREADS)
/* Looks at signals and deadlines here and now. */
void desist__service_poll(void);
/* Until a deadline may be due, a signal is caught, or the moment has come. */
void desist__service_sleep(int64_t until);
#else
/*
** Whether this is the service thread, in a callback then. It waits on the real
** clock's lock and this condition, and goes on marking what is due meanwhile:
** one turn, which ends when something is due or woke it, or at that moment.
** False: the library is being unloaded.
*/
bool desist__service_is_self(void);
extern desist__cond desist__service_wake;
bool desist__service_turn_locked(int64_t until);
#endif

/* --- Signals (signal.c) --- */

/* Puts the handlers back; may be called more than once. True if a reference of
** the signals' is now free. `unheard`: the source is closed uncancelled, and a
** signal that was caught for it goes to those handlers; with no lock held. */
bool desist__catcher_end(struct desist__catcher *catcher, bool unheard);
void desist__catcher_free(struct desist__catcher *catcher);
#if defined(DESIST_NO_THREADS)
/* Cancels what a signal was caught for. */
void desist__signals_serve(void);
/* Whether any signal is waited for. */
bool desist__signals_expected(void);
/* Until a moment, or until there is something to serve. */
void desist__signals_wait(int64_t until);
#endif
/* No handler and no relay is left. */
void desist__signals_stop(void);
void desist__signals_before_fork(void);
void desist__signals_after_fork(bool child);

/* --- Waiting (wait.c) --- */

typedef enum desist__enlisted {
  DESIST__ENLISTED,
  DESIST__WAS_CANCELLED,
  DESIST__IS_DEAD
} desist__enlisted;

typedef struct desist__waiter {
  desist_registration registration;
  struct desist__waiter *next, *previous; /* all of the process, for fork */
  desist__mutex *lock;
  desist__cond *wake;
  bool woken; /* under *lock */
} desist__waiter;

void desist__waiter_wake(desist__waiter *waiter);
/* The caller holds the token; NULL is one that nothing cancels. */
desist__enlisted desist__waiter_begin(desist__waiter *waiter,
                                      desist_source *source,
                                      desist__mutex *lock, desist__cond *wake);
/* Afterwards nobody touches the waiter any more. */
void desist__waiter_end(desist__waiter *waiter, desist_source *source);
void desist__waiters_before_fork(void);
/* In a child nobody waits. */
void desist__waiters_after_fork(bool child);
void desist__descriptor_before_fork(void);
void desist__descriptor_after_fork(void);

/* --- Registrations (registration.c) --- */

desist__enlisted desist__enlist(desist_source *source,
                                desist_registration *registration,
                                unsigned kind);

/* --- Handles (handle.c) --- */

void desist__handles_forget(desist__extra *extra);
void desist__handles_before_fork(void);
void desist__handles_after_fork(void);

/* --- The inbox (inbox.c) --- */

/* Under the source's lock; the watch is BUSY, and afterwards the state's alone.
** True: the inbox's host is to be told, by desist__inbox_tell, when the lock is
** gone. */
bool desist__inbox_push(desist__watch *watch, bool dropped);
void desist__inbox_tell(desist__inbox *inbox);

DESIST__END

#endif
