/*
** wheel.h: many moments, the next of them first.
**
** Eleven rings of 64 slots; a ring's slot is 64 times as long as the slot of
** the ring below, the lowest is one nanosecond. An entry stands in the ring
** of the highest six-bit digit in which its moment differs from the wheel's
** own, so that adding and removing touch one list however many there are. As
** the wheel moves on, a slot that has come is spread over the rings below.
**
** Entries of one moment are always in the same slot, in the order in which
** they were added, and spreading keeps that order: ties come out as they went
** in. (The radix form of Varghese and Lauck's hierarchical timing wheels.)
*/
#ifndef DESIST_WHEEL_H
#define DESIST_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "platform.h"

#define DESIST__WHEEL_RINGS 11
#define DESIST__WHEEL_SLOTS 64

DESIST__BEGIN

typedef struct desist__alarm desist__alarm;
struct desist__alarm {
  desist__alarm *next, *previous; /* a ring; NULL while not in a wheel */
  int64_t time;
  int16_t ring, slot;
};

typedef struct desist__wheel {
  uint64_t now;                       /* biased, see biased() */
  uint64_t used[DESIST__WHEEL_RINGS]; /* a bit for each slot */
  desist__alarm *slots[DESIST__WHEEL_RINGS][DESIST__WHEEL_SLOTS];
} desist__wheel;

/* Zeroed memory is a wheel at INT64_MIN. */
void desist__wheel_init(desist__wheel *wheel, int64_t now);

/* At alarm->time; what is past counts as due now. */
void desist__wheel_add(desist__wheel *wheel, desist__alarm *alarm);
void desist__wheel_remove(desist__wheel *wheel, desist__alarm *alarm);

/*
** Moves the wheel towards `now`, takes out the first alarm that is due by
** then and stops at its moment; NULL, and the wheel at `now`: none is.
*/
desist__alarm *desist__wheel_take(desist__wheel *wheel, int64_t now);

/* When to look again: never later than the first alarm; its very moment where
** few share its slot. DESIST_NEVER when empty. */
int64_t desist__wheel_next(const desist__wheel *wheel);

DESIST__END

#endif
