/*
** memory.cpp: what things weigh. For desist the bytes it asks its allocator
** for and the number of allocations; for all three the growth of the heap,
** headers and padding of malloc included.
**
** Lines, fields separated by tabs (a number below 0: none):
**   memory  thing  bytes  allocations  bytes at most  allocations at most
**           heap desist  heap std  heap GCancellable
*/
#include <gio/gio.h>
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include "bench.h"
#include "callback.h"

namespace bench {

struct Counted {
  long bytes = 0;
  long allocations = 0;
};

/* Only one thread allocates here. */
static void *count_and_allocate(void *data, void *block, size_t old_size,
                                size_t size) {
  Counted *counted = static_cast<Counted *>(data);
  counted->bytes += static_cast<long>(size) -
                    (block != nullptr ? static_cast<long>(old_size) : 0);
  if (size == 0) {
    std::free(block);
    return nullptr;
  }
  counted->allocations++;
  return std::realloc(block, size);
}

/* What one of `things` objects takes, all of them alive at once. The first
** few are made before, so that what is made once for all does not count. */
static constexpr int things = 10000;

struct Weight {
  double bytes, allocations, heap;
};

/* Blocks in use, also those that malloc maps one by one. */
static size_t heap_in_use() {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

static constexpr double none = -1;

template <class Make, class Drop>
static Weight weigh(const Counted &counted, Make make, Drop drop) {
  using Thing = decltype(make());
  std::unique_ptr<Thing[]> warm(new Thing[32]);
  std::unique_ptr<Thing[]> made(new Thing[things]);
  for (int i = 0; i < 32; i++) warm[i] = make();
  Counted before = counted;
  size_t heap = heap_in_use();
  for (int i = 0; i < things; i++) made[i] = make();
  /* Difference of unsigned numbers that only grow. */
  Weight weight{ static_cast<double>(counted.bytes - before.bytes) / things,
                 static_cast<double>(counted.allocations - before.allocations) /
                     things,
                 static_cast<double>(heap_in_use() - heap) / things };
  for (int i = 0; i < things; i++) drop(made[i]);
  for (int i = 0; i < 32; i++) drop(warm[i]);
  return weight;
}

static void print(const char *thing, const Weight &desist, double bytes_at_most,
                  double allocations_at_most, double std_heap,
                  double glib_heap) {
  std::printf("memory\t%s\t%.1f\t%.2f\t%g\t%g\t%.1f\t%.1f\t%.1f\n", thing,
              desist.bytes, desist.allocations, bytes_at_most,
              allocations_at_most, desist.heap, std_heap, glib_heap);
}

/* The std child of child_std in source.cpp, on the heap. */
struct Stop {
  std::stop_source *child;
  void operator()() const { child->request_stop(); }
};
struct StdChild {
  std::stop_source child;
  std::stop_callback<Stop> link;
  explicit StdChild(const std::stop_token &parent)
      : link(parent, Stop{ &child }) {}
};

static void cancel_glib(GCancellable *parent, void *child) {
  (void)parent;
  g_cancellable_cancel(static_cast<GCancellable *>(child));
}

struct GlibChild {
  GCancellable *child;
  gulong link;
};

static void print_sources(const Counted &counted) {
  Weight desist = weigh(counted, desist_source_create, desist_source_release);
  /* Optional, so that an empty place in the table has no state yet. */
  using Source = std::optional<std::stop_source>;
  Weight peer = weigh(
      counted, [] { return Source(std::in_place); },
      [](Source &source) { source.reset(); });
  Weight glib = weigh(counted, g_cancellable_new,
                      [](GCancellable *source) { g_object_unref(source); });
  print("a source", desist, 64, 1, peer.heap, glib.heap);
}

static void print_links(const Counted &counted) {
  desist_source *parents[4];
  desist_token *inputs[4];
  for (int i = 0; i < 4; i++) {
    parents[i] = desist_source_create();
    inputs[i] = desist_source_token(parents[i]);
  }
  Weight link[4];
  for (size_t count = 1; count <= 3; count++)
    link[count] = weigh(
        counted,
        [&] {
          return desist_source_create_linked(inputs, count, DESIST_LINK_ANY);
        },
        desist_source_release);
  std::stop_source std_parent;
  Weight peer = weigh(
      counted, [&] { return new StdChild(std_parent.get_token()); },
      [](StdChild *child) { delete child; });
  GCancellable *glib_parent = g_cancellable_new();
  Weight glib = weigh(
      counted,
      [&] {
        GCancellable *child = g_cancellable_new();
        gulong id = g_cancellable_connect(glib_parent, G_CALLBACK(cancel_glib),
                                          child, nullptr);
        return GlibChild{ child, id };
      },
      [&](const GlibChild &child) {
        g_cancellable_disconnect(glib_parent, child.link);
        g_object_unref(child.child);
      });
  g_object_unref(glib_parent);
  print("a link of one input", link[1], 64, 1, peer.heap, glib.heap);
  print("a link of two inputs", link[2], 64, 1, none, none);
  print("a link of three inputs", link[3], none, none, none, none);
  for (desist_source *parent : parents) desist_source_release(parent);
}

static void print_registration(const Counted &counted) {
  long ran = 0;
  desist_source *source = desist_source_create();
  /* The node is the caller's: here it is on the heap, as in the other two. */
  Weight desist = weigh(
      counted,
      [&] {
        desist_registration *node = new desist_registration;
        desist_register(desist_source_token(source), node, bump, &ran);
        return node;
      },
      [](desist_registration *node) {
        desist_unregister(node);
        delete node;
      });
  desist.bytes = sizeof(desist_registration);
  std::stop_source std_source;
  Weight peer = weigh(
      counted,
      [&] { return new StdCallback(std_source.get_token(), Bump{ &ran }); },
      [](StdCallback *callback) { delete callback; });
  GCancellable *glib_source = g_cancellable_new();
  Weight glib = weigh(
      counted,
      [&] {
        return g_cancellable_connect(glib_source, G_CALLBACK(bump_glib), &ran,
                                     nullptr);
      },
      [&](gulong id) { g_cancellable_disconnect(glib_source, id); });
  print("a registration", desist, 48, 0, peer.heap, glib.heap);
  g_object_unref(glib_source);
  desist_source_release(source);
}

static void print_deadline(const Counted &counted) {
  desist_clock *clock = desist_clock_create(0);
  Weight armed = weigh(
      counted,
      [&] {
        desist_source *source = desist_source_create_on(clock);
        desist_source_cancel_after(source, 3600000000000);
        return source;
      },
      desist_source_release);
  print("a source with a deadline armed", armed, none, none, none, none);
  desist_clock_release(clock);
}

void print_memory() {
  static Counted counted;
  desist_set_allocator(count_and_allocate, &counted);
  print_sources(counted);
  print_links(counted);
  print_registration(counted);
  print_deadline(counted);
}

} // namespace bench
