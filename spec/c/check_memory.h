/*
** check_memory.h: an allocator that counts, poisons what is freed, verifies
** the sizes it is told, and fails when asked to. To include it is to use it:
** it is installed before main, because the library wants it before the first
** object. All fields are atomic.
*/
#ifndef CHECK_MEMORY_H
#define CHECK_MEMORY_H

#include "check.h"

static struct memory {
  long live;     /* blocks */
  long bytes;    /* in them */
  long calls;    /* that wanted memory */
  long failures; /* of those */
  long wrong;    /* frees whose old size was not the block's */
  long fail_at;  /* the call with this number fails; -1: none */
  long fail_all; /* and all after it */
} memory;

/* Before each block; as wide as malloc's alignment. */
union memory_head {
  size_t size;
  long double align_;
  char room_[16];
};

#define MEMORY_ADD(field, n) \
  __atomic_add_fetch(&memory.field, (n), __ATOMIC_SEQ_CST)
#define MEMORY_GET(field) __atomic_load_n(&memory.field, __ATOMIC_SEQ_CST)
#define MEMORY_SET(field, n) \
  __atomic_store_n(&memory.field, (n), __ATOMIC_SEQ_CST)

static inline void memory_free(void *block, size_t old_size) {
  union memory_head *head = (union memory_head *)block - 1;
  size_t size = head->size;
  if (size != old_size) MEMORY_ADD(wrong, 1);
  MEMORY_ADD(live, -1);
  MEMORY_ADD(bytes, -(long)size);
  memset(block, 0xDD, size);
  free(head);
}

static inline void *memory_allocate(void *data, void *block, size_t old_size,
                                    size_t size) {
  union memory_head *head;
  long call, at;
  if (data != &memory) abort();
  if (size == 0) {
    if (block) memory_free(block, old_size);
    return NULL;
  }
  call = MEMORY_ADD(calls, 1) - 1;
  at = MEMORY_GET(fail_at);
  if (at >= 0 && (call == at || (call > at && MEMORY_GET(fail_all)))) {
    MEMORY_ADD(failures, 1);
    return NULL;
  }
  head = (union memory_head *)malloc(sizeof *head + size);
  if (!head) return NULL;
  head->size = size;
  memset(head + 1, 0xA5, size);
  MEMORY_ADD(live, 1);
  MEMORY_ADD(bytes, (long)size);
  if (block) {
    memcpy(head + 1, block, old_size < size ? old_size : size);
    memory_free(block, old_size);
  }
  return head + 1;
}

__attribute__((constructor)) static void memory_install(void) {
  memory.fail_at = -1;
  desist_set_allocator(memory_allocate, &memory);
}

/* The next call but `after` fails; with `all`, so do those after it. */
static inline void memory_fail(long after, bool all) {
  MEMORY_SET(failures, 0);
  MEMORY_SET(fail_all, all);
  MEMORY_SET(fail_at, MEMORY_GET(calls) + after);
}

/* Whether it came to that. */
static inline bool memory_works_again(void) {
  MEMORY_SET(fail_at, -1);
  return MEMORY_GET(failures) > 0;
}

/* The service thread may be a moment behind. */
#define CHECK_LIVE(n)                    \
  do {                                   \
    CHECK_SOON(MEMORY_GET(live) == (n)); \
    CHECK_INT(MEMORY_GET(live), (n));    \
    CHECK_INT(MEMORY_GET(wrong), 0);     \
  } while (0)

#endif
