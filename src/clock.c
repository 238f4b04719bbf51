/*
** clock.c: deadlines, on manual clocks and on the real one.
**
** An armed deadline keeps a reference on its source, which goes to the thread
** that fires it. Arming, disarming and firing hold the source's lock, as do
** changes of the flags: what was disarmed in time never fires. Closing disarms
** after the flag: nothing is armed any more then. The clock's lock is taken
** last of all locks.
*/
#include "core.h"

desist_clock *desist__clock_of(const desist_source *source) {
  desist__extra *extra = desist__extra_of(source);
  return extra == NULL || extra->clock == NULL ? &desist__real : extra->clock;
}

desist_clock *desist__manual_clock(const desist_token *token) {
  desist__extra *extra = desist__extra_of(desist__source_of(token));
  return extra == NULL ? NULL : extra->clock;
}

/* --- Arming --- */

static bool is_over_locked(const desist_source *source) {
  return (desist__load_relaxed(&source->flags) &
          (DESIST__CANCELLED | DESIST__CLOSED)) != 0;
}

static void add_locked(desist_clock *clock, desist__extra *extra,
                       int64_t time) {
  extra->alarm.time = time;
  if (extra->armed == DESIST__ARMED)
    desist__wheel_remove(&clock->wheel, &extra->alarm);
  else
    desist__retain(extra->source);
  desist__wheel_add(&clock->wheel, &extra->alarm);
  desist__store_release(&extra->armed, (uint8_t)DESIST__ARMED);
  if (clock == &desist__real) desist__service_hurry_locked(time);
}

static bool arm(desist_source *source, int64_t time,
                const desist__runner *runner) {
  desist__extra *extra = desist__extra_make(source);
  desist_clock *clock;
  bool fit, past = false;
  if (extra == NULL) return false;
  clock = desist__clock_of(source);
  if (clock == &desist__real && !desist__service_start()) return false;
  desist__lock_acquire(&source->lock);
  fit = !is_over_locked(source);
  if (fit) {
    desist__mutex_lock(&clock->lock.mutex);
    past = clock != &desist__real && time <= clock->now;
    if (!past && !clock->dead) add_locked(clock, extra, time);
    desist__mutex_unlock(&clock->lock.mutex);
  }
  desist__lock_release(&source->lock);
  if (past) return desist__cancel(source, &desist__deadline, runner);
  return fit;
}

bool desist__disarm(desist__extra *extra) {
  desist_clock *clock;
  bool was;
  if (desist__load_acquire(&extra->armed) == DESIST__DISARMED) return false;
  clock = desist__clock_of(extra->source);
  desist__mutex_lock(&clock->lock.mutex);
  was = extra->armed == DESIST__ARMED;
  if (was) desist__wheel_remove(&clock->wheel, &extra->alarm);
  desist__store_release(&extra->armed, (uint8_t)DESIST__DISARMED);
  desist__mutex_unlock(&clock->lock.mutex);
  return was;
}

bool desist__take_due(desist__extra *extra) {
  desist_clock *clock = desist__clock_of(extra->source);
  bool due;
  desist__mutex_lock(&clock->lock.mutex);
  due = extra->armed == DESIST__DUE;
  desist__mutex_unlock(&clock->lock.mutex);
  return due;
}

static bool is_over(const desist_source *source) {
  return (desist__flags(source) & (DESIST__CANCELLED | DESIST__CLOSED)) != 0;
}

static bool disarm_only(desist_source *source) {
  desist__extra *extra = desist__extra_of(source);
  bool fit, was = false;
  desist__lock_acquire(&source->lock);
  fit = !is_over_locked(source);
  if (fit && extra != NULL) was = desist__disarm(extra);
  desist__lock_release(&source->lock);
  if (was) desist__release(source);
  return fit;
}

bool desist__cancel_at(desist_source *source, int64_t time,
                       const desist__runner *runner) {
  if (source == NULL || is_over(source)) return false;
  if (time == DESIST_NEVER) return disarm_only(source);
  if (time <= desist_clock_now(desist__clock_of(source)))
    return desist__cancel(source, &desist__deadline, runner);
  return arm(source, time, runner);
}

bool desist__cancel_after(desist_source *source, int64_t nanoseconds,
                          const desist__runner *runner) {
  int64_t now;
  if (source == NULL || nanoseconds < 0 || is_over(source)) return false;
  if (nanoseconds == 0)
    return desist__cancel(source, &desist__deadline, runner);
  if (nanoseconds == DESIST_NEVER) return disarm_only(source);
  now = desist_clock_now(desist__clock_of(source));
  if (now > 0 && nanoseconds >= DESIST_NEVER - now) return disarm_only(source);
  return arm(source, now + nanoseconds, runner);
}

bool desist_source_cancel_after(desist_source *source, int64_t nanoseconds) {
  return desist__cancel_after(source, nanoseconds, NULL);
}

bool desist_source_cancel_at(desist_source *source, int64_t time) {
  return desist__cancel_at(source, time, NULL);
}

/* --- Manual clocks --- */

desist_clock *desist_clock_create(int64_t start) {
  desist_clock *clock = (desist_clock *)desist__allocate(sizeof *clock);
  if (clock == NULL) return NULL;
  clock->handles = 1;
  clock->refs = 1;
  clock->now = start;
  clock->dead = false;
  desist__fork_lock_init(&clock->lock);
  desist__wheel_init(&clock->wheel, start);
  return clock;
}

void desist__clock_retain(desist_clock *clock) {
  desist__count_up(&clock->refs);
}

void desist__clock_release(desist_clock *clock) {
  if (desist__count_down(&clock->refs, 1) != 0) return;
  desist__fork_lock_destroy(&clock->lock);
  desist__free(clock, sizeof *clock);
}

void desist_clock_retain(desist_clock *clock) {
  if (clock != NULL) desist__count_up(&clock->handles);
}

static desist__extra *extra_of_alarm(desist__alarm *alarm) {
  return (desist__extra *)(void *)((char *)alarm -
                                   offsetof(desist__extra, alarm));
}

desist__extra *desist__take_due_locked(desist_clock *clock, int64_t time,
                                       bool one_moment) {
  desist__extra *due = NULL;
  desist__extra **end = &due;
  desist__alarm *alarm;
  while ((alarm = desist__wheel_take(&clock->wheel, time)) != NULL) {
    desist__extra *extra = extra_of_alarm(alarm);
    desist__store_release(&extra->armed, (uint8_t)DESIST__DUE);
    extra->next_due = NULL;
    *end = extra;
    end = &extra->next_due;
    if (one_moment && alarm->time < time) time = alarm->time;
  }
  return due;
}

/* Nothing moves the clock any more: what is armed never fires. */
static void disarm_all(desist_clock *clock) {
  desist__alarm *alarm;
  desist__mutex_lock(&clock->lock.mutex);
  clock->dead = true;
  while ((alarm = desist__wheel_take(&clock->wheel, INT64_MAX)) != NULL) {
    desist__extra *extra = extra_of_alarm(alarm);
    desist_source *source = extra->source;
    desist__store_release(&extra->armed, (uint8_t)DESIST__DISARMED);
    desist__mutex_unlock(&clock->lock.mutex);
    desist__reconsider(source);
    desist__release(source);
    desist__mutex_lock(&clock->lock.mutex);
  }
  desist__mutex_unlock(&clock->lock.mutex);
}

void desist_clock_release(desist_clock *clock) {
  if (clock == NULL || desist__count_down(&clock->handles, 1) != 0) return;
  disarm_all(clock);
  desist__clock_release(clock);
}

int64_t desist_clock_now(const desist_clock *clock) {
  int64_t now;
  desist_clock *manual = (desist_clock *)(uintptr_t)clock;
  if (clock == NULL || clock == &desist__real) return desist_now();
  desist__mutex_lock(&manual->lock.mutex);
  now = manual->now;
  desist__mutex_unlock(&manual->lock.mutex);
  return now;
}

bool desist__clock_move(desist_clock *clock, int64_t time, bool by,
                        const desist__runner *runner) {
  bool fit;
  if (clock == NULL || clock == &desist__real) return false;
  desist__clock_retain(clock); /* a callback may drop the last handle */
  desist__mutex_lock(&clock->lock.mutex);
  if (by)
    time = clock->now > 0 && time > INT64_MAX - clock->now ? INT64_MAX
                                                           : clock->now + time;
  fit = clock->lock.worker == 0 && time >= clock->now;
  if (fit) {
    desist__extra *due;
    clock->lock.worker = desist__thread_self();
    while ((due = desist__take_due_locked(clock, time, true)) != NULL) {
      if (due->alarm.time > clock->now) clock->now = due->alarm.time;
      desist__mutex_unlock(&clock->lock.mutex);
      desist__fire(due, runner);
      desist__mutex_lock(&clock->lock.mutex);
    }
    clock->now = time;
    clock->lock.worker = 0;
  }
  desist__mutex_unlock(&clock->lock.mutex);
  desist__clock_release(clock);
  return fit;
}

bool desist_clock_set(desist_clock *clock, int64_t time) {
  return desist__clock_move(clock, time, false, NULL);
}

bool desist_clock_advance(desist_clock *clock, int64_t nanoseconds) {
  return nanoseconds >= 0 && desist__clock_move(clock, nanoseconds, true, NULL);
}
