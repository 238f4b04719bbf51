/*
** wheel.c: the timing wheel. See wheel.h.
*/
#include "wheel.h"

#include <string.h>

#define LOOK_AT 16 /* alarms of the first slot that are asked for their time */

/* Moments as unsigned numbers in the same order. */
static uint64_t biased(int64_t time) {
  return (uint64_t)time ^ ((uint64_t)1 << 63);
}

static int64_t unbiased(uint64_t time) {
  return (int64_t)(time ^ ((uint64_t)1 << 63));
}

/* Position of the highest of the bits that are set; `bits` is not 0. */
static int highest(uint64_t bits) { return 63 - __builtin_clzll(bits); }
static int lowest(uint64_t bits) { return __builtin_ctzll(bits); }

void desist__wheel_init(desist__wheel *wheel, int64_t now) {
  memset(wheel, 0, sizeof *wheel);
  wheel->now = biased(now);
}

static void append(desist__alarm **list, desist__alarm *alarm) {
  desist__alarm *first = *list;
  if (first == NULL) {
    alarm->next = alarm->previous = alarm;
    *list = alarm;
  } else {
    alarm->next = first;
    alarm->previous = first->previous;
    first->previous->next = alarm;
    first->previous = alarm;
  }
}

void desist__wheel_add(desist__wheel *wheel, desist__alarm *alarm) {
  uint64_t time = biased(alarm->time);
  uint64_t differ;
  int ring, slot;
  if (time < wheel->now) time = wheel->now;
  differ = time ^ wheel->now;
  ring = differ == 0 ? 0 : highest(differ) / 6;
  slot = (int)(time >> (6 * ring) & 63);
  alarm->ring = (int16_t)ring;
  alarm->slot = (int16_t)slot;
  append(&wheel->slots[ring][slot], alarm);
  wheel->used[ring] |= (uint64_t)1 << slot;
}

void desist__wheel_remove(desist__wheel *wheel, desist__alarm *alarm) {
  desist__alarm **list = &wheel->slots[alarm->ring][alarm->slot];
  if (alarm->next == alarm) {
    *list = NULL;
    wheel->used[alarm->ring] &= ~((uint64_t)1 << alarm->slot);
  } else {
    if (*list == alarm) *list = alarm->next;
    alarm->next->previous = alarm->previous;
    alarm->previous->next = alarm->next;
  }
  alarm->next = alarm->previous = NULL;
}

/* The first slot in use: lower rings come before higher ones. */
static bool first_slot(const desist__wheel *wheel, int *ring, int *slot,
                       uint64_t *start) {
  int i;
  for (i = 0; i < DESIST__WHEEL_RINGS; i++) {
    if (wheel->used[i] != 0) {
      int shift = 6 * i;
      uint64_t above =
          shift + 6 >= 64 ? 0 : wheel->now >> (shift + 6) << (shift + 6);
      *ring = i;
      *slot = lowest(wheel->used[i]);
      *start = above | (uint64_t)*slot << shift;
      return true;
    }
  }
  return false;
}

/* The slot has come: its alarms go to the rings below, in their order. */
static void spread(desist__wheel *wheel, int ring, int slot) {
  desist__alarm *alarm = wheel->slots[ring][slot];
  desist__alarm *last = alarm->previous;
  wheel->slots[ring][slot] = NULL;
  wheel->used[ring] &= ~((uint64_t)1 << slot);
  for (;;) {
    desist__alarm *next = alarm->next;
    bool end = alarm == last;
    desist__wheel_add(wheel, alarm);
    if (end) return;
    alarm = next;
  }
}

desist__alarm *desist__wheel_take(desist__wheel *wheel, int64_t now) {
  uint64_t until = biased(now);
  int ring, slot;
  uint64_t start;
  while (first_slot(wheel, &ring, &slot, &start) && start <= until) {
    wheel->now = start;
    if (ring == 0) {
      desist__alarm *alarm = wheel->slots[0][slot];
      desist__wheel_remove(wheel, alarm);
      return alarm;
    }
    spread(wheel, ring, slot);
  }
  if (until > wheel->now) wheel->now = until;
  return NULL;
}

int64_t desist__wheel_next(const desist__wheel *wheel) {
  int ring, slot, looked;
  uint64_t start;
  int64_t first;
  const desist__alarm *alarm, *head;
  if (!first_slot(wheel, &ring, &slot, &start)) return INT64_MAX;
  head = alarm = wheel->slots[ring][slot];
  first = alarm->time;
  for (looked = 1; looked < LOOK_AT && alarm->next != head; looked++) {
    alarm = alarm->next;
    if (alarm->time < first) first = alarm->time;
  }
  return alarm->next == head ? first : unbiased(start);
}
