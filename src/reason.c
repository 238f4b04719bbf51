/*
** reason.c: why something was cancelled. Reasons never change.
*/
#include "core.h"

#include <string.h>

struct desist_reason {
  uint32_t refs; /* atomic; 0: static, counted by nobody */
  int code;
  desist_kind kind;
  desist__value value;
  size_t length;
  const char *text; /* behind the struct, or static */
};

desist_reason desist__cancelled = {
  0, 0, DESIST_KIND_CANCELLED, { DESIST__VALUE_TEXT, { false } }, 9, "cancelled"
};
desist_reason desist__deadline = { 0,
                                   0,
                                   DESIST_KIND_DEADLINE,
                                   { DESIST__VALUE_TEXT, { false } },
                                   17,
                                   "deadline exceeded" };

static size_t size_of(size_t length) {
  return sizeof(desist_reason) + length + 1;
}

desist_reason *desist__reason_create(desist_kind kind, int code,
                                     const char *text, size_t length,
                                     const desist__value *value) {
  desist_reason *reason;
  char *copy;
  if (length > SIZE_MAX - sizeof *reason - 1) return NULL;
  reason = (desist_reason *)desist__allocate(size_of(length));
  if (reason == NULL) return NULL;
  copy = (char *)(reason + 1);
  if (length > 0) memcpy(copy, text, length);
  copy[length] = '\0';
  reason->refs = 1;
  reason->code = code;
  reason->kind = kind;
  reason->length = length;
  reason->text = copy;
  if (value != NULL) {
    reason->value = *value;
  } else {
    reason->value.type = DESIST__VALUE_TEXT;
    reason->value.as.owner = NULL;
  }
  return reason;
}

const desist__value *desist__reason_value(const desist_reason *reason) {
  return &reason->value;
}

size_t desist__reason_length(const desist_reason *reason) {
  return reason->length;
}

desist_reason *desist__reason_of(const desist_source *source) {
  uintptr_t slot = desist__load_acquire(&source->slot); /* once: it may move */
  if ((slot & 1) != 0)
    slot = desist__load_acquire(
        &((desist__extra *)(slot & ~(uintptr_t)1))->reason);
  return (desist_reason *)slot;
}

void desist__reason_set_locked(desist_source *source, desist_reason *reason) {
  desist__extra *extra = desist__extra_of(source);
  desist_reason_retain(reason);
  desist__store_release(extra == NULL ? &source->slot : &extra->reason,
                        (uintptr_t)reason);
}

/* --- Public --- */

desist_reason *desist_reason_create(int code, const char *text) {
  return desist_reason_create_kind(DESIST_KIND_CANCELLED, code, text);
}

desist_reason *desist_reason_create_kind(desist_kind kind, int code,
                                         const char *text) {
  if (text == NULL) text = "";
  return desist__reason_create(kind, code, text, strlen(text), NULL);
}

void desist_reason_retain(desist_reason *reason) {
  if (reason != NULL && desist__load_relaxed(&reason->refs) != 0)
    desist__count_up(&reason->refs);
}

void desist_reason_release(desist_reason *reason) {
  if (reason != NULL && desist__load_relaxed(&reason->refs) != 0 &&
      desist__count_down(&reason->refs, 1) == 0)
    desist__free(reason, size_of(reason->length));
}

desist_kind desist_reason_kind(const desist_reason *reason) {
  return reason == NULL ? DESIST_KIND_CANCELLED : reason->kind;
}

int desist_reason_code(const desist_reason *reason) {
  return reason == NULL ? 0 : reason->code;
}

const char *desist_reason_text(const desist_reason *reason) {
  return reason == NULL ? "" : reason->text;
}
