/*
** link.c: sources that are cancelled when their inputs are. See core.h, #3.
*/
#include "core.h"

static size_t size_of(size_t count) {
  return sizeof(desist__linked) + (count - 1) * sizeof(desist__node);
}

desist__linked *desist__link_of(desist__node *node) {
  while ((desist__kind(node) & DESIST__FIRST) == 0) node--;
  return (desist__linked *)(void *)((char *)node -
                                    offsetof(desist__linked, inputs));
}

size_t desist__link_count(const desist__linked *link) {
  size_t i = 0;
  while ((desist__kind(&link->inputs[i]) & DESIST__LAST) == 0) i++;
  return i + 1;
}

bool desist__link_unlist(desist_source *input, desist__node *node) {
  bool ended;
  desist__lock_acquire(&input->lock);
  if (desist__is_listed(node)) desist__list_remove_locked(input, node);
  ended = desist__list_ended_locked(input);
  desist__lock_release(&input->lock);
  return ended;
}

void desist__link_leave(desist__linked *link) {
  size_t count = desist__link_count(link);
  size_t i;
  for (i = 0; i < count; i++) {
    desist__node *node = &link->inputs[i];
    desist_source *input;
    desist__lock_acquire(&link->source.lock);
    input = desist__owner(node); /* whoever clears it leaves */
    desist__store_relaxed(&node->owner, (uintptr_t)desist__kind(node));
    desist__lock_release(&link->source.lock);
    if (input == NULL) continue;
    if (desist__link_unlist(input, node)) desist__release(input);
    desist__release(input);
  }
}

bool desist__link_input_died(desist__linked *link) {
  desist_source *source = &link->source;
  bool ended = false;
  desist__lock_acquire(&source->lock);
  if ((desist__load_relaxed(&source->flags) &
       (DESIST__CANCELLED | DESIST__CLOSED)) == 0 &&
      source->live != 0) {
    source->live = source->link == DESIST__ALL ? 0 : source->live - 1;
    ended = source->live == 0;
  }
  desist__lock_release(&source->lock);
  return ended;
}

/* Whether it stands in no input's list, or is about to leave the last. */
static bool has_left(const desist__linked *link) {
  const desist__node *node = link->inputs;
  for (;; node++) {
    if (desist__owner(node) != NULL) return false;
    if ((desist__kind(node) & DESIST__LAST) != 0) return true;
  }
}

/* Mostly without the lock: who sees the link in a list still, may hear of its
** leaving later. It leaves when cancelled too, after the flag. */
bool desist__lost_inputs(const desist_token *token) {
  desist_source *source = desist__source_of(token);
  bool cancelled;
  if (source == NULL || source->link == DESIST__PLAIN) return true;
  if (!has_left(desist__linked_of(source))) return false;
  desist__lock_acquire(&source->lock);
  cancelled = (desist__load_relaxed(&source->flags) & DESIST__CANCELLED) != 0;
  desist__lock_release(&source->lock);
  return !cancelled;
}

/* --- Making one --- */

/* Whether the first `i` inputs have this one already. */
static bool seen_before(desist_token *const *inputs, size_t i) {
  size_t j;
  for (j = 0; j < i; j++)
    if (inputs[j] == inputs[i]) return true;
  return false;
}

/*
** The input that has cancelled such a link before it is made, or NULL: of ANY
** the first, of ALL the last, duplicates at their first place.
*/
static desist_source *cancelled_already(desist_token *const *inputs,
                                        size_t count, desist_link_mode mode) {
  size_t i;
  for (i = 0; i < count; i++) {
    bool is = desist_token_is_cancelled(inputs[i]);
    if (is && mode == DESIST_LINK_ANY) return desist__source_of(inputs[i]);
    if (!is && mode == DESIST_LINK_ALL) return NULL;
  }
  if (mode == DESIST_LINK_ANY) return NULL;
  while (seen_before(inputs, count - 1)) count--;
  return desist__source_of(inputs[count - 1]);
}

static desist_source *origin_of(desist_source *source) {
  desist_source *origin =
      source->link == DESIST__PLAIN ? NULL : desist__linked_of(source)->origin;
  return origin == NULL ? source : origin;
}

/* Marks a link that nobody knows yet, or that `input` has just reached.
** There is nothing to deliver. */
static void cancel_by_locked(desist__linked *link, desist_source *input) {
  link->origin = origin_of(input);
  desist__retain(link->origin);
  desist__reason_set_locked(&link->source, desist__reason_of(input));
  desist__flag_locked(&link->source, DESIST__CANCELLED, 0);
}

static desist__linked *make(size_t count, unsigned kind, desist_clock *clock) {
  desist__linked *link =
      (desist__linked *)(void *)desist__source_new(size_of(count));
  size_t i;
  if (link == NULL) return NULL;
  link->source.link = (uint8_t)kind;
  link->origin = NULL;
  for (i = 0; i < count; i++) {
    link->inputs[i].next = NULL;
    link->inputs[i].previous = &link->inputs[i];
    link->inputs[i].owner = DESIST__LINK;
    if (i == 0) link->inputs[i].owner |= DESIST__FIRST;
    if (i + 1 == count) link->inputs[i].owner |= DESIST__LAST;
  }
  if (clock != NULL) {
    desist__extra *extra = desist__extra_make(&link->source);
    if (extra == NULL) {
      desist_source_release(&link->source);
      return NULL;
    }
    desist__clock_retain(clock);
    extra->clock = clock;
  }
  return link;
}

typedef enum joined { JOINED, DEAD_INPUT, STOP } joined;

/*
** Puts the link's node into the input's list. The link is known to the inputs
** before this one, and may be cancelled by them at any time. STOP: it is.
*/
static joined join(desist__linked *link, size_t i, desist_source *input) {
  joined result = JOINED;
  bool known = i != 0;
  unsigned flags;
  desist__lock_acquire(&input->lock);
  if (known) desist__lock_acquire(&link->source.lock);
  flags = desist__load_relaxed(&input->flags);
  if ((desist__load_relaxed(&link->source.flags) & DESIST__CANCELLED) != 0) {
    result = STOP;
  } else if ((flags & DESIST__CANCELLED) != 0) {
    if (link->source.link == DESIST__ANY || --link->source.live == 0) {
      cancel_by_locked(link, input);
      result = STOP;
    }
  } else if ((flags & DESIST__CLOSED) != 0) {
    result = DEAD_INPUT;
  } else {
    desist__retain(input);
    desist__list_add_locked(input, &link->inputs[i],
                            desist__kind(&link->inputs[i]));
    desist__flag_locked(input, DESIST__LINKED, 0);
    if (link->source.link == DESIST__ANY) link->source.live++;
  }
  if (known) desist__lock_release(&link->source.lock);
  desist__lock_release(&input->lock);
  return result;
}

static bool skipped(const desist_token *input, desist_link_mode mode) {
  return mode == DESIST_LINK_ANY && !desist_token_can_be_cancelled(input);
}

/* `held`: of ANY with more than one, the maker counts as an input, so that it
** does not end by its first one's death before it is made. */
static void join_all(desist__linked *link, desist_token *const *inputs,
                     size_t count, desist_link_mode mode, bool held) {
  size_t i, at = 0;
  joined result = JOINED;
  for (i = 0; i < count && result == JOINED; i++) {
    if (skipped(inputs[i], mode)) continue;
    if (mode == DESIST_LINK_ALL && inputs[i] == NULL)
      result = DEAD_INPUT;
    else
      result = join(link, at++, desist__source_of(inputs[i]));
    if (result == DEAD_INPUT && mode == DESIST_LINK_ANY) result = JOINED;
  }
  /* REACHED: who marked it has its turn to give, and then leaves the rest. */
  if (result == STOP
          ? (desist__flags(&link->source) & DESIST__REACHED) == 0
          : (held || result == DEAD_INPUT) && desist__link_input_died(link))
    desist__link_leave(link);
}

/* The clock that all inputs share that count, else the real one (NULL). */
static desist_clock *shared_clock(desist_token *const *inputs, size_t count,
                                  desist_link_mode mode) {
  desist_clock *clock = NULL;
  bool any = false;
  size_t i;
  for (i = 0; i < count; i++) {
    desist__extra *extra;
    desist_clock *its;
    if (inputs[i] == NULL || skipped(inputs[i], mode)) continue;
    extra = desist__extra_of(desist__source_of(inputs[i]));
    its = extra == NULL ? NULL : extra->clock;
    if (any && its != clock) return NULL;
    clock = its;
    any = true;
  }
  return clock;
}

desist_source *desist_source_create_linked(desist_token *const *inputs,
                                           size_t count,
                                           desist_link_mode mode) {
  desist_clock *clock;
  desist_source *by;
  desist__linked *link;
  size_t i, used = 0;
  if (count == 0 && mode == DESIST_LINK_ALL) return NULL;
  clock = shared_clock(inputs, count, mode);
  by = cancelled_already(inputs, count, mode);
  if (by == NULL) {
    for (i = 0; i < count; i++)
      if (!skipped(inputs[i], mode)) used++;
    if (used == 0) return desist_source_create_on(clock);
  }
  link = make(used == 0 ? 1 : used,
              mode == DESIST_LINK_ANY ? DESIST__ANY : DESIST__ALL, clock);
  if (link == NULL) return NULL;
  if (by != NULL) {
    desist__lock_acquire(&link->source.lock);
    cancel_by_locked(link, by);
    desist__lock_release(&link->source.lock);
  } else {
    bool held = mode == DESIST_LINK_ANY && used > 1;
    link->source.live = mode == DESIST_LINK_ALL ? (uint32_t)used : held;
    join_all(link, inputs, count, mode, held);
  }
  return &link->source;
}
