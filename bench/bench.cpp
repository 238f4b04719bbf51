/*
** bench.cpp: the rounds, and the program around the rows.
**
**   bench_core [--threads] [--rounds N] [--batch SECONDS] [--only TEXT]
**   bench_core --memory
**
** Prints lines of fields separated by tabs, for bench/report.lua:
**   machine  name  value
**   row      title  subject  nanoseconds  ratio  at most (0: no target)
**   skip     title  why
**   note     sentence
**   memory   see memory.cpp
*/
#include "bench.h"

#include <gio/gio.h>
#include <gnu/libc-version.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "desist.h"

namespace bench {

static double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  size_t half = values.size() / 2;
  return values.size() % 2 != 0 ? values[half]
                                : (values[half - 1] + values[half]) / 2;
}

/* How often the operation must run to fill a batch; warms it up as well. */
static long calibrate(const Subject &subject, double batch) {
  long count = 64;
  for (;;) {
    double seconds = subject.batch(count);
    if (seconds >= batch / 2)
      return std::max(
          1L, static_cast<long>(static_cast<double>(count) * batch / seconds));
    count *= 4;
  }
}

/* A row and what was measured: nanoseconds[subject][round]. */
struct Measured {
  const Row *row;
  bool skipped;
  std::vector<long> counts;
  std::vector<std::vector<double>> nanoseconds;
};

static void calibrate_row(Measured &measured, double batch) {
  if (measured.skipped) return;
  for (const Subject &subject : measured.row->subjects)
    measured.counts.push_back(calibrate(subject, batch));
  measured.nanoseconds.resize(measured.counts.size());
}

static void measure_round(Measured &measured, int round) {
  if (measured.skipped) return;
  const std::vector<Subject> &subjects = measured.row->subjects;
  for (size_t i = 0; i < subjects.size(); i++) {
    size_t turn = (i + static_cast<size_t>(round)) % subjects.size();
    long count = measured.counts[turn];
    double seconds = subjects[turn].batch(count);
    measured.nanoseconds[turn].push_back(seconds * 1e9 /
                                         static_cast<double>(count));
  }
}

static void print_row(const Measured &measured) {
  if (measured.skipped) {
    std::printf("skip\t%s\tstarts a thread\n", measured.row->title.c_str());
    return;
  }
  const std::vector<Subject> &subjects = measured.row->subjects;
  for (size_t i = 0; i < subjects.size(); i++) {
    std::vector<double> ratios;
    for (size_t round = 0; round < measured.nanoseconds[i].size(); round++)
      ratios.push_back(measured.nanoseconds[0][round] /
                       measured.nanoseconds[i][round]);
    std::printf("row\t%s\t%s\t%.4f\t%.4f\t%g\n", measured.row->title.c_str(),
                subjects[i].name.c_str(), median(measured.nanoseconds[i]),
                median(ratios), subjects[i].at_most);
  }
}

void run(const Rows &rows, const Options &options) {
  std::vector<Measured> all;
  for (const Row &row : rows)
    if (row.title.find(options.only) != std::string::npos)
      all.push_back(
          Measured{ &row, row.starts_threads && !options.threads, {}, {} });
  for (Measured &measured : all) calibrate_row(measured, options.batch);
  for (int round = 0; round < options.rounds; round++)
    for (Measured &measured : all) measure_round(measured, round);
  for (const Measured &measured : all) print_row(measured);
}

static void print_machine(const Options &options) {
  std::printf("machine\tcores\t%ld\n", sysconf(_SC_NPROCESSORS_ONLN));
  std::printf("machine\tcompiler\tg++ %s\n", __VERSION__);
  std::printf("machine\tglibc\t%s\n", gnu_get_libc_version());
  std::printf("machine\tGLib\t%u.%u.%u\n", glib_major_version,
              glib_minor_version, glib_micro_version);
  std::printf("machine\tdesist\t%s\n", desist_version());
  std::printf("machine\trounds\t%d\n", options.rounds);
}

static Options parse(int argc, char **argv) {
  Options options;
  for (int i = 1; i < argc; i++) {
    std::string name = argv[i];
    if (name == "--threads")
      options.threads = true;
    else if (name == "--memory")
      options.memory = true;
    else if (i + 1 < argc && name == "--rounds")
      options.rounds = std::max(1, std::atoi(argv[++i]));
    else if (i + 1 < argc && name == "--batch")
      options.batch = std::atof(argv[++i]);
    else if (i + 1 < argc && name == "--only")
      options.only = argv[++i];
    else {
      std::fprintf(stderr, "bench_core: unknown option '%s'\n", argv[i]);
      std::exit(2);
    }
  }
  return options;
}

/* A process counts as threaded from its second thread on; one that sleeps
** costs nothing else. */
class Sleeper {
public:
  Sleeper() : thread_([this] { asleep_.wait(true); }) {}
  ~Sleeper() {
    asleep_.store(false);
    asleep_.notify_all();
    thread_.join();
  }

private:
  std::atomic<bool> asleep_{ true };
  std::thread thread_;
};

static int run_rows(const Options &options) {
  Rows rows;
  add_source_rows(rows, options);
  add_registration_rows(rows, options);
  add_deadline_rows(rows, options);
  print_machine(options);
  run(rows, options);
  if (disturbed != 0)
    std::printf("note\t%ld batches of two threads did not run side by side:"
                " the machine was busy.\n",
                disturbed);
  /* Without this the first table would silently be the second. */
  if ((__libc_single_threaded != 0) == options.threads) {
    std::fprintf(stderr, "bench_core: this process %s a second thread\n",
                 options.threads ? "never had" : "had");
    return 1;
  }
  return 0;
}

} // namespace bench

int main(int argc, char **argv) {
  bench::Options options = bench::parse(argc, argv);
  if (options.memory) {
    bench::print_memory();
    return 0;
  }
  if (!options.threads) return bench::run_rows(options);
  bench::Sleeper sleeper;
  return bench::run_rows(options);
}
