/*
** fork_lock.c: locks of objects that come and go, for fork. See core.h.
**
** Lock order: the table's, then any lock in it. Only fork has more than one.
*/
#include "core.h"

static desist__mutex table_lock = DESIST__MUTEX_INIT;
static desist__fork_lock *locks; /* under table_lock */

void desist__fork_lock_init(desist__fork_lock *lock) {
  desist__mutex_init(&lock->mutex);
  lock->worker = 0;
  lock->previous = NULL;
  desist__mutex_lock(&table_lock);
  lock->next = locks;
  if (locks != NULL) locks->previous = lock;
  locks = lock;
  desist__mutex_unlock(&table_lock);
}

void desist__fork_lock_destroy(desist__fork_lock *lock) {
  desist__mutex_lock(&table_lock);
  if (lock->next != NULL) lock->next->previous = lock->previous;
  if (lock->previous != NULL)
    lock->previous->next = lock->next;
  else
    locks = lock->next;
  desist__mutex_unlock(&table_lock);
  desist__mutex_destroy(&lock->mutex);
}

void desist__fork_locks_before_fork(void) {
  desist__fork_lock *lock;
  desist__mutex_lock(&table_lock);
  for (lock = locks; lock != NULL; lock = lock->next)
    desist__mutex_lock(&lock->mutex);
}

void desist__fork_locks_after_fork(bool child) {
  desist__fork_lock *lock;
  for (lock = locks; lock != NULL; lock = lock->next) {
    if (child && lock->worker != desist__thread_self()) lock->worker = 0;
    desist__mutex_unlock(&lock->mutex);
  }
  desist__mutex_unlock(&table_lock);
}
