/*
** inspect.c: looking at a source, for people who want to know what is going on.
**
** All that is seen of a source is seen under its lock, at one moment, and
** copied; links are kept alive by a reference each. What hangs on them is
** looked at in turn, by then perhaps changed.
*/
#include "core.h"

#include <string.h>

/* --- Traces --- */

static size_t trace_size(const char *place) {
  return offsetof(desist__trace, place) + strlen(place) + 1;
}

void desist__trace_free(desist__trace *trace) {
  desist__free(trace, trace->size);
}

bool desist__trace_source(desist_source *source, const char *place) {
  desist__extra *extra = desist__extra_make(source);
  desist__trace *trace;
  size_t size = trace_size(place);
  if (extra == NULL) return false;
  trace = (desist__trace *)desist__allocate(size);
  if (trace == NULL) return false;
  trace->size = size;
  trace->made = desist_clock_now(extra->clock);
  trace->cancelled = DESIST_NEVER;
  memcpy(trace->place, place, strlen(place) + 1);
  desist__lock_acquire(&source->lock);
  if ((desist__load_relaxed(&source->flags) & DESIST__CANCELLED) != 0)
    trace->cancelled = trace->made;
  if (extra->trace == NULL) {
    extra->trace = trace;
    trace = NULL;
  }
  desist__lock_release(&source->lock);
  if (trace != NULL) desist__trace_free(trace);
  return true;
}

void desist__trace_cancelled_locked(const desist_source *source,
                                    desist__trace *trace) {
  trace->cancelled = desist_clock_now(desist__clock_of(source));
}

/* --- Facts --- */

static void copy_text(char *to, size_t size, const char *from) {
  size_t length = from == NULL ? 0 : strlen(from);
  if (length < size) {
    if (length > 0) memcpy(to, from, length);
    to[length] = '\0';
  } else {
    memcpy(to, from, size - 4);
    memcpy(to + size - 4, "...", 4);
  }
}

static int64_t time_between(int64_t from, int64_t to) {
  return to <= from ? 0 : (int64_t)((uint64_t)to - (uint64_t)from);
}

/* `age` and `since` are moments yet. */
static void note_facts_locked(const desist_source *source,
                              desist__facts *facts) {
  unsigned flags = desist__load_relaxed(&source->flags);
  const desist__extra *extra = desist__extra_of(source);
  const desist__trace *trace = extra == NULL ? NULL : extra->trace;
  facts->cancelled = (flags & DESIST__CANCELLED) != 0;
  facts->closed = (flags & DESIST__CLOSED) != 0;
  facts->form = source->link == DESIST__PLAIN ? DESIST__NO_LINK
                : source->link == DESIST__ANY ? DESIST__OF_ANY
                                              : DESIST__OF_ALL;
  facts->wanted = source->live;
  facts->age = trace == NULL ? DESIST_NEVER : trace->made;
  facts->since = trace == NULL ? DESIST_NEVER : trace->cancelled;
  copy_text(facts->name, sizeof facts->name,
            extra == NULL ? NULL : extra->name);
  copy_text(facts->place, sizeof facts->place,
            trace == NULL ? NULL : trace->place);
}

/* What needs a clock's lock, or reads a clock. */
static void measure(const desist_source *source, desist__facts *facts) {
  int64_t time, now;
  desist__own_deadline(source, &time, &facts->left);
  if (facts->age == DESIST_NEVER) return;
  now = desist_clock_now(desist__clock_of(source));
  facts->age = time_between(facts->age, now);
  if (facts->since != DESIST_NEVER)
    facts->since = time_between(facts->since, now);
}

/* --- Items --- */

typedef struct filling {
  desist__item *items;
  size_t room, count;
  desist__item last; /* the one that more may be added to */
} filling;

/* Where neighbours are counted, `what` is NULL. */
static bool add(filling *self, desist__sort sort, void *what) {
  if (self->count > 0 && what == NULL && self->last.what == NULL &&
      self->last.sort == sort) {
    if (self->count <= self->room) self->items[self->count - 1].count++;
    return true;
  }
  self->last.sort = sort;
  self->last.what = what;
  self->count++;
  if (self->count > self->room) return false;
  self->items[self->count - 1].sort = sort;
  self->items[self->count - 1].count = 1;
  self->items[self->count - 1].what = what;
  return true;
}

static void add_inputs_locked(filling *self, desist__linked *link) {
  desist__node *node = link->inputs;
  for (;; node++) {
    desist_source *input = desist__owner(node);
    if (input != NULL && add(self, DESIST__INPUT, input))
      desist__retain(input); /* it has a reference of the link's (#3) */
    if ((desist__kind(node) & DESIST__LAST) != 0) return;
  }
}

/* One that is being buried is not there any more. */
static void add_link_locked(filling *self, desist__node *node) {
  desist_source *link = &desist__link_of(node)->source;
  if (self->count >= self->room)
    (void)add(self, DESIST__BELOW, link);
  else if (desist__count_up_alive(&link->refs))
    (void)add(self, DESIST__BELOW, link);
}

static void add_list_locked(filling *self, const desist_source *source,
                            const desist__inbox *state) {
  desist__node *node;
  for (node = source->first; node != NULL; node = node->next) {
    unsigned kind = desist__kind(node);
    if ((kind & DESIST__LINK) != 0) {
      add_link_locked(self, node);
    } else if (kind == DESIST__WATCH) {
      desist__watch *watch = (desist__watch *)(void *)node;
      bool own = state != NULL && watch->inbox == state;
      (void)add(self, own ? DESIST__OF_STATE : DESIST__OF_OTHERS,
                own ? watch : NULL);
    } else {
      (void)add(self, kind == DESIST__WAITER ? DESIST__WAITING : DESIST__OF_C,
                NULL);
    }
  }
}

size_t desist__inspect(const desist_token *token, const desist__inbox *state,
                       desist__facts *facts, desist__item *items, size_t room) {
  desist_source *source = desist__source_of(token);
  filling self = { items, room, 0, { DESIST__INPUT, 0, NULL } };
  desist__lock_acquire(&source->lock);
  note_facts_locked(source, facts);
  if (source->link != DESIST__PLAIN)
    add_inputs_locked(&self, desist__linked_of(source));
  add_list_locked(&self, source, state);
  desist__lock_release(&source->lock);
  measure(source, facts);
  return self.count;
}
