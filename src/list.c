/*
** list.c: the list of what wants to be told, newest first. See core.h, #1, #2.
*/
#include "core.h"

void desist__list_add_locked(desist_source *source, desist__node *node,
                             unsigned kind) {
  desist__store_relaxed(&node->owner, (uintptr_t)source | kind);
  node->previous = NULL;
  node->next = source->first;
  if (source->first != NULL) source->first->previous = node;
  desist__store_release(&source->first, node);
}

void desist__list_remove_locked(desist_source *source, desist__node *node) {
  if (node->next != NULL) node->next->previous = node->previous;
  if (node->previous != NULL)
    node->previous->next = node->next;
  else /* release: see is_bare in source.c */
    desist__store_release(&source->first, node->next);
  node->next = NULL;
  node->previous = node; /* in no list */
}

bool desist__list_ended_locked(desist_source *source) {
  if (source->first != NULL ||
      (desist__load_relaxed(&source->flags) & DESIST__HELD) == 0)
    return false;
  desist__flag_locked(source, 0, DESIST__HELD);
  return true;
}

/* Tells the registration's owner, as its kind asks for; it is out of the
** list. */
static void drop_locked(desist__node *node, unsigned kind) {
  desist_registration *registration = (desist_registration *)(void *)node;
  if (kind == DESIST__WATCH) {
    (void)desist__inbox_push((desist__watch *)(void *)node, true);
    return;
  }
  if (kind == DESIST__WAITER)
    desist__waiter_wake((desist__waiter *)(void *)node);
  desist__store_release(&registration->state_, (uintptr_t)DESIST__IDLE);
}

desist__node *desist__list_drop_locked(desist_source *source, bool links,
                                       bool keep_waiters, bool wait) {
  desist__node *chain = NULL;
  desist__node *node = source->first;
  unsigned turns = 0;
  while (node != NULL) {
    unsigned kind = desist__kind(node);
    desist__node *next = node->next;
    if ((kind & DESIST__LINK) != 0) {
      if (links) {
        desist__list_remove_locked(source, node);
        node->next = chain;
        chain = node;
      }
    } else if (!(keep_waiters && kind == DESIST__WAITER)) {
      if (desist__claim_node(&((desist_registration *)(void *)node)->state_)) {
        desist__list_remove_locked(source, node);
        drop_locked(node, kind);
      } else if (wait) { /* being unregistered: let it go, and start anew */
        desist__lock_release(&source->lock);
        desist__relax(turns++);
        desist__lock_acquire(&source->lock);
        next = source->first;
      }
    }
    node = next;
  }
  return chain;
}
