/*
** guard.c: locks of objects that come and go, for fork. See core.h.
**
** Lock order: the table's, then any guard's. Only fork has more than one.
*/
#include "core.h"

static desist__mutex table_lock = DESIST__MUTEX_INIT;
static desist__guard *guards; /* under table_lock */

void desist__guard_init(desist__guard *guard) {
  desist__mutex_init(&guard->mutex);
  guard->worker = 0;
  guard->previous = NULL;
  desist__mutex_lock(&table_lock);
  guard->next = guards;
  if (guards != NULL) guards->previous = guard;
  guards = guard;
  desist__mutex_unlock(&table_lock);
}

void desist__guard_destroy(desist__guard *guard) {
  desist__mutex_lock(&table_lock);
  if (guard->next != NULL) guard->next->previous = guard->previous;
  if (guard->previous != NULL)
    guard->previous->next = guard->next;
  else
    guards = guard->next;
  desist__mutex_unlock(&table_lock);
  desist__mutex_destroy(&guard->mutex);
}

void desist__guards_before_fork(void) {
  desist__guard *guard;
  desist__mutex_lock(&table_lock);
  for (guard = guards; guard != NULL; guard = guard->next)
    desist__mutex_lock(&guard->mutex);
}

void desist__guards_after_fork(bool child) {
  desist__guard *guard;
  for (guard = guards; guard != NULL; guard = guard->next) {
    if (child && guard->worker != desist__thread_self()) guard->worker = 0;
    desist__mutex_unlock(&guard->mutex);
  }
  desist__mutex_unlock(&table_lock);
}
