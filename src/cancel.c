/*
** cancel.c: the two phases of a cancellation. See core.h, #4 and #6.
**
** First all that hangs on the source is marked. A walk down the links, depth
** first, flips the flags on its way back: what is below reads cancelled before
** what is above. A second walk, in running order, settles for each link the
** input through which it has its turn: the first one met. The second phase of
** the cancellation walks the lists once more, emptying them and running what
** it finds; a link met elsewhere than where it has its turn is passed over.
**
** One thread at a time marks a graph: it holds the marking lock, so no two
** cancellations that meet in a graph see each other's halves. While it flips
** it keeps the locks of the sources between the root and where it is (inputs
** before links: a graph has no circles). A source without links needs only its
** own lock.
**
** All walks find their way back by the link's node: no recursion, no memory.
*/
#include "core.h"

static desist__mutex marking_lock = DESIST__MUTEX_INIT;

/* Taken by the service thread while it holds a source's lock, and by fork, so
** that no child is born with a source locked by a thread it has not. */
static desist__mutex gate_lock = DESIST__MUTEX_INIT;

/* --- First phase --- */

static void wake_waiters_locked(desist_source *source) {
  desist__node *node;
  for (node = source->first; node != NULL; node = node->next)
    if (desist__kind(node) == DESIST__WAITER)
      desist__waiter_wake((desist__waiter *)(void *)node);
}

/* The flag, and a reference for the delivery. */
static void flip_locked(desist_source *source, desist_reason *reason,
                        unsigned flags) {
  desist__extra *extra = desist__extra_of(source);
  desist__retain(source);
  desist__reason_set_locked(source, reason);
  if (extra != NULL && extra->trace != NULL)
    desist__trace_cancelled_locked(source, extra->trace);
  desist__flag_locked(source, DESIST__CANCELLED | flags, 0);
  if (extra == NULL) return;
  if (desist__disarm(extra)) (void)desist__count_down(&source->refs, 1);
  if (extra->catcher != NULL && desist__catcher_end(extra->catcher, false))
    (void)desist__count_down(&source->refs, 1);
}

/* Those who wait or poll. */
static void announce_locked(desist_source *source) {
  desist__extra *extra = desist__extra_of(source);
  if (extra != NULL && extra->has_event) desist__event_set(&extra->event, true);
  if ((desist__load_relaxed(&source->flags) & DESIST__WAITED) != 0)
    wake_waiters_locked(source);
}

/*
** A link's node is met in an input's list. True: the link is to be marked, and
** locked. False: it is finished already, or it waits for other inputs.
*/
static bool reach(desist__node *node, desist_source *root) {
  desist__linked *link = desist__link_of(node);
  desist_source *source = &link->source;
  desist__lock_acquire(&source->lock);
  if ((desist__load_relaxed(&source->flags) &
       (DESIST__CANCELLED | DESIST__CLOSED)) == 0 &&
      source->live != 0 &&
      (source->link == DESIST__ANY || --source->live == 0) &&
      desist__count_up_alive(&source->refs)) {
    source->live = (uint32_t)(node - link->inputs); /* the way back */
    link->origin = root;
    desist__retain(root);
    return true;
  }
  desist__lock_release(&source->lock);
  return false;
}

/* The node through which the link was reached, or has its turn. */
static desist__node *way_back(desist_source *link) {
  return &desist__linked_of(link)->inputs[link->live];
}

/* The root is locked, and stays so. */
static void flip_all_locked(desist_source *root, desist_reason *reason) {
  desist_source *at = root;
  desist__node *node = root->first;
  for (;;) {
    while (node != NULL) {
      desist__node *next = node->next;
      if ((desist__kind(node) & DESIST__LINK) != 0 && reach(node, root)) {
        at = &desist__link_of(node)->source;
        next = at->first;
      }
      node = next;
    }
    if (at == root) break;
    flip_locked(at, reason, DESIST__REACHED | DESIST__FRESH);
    (void)desist__count_down(&at->refs, 1); /* reach took one too */
    node = way_back(at);
    desist__lock_release(&at->lock);
    at = desist__owner(node);
    node = node->next;
  }
  flip_locked(root, reason, 0);
  announce_locked(root);
}

static bool is_fresh(desist__node *node) {
  return (desist__kind(node) & DESIST__LINK) != 0 &&
         (desist__flags(&desist__link_of(node)->source) & DESIST__FRESH) != 0;
}

/* The first fresh link in the source's list, or the first after `node`. */
static desist__node *next_fresh(desist_source *source, desist__node *node) {
  desist__lock_acquire(&source->lock);
  node = node == NULL ? source->first : node->next;
  while (node != NULL && !is_fresh(node)) node = node->next;
  desist__lock_release(&source->lock);
  return node;
}

/* This is where it has its turn. */
static void settle(desist_source *link, desist__node *node) {
  desist__lock_acquire(&link->lock);
  desist__flag_locked(link, 0, DESIST__FRESH);
  link->live = (uint32_t)(node - desist__linked_of(link)->inputs);
  announce_locked(link);
  desist__lock_release(&link->lock);
}

/* A link that is marked is taken from where it has its turn by this thread
** alone: so the nodes on the way keep their places without a lock. */
static void settle_turns(desist_source *root) {
  desist_source *at = root;
  desist__node *node = NULL;
  for (;;) {
    node = next_fresh(at, node);
    if (node != NULL) {
      at = &desist__link_of(node)->source;
      settle(at, node);
      node = NULL;
    } else if (at == root) {
      return;
    } else {
      node = way_back(at);
      at = desist__owner(node);
    }
  }
}

/*
** Under the marking lock, if `marking`; else a source with links is left as it
** is, and `again` set. `due`: only if its deadline is still due.
*/
static bool mark(desist_source *source, desist_reason *reason, bool marking,
                 desist__extra *due, bool *again) {
  bool marked = false;
  bool links;
  unsigned flags;
  *again = false;
  desist__lock_acquire(&source->lock);
  flags = desist__load_relaxed(&source->flags);
  links = (flags & DESIST__LINKED) != 0;
  if ((flags & (DESIST__CANCELLED | DESIST__CLOSED)) == 0 &&
      (due == NULL || desist__take_due(due))) {
    if (!links) {
      flip_locked(source, reason, 0);
      announce_locked(source);
      marked = true;
    } else if (marking) {
      flip_all_locked(source, reason);
      marked = true;
    } else {
      *again = true;
    }
  }
  desist__lock_release(&source->lock);
  if (marked && links) settle_turns(source);
  return marked;
}

/* --- Second phase --- */

/*
** The real deadlines that are marked and not delivered yet; under the gate. A
** child of fork has no service thread, but its new one goes on from here.
*/
static struct {
  desist__extra *due, **end; /* a chain, each with a reference */
  desist_source *root, *at;  /* under way; NULL: none */
  uint8_t generation;        /* of the thread that delivers; 0: none */
} in_hand;

typedef struct delivery {
  const desist__runner *runner;
  desist__running running;
  bool gated;
  uint8_t generation;
} delivery;

static void enter(const delivery *self, desist_source *source) {
  if (self->gated) {
    desist__mutex_lock(&gate_lock);
    in_hand.at = source;
  }
  desist__lock_acquire(&source->lock);
}

static void leave(const delivery *self, desist_source *source) {
  desist__lock_release(&source->lock);
  if (self->gated) desist__mutex_unlock(&gate_lock);
}

/* The registration is claimed and out of the list. Lets go of the lock. */
static void tell_locked(delivery *self, desist_source *source,
                        desist_registration *registration, unsigned kind) {
  uintptr_t *state = &registration->state_;
  if (kind == DESIST__CALLBACK) {
    desist_callback callback = registration->callback_;
    void *data = registration->data_;
    desist__running_enter(&self->running, registration);
    desist__store_release(state, (uintptr_t)DESIST__TAKEN);
    leave(self, source);
    callback(data, desist__reason_of(source)); /* may free the node */
    desist__running_leave(&self->running);
  } else if (kind == DESIST__WATCH) {
    desist__watch *watch = (desist__watch *)(void *)registration;
    desist__inbox *inbox = watch->inbox;
    if (self->runner != NULL && self->runner->inbox == inbox) {
      desist__store_release(state, (uintptr_t)DESIST__TAKEN);
      leave(self, source);
      self->runner->run(self->runner, watch);
    } else {
      bool tell = desist__inbox_push(watch, false);
      leave(self, source);
      if (tell) desist__inbox_tell(inbox);
    }
  } else { /* a waiter, woken when the source was marked */
    desist__store_release(state, (uintptr_t)DESIST__TAKEN);
    leave(self, source);
  }
}

/* Whether the link has its turn here: not one that waits for other inputs, or
** that another thread cancelled. */
static bool has_turn(desist_source *link, const desist__node *node) {
  bool turn;
  desist__lock_acquire(&link->lock);
  turn = (desist__load_relaxed(&link->flags) &
          (DESIST__REACHED | DESIST__FRESH)) == DESIST__REACHED &&
         way_back(link) == node;
  desist__lock_release(&link->lock);
  return turn;
}

/*
** Takes one node from the list and does what it asks for. Returns where to go
** on: here, or at a link that has its turn; NULL: the list is empty.
*/
static desist_source *take_one(delivery *self, desist_source *source,
                               unsigned *turns) {
  desist__node *node;
  unsigned kind;
  enter(self, source);
  node = source->first;
  if (node == NULL) {
    leave(self, source);
    return NULL;
  }
  kind = desist__kind(node);
  if ((kind & DESIST__LINK) != 0) {
    desist_source *link = &desist__link_of(node)->source;
    bool turn = has_turn(link, node);
    desist__list_remove_locked(source, node);
    if (!turn) link = source;
    if (self->gated) in_hand.at = link;
    leave(self, source);
    return link;
  }
  if (desist__claim_node(&((desist_registration *)(void *)node)->state_)) {
    desist__list_remove_locked(source, node);
    tell_locked(self, source, (desist_registration *)(void *)node, kind);
    *turns = 0;
  } else { /* being unregistered: let it go */
    leave(self, source);
    desist__relax((*turns)++);
  }
  return source;
}

/* Its list is empty; `next` is where to go on, NULL: it was the root. */
static void finish(const delivery *self, desist_source *source,
                   desist_source *next) {
  bool ended = false;
  if ((desist__flags(source) & DESIST__HELD) != 0) { /* none new by now */
    enter(self, source);
    ended = desist__list_ended_locked(source);
    leave(self, source);
  }
  if (self->gated) {
    desist__mutex_lock(&gate_lock);
    in_hand.at = next;
    if (next == NULL) in_hand.root = NULL;
  }
  if (ended) desist__release(source);
  if (source->link != DESIST__PLAIN)
    desist__link_leave(desist__linked_of(source));
  desist__release(source);
  if (self->gated) desist__mutex_unlock(&gate_lock);
}

/* A callback has forked, on the service thread, and this is the child: its own
** service thread has the rest in hand. */
static bool is_superseded(const delivery *self) {
  return self->gated && self->generation != desist__generation;
}

/* From `at` on, which is the root or below it. False: superseded. */
static bool deliver(desist_source *root, desist_source *at,
                    const desist__runner *runner, bool gated) {
  delivery self = {
    runner, { NULL, NULL, 0, 0, 0 }, gated, desist__generation
  };
  unsigned turns = 0;
  for (;;) {
    desist_source *next = take_one(&self, at, &turns);
    if (is_superseded(&self)) break;
    if (next == NULL) {
      if (at == root) break;
      next = desist__owner(way_back(at));
      finish(&self, at, next);
    }
    at = next;
  }
  desist__running_end(&self.running);
  if (is_superseded(&self)) return false;
  finish(&self, root, NULL);
  return true;
}

/* --- Cancelling --- */

bool desist__cancel(desist_source *source, desist_reason *reason,
                    const desist__runner *runner) {
  bool marked, again;
  if (source == NULL) return false;
  if (reason == NULL) reason = &desist__cancelled;
  marked = mark(source, reason, false, NULL, &again);
  if (again) {
    desist__mutex_lock(&marking_lock);
    marked = mark(source, reason, true, NULL, &again);
    desist__mutex_unlock(&marking_lock);
  }
  if (!marked) return false;
  (void)deliver(source, source, runner, false);
  return true;
}

/* All of them, before the first is delivered. */
static void mark_due(desist__extra *due) {
  bool again;
  desist__mutex_lock(&marking_lock);
  for (; due != NULL; due = due->next_due)
    due->marked = mark(due->source, &desist__deadline, true, due, &again);
  desist__mutex_unlock(&marking_lock);
}

void desist__fire(desist__extra *due, const desist__runner *runner) {
  mark_due(due);
  while (due != NULL) {
    desist__extra *extra = due;
    desist_source *source = due->source;
    due = due->next_due;
    if (extra->marked) (void)deliver(source, source, runner, false);
    desist__release(source);
  }
}

bool desist__has_in_hand(void) {
  return in_hand.root != NULL || in_hand.due != NULL;
}

static void take_in_hand_locked(void) {
  desist__extra *due = desist__service_take();
  mark_due(due);
  if (in_hand.due == NULL) in_hand.end = &in_hand.due;
  *in_hand.end = due;
  while (*in_hand.end != NULL) in_hand.end = &(*in_hand.end)->next_due;
}

/* The next one, from where it is to be delivered; NULL: that was all. Those
** that were not marked are let go of. */
static desist_source *next_in_hand(desist_source **at) {
  desist_source *root;
  desist__mutex_lock(&gate_lock);
  while (in_hand.root == NULL && in_hand.due != NULL) {
    desist__extra *extra = in_hand.due;
    in_hand.due = extra->next_due;
    if (extra->marked)
      in_hand.root = in_hand.at = extra->source;
    else
      desist__release(extra->source);
  }
  root = in_hand.root;
  *at = in_hand.at;
  if (root == NULL) in_hand.generation = 0;
  desist__mutex_unlock(&gate_lock);
  return root;
}

bool desist__fire_real(void) {
  desist_source *root, *at;
  bool delivering;
  desist__mutex_lock(&gate_lock);
  take_in_hand_locked();
  delivering = in_hand.generation == desist__generation;
  in_hand.generation = desist__generation;
  desist__mutex_unlock(&gate_lock);
  if (delivering) return true;
  while ((root = next_in_hand(&at)) != NULL) {
    if (!deliver(root, at, NULL, true)) return false;
    desist__mutex_lock(&gate_lock);
    desist__release(root);
    desist__mutex_unlock(&gate_lock);
  }
  return true;
}

void desist__marking_pause(void) {
  desist__mutex_lock(&marking_lock);
  desist__mutex_unlock(&marking_lock);
}

bool desist_source_cancel(desist_source *source, desist_reason *reason) {
  return desist__cancel(source, reason, NULL);
}

/* --- Fork --- */

void desist__cancel_before_fork(void) {
  desist__mutex_lock(&gate_lock);
  desist__mutex_lock(&marking_lock);
}

void desist__cancel_after_fork(void) {
  desist__mutex_unlock(&marking_lock);
  desist__mutex_unlock(&gate_lock);
}
