/*
** check_callbacks.h: the callbacks most tests need: one that counts, and one
** that leaves a letter on a trail, to read the order off.
*/
#ifndef CHECK_CALLBACKS_H
#define CHECK_CALLBACKS_H

#include "check.h"

/* `data` is an int; atomic, so that any thread may look. */
static inline void count_call(void *data, desist_reason *reason) {
  (void)reason;
  __atomic_add_fetch((int *)data, 1, __ATOMIC_SEQ_CST);
}

static inline int calls(const int *counter) {
  return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

static char trail[256];

static inline void trail_begin(void) { trail[0] = '\0'; }

static inline void leave(const char *text) {
  strncat(trail, text, sizeof trail - strlen(trail) - 1);
}

/* `data` is a text. */
static inline void leave_data(void *data, desist_reason *reason) {
  (void)reason;
  leave((const char *)data);
}

static inline void register_letter(desist_token *token,
                                   desist_registration *node,
                                   const char *letter) {
  union {
    const char *text;
    void *data;
  } cast;
  cast.text = letter;
  desist_register(token, node, leave_data, cast.data);
}

/* A source with a callback on it, which tests of order are made of. */
struct noted {
  desist_source *source;
  desist_token *token;
  desist_registration node;
};

static inline void note(struct noted *noted, desist_source *source,
                        const char *letter) {
  noted->source = source;
  noted->token = desist_source_token(source);
  register_letter(noted->token, &noted->node, letter);
}

/* Short for a link of one or two inputs; NULL inputs are skipped. */
static inline desist_source *link_any(desist_token *a, desist_token *b) {
  desist_token *inputs[2];
  inputs[0] = a;
  inputs[1] = b;
  return desist_source_create_linked(inputs, 2, DESIST_LINK_ANY);
}

static inline desist_source *link_all(desist_token *a, desist_token *b) {
  desist_token *inputs[2];
  inputs[0] = a;
  inputs[1] = b;
  return desist_source_create_linked(inputs, 2, DESIST_LINK_ALL);
}

#endif
