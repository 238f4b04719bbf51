/*
** handle.c: texts by which sources and tokens are found again.
**
** A handle is a letter for what it gives and 128 random bits, looked up in a
** table of the process; so a forged one finds nothing, and a dead one nothing
** any more. The table holds no references: death takes the entry out, and who
** finds an entry takes a reference only from what is not dead (core.h, #5).
*/
#include "core.h"

#include <stdio.h>
#include <string.h>

#define ID_SIZE 16

typedef struct desist__handle handle;
struct desist__handle {
  handle *next;
  desist__extra *extra;
  bool is_source;
  unsigned char id[ID_SIZE];
};

static desist__mutex lock = DESIST__MUTEX_INIT;
static handle **table; /* under lock; so the others */
static size_t table_size, table_used;

static size_t slot_of(const unsigned char *id, size_t size) {
  size_t bits; /* random already */
  memcpy(&bits, id, sizeof bits);
  return bits & (size - 1);
}

/* A table twice as large, if it can be had; chains get longer otherwise. */
static void grow_locked(void) {
  size_t size = table_size == 0 ? 64 : table_size * 2;
  size_t i;
  handle **bigger = (handle **)desist__allocate(size * sizeof *bigger);
  if (bigger == NULL) return;
  for (i = 0; i < size; i++) bigger[i] = NULL;
  for (i = 0; i < table_size; i++) {
    while (table[i] != NULL) {
      handle *moved = table[i];
      handle **to = &bigger[slot_of(moved->id, size)];
      table[i] = moved->next;
      moved->next = *to;
      *to = moved;
    }
  }
  desist__free(table, table_size * sizeof *table);
  table = bigger;
  table_size = size;
}

static bool insert_locked(handle *made) {
  handle **to;
  if (table_used >= table_size) grow_locked();
  if (table_size == 0) return false;
  to = &table[slot_of(made->id, table_size)];
  made->next = *to;
  *to = made;
  table_used++;
  return true;
}

static void remove_locked(handle *gone) {
  handle **at = &table[slot_of(gone->id, table_size)];
  while (*at != gone) at = &(*at)->next;
  *at = gone->next;
  if (--table_used == 0) {
    desist__free(table, table_size * sizeof *table);
    table = NULL;
    table_size = 0;
  }
}

void desist__handles_forget(desist__extra *extra) {
  int i;
  for (i = 0; i < 2; i++) {
    handle *gone = desist__load_acquire(&extra->handles[i]);
    if (gone == NULL) continue;
    desist__mutex_lock(&lock);
    remove_locked(gone);
    desist__mutex_unlock(&lock);
    desist__free(gone, sizeof *gone);
  }
}

static handle *make(desist__extra *extra, bool is_source) {
  handle *made = (handle *)desist__allocate(sizeof *made);
  handle *result;
  if (made == NULL) return NULL;
  made->extra = extra;
  made->is_source = is_source;
  if (!desist__random(made->id, ID_SIZE)) {
    desist__free(made, sizeof *made);
    return NULL;
  }
  desist__mutex_lock(&lock);
  result = extra->handles[is_source];
  if (result == NULL && insert_locked(made)) {
    result = made;
    desist__store_release(&extra->handles[is_source], made);
  }
  desist__mutex_unlock(&lock);
  if (result != made) desist__free(made, sizeof *made);
  return result;
}

static bool write_handle(desist_source *source, bool is_source, char *text) {
  desist__extra *extra;
  handle *found;
  size_t i;
  if (source == NULL || desist__is_dead(desist__token_of(source))) return false;
  extra = desist__extra_make(source);
  if (extra == NULL) return false;
  found = desist__load_acquire(&extra->handles[is_source]);
  if (found == NULL) found = make(extra, is_source);
  if (found == NULL) return false;
  memcpy(text, is_source ? "desist-s-" : "desist-t-", 9);
  for (i = 0; i < ID_SIZE; i++)
    (void)snprintf(text + 9 + 2 * i, 3, "%02x", found->id[i]);
  return true;
}

static int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

static bool read_id(const char *text, bool is_source, unsigned char *id) {
  size_t i;
  if (text == NULL || strlen(text) != 9 + 2 * ID_SIZE) return false;
  if (memcmp(text, is_source ? "desist-s-" : "desist-t-", 9) != 0) return false;
  for (i = 0; i < ID_SIZE; i++) {
    int high = digit(text[9 + 2 * i]);
    int low = digit(text[10 + 2 * i]);
    if (high < 0 || low < 0) return false;
    id[i] = (unsigned char)(high * 16 + low);
  }
  return true;
}

/* The source, with one more reference of that kind. */
static desist_source *find(const char *text, bool is_source) {
  unsigned char id[ID_SIZE];
  desist_source *source = NULL;
  const handle *at;
  if (!read_id(text, is_source, id)) return NULL;
  desist__mutex_lock(&lock);
  at = table_size == 0 ? NULL : table[slot_of(id, table_size)];
  while (at != NULL &&
         (at->is_source != is_source || memcmp(at->id, id, ID_SIZE) != 0))
    at = at->next;
  if (at != NULL) {
    desist_source *found = at->extra->source;
    if (!desist__is_dead(desist__token_of(found)) &&
        desist__count_up_alive(is_source ? &found->handles : &found->refs))
      source = found;
  }
  desist__mutex_unlock(&lock);
  return source;
}

bool desist_source_handle(desist_source *source,
                          char text[DESIST_HANDLE_SIZE]) {
  return write_handle(source, true, text);
}

bool desist_token_handle(desist_token *token, char text[DESIST_HANDLE_SIZE]) {
  return write_handle(desist__source_of(token), false, text);
}

desist_source *desist_source_from_handle(const char *text) {
  return find(text, true);
}

desist_token *desist_token_from_handle(const char *text) {
  return desist__token_of(find(text, false));
}

void desist__handles_before_fork(void) { desist__mutex_lock(&lock); }
void desist__handles_after_fork(void) { desist__mutex_unlock(&lock); }
