/*
** cancel.c: the two phases of a cancellation. See core.h, #4.
**
** First all that hangs on the source is marked, in the order in which it will
** have its turns: depth first, newest first. A link is taken out of all its
** inputs but the one through which it was reached, so the second phase, which
** walks the lists again and empties them, meets it exactly there.
**
** One thread at a time marks a graph: it holds the marking lock, so no two
** cancellations that meet in a graph see each other's halves. It keeps the
** locks of the sources between the root and where it is (inputs before links:
** a graph has no circles). A source without links needs only its own lock.
**
** Both walks find their way back by the link's node: no recursion, no memory.
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

/* With a reference for the delivery. */
static void mark_locked(desist_source *source, desist_reason *reason,
                        unsigned flags) {
  desist__extra *extra = desist__extra_of(source);
  desist__retain(source);
  desist__reason_set_locked(source, reason);
  desist__flag_locked(source, DESIST__CANCELLED | flags, 0);
  if (extra != NULL) {
    if (desist__disarm(extra)) (void)desist__count_down(&source->refs, 1);
    if (extra->catcher != NULL && desist__catcher_end(extra->catcher))
      (void)desist__count_down(&source->refs, 1);
    if (extra->has_event) desist__event_set(&extra->event, true);
  }
  if ((desist__load_relaxed(&source->flags) & DESIST__WAITED) != 0)
    wake_waiters_locked(source);
}

/* Takes a link, locked, out of all its inputs but the one it was reached by.
** Inputs on the path are locked by us already. */
static void leave_others_locked(desist__linked *link, size_t but) {
  size_t count = desist__link_count(link);
  size_t i;
  for (i = 0; i < count; i++) {
    desist__node *node = &link->inputs[i];
    desist_source *input = desist__owner(node);
    bool ours;
    if (i == but || input == NULL) continue;
    ours = (desist__load_relaxed(&input->flags) & DESIST__PATH) != 0;
    if (!ours) desist__lock_acquire(&input->lock);
    if (desist__is_listed(node)) desist__list_remove_locked(input, node);
    if (!ours) desist__lock_release(&input->lock);
  }
}

/*
** A link's node is met in an input's list. True: the link is marked now, and
** locked. False: it is finished already, or it waits for other inputs.
*/
static bool reach(desist_source *input, desist__node *node,
                  desist_source *root, desist_reason *reason) {
  desist__linked *link = desist__link_of(node);
  desist_source *source = &link->source;
  desist__lock_acquire(&source->lock);
  if ((desist__load_relaxed(&source->flags) &
       (DESIST__CANCELLED | DESIST__CLOSED)) == 0 &&
      source->live != 0) {
    if (source->link == DESIST__ALL && --source->live != 0) {
      desist__list_remove_locked(input, node);
    } else if (desist__count_up_alive(&source->refs)) {
      size_t index = (size_t)(node - link->inputs);
      link->origin = root;
      desist__retain(root);
      mark_locked(source, reason, DESIST__REACHED | DESIST__PATH);
      (void)desist__count_down(&source->refs, 1); /* marking took its own */
      source->live = (uint32_t)index;
      leave_others_locked(link, index);
      return true;
    }
  }
  desist__lock_release(&source->lock);
  return false;
}

/* Under the marking lock; the root is locked and marked. */
static void mark_below_locked(desist_source *root, desist_reason *reason) {
  desist_source *at = root;
  desist__node *node = root->first;
  desist__flag_locked(root, DESIST__PATH, 0);
  for (;;) {
    while (node != NULL) {
      desist__node *next = node->next;
      if ((desist__kind(node) & DESIST__LINK) != 0 &&
          reach(at, node, root, reason)) {
        at = &desist__link_of(node)->source;
        next = at->first;
      }
      node = next;
    }
    desist__flag_locked(at, 0, DESIST__PATH);
    if (at == root) return;
    node = &desist__linked_of(at)->inputs[at->live];
    desist__lock_release(&at->lock);
    at = desist__owner(node);
    node = node->next;
  }
}

/* Under the marking lock, or where there are no links. */
static bool mark(desist_source *source, desist_reason *reason, bool marking,
                 bool *again) {
  bool marked = false;
  unsigned flags;
  *again = false;
  desist__lock_acquire(&source->lock);
  flags = desist__load_relaxed(&source->flags);
  if ((flags & (DESIST__CANCELLED | DESIST__CLOSED)) == 0) {
    if ((flags & DESIST__LINKED) == 0 || marking) {
      mark_locked(source, reason, 0);
      if ((flags & DESIST__LINKED) != 0) mark_below_locked(source, reason);
      marked = true;
    } else {
      *again = true;
    }
  }
  desist__lock_release(&source->lock);
  return marked;
}

/* --- Second phase --- */

typedef struct delivery {
  const desist__runner *runner;
  desist__running running;
  bool gated;
} delivery;

static void enter(const delivery *self, desist_source *source) {
  if (self->gated) desist__mutex_lock(&gate_lock);
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
      desist__store_release(state, (uintptr_t)DESIST__TAKEN);
      leave(self, source);
      if (tell) desist__inbox_tell(inbox);
    }
  } else { /* a waiter, woken when the source was marked */
    desist__store_release(state, (uintptr_t)DESIST__TAKEN);
    leave(self, source);
  }
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
    bool reached = (desist__flags(link) & DESIST__REACHED) != 0;
    desist__list_remove_locked(source, node);
    leave(self, source);
    return reached ? link : source;
  }
  if (desist__claim(&((desist_registration *)(void *)node)->state_,
                    DESIST__ACTIVE, DESIST__BUSY)) {
    desist__list_remove_locked(source, node);
    tell_locked(self, source, (desist_registration *)(void *)node, kind);
    *turns = 0;
  } else { /* being unregistered: let it go */
    leave(self, source);
    desist__relax((*turns)++);
  }
  return source;
}

static void finish(const delivery *self, desist_source *source) {
  if (self->gated) desist__mutex_lock(&gate_lock);
  if (source->link != DESIST__PLAIN)
    desist__link_leave(desist__linked_of(source));
  desist__release(source);
  if (self->gated) desist__mutex_unlock(&gate_lock);
}

static void deliver(desist_source *root, const desist__runner *runner,
                    bool gated) {
  delivery self = { runner, { NULL, NULL, 0, 0, 0 }, gated };
  desist_source *at = root;
  unsigned turns = 0;
  for (;;) {
    desist_source *next = take_one(&self, at, &turns);
    if (next == NULL) {
      if (at == root) break;
      next = desist__owner(&desist__linked_of(at)->inputs[at->live]);
      finish(&self, at);
    }
    at = next;
  }
  desist__running_end(&self.running);
  finish(&self, root);
}

/* --- Cancelling --- */

bool desist__cancel(desist_source *source, desist_reason *reason,
                    const desist__runner *runner) {
  bool marked, again;
  if (source == NULL) return false;
  if (reason == NULL) reason = &desist__cancelled;
  marked = mark(source, reason, false, &again);
  if (again) {
    desist__mutex_lock(&marking_lock);
    marked = mark(source, reason, true, &again);
    desist__mutex_unlock(&marking_lock);
  }
  if (!marked) return false;
  deliver(source, runner, false);
  return true;
}

void desist__fire(desist__extra *due, const desist__runner *runner,
                  bool gated) {
  desist__extra *extra;
  bool again;
  if (gated) desist__mutex_lock(&gate_lock);
  desist__mutex_lock(&marking_lock);
  for (extra = due; extra != NULL; extra = extra->next_due)
    extra->marked = mark(extra->source, &desist__deadline, true, &again);
  desist__mutex_unlock(&marking_lock);
  if (gated) desist__mutex_unlock(&gate_lock);
  while (due != NULL) {
    desist_source *source = due->source;
    extra = due;
    due = due->next_due;
    if (extra->marked) deliver(source, runner, gated);
    if (gated) desist__mutex_lock(&gate_lock);
    desist__release(source);
    if (gated) desist__mutex_unlock(&gate_lock);
  }
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
