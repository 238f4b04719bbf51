/*
** deadline.c: the effective deadline of a token: its own and its inputs',
** transitively.
**
** The graph above a token is walked with a stack and a table of what has been
** worked out, both on the C stack while they are small. Every source is looked
** at once, however many ways lead to it. Inputs are held by a reference while
** they stand in the table.
*/
#include "core.h"

#include <string.h>

typedef struct entry {
  desist_source *source; /* retained */
  int64_t time, left;    /* so far; both DESIST_NEVER: none */
  size_t parent;         /* the entry that asked first */
  size_t next;           /* of its inputs */
} entry;

#define SMALL 24

typedef struct walk {
  entry *entries;
  size_t count, capacity;
  size_t *slots; /* hash of source -> entry + 1; a power of two, half full */
  size_t slot_count;
  entry small_entries[SMALL];
  size_t small_slots[SMALL * 4];
} walk;

static size_t hash(const desist_source *source, size_t slots) {
  uint64_t bits = (uint64_t)(uintptr_t)source * 0x9E3779B97F4A7C15u;
  return (size_t)(bits >> 32) & (slots - 1);
}

static size_t *slot_for(const walk *self, const desist_source *source) {
  size_t at = hash(source, self->slot_count);
  while (self->slots[at] != 0 &&
         self->entries[self->slots[at] - 1].source != source)
    at = (at + 1) & (self->slot_count - 1);
  return &self->slots[at];
}

static void free_tables(walk *self) {
  if (self->entries != self->small_entries)
    desist__free(self->entries, self->capacity * sizeof *self->entries);
  if (self->slots != self->small_slots)
    desist__free(self->slots, self->slot_count * sizeof *self->slots);
}

static bool grow(walk *self) {
  walk bigger;
  size_t i;
  bigger.capacity = self->capacity * 2;
  bigger.slot_count = self->slot_count * 2;
  bigger.count = self->count;
  bigger.entries =
      (entry *)desist__allocate(bigger.capacity * sizeof *bigger.entries);
  bigger.slots =
      (size_t *)desist__allocate(bigger.slot_count * sizeof *bigger.slots);
  if (bigger.entries == NULL || bigger.slots == NULL) {
    desist__free(bigger.entries, bigger.capacity * sizeof *bigger.entries);
    desist__free(bigger.slots, bigger.slot_count * sizeof *bigger.slots);
    return false;
  }
  memcpy(bigger.entries, self->entries, self->count * sizeof *self->entries);
  memset(bigger.slots, 0, bigger.slot_count * sizeof *bigger.slots);
  for (i = 0; i < bigger.count; i++)
    *slot_for(&bigger, bigger.entries[i].source) = i + 1;
  free_tables(self);
  self->entries = bigger.entries;
  self->capacity = bigger.capacity;
  self->slots = bigger.slots;
  self->slot_count = bigger.slot_count;
  return true;
}

void desist__own_deadline(const desist_source *source, int64_t *time,
                          int64_t *left) {
  desist__extra *extra = desist__extra_of(source);
  *time = *left = DESIST_NEVER;
  if (extra == NULL || desist__load_acquire(&extra->armed) == DESIST__DISARMED)
    return;
  {
    desist_clock *clock = desist__clock_of(source);
    int64_t at, now;
    bool armed;
    desist__mutex_lock(&clock->lock.mutex);
    armed = extra->armed != DESIST__DISARMED;
    at = extra->alarm.time;
    desist__mutex_unlock(&clock->lock.mutex);
    if (!armed) return;
    now = desist_clock_now(clock);
    *time = at;
    *left = at <= now ? 0 : (int64_t)((uint64_t)at - (uint64_t)now);
    if (*left < 0 || *left == DESIST_NEVER) /* wider than the type */
      *left = DESIST_NEVER - 1;
  }
}

/* Adds a source, whose reference it takes over. False: out of memory. */
static bool add(walk *self, desist_source *source, size_t parent) {
  entry *made;
  if (self->count == self->capacity && !grow(self)) return false;
  *slot_for(self, source) = self->count + 1;
  made = &self->entries[self->count++];
  made->source = source;
  made->parent = parent;
  made->next = 0;
  if (source->link == DESIST__ALL)
    made->time = made->left = INT64_MIN; /* of the inputs: none seen yet */
  else
    desist__own_deadline(source, &made->time, &made->left);
  return true;
}

/* An input's deadline comes into a link's. */
static void merge(entry *link, const entry *input) {
  bool all = link->source->link == DESIST__ALL;
  if (all && (desist__flags(input->source) & DESIST__CANCELLED) != 0) return;
  if (all ? input->left > link->left : input->left < link->left) {
    link->time = input->time;
    link->left = input->left;
  }
}

/* All inputs are in: of ALL, its own deadline is still to be compared. */
static void settle(entry *link) {
  int64_t time, left;
  bool hopeless;
  if (link->source->link != DESIST__ALL) return;
  desist__lock_acquire(&link->source->lock);
  hopeless = link->source->live == 0;
  desist__lock_release(&link->source->lock);
  if (link->left == INT64_MIN || hopeless)
    link->time = link->left = DESIST_NEVER;
  desist__own_deadline(link->source, &time, &left);
  if (left < link->left) {
    link->time = time;
    link->left = left;
  }
}

/* The next input of a link, retained; NULL: it has no more. */
static desist_source *next_input(entry *at) {
  desist_source *source = at->source;
  desist_source *input = NULL;
  desist__linked *link;
  bool end =
      source->link == DESIST__PLAIN ||
      (desist__flags(source) & (DESIST__CANCELLED | DESIST__CLOSED)) != 0;
  if (end) return NULL;
  link = desist__linked_of(source);
  desist__lock_acquire(&source->lock);
  while (input == NULL && at->next != SIZE_MAX) {
    desist__node *node = &link->inputs[at->next];
    input = desist__owner(node);
    at->next =
        (desist__kind(node) & DESIST__LAST) != 0 ? SIZE_MAX : at->next + 1;
  }
  if (input != NULL) desist__retain(input);
  desist__lock_release(&source->lock);
  return input;
}

static bool go(walk *self, desist_source *source) {
  size_t at = 0;
  desist__retain(source);
  if (!add(self, source, 0)) return false;
  for (;;) {
    desist_source *input = next_input(&self->entries[at]);
    if (input != NULL) {
      size_t known = *slot_for(self, input);
      if (known != 0) {
        desist__release(input);
        merge(&self->entries[at], &self->entries[known - 1]);
      } else if (add(self, input, at)) {
        at = self->count - 1;
      } else {
        desist__release(input);
        return false;
      }
    } else {
      settle(&self->entries[at]);
      if (at == 0) return true;
      merge(&self->entries[self->entries[at].parent], &self->entries[at]);
      at = self->entries[at].parent;
    }
  }
}

bool desist__effective(const desist_token *token, int64_t *time,
                       int64_t *left) {
  walk self;
  bool whole;
  size_t i;
  *time = *left = DESIST_NEVER;
  if (token == NULL || desist_token_is_cancelled(token)) return true;
  self.entries = self.small_entries;
  self.capacity = SMALL;
  self.slots = self.small_slots;
  self.slot_count = 64;
  self.count = 0;
  memset(self.small_slots, 0, sizeof self.small_slots);
  whole = go(&self, desist__source_of(token));
  if (!whole) { /* what was seen so far, from the last one up */
    for (i = self.count; i-- > 1;)
      if (self.entries[i].left != INT64_MIN)
        merge(&self.entries[self.entries[i].parent], &self.entries[i]);
    settle(&self.entries[0]);
  }
  *time = self.entries[0].time;
  *left = self.entries[0].left;
  for (i = 0; i < self.count; i++) desist__release(self.entries[i].source);
  free_tables(&self);
  return whole;
}

int64_t desist_token_deadline(const desist_token *token) {
  int64_t time, left;
  (void)desist__effective(token, &time, &left);
  return time;
}

int64_t desist_token_remaining(const desist_token *token) {
  int64_t time, left;
  if (desist_token_is_cancelled(token)) return 0;
  (void)desist__effective(token, &time, &left);
  return left == DESIST_NEVER && desist_token_is_cancelled(token) ? 0 : left;
}
