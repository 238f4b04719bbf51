/*
** source.cpp: rows about sources: poll, create, cancel, whole lives, children.
*/
#include <gio/gio.h>

#include <memory>
#include <stop_token>

#include "bench.h"
#include "callback.h"

namespace bench {

/* --- Poll --------------------------------------------------------------
**
** The shape of a worker: loop until told to stop. Eight polls a turn, so that
** the loop itself weighs little; the empty asm keeps them apart. The
** std::stop_token is a local copy, which spares it one load a poll.
*/

#define EIGHT(poll) poll poll poll poll poll poll poll poll

__attribute__((noinline)) static long poll_desist_loop(
    const desist_token *token, long count) {
  long i = 0;
  for (; i < count; i += 8) {
    EIGHT(if (desist_token_is_cancelled(token)) break; asm volatile("");)
  }
  return i;
}

__attribute__((noinline)) static long poll_std_loop(
    const std::stop_token &original, long count) {
  std::stop_token token = original;
  long i = 0;
  for (; i < count; i += 8) {
    EIGHT(if (token.stop_requested()) break; asm volatile("");)
  }
  return i;
}

__attribute__((noinline)) static long poll_glib_loop(GCancellable *token,
                                                     long count) {
  long i = 0;
  for (; i < count; i += 8) {
    EIGHT(if (g_cancellable_is_cancelled(token)) break; asm volatile("");)
  }
  return i;
}

static double poll_desist(long count) {
  desist_source *source = desist_source_create();
  double seconds = timed([&] {
    desist_token *token = desist_source_token(source);
    blur(token);
    long polls = poll_desist_loop(token, count);
    keep(&polls);
  });
  desist_source_release(source);
  return seconds;
}

static double poll_std(long count) {
  std::stop_source source;
  std::stop_token token = source.get_token();
  return timed([&] {
    std::stop_token *blurred = &token;
    blur(blurred);
    long polls = poll_std_loop(*blurred, count);
    keep(&polls);
  });
}

static double poll_glib(long count) {
  GCancellable *source = g_cancellable_new();
  double seconds = timed([&] {
    long polls = poll_glib_loop(source, count);
    keep(&polls);
  });
  g_object_unref(source);
  return seconds;
}

/* --- Create + destroy -------------------------------------------------- */

static double create_desist(long count) {
  return timed([=] {
    for (long i = 0; i < count; i++) {
      desist_source *source = desist_source_create();
      keep(source);
      desist_source_release(source);
    }
  });
}

static double create_std(long count) {
  return timed([=] {
    for (long i = 0; i < count; i++) {
      std::stop_source source;
      keep(&source);
    }
  });
}

static double create_glib(long count) {
  return timed([=] {
    for (long i = 0; i < count; i++) {
      GCancellable *source = g_cancellable_new();
      keep(source);
      g_object_unref(source);
    }
  });
}

/* --- Cancel, per callback of 1,000 -------------------------------------
**
** Four sources at a time are filled, then cancelled inside the measured time,
** then emptied: the two clock readings are spread over 4,000 callbacks.
*/

static constexpr long callbacks_each = 1000;
static constexpr long sources_a_time = 4;

template <class Crowd> static double cancel_crowds(long count) {
  double seconds = 0;
  for (long done = 0; done < count; done += callbacks_each * sources_a_time) {
    long ran = 0;
    {
      Crowd crowds[sources_a_time];
      for (Crowd &crowd : crowds) crowd.fill(&ran);
      seconds += timed([&] {
        for (Crowd &crowd : crowds) crowd.cancel();
      });
    }
    expect(ran == callbacks_each * sources_a_time, "all callbacks ran");
  }
  /* count is rounded up to whole crowds; the caller divides by count. */
  long crowd = callbacks_each * sources_a_time;
  long run = (count + crowd - 1) / crowd * crowd;
  return seconds * static_cast<double>(count) / static_cast<double>(run);
}

class DesistCrowd {
public:
  void fill(long *counter) {
    for (long i = 0; i < callbacks_each; i++)
      desist_register(desist_source_token(source_), &nodes_[i], bump, counter);
  }
  void cancel() { desist_source_cancel(source_, nullptr); }
  ~DesistCrowd() { desist_source_release(source_); }

private:
  desist_source *source_ = desist_source_create();
  std::unique_ptr<desist_registration[]> nodes_{
    new desist_registration[callbacks_each]
  };
};

class StdCrowd {
public:
  void fill(long *counter) {
    for (; filled_ < callbacks_each; filled_++)
      std::construct_at(nodes_ + filled_, source_.get_token(), Bump{ counter });
  }
  void cancel() { source_.request_stop(); }
  ~StdCrowd() {
    std::destroy_n(nodes_, filled_);
    std::allocator<StdCallback>().deallocate(nodes_, callbacks_each);
  }

private:
  std::stop_source source_;
  long filled_ = 0;
  StdCallback *nodes_ = std::allocator<StdCallback>().allocate(callbacks_each);
};

class GlibCrowd {
public:
  void fill(long *counter) {
    for (long i = 0; i < callbacks_each; i++)
      g_cancellable_connect(source_, G_CALLBACK(bump_glib), counter, nullptr);
  }
  void cancel() { g_cancellable_cancel(source_); }
  ~GlibCrowd() { g_object_unref(source_); }

private:
  GCancellable *source_ = g_cancellable_new();
};

/* --- Create + register + cancel + destroy ------------------------------ */

static double life_desist(long count) {
  long ran = 0;
  double seconds = timed([&] {
    for (long i = 0; i < count; i++) {
      desist_source *source = desist_source_create();
      desist_registration node;
      desist_register(desist_source_token(source), &node, bump, &ran);
      desist_source_cancel(source, nullptr);
      desist_source_release(source);
    }
  });
  expect(ran == count, "all callbacks ran");
  return seconds;
}

static double life_std(long count) {
  long ran = 0;
  double seconds = timed([&] {
    for (long i = 0; i < count; i++) {
      std::stop_source source;
      StdCallback callback(source.get_token(), Bump{ &ran });
      source.request_stop();
    }
  });
  expect(ran == count, "all callbacks ran");
  return seconds;
}

static double life_glib(long count) {
  long ran = 0;
  double seconds = timed([&] {
    for (long i = 0; i < count; i++) {
      GCancellable *source = g_cancellable_new();
      g_cancellable_connect(source, G_CALLBACK(bump_glib), &ran, nullptr);
      g_cancellable_cancel(source);
      g_object_unref(source);
    }
  });
  expect(ran == count, "all callbacks ran");
  return seconds;
}

/* --- A child of a long-lived parent, made and dropped ------------------
**
** std has no links; the usual recipe is a source of one's own and a callback
** on the parent that stops it. GCancellable: the same with a signal handler.
*/

static double child_desist(long count) {
  desist_source *parent = desist_source_create();
  desist_token *input = desist_source_token(parent);
  double seconds = timed([&] {
    for (long i = 0; i < count; i++) {
      desist_source *child =
          desist_source_create_linked(&input, 1, DESIST_LINK_ANY);
      keep(child);
      desist_source_release(child);
    }
  });
  desist_source_release(parent);
  return seconds;
}

static double child_std(long count) {
  std::stop_source parent;
  std::stop_token input = parent.get_token();
  return timed([&] {
    for (long i = 0; i < count; i++) {
      std::stop_source child;
      std::stop_callback link(input, [&child] { child.request_stop(); });
      keep(&child);
      keep(&link);
    }
  });
}

static void cancel_glib(GCancellable *parent, void *child) {
  (void)parent;
  g_cancellable_cancel(static_cast<GCancellable *>(child));
}

static double child_glib(long count) {
  GCancellable *parent = g_cancellable_new();
  double seconds = timed([&] {
    for (long i = 0; i < count; i++) {
      GCancellable *child = g_cancellable_new();
      gulong link = g_cancellable_connect(parent, G_CALLBACK(cancel_glib),
                                          child, nullptr);
      g_cancellable_disconnect(parent, link);
      g_object_unref(child);
    }
  });
  g_object_unref(parent);
  return seconds;
}

/* ----------------------------------------------------------------------- */

void add_source_rows(Rows &rows, const Options &options) {
  rows.push_back({ "poll",
                   { { "desist", poll_desist, 0 },
                     { "std", poll_std, 1.0 },
                     { "GCancellable", poll_glib, 0 } } });
  rows.push_back({ "create + destroy a source",
                   { { "desist", create_desist, 0 },
                     { "std", create_std, 1.0 },
                     { "GCancellable", create_glib, 0 } } });
  rows.push_back(
      { "cancel, per callback of 1,000",
        { { "desist", cancel_crowds<DesistCrowd>, 0 },
          { "std", cancel_crowds<StdCrowd>, options.threads ? 0.2 : 1.0 },
          { "GCancellable", cancel_crowds<GlibCrowd>, 0 } } });
  rows.push_back({ "create + register + cancel + destroy",
                   { { "desist", life_desist, 0 },
                     { "std", life_std, 0.9 },
                     { "GCancellable", life_glib, 0 } } });
  rows.push_back({ "child of a long-lived parent, made and dropped",
                   { { "desist", child_desist, 0 },
                     { "std", child_std, 1.0 },
                     { "GCancellable", child_glib, 0 } } });
}

} // namespace bench
