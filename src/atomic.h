/*
** atomic.h: the atomic operations the core uses, for C11 and C++ alike, and
** a spin lock of one byte.
**
** A plain name is sequentially consistent; weaker orders say so in theirs.
** In a process that never had a second thread (glibc tells) the lock and the
** counters use plain instructions: nobody is there to race with, and a thread
** can only be born between two calls.
*/
#ifndef DESIST_ATOMIC_H
#define DESIST_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#include "platform.h"

#define desist__load(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define desist__load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define desist__load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define desist__store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define desist__store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define desist__store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)

#if defined(DESIST_NO_THREADS)
#  define desist__alone() true
#elif defined(__GLIBC__) && \
    (__GLIBC__ > 2 || (__GLIBC__ == 2 && __GLIBC_MINOR__ >= 32))
#  include <sys/single_threaded.h>
#  define desist__alone() (__libc_single_threaded != 0)
#else
#  define desist__alone() false
#endif

/* One more reference: relaxed, the caller has one already. */
static inline void desist__count_up(uint32_t *count) {
  if (desist__alone())
    desist__store_relaxed(count, desist__load_relaxed(count) + 1);
  else
    __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

/*
** Gives `n` back and returns what is left. Release, so that what was done with
** the object comes before its end; acquire, so that its end comes after.
*/
static inline uint32_t desist__count_down(uint32_t *count, uint32_t n) {
  if (desist__alone()) {
    uint32_t left = desist__load_relaxed(count) - n;
    desist__store_relaxed(count, left);
    return left;
  }
  return __atomic_sub_fetch(count, n, __ATOMIC_ACQ_REL);
}

/* From one to none; false: there are more. */
static inline bool desist__count_last(uint32_t *count) {
  uint32_t one = 1;
  if (desist__alone()) {
    if (desist__load_relaxed(count) != 1) return false;
    desist__store_relaxed(count, 0u);
    return true;
  }
  return __atomic_compare_exchange_n(count, &one, 0u, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED);
}

/* One more, unless there is none left. */
static inline bool desist__count_up_alive(uint32_t *count) {
  uint32_t seen = desist__load_relaxed(count);
  while (seen != 0) {
    if (__atomic_compare_exchange_n(count, &seen, seen + 1, true,
                                    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
      return true;
  }
  return false;
}

/* Changes a word from `from` to `to`; acquire: claiming what it guards. */
static inline bool desist__claim(uintptr_t *word, uintptr_t from,
                                 uintptr_t to) {
  if (desist__alone()) {
    if (desist__load_relaxed(word) != from) return false;
    desist__store_relaxed(word, to);
    return true;
  }
  return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE);
}

/*
** The spin lock. Held for some dozens of instructions, or, by the thread that
** marks a large graph, longer; so the waiting thread soon gives way.
**
** A held lock has the number of the process's generation, which fork counts
** up in the child: what a thread held that the child does not have is taken
** over there.
*/
typedef uint8_t desist__lock;

DESIST__BEGIN
extern uint8_t desist__generation; /* written by fork alone; never 0 */
DESIST__END

static inline void desist__lock_acquire(desist__lock *lock) {
  uint8_t ours = desist__generation;
  unsigned turns = 0;
  if (desist__alone()) {
    desist__store_relaxed(lock, ours);
    return;
  }
  while (__atomic_exchange_n(lock, ours, __ATOMIC_ACQUIRE) == ours)
    while (desist__load_relaxed(lock) == ours) desist__relax(turns++);
}

static inline void desist__lock_release(desist__lock *lock) {
  desist__store_release(lock, 0);
}

#endif
