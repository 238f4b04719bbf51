/*
** bench.h: one operation, several libraries, interleaved rounds.
**
** A row is an operation; its subjects do it with desist (always the first) and
** with what a user would take instead. In each round every subject of a row
** runs one batch, beginning with another subject each time, so that whatever
** else the machine does meets all of them. A row's ratio is the median over
** the rounds of (first subject's time / other subject's time in that round).
**
** Batches are measured in processor time of the calling thread, so that other
** programs on the machine do not count; where threads meet it is wall time.
*/
#ifndef BENCH_H
#define BENCH_H

#include <time.h>

#include <functional>
#include <string>
#include <vector>

namespace bench {

struct Options {
  bool threads = false; /* a second thread sleeps beside the rows */
  bool memory = false;  /* print the memory table instead */
  int rounds = 21;
  double batch = 0.004; /* seconds a batch should last */
  std::string only;     /* rows whose title contains this */
};

/* Does the operation `count` times; the seconds that count. */
using Batch = std::function<double(long count)>;

struct Subject {
  std::string name;
  Batch batch;
  double at_most; /* target: first subject's time / this one's; 0: none */
};

struct Row {
  std::string title;
  std::vector<Subject> subjects;
  bool starts_threads = false; /* not in the process that never had one */
};

using Rows = std::vector<Row>;

/* Measures the rows and prints them; see print_row in bench.cpp. */
void run(const Rows &rows, const Options &options);

/* Batches of two threads that the machine did not run side by side. */
extern long disturbed;

/* One file each. */
void add_source_rows(Rows &rows, const Options &options);
void add_registration_rows(Rows &rows, const Options &options);
void add_deadline_rows(Rows &rows, const Options &options);
void print_memory();

/* The compiler must believe that somebody reads and writes `*pointer`. */
inline void keep(const void *pointer) {
  asm volatile("" : : "g"(pointer) : "memory");
}

/* The compiler must forget where `pointer` came from. */
template <class T> inline void blur(T *&pointer) {
  asm volatile("" : "+r"(pointer) : : "memory");
}

inline double seconds_of(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_nsec) * 1e-9;
}

/* Seconds of this thread's processor time that `body()` takes. */
template <class Body> inline double timed(Body body) {
  double start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  body();
  return seconds_of(CLOCK_THREAD_CPUTIME_ID) - start;
}

} // namespace bench

#endif
