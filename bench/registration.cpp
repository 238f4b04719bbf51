/*
** registration.cpp: rows about register + unregister: alone, among a thousand
** others, and from two threads at once.
**
** std::stop_callback's destructor waits for a callback that runs on another
** thread. So does desist_unregister_wait, which has a row of its own beside
** plain desist_unregister.
*/
#include <gio/gio.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <stop_token>
#include <thread>

#include "bench.h"
#include "callback.h"

namespace bench {

static constexpr long crowd = 1000;

long disturbed = 0;

/* Each subject is a live source with `others` callbacks on it. `pairs` does
** `count` times register + unregister; `rotate` as often takes the oldest of
** the others off and registers it anew, so that neighbours are cold. */

class DesistSubject {
public:
  explicit DesistSubject(long others) : others_(others) {
    for (long i = 0; i < others_; i++)
      desist_register(token_, &nodes_[i], bump, &ran_);
  }
  ~DesistSubject() { desist_source_release(source_); }
  void pairs(long count) {
    for (long i = 0; i < count; i++) {
      desist_registration node;
      desist_register(token_, &node, bump, &ran_);
      keep(&node);
      desist_unregister(&node);
    }
  }
  void waiting_pairs(long count) {
    for (long i = 0; i < count; i++) {
      desist_registration node;
      desist_register(token_, &node, bump, &ran_);
      keep(&node);
      desist_unregister_wait(&node);
    }
  }
  void rotate(long count) {
    for (long i = 0, oldest = 0; i < count; i++) {
      desist_unregister(&nodes_[oldest]);
      desist_register(token_, &nodes_[oldest], bump, &ran_);
      oldest = oldest + 1 < others_ ? oldest + 1 : 0;
    }
  }

private:
  desist_source *source_ = desist_source_create();
  desist_token *token_ = desist_source_token(source_);
  std::array<desist_registration, crowd> nodes_;
  long others_;
  long ran_ = 0;
};

class StdSubject {
public:
  explicit StdSubject(long others)
      : nodes_(std::allocator<StdCallback>().allocate(crowd)), others_(others) {
    for (long i = 0; i < others_; i++)
      std::construct_at(nodes_ + i, token_, Bump{ &ran_ });
  }
  ~StdSubject() {
    std::destroy_n(nodes_, others_);
    std::allocator<StdCallback>().deallocate(nodes_, crowd);
  }
  void pairs(long count) {
    for (long i = 0; i < count; i++) {
      StdCallback node(token_, Bump{ &ran_ });
      keep(&node);
    }
  }
  void rotate(long count) {
    for (long i = 0, oldest = 0; i < count; i++) {
      std::destroy_at(nodes_ + oldest);
      std::construct_at(nodes_ + oldest, token_, Bump{ &ran_ });
      oldest = oldest + 1 < others_ ? oldest + 1 : 0;
    }
  }

private:
  std::stop_source source_;
  std::stop_token token_ = source_.get_token();
  StdCallback *nodes_;
  long others_;
  long ran_ = 0;
};

class GlibSubject {
public:
  explicit GlibSubject(long others) : others_(others) {
    for (long i = 0; i < others_; i++) nodes_[i] = connect();
  }
  ~GlibSubject() { g_object_unref(source_); }
  void pairs(long count) {
    for (long i = 0; i < count; i++)
      g_cancellable_disconnect(source_, connect());
  }
  void rotate(long count) {
    for (long i = 0, oldest = 0; i < count; i++) {
      g_cancellable_disconnect(source_, nodes_[oldest]);
      nodes_[oldest] = connect();
      oldest = oldest + 1 < others_ ? oldest + 1 : 0;
    }
  }

private:
  gulong connect() {
    return g_cancellable_connect(source_, G_CALLBACK(bump_glib), &ran_,
                                 nullptr);
  }
  GCancellable *source_ = g_cancellable_new();
  std::array<gulong, crowd> nodes_;
  long others_;
  long ran_ = 0;
};

template <class Subject, long others> static double pairs(long count) {
  auto subject = std::make_unique<Subject>(others);
  return timed([&] { subject->pairs(count); });
}

template <long others> static double waiting_pairs(long count) {
  auto subject = std::make_unique<DesistSubject>(others);
  return timed([&] { subject->waiting_pairs(count); });
}

template <class Subject> static double rotate(long count) {
  auto subject = std::make_unique<Subject>(crowd);
  return timed([&] { subject->rotate(count); });
}

/* --- Two threads on one source -----------------------------------------
**
** A thread that waits for a processor leaves the other one alone with the
** source, which is another benchmark. So both run in short bursts that begin
** together, and only bursts count in which the system took the processor away
** from neither. A burst lasts from the first start until the slower one is
** done, by the wall clock.
*/

static constexpr long burst = 2000; /* pairs of each thread */

/* How often the system took the processor away from the calling thread. */
static long preemptions() {
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw;
}

struct Run {
  double start, end;
  long preempted;
};

template <class Subject>
static void run_bursts(Subject &subject, std::atomic<size_t> &arrived,
                       std::vector<Run> &runs) {
  for (size_t i = 0; i < runs.size(); i++) {
    long before = preemptions();
    arrived.fetch_add(1);
    while (arrived.load() < 2 * (i + 1)) {
    }
    runs[i].start = seconds_of(CLOCK_MONOTONIC);
    subject.pairs(burst);
    runs[i].end = seconds_of(CLOCK_MONOTONIC);
    runs[i].preempted = preemptions() - before;
  }
}

/* Added up over the bursts that count, and over all. */
struct Bursts {
  double seconds = 0, all_seconds = 0;
  long count = 0, all_count = 0;
};

template <class Subject> static void run_session(size_t bursts, Bursts &sum) {
  Subject subject(0);
  std::atomic<size_t> arrived{ 0 };
  std::vector<Run> mine(bursts), others(bursts);
  std::thread other([&] { run_bursts(subject, arrived, others); });
  run_bursts(subject, arrived, mine);
  other.join();
  for (size_t i = 0; i < bursts; i++) {
    auto [first, last] = std::minmax(mine[i].start, others[i].start);
    double seconds = std::max(mine[i].end, others[i].end) - first;
    sum.all_seconds += seconds;
    sum.all_count++;
    if (last - first < seconds / 50 && mine[i].preempted == 0 &&
        others[i].preempted == 0) {
      sum.seconds += seconds;
      sum.count++;
    }
  }
}

/* Sessions until a quarter of the bursts that were asked for count. After
** half a second all bursts have to do; the report says so. */
template <class Subject> static double pairs_on_two_threads(long count) {
  long wanted = std::max(1L, count / (2 * burst));
  double give_up = seconds_of(CLOCK_MONOTONIC) + 0.5;
  Bursts sum;
  do run_session<Subject>(static_cast<size_t>(wanted), sum);
  while (sum.count < (wanted + 3) / 4 && seconds_of(CLOCK_MONOTONIC) < give_up);
  if (sum.count == 0) {
    disturbed++;
    sum.seconds = sum.all_seconds;
    sum.count = sum.all_count;
  }
  double each = sum.seconds / static_cast<double>(sum.count);
  return each / (2 * burst) * static_cast<double>(count);
}

/* ----------------------------------------------------------------------- */

void add_registration_rows(Rows &rows, const Options &options) {
  (void)options;
  rows.push_back({ "register + unregister",
                   { { "desist", pairs<DesistSubject, 0>, 0 },
                     { "std", pairs<StdSubject, 0>, 0.9 },
                     { "GCancellable", pairs<GlibSubject, 0>, 0 } } });
  rows.push_back({ "register + unregister, with 1,000 others on it",
                   { { "desist", pairs<DesistSubject, crowd>, 0 },
                     { "std", pairs<StdSubject, crowd>, 0.9 },
                     { "GCancellable", pairs<GlibSubject, crowd>, 0 } } });
  rows.push_back({ "unregister the oldest of 1,000 + register it anew",
                   { { "desist", rotate<DesistSubject>, 0 },
                     { "std", rotate<StdSubject>, 0 },
                     { "GCancellable", rotate<GlibSubject>, 0 } } });
  rows.push_back({ "register + unregister_wait",
                   { { "desist", waiting_pairs<0>, 0 },
                     { "std", pairs<StdSubject, 0>, 0 },
                     { "GCancellable", pairs<GlibSubject, 0>, 0 } } });
  rows.push_back({ "two threads registering on one source",
                   { { "desist", pairs_on_two_threads<DesistSubject>, 0 },
                     { "std", pairs_on_two_threads<StdSubject>, 1.0 },
                     { "GCancellable", pairs_on_two_threads<GlibSubject>, 0 } },
                   true });
}

} // namespace bench
