/*
** queue.h: the one internal header between core and binding: how callbacks
** that belong to a lua_State get there.
**
** A watch is a registration whose callback may only run on the thread of its
** state. When its source is cancelled, the canceller either is that state (it
** says so by a runner) and the watch runs there and then, in its place among
** the callbacks; or the watch is put into the state's inbox, for its next
** dispatch. A watch whose source drops it is put into the inbox too, into
** another list, so that the state can let go of what it kept for it.
*/
#ifndef DESIST_QUEUE_H
#define DESIST_QUEUE_H

#include "platform.h"

#include "desist.h"

DESIST__BEGIN

typedef struct desist__inbox desist__inbox;
typedef struct desist__watch desist__watch;
typedef struct desist__runner desist__runner;

struct desist__watch {
  desist_registration registration;
  desist__inbox *inbox; /* set once, by the owner; retained by its host */
  uint8_t queued;       /* under the inbox's lock */
};

/* The state in whose name something is cancelled on this thread. */
struct desist__runner {
  desist__inbox *inbox;
  void (*run)(const desist__runner *runner, desist__watch *watch);
};

/* NULL: out of memory. */
desist__inbox *desist__inbox_create(void);
/* Nothing is queued any more; the watches are forgotten by their owner. Waits
** for a wakeup that another thread is in. */
void desist__inbox_close(desist__inbox *inbox);

/* Called with no lock held, by any thread, one at a time: when something is
** queued that no dispatch that is under way or over has seen. NULL: by nobody.
** When this returns, the old function runs on no other thread. If something is
** queued, the new one is called first. */
typedef void (*desist__wakeup)(void *data);
void desist__inbox_on_wakeup(desist__inbox *inbox, desist__wakeup wakeup,
                             void *data);

typedef enum desist__watched {
  DESIST__WATCHING,
  DESIST__TOO_LATE, /* the token is cancelled: run it yourself */
  DESIST__IN_VAIN   /* nothing can cancel the token */
} desist__watched;

desist__watched desist__watch_add(desist_token *token, desist__watch *watch);
/* Before a callback of a token that is cancelled already: returns when nobody
** is in the middle of marking what hangs together with it. */
void desist__see_whole(const desist_token *token);
/* True if because of this call it will never run. Neither the source nor the
** inbox knows the watch afterwards. */
bool desist__watch_remove(desist__watch *watch);

/* Around a dispatch. How many are queued to run; what comes from now on, and
** what is left at the end, the host is told of. */
size_t desist__inbox_begin(desist__inbox *inbox);
void desist__inbox_end(desist__inbox *inbox);
/* Neither to run nor dropped. */
bool desist__inbox_is_empty(desist__inbox *inbox);
/* The first that is queued to run; NULL: none. */
desist__watch *desist__inbox_first(desist__inbox *inbox);
/* Takes that one out. */
void desist__inbox_take(desist__inbox *inbox, desist__watch *watch);
/* Takes out one that was dropped; NULL: none. */
desist__watch *desist__inbox_take_dropped(desist__inbox *inbox);
/* Readable while any are queued to run; or a negative errno. */
int desist__inbox_fd(desist__inbox *inbox);
/* Until something is queued, the token is cancelled or closed, or the moment
** of the real clock has come. */
void desist__inbox_wait(desist__inbox *inbox, desist_token *token,
                        int64_t until);

/* A wait on the inbox, if there is one, ends. Any thread. */
void desist__inbox_wake(desist__inbox *inbox);

/* As in desist.h, but in a state's name. */
bool desist__cancel(desist_source *source, desist_reason *reason,
                    const desist__runner *runner);
bool desist__cancel_after(desist_source *source, int64_t nanoseconds,
                          const desist__runner *runner);
bool desist__cancel_at(desist_source *source, int64_t time,
                       const desist__runner *runner);
/* To a moment, or by a duration. */
bool desist__clock_move(desist_clock *clock, int64_t time, bool by,
                        const desist__runner *runner);

/* Looks at the real deadlines in a build without threads. */
void desist__look(void);

/* Closed, or given up, before it was cancelled. */
bool desist__is_dead(const desist_token *token);
bool desist__is_closed(const desist_token *token);
bool desist__is_armed(const desist_token *token);
/* Not a link, or one that has left its inputs without being cancelled: it was
** closed, or they cannot cancel it any more. */
bool desist__lost_inputs(const desist_token *token);
/* Puts a watch that was taken by a runner into its inbox after all. */
void desist__watch_later(desist__watch *watch);
/* That the source is on; NULL: the real one. */
desist_clock *desist__manual_clock(const desist_token *token);
/* Whether anybody holds a source reference. */
bool desist__has_handles(const desist_token *token);
/* Whether the caller's is the only one, and nothing else can cancel it. */
bool desist__has_one_handle(desist_source *source);

/*
** The effective deadline: a moment of its clock and what is left of it; both
** DESIST_NEVER: none. False: out of memory.
*/
bool desist__effective(const desist_token *token, int64_t *time, int64_t *left);

/* --- Looking at a source (inspect.c) --- */

typedef enum desist__sort {
  DESIST__INPUT,     /* `what`: its token, retained */
  DESIST__OF_C,      /* callbacks of C */
  DESIST__OF_STATE,  /* one of the asking state; `what`: its watch */
  DESIST__OF_OTHERS, /* callbacks of other states */
  DESIST__WAITING,   /* threads */
  DESIST__BELOW      /* a link; `what`: its token, retained */
} desist__sort;

typedef struct desist__item {
  desist__sort sort;
  size_t count; /* neighbours of one sort, where nothing tells them apart */
  void *what;
} desist__item;

typedef enum desist__form {
  DESIST__NO_LINK,
  DESIST__OF_ANY,
  DESIST__OF_ALL
} desist__form;

enum { DESIST__NAME_SIZE = 100, DESIST__PLACE_SIZE = 140 };

/* A source as it is at one moment. */
typedef struct desist__facts {
  bool cancelled, closed;
  desist__form form;
  size_t wanted; /* a live OF_ALL: how many inputs are still to be cancelled */
  int64_t left;  /* of its own deadline; DESIST_NEVER: none */
  /* Of a source that is traced, else DESIST_NEVER: how long ago it was made,
  ** and cancelled, on its clock. */
  int64_t age, since;
  /* Cut, with "..." at the end, if too long; "": none. */
  char name[DESIST__NAME_SIZE], place[DESIST__PLACE_SIZE];
} desist__facts;

/*
** Looks at a source: its inputs in their order, then what stands in its list,
** in running order. Fills in the first `room` items, and returns how many there
** are. Nothing is allocated. A watch may be delivered or dropped as soon as
** this returns, but nobody besides its state lets go of it. Any thread.
*/
size_t desist__inspect(const desist_token *token, const desist__inbox *state,
                       desist__facts *facts, desist__item *items, size_t room);

/* From now on it is known when the source is cancelled. Once; its clock is
** set before. False: out of memory, nothing has changed. */
bool desist__trace_source(desist_source *source, const char *place);

/* --- Reasons that carry a script's value --- */

typedef enum desist__value_type {
  DESIST__VALUE_TEXT, /* the reason's text */
  DESIST__VALUE_BOOLEAN,
  DESIST__VALUE_INTEGER,
  DESIST__VALUE_NUMBER,
  DESIST__VALUE_OBJECT /* of the state `owner`; elsewhere the text */
} desist__value_type;

typedef struct desist__value {
  desist__value_type type;
  union {
    bool boolean;
    int64_t integer;
    double number;
    const void *owner;
  } as;
} desist__value;

/* NULL: out of memory. */
desist_reason *desist__reason_create(desist_kind kind, int code,
                                     const char *text, size_t length,
                                     const desist__value *value);
const desist__value *desist__reason_value(const desist_reason *reason);
size_t desist__reason_length(const desist_reason *reason);

DESIST__END

#endif
