/*
** callback.h: the callback of the C rows, once for each library. All of them
** add one to a counter.
*/
#ifndef BENCH_CALLBACK_H
#define BENCH_CALLBACK_H

#include <gio/gio.h>

#include <cstdio>
#include <cstdlib>
#include <stop_token>

#include "desist.h"

namespace bench {

inline void bump(void *data, desist_reason *reason) {
  (void)reason;
  ++*static_cast<long *>(data);
}

struct Bump {
  long *counter;
  void operator()() const noexcept { ++*counter; }
};

using StdCallback = std::stop_callback<Bump>;

inline void bump_glib(GCancellable *source, void *data) {
  (void)source;
  ++*static_cast<long *>(data);
}

/* A benchmark of what did not happen is worth nothing. */
inline void expect(bool fact, const char *what) {
  if (fact) return;
  std::fprintf(stderr, "bench_core: expected that %s\n", what);
  std::exit(1);
}

} // namespace bench

#endif
