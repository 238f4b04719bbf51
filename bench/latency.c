/*
** latency.c: how long a sleeping Lua state takes to wake. Runs a script of
** rows (latency.lua) with desist in it and a second thread, the waker:
**
**   bench_latency SCRIPT [options of the script]
**
** The waker does what it is asked for once the state's thread is asleep, by
** what the system says of it, and notes the moment just before.
*/
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "desist_lua.h"

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* --- The waker ---------------------------------------------------------- */

enum request { NOTHING, CANCEL, SIGNAL, POST };

static struct {
  pthread_mutex_t mutex;
  pthread_cond_t asked;
  /* under the mutex */
  enum request request;
  desist_source *source; /* CANCEL: a reference */
  int fd;                /* POST */
  /* SIGNAL: what the other thread waits for, under a mutex of its own */
  pthread_mutex_t floor_mutex;
  pthread_cond_t floor;
  bool signalled;
  _Atomic int64_t moment;
} waker = { .mutex = PTHREAD_MUTEX_INITIALIZER,
            .asked = PTHREAD_COND_INITIALIZER,
            .floor_mutex = PTHREAD_MUTEX_INITIALIZER,
            .floor = PTHREAD_COND_INITIALIZER };

/* What /proc says of the main thread: 'S' if it sleeps. */
static char state_of_main(int stat) {
  char text[256], *end;
  ssize_t length = pread(stat, text, sizeof text - 1, 0);
  if (length <= 0) abort();
  text[length] = '\0';
  end = strrchr(text, ')');
  return end && end[1] == ' ' ? end[2] : '?';
}

static void act(enum request request) {
  switch (request) {
  case CANCEL:
    atomic_store(&waker.moment, now());
    desist_source_cancel(waker.source, NULL);
    desist_source_release(waker.source);
    break;
  case SIGNAL:
    pthread_mutex_lock(&waker.floor_mutex);
    waker.signalled = true;
    atomic_store(&waker.moment, now());
    pthread_cond_broadcast(&waker.floor);
    pthread_mutex_unlock(&waker.floor_mutex);
    break;
  case POST: {
    uint64_t one = 1;
    atomic_store(&waker.moment, now());
    if (write(waker.fd, &one, sizeof one) != (ssize_t)sizeof one) abort();
    break;
  }
  case NOTHING:
    break;
  }
}

static void *run_waker(void *data) {
  const struct timespec pause = { 0, 300000 };
  char path[64];
  int stat;
  (void)data;
  snprintf(path, sizeof path, "/proc/self/task/%ld/stat", (long)getpid());
  stat = open(path, O_RDONLY);
  if (stat < 0) abort();
  for (;;) {
    enum request request;
    pthread_mutex_lock(&waker.mutex);
    while (waker.request == NOTHING)
      pthread_cond_wait(&waker.asked, &waker.mutex);
    request = waker.request;
    waker.request = NOTHING;
    pthread_mutex_unlock(&waker.mutex);
    do nanosleep(&pause, NULL);
    while (state_of_main(stat) != 'S');
    act(request);
  }
  return NULL;
}

static void ask(enum request request) {
  pthread_mutex_lock(&waker.mutex);
  waker.request = request;
  pthread_cond_signal(&waker.asked);
  pthread_mutex_unlock(&waker.mutex);
}

/* --- What the script has ------------------------------------------------ */

/* cancel(handle): soon, by the waker */
static int script_cancel(lua_State *L) {
  waker.source = desist_source_from_handle(luaL_checkstring(L, 1));
  if (waker.source == NULL) return luaL_error(L, "a dead handle");
  ask(CANCEL);
  return 0;
}

/* post(fd): soon, by the waker; fd is of eventfd() */
static int script_post(lua_State *L) {
  waker.fd = (int)luaL_checkinteger(L, 1);
  ask(POST);
  return 0;
}

/* Nanoseconds since the waker acted last. */
static int script_since(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)(now() - atomic_load(&waker.moment)));
  return 1;
}

static int script_eventfd(lua_State *L) {
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) return luaL_error(L, "eventfd: %s", strerror(errno));
  lua_pushinteger(L, fd);
  return 1;
}

/* drain(fd): it was readable, and is no more */
static int script_drain(lua_State *L) {
  uint64_t count;
  int fd = (int)luaL_checkinteger(L, 1);
  if (read(fd, &count, sizeof count) != (ssize_t)sizeof count)
    return luaL_error(L, "woken for nothing");
  return 0;
}

/* The floors: nothing but the system's own wake-up. Nanoseconds. */

static int script_condition(lua_State *L) {
  int64_t took;
  pthread_mutex_lock(&waker.floor_mutex);
  waker.signalled = false;
  ask(SIGNAL);
  while (!waker.signalled) pthread_cond_wait(&waker.floor, &waker.floor_mutex);
  took = now() - atomic_load(&waker.moment);
  pthread_mutex_unlock(&waker.floor_mutex);
  lua_pushinteger(L, (lua_Integer)took);
  return 1;
}

static int script_poll(lua_State *L) {
  struct pollfd fd = { .fd = (int)luaL_checkinteger(L, 1), .events = POLLIN };
  waker.fd = fd.fd;
  ask(POST);
  while (poll(&fd, 1, -1) != 1) {
  }
  return script_since(L);
}

/* timed(seconds): how much longer a timed wait for a condition took */
static int script_timed(lua_State *L) {
  static pthread_cond_t never;
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static bool made;
  int64_t due = now() + (int64_t)(luaL_checknumber(L, 1) * 1e9);
  struct timespec limit = { (time_t)(due / 1000000000),
                            (long)(due % 1000000000) };
  if (!made) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&never, &attributes);
    made = true;
  }
  pthread_mutex_lock(&mutex);
  while (pthread_cond_timedwait(&never, &mutex, &limit) != ETIMEDOUT) {
  }
  pthread_mutex_unlock(&mutex);
  lua_pushinteger(L, (lua_Integer)(now() - due));
  return 1;
}

static int open_waker(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "cancel", script_cancel },
    { "post", script_post },
    { "since", script_since },
    { "eventfd", script_eventfd },
    { "drain", script_drain },
    { "condition", script_condition },
    { "poll", script_poll },
    { "timed", script_timed },
    { NULL, NULL },
  };
  luaL_newlib(L, functions);
  return 1;
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  pthread_t thread;
  int i;
  if (L == NULL || argc < 2) return 2;
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 0);
  luaL_requiref(L, "waker", open_waker, 0);
  lua_settop(L, 0);
  lua_newtable(L);
  for (i = 2; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - 1);
  }
  lua_setglobal(L, "arg");
  if (pthread_create(&thread, NULL, run_waker, NULL) != 0) return 1;
  if (luaL_dofile(L, argv[1]) != LUA_OK) {
    fprintf(stderr, "bench_latency: %s\n", lua_tostring(L, -1));
    return 1;
  }
  lua_close(L);
  return 0;
}
