/*
** registration.c: callbacks on a token. See core.h, #2.
*/
#include "core.h"

desist__enlisted desist__enlist(desist_source *source,
                                desist_registration *registration,
                                unsigned kind) {
  desist__enlisted result = DESIST__ENLISTED;
  unsigned flags;
  desist__lock_acquire(&source->lock);
  flags = desist__load_relaxed(&source->flags);
  if ((flags & DESIST__CANCELLED) != 0) {
    result = DESIST__WAS_CANCELLED;
  } else if ((flags & DESIST__CLOSED) != 0) {
    result = DESIST__IS_DEAD;
  } else {
    desist__store_relaxed(&registration->state_, (uintptr_t)DESIST__ACTIVE);
    desist__list_add_locked(source, &registration->node_, kind);
    if (kind == DESIST__WAITER) desist__flag_locked(source, DESIST__WAITED, 0);
    if (desist__load_acquire(&source->handles) == 0)
      desist__hold_locked(source);
  }
  desist__lock_release(&source->lock);
  return result;
}

static void clear(desist_registration *registration) {
  registration->node_.next = registration->node_.previous = NULL;
  registration->node_.owner = 0;
  desist__store_relaxed(&registration->state_, (uintptr_t)DESIST__IDLE);
}

/* A callback runs here though another thread may be marking still: what is
** above may lag behind (#6), and the descriptors below. */
void desist__see_whole(const desist_token *token) {
  const desist_source *source = desist__source_of(token);
  if (source->link != DESIST__PLAIN ||
      (desist__flags(source) & DESIST__LINKED) != 0)
    desist__marking_pause();
}

static void run_now(desist_source *source, desist_registration *registration) {
  desist_callback callback = registration->callback_;
  void *data = registration->data_;
  desist__running running = { NULL, NULL, 0, 0, 0 };
  desist__see_whole(desist__token_of(source));
  desist__retain(source); /* the callback may drop the caller's reference */
  desist__running_enter(&running, registration);
  desist__store_release(&registration->state_, (uintptr_t)DESIST__TAKEN);
  callback(data, desist__reason_of(source));
  desist__running_end(&running);
  desist__release(source);
}

void desist_register(desist_token *token, desist_registration *registration,
                     desist_callback callback, void *data) {
  desist_source *source = desist__source_of(token);
  clear(registration);
  registration->callback_ = callback;
  registration->data_ = data;
  if (source != NULL &&
      desist__enlist(source, registration, DESIST__CALLBACK) ==
          DESIST__WAS_CANCELLED)
    run_now(source, registration);
}

/* It is BUSY, by us. */
static void take_out(desist_registration *registration) {
  desist_source *source = desist__owner(&registration->node_);
  bool ended;
  desist__lock_acquire(&source->lock);
  desist__list_remove_locked(source, &registration->node_);
  ended = desist__list_ended_locked(source);
  desist__lock_release(&source->lock);
  desist__store_release(&registration->state_, (uintptr_t)DESIST__IDLE);
  if (ended) desist_token_release(desist__token_of(source));
}

bool desist_unregister(desist_registration *registration) {
  unsigned turns = 0;
  for (;;) {
    uintptr_t state = desist__load_acquire(&registration->state_);
    if (state == DESIST__IDLE || state == DESIST__TAKEN) return false;
    if (desist__claim_node(&registration->state_)) {
      take_out(registration);
      return true;
    }
    desist__relax(turns++); /* another thread takes it out */
  }
}

bool desist_is_registered(const desist_registration *registration) {
  return desist__load_acquire(&registration->state_) == DESIST__ACTIVE;
}

/* --- Watches (queue.h) --- */

desist__watched desist__watch_add(desist_token *token, desist__watch *watch) {
  desist_source *source = desist__source_of(token);
  clear(&watch->registration);
  watch->queued = 0;
  if (source == NULL) return DESIST__IN_VAIN;
  switch (desist__enlist(source, &watch->registration, DESIST__WATCH)) {
  case DESIST__WAS_CANCELLED:
    desist__see_whole(token);
    return DESIST__TOO_LATE;
  case DESIST__IS_DEAD:
    return DESIST__IN_VAIN;
  case DESIST__ENLISTED:
    break;
  }
  return DESIST__WATCHING;
}
