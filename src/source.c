/*
** source.c: the life of sources and tokens. See core.h.
*/
#include "core.h"

#include <string.h>

const char *desist_version(void) { return DESIST_VERSION; }

/* --- Birth --- */

desist_source *desist__source_new(size_t size) {
  desist_source *source = (desist_source *)desist__allocate(size);
  if (source == NULL) return NULL;
  source->flags = 0;
  source->lock = 0;
  source->link = DESIST__PLAIN;
  source->live = 0;
  source->handles = 1;
  source->refs = 1;
  source->first = NULL;
  source->slot = 0;
  return source;
}

desist__extra *desist__extra_make(desist_source *source) {
  desist__extra *extra = desist__extra_of(source);
  desist__extra *made;
  if (extra != NULL) return extra;
  made = (desist__extra *)desist__allocate(sizeof *made);
  if (made == NULL) return NULL;
  memset(made, 0, sizeof *made);
  made->source = source;
  desist__lock_acquire(&source->lock);
  extra = desist__extra_of(source);
  if (extra == NULL) {
    made->reason = source->slot;
    extra = made;
    made = NULL;
    desist__store_release(&source->slot, (uintptr_t)extra | 1);
  }
  desist__lock_release(&source->lock);
  desist__free(made, sizeof *made);
  return extra;
}

desist_source *desist_source_create(void) {
  return desist__source_new(sizeof(desist_source));
}

desist_source *desist_source_create_on(desist_clock *clock) {
  desist_source *source = desist_source_create();
  desist__extra *extra;
  if (source == NULL || clock == NULL) return source;
  extra = desist__extra_make(source);
  if (extra == NULL) {
    desist_source_release(source);
    return NULL;
  }
  desist__clock_retain(clock);
  extra->clock = clock;
  return source;
}

/* --- Closing --- */

/* A chain of link nodes, joined by `next`, put before another. */
static desist__node *chain_before(desist__node *chain, desist__node *rest) {
  desist__node *last = chain;
  if (chain == NULL) return rest;
  while (last->next != NULL) last = last->next;
  last->next = rest;
  return chain;
}

/*
** Closes one source, and returns the nodes of links that have lost their
** input. Their links are kept alive by a reference each. `if_live`: what has
** been cancelled just now stays, its callbacks are still to run.
*/
static desist__node *close_one(desist_source *source, bool if_live) {
  desist__node *orphans, *node, **at;
  desist__extra *extra;
  bool live, ended;
  desist__lock_acquire(&source->lock);
  if ((desist__load_relaxed(&source->flags) &
       (DESIST__CLOSED | (if_live ? DESIST__CANCELLED : 0))) != 0) {
    desist__lock_release(&source->lock);
    return NULL;
  }
  live = (desist__load_relaxed(&source->flags) & DESIST__CANCELLED) == 0;
  desist__flag_locked(source, DESIST__CLOSED, 0);
  orphans = desist__list_drop_locked(source, live, false, false);
  for (at = &orphans; (node = *at) != NULL;) {
    desist__linked *link = desist__link_of(node);
    if (desist__count_up_alive(&link->source.refs))
      at = &node->next;
    else
      *at = node->next; /* it is being buried */
  }
  ended = desist__list_ended_locked(source);
  desist__lock_release(&source->lock);
  if (live) {
    if (source->link != DESIST__PLAIN)
      desist__link_leave(desist__linked_of(source));
    extra = desist__extra_of(source);
    if (extra != NULL && desist__disarm(extra)) desist__release(source);
    if (extra != NULL && extra->catcher != NULL &&
        desist__catcher_end(extra->catcher, true))
      desist__release(source);
  }
  if (ended) desist__release(source);
  return orphans;
}

/* Whether it is live, with so many handles, and nothing else can cancel it. */
static bool is_left_with(desist_source *source, uint32_t handles) {
  desist__extra *extra = desist__extra_of(source);
  bool result;
  desist__lock_acquire(&source->lock);
  result = (desist__load_relaxed(&source->flags) &
            (DESIST__CANCELLED | DESIST__CLOSED)) == 0 &&
           source->live == 0 &&
           desist__load_acquire(&source->handles) == handles &&
           (extra == NULL ||
            (desist__load_acquire(&extra->armed) == DESIST__DISARMED &&
             extra->catcher == NULL));
  desist__lock_release(&source->lock);
  return result;
}

static bool is_given_up(desist_source *source) {
  return is_left_with(source, 0);
}

bool desist__has_one_handle(desist_source *source) {
  return is_left_with(source, 1);
}

/* Links that lost an input: those with nothing left are closed in turn, which
** may orphan more. A chain of any length in one loop. */
static void orphan(desist__node *orphans) {
  while (orphans != NULL) {
    desist__node *node = orphans;
    desist__linked *link = desist__link_of(node);
    orphans = node->next;
    node->next = NULL;
    if (desist__link_input_died(link)) {
      desist__link_leave(link);
      if (is_given_up(&link->source))
        orphans = chain_before(close_one(&link->source, true), orphans);
    }
    desist__release(&link->source);
  }
}

static void close_if_live(desist_source *source) {
  orphan(close_one(source, true));
}

void desist__reconsider(desist_source *source) {
  if (is_given_up(source)) close_if_live(source);
}

void desist_source_close(desist_source *source) {
  if (source != NULL) orphan(close_one(source, false));
}

/* --- Death --- */

static void free_extra(desist__extra *extra) {
  desist__handles_forget(extra);
  if (extra->catcher != NULL) desist__catcher_free(extra->catcher);
  if (extra->has_event) desist__event_destroy(&extra->event);
  if (extra->name != NULL) desist__free(extra->name, strlen(extra->name) + 1);
  if (extra->trace != NULL) desist__trace_free(extra->trace);
  if (extra->clock != NULL) desist__clock_release(extra->clock);
  desist_reason_release((desist_reason *)extra->reason);
  desist__free(extra, sizeof *extra);
}

static size_t size_of(const desist_source *source) {
  if (source->link == DESIST__PLAIN) return sizeof *source;
  return sizeof(desist__linked) +
         (desist__link_count((const desist__linked *)(const void *)source) -
          1) *
             sizeof(desist__node);
}

static void free_source(desist_source *source) {
  desist__extra *extra = desist__extra_of(source);
  if (extra != NULL)
    free_extra(extra);
  else
    desist_reason_release((desist_reason *)source->slot);
  desist__free(source, size_of(source));
}

/* How many of the references are the source's own: of what may cancel it. */
static uint32_t own_refs(const desist__extra *extra) {
  uint32_t own = desist__load_acquire(&extra->armed) != DESIST__DISARMED;
  if (extra->catcher != NULL) own++; /* ends with CANCELLED or CLOSED */
  return own;
}

/* The caller's reference is the last besides those: nobody will see it. Its
** inputs it leaves when it is buried: no recursion. */
static void end_unseen(desist_source *source, desist__extra *extra) {
  bool ends;
  desist__lock_acquire(&source->lock);
  ends = (desist__load_relaxed(&source->flags) &
          (DESIST__CANCELLED | DESIST__CLOSED)) == 0 &&
         source->first == NULL;
  if (ends) desist__flag_locked(source, DESIST__CLOSED, 0);
  desist__lock_release(&source->lock);
  if (!ends) return;
  if (desist__disarm(extra)) (void)desist__count_down(&source->refs, 1);
  if (extra->catcher != NULL && desist__catcher_end(extra->catcher, true))
    (void)desist__count_down(&source->refs, 1);
}

/* True: that was the last reference. */
static bool count_down_seen(desist_source *source) {
  desist__extra *extra = desist__extra_of(source);
  uint32_t seen;
  if (extra == NULL) return desist__count_down(&source->refs, 1) == 0;
  do {
    seen = desist__load_acquire(&source->refs);
    if (seen > 1 && seen <= 3 && desist__load_acquire(&source->handles) == 0 &&
        own_refs(extra) == seen - 1) {
      end_unseen(source, extra);
      seen = desist__load_acquire(&source->refs);
    }
  } while (!__atomic_compare_exchange_n(&source->refs, &seen, seen - 1, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
  return seen == 1;
}

/* One reference less; at none, it joins the dead by `first`, which is empty
** then: a link on it would have a reference, and its callbacks are dropped. */
static void let_go(desist_source *source, desist_source **dead) {
  if (!count_down_seen(source)) return;
  /* As in is_bare, but marking may still look at a link. */
  if (source->link != DESIST__PLAIN ||
      desist__load_acquire(&source->first) != NULL ||
      desist__load_acquire(&source->lock) != 0) {
    desist__lock_acquire(&source->lock);
    desist__flag_locked(source, DESIST__CLOSED, 0);
    (void)desist__list_drop_locked(source, false, false, true);
    desist__lock_release(&source->lock);
  }
  source->first = (desist__node *)(void *)*dead;
  *dead = source;
}

/* desist__link_leave for one that nobody knows but its inputs' lists. */
static void bury_link(desist__linked *link, desist_source **dead) {
  size_t count = desist__link_count(link);
  size_t i;
  for (i = 0; i < count; i++) {
    desist__node *node = &link->inputs[i];
    desist_source *input = desist__owner(node);
    if (input == NULL) continue;
    if (desist__link_unlist(input, node)) let_go(input, dead);
    let_go(input, dead);
  }
  if (link->origin != NULL) let_go(link->origin, dead);
}

static void free_dead(desist_source *dead) {
  while (dead != NULL) {
    desist_source *next = dead;
    dead = (desist_source *)(void *)next->first;
    if (next->link != DESIST__PLAIN) bury_link(desist__linked_of(next), &dead);
    free_source(next);
  }
}

void desist__release(desist_source *source) {
  desist_source *dead = NULL;
  let_go(source, &dead);
  free_dead(dead);
}

/* --- References --- */

void desist__hold_locked(desist_source *source) {
  if ((desist__load_relaxed(&source->flags) & DESIST__HELD) != 0) return;
  desist__flag_locked(source, DESIST__HELD, 0);
  desist__retain(source);
}

void desist_source_retain(desist_source *source) {
  if (source != NULL) desist__count_up(&source->handles);
}

/*
** The only reference to a source without anything: nobody else can come by
** one. Who took the last node out wrote `first` under the lock: having seen
** that, we see whether it has let go of the lock.
*/
static bool is_bare(const desist_source *source) {
  return desist__load_acquire(&source->refs) == 1 &&
         desist__load_acquire(&source->handles) == 1 &&
         desist__load_acquire(&source->slot) == 0 &&
         desist__load_acquire(&source->first) == NULL &&
         desist__load_acquire(&source->lock) == 0;
}

/* Ends a bare source the short way. A link's inputs may be cancelled at this
** very moment: then it has another reference now, and is not bare. */
static bool end_bare(desist_source *source) {
  desist_source *dead = NULL;
  if (!is_bare(source)) return false;
  if (source->link == DESIST__PLAIN) {
    desist__free(source, sizeof *source);
    return true;
  }
  if (!desist__count_last(&source->refs)) return false;
  bury_link(desist__linked_of(source), &dead);
  free_source(source);
  free_dead(dead);
  return true;
}

void desist_source_release(desist_source *source) {
  if (source == NULL || end_bare(source)) return;
  if (desist__count_down(&source->handles, 1) != 0) return;
  if ((desist__flags(source) & DESIST__CANCELLED) == 0) close_if_live(source);
  desist__release(source);
}

void desist_source_detach(desist_source *source) {
  if (source == NULL || end_bare(source)) return;
  if (desist__count_down(&source->handles, 1) != 0) return;
  desist__lock_acquire(&source->lock);
  if (source->first != NULL) desist__hold_locked(source);
  desist__lock_release(&source->lock);
  desist__reconsider(source);
  desist_token_release(desist__token_of(source));
}

void desist_token_retain(desist_token *token) {
  if (token != NULL) desist__retain(desist__source_of(token));
}

void desist_token_release(desist_token *token) {
  if (token != NULL) desist__release(desist__source_of(token));
}

desist_token *desist_source_token(desist_source *source) {
  return source == NULL ? NULL : desist__token_of(source);
}

/* --- Reset --- */

/* Finished ones do not count: they are about to leave. */
static bool has_links_locked(const desist_source *source) {
  desist__node *node;
  for (node = source->first; node != NULL; node = node->next)
    if ((desist__kind(node) & DESIST__LINK) != 0 &&
        (desist__flags(&desist__link_of(node)->source) &
         (DESIST__CANCELLED | DESIST__CLOSED)) == 0)
      return true;
  return false;
}

bool desist_source_try_reset(desist_source *source) {
  desist__extra *extra;
  bool fit;
  if (source == NULL) return false;
  desist__lock_acquire(&source->lock);
  fit = (desist__load_relaxed(&source->flags) &
         (DESIST__CANCELLED | DESIST__CLOSED)) == 0 &&
        !has_links_locked(source);
  if (fit) {
    /* Before the lock is let go of: a deadline that fires now comes first,
    ** or not at all. */
    extra = desist__extra_of(source);
    if (extra != NULL && desist__disarm(extra))
      (void)desist__count_down(&source->refs, 1); /* the caller has one */
    (void)desist__list_drop_locked(source, false, true, false);
  }
  desist__lock_release(&source->lock);
  return fit;
}

/* --- What a token tells --- */

bool desist_token_poll(const desist_token *token) {
  if (token == NULL) return false;
#if defined(DESIST_NO_THREADS)
  desist__service_poll();
#endif
  return (desist__flags(desist__source_of(token)) & DESIST__CANCELLED) != 0;
}

bool desist_token_can_be_cancelled(const desist_token *token) {
  return token != NULL && !desist__is_dead(token);
}

bool desist__is_dead(const desist_token *token) {
  return (desist__flags(desist__source_of(token)) &
          (DESIST__CANCELLED | DESIST__CLOSED)) == DESIST__CLOSED;
}

bool desist__is_closed(const desist_token *token) {
  return (desist__flags(desist__source_of(token)) & DESIST__CLOSED) != 0;
}

bool desist__is_armed(const desist_token *token) {
  desist__extra *extra = desist__extra_of(desist__source_of(token));
  return extra != NULL &&
         desist__load_acquire(&extra->armed) != DESIST__DISARMED;
}

bool desist__has_handles(const desist_token *token) {
  return desist__load_acquire(&desist__source_of(token)->handles) != 0;
}

desist_reason *desist_token_reason(const desist_token *token) {
  return desist_token_is_cancelled(token)
             ? desist__reason_of(desist__source_of(token))
             : NULL;
}

desist_token *desist_token_origin(const desist_token *token) {
  desist_source *source = desist__source_of(token);
  desist_source *origin = NULL;
  if (!desist_token_is_cancelled(token)) return NULL;
  if (source->link != DESIST__PLAIN) origin = desist__linked_of(source)->origin;
  return desist__token_of(origin == NULL ? source : origin);
}

/* --- Names --- */

bool desist_source_set_name(desist_source *source, const char *name) {
  desist__extra *extra;
  size_t size;
  char *copy, *before;
  if (source == NULL || name == NULL) return false;
  size = strlen(name) + 1;
  copy = (char *)desist__allocate(size);
  if (copy == NULL) return false;
  extra = desist__extra_make(source);
  if (extra == NULL) {
    desist__free(copy, size);
    return false;
  }
  memcpy(copy, name, size);
  desist__lock_acquire(&source->lock);
  before = extra->name;
  desist__store_release(&extra->name, copy);
  desist__lock_release(&source->lock);
  if (before != NULL) desist__free(before, strlen(before) + 1);
  return true;
}

const char *desist_token_name(const desist_token *token) {
  desist__extra *extra =
      token == NULL ? NULL : desist__extra_of(desist__source_of(token));
  return extra == NULL ? NULL : desist__load_acquire(&extra->name);
}
