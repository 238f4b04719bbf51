/*
** deadline.cpp: rows about arming and disarming a deadline while none or a
** million others are armed.
**
** The others are due in one to two hours, spread evenly. The one that is armed
** and disarmed is due in 30 to 60 seconds, like the timeout of a request; that
** makes it the nearest of all, the worst place in an ordered structure. On the
** real clock this starts the service thread, so those rows have no place in
** the process without threads; the same on a manual clock needs none.
*/
#include <array>
#include <memory>

#include "bench.h"
#include "callback.h"

namespace bench {

static constexpr int64_t second = 1000000000;
static constexpr int64_t million = 1000000;

/* A million sources, armed or not as the next subject needs it. */
class Others {
public:
  explicit Others(desist_clock *clock) : clock_(clock) {}
  ~Others() {
    for (desist_source *source : sources_) desist_source_release(source);
    desist_clock_release(clock_);
  }
  void arm(bool armed) {
    if (armed == armed_) return;
    for (int64_t i = 0; i < million; i++) {
      desist_source *&source = sources_[static_cast<size_t>(i)];
      if (source == nullptr) source = desist_source_create_on(clock_);
      /* Any order but sorted: a stride without common factor. */
      int64_t place = i * 7919 % million;
      int64_t due = 3600 * second + place * (3600 * second / million);
      expect(desist_source_cancel_after(source, armed ? due : DESIST_NEVER),
             "a deadline is armed or disarmed");
    }
    armed_ = armed;
  }
  desist_clock *clock() { return clock_; }

private:
  desist_clock *clock_;
  std::vector<desist_source *> sources_ =
      std::vector<desist_source *>(million, nullptr);
  bool armed_ = false;
};

static double arm_and_disarm(desist_clock *clock, long count) {
  std::array<int64_t, 1024> due;
  for (size_t i = 0; i < due.size(); i++)
    due[i] = 30 * second +
             static_cast<int64_t>(i * 7919 % due.size()) * (30 * second / 1024);
  desist_source *source = desist_source_create_on(clock);
  double seconds = timed([&] {
    for (long i = 0; i < count; i++) {
      desist_source_cancel_after(source, due[static_cast<size_t>(i) & 1023]);
      desist_source_cancel_after(source, DESIST_NEVER);
    }
  });
  desist_source_release(source);
  return seconds;
}

static double register_and_unregister(long count) {
  desist_source *source = desist_source_create();
  desist_token *token = desist_source_token(source);
  long ran = 0;
  double seconds = timed([&] {
    for (long i = 0; i < count; i++) {
      desist_registration node;
      desist_register(token, &node, bump, &ran);
      keep(&node);
      desist_unregister(&node);
    }
  });
  desist_source_release(source);
  return seconds;
}

static Row deadline_row(const char *title, std::shared_ptr<Others> others,
                        bool starts_threads) {
  Batch crowded = [others](long count) {
    others->arm(true);
    return arm_and_disarm(others->clock(), count);
  };
  Batch alone = [others](long count) {
    others->arm(false);
    return arm_and_disarm(others->clock(), count);
  };
  return { title,
           { { "1,000,000 armed", crowded, 0 },
             { "none armed", alone, 1.5 },
             { "register + unregister", register_and_unregister, 5.0 } },
           starts_threads };
}

void add_deadline_rows(Rows &rows, const Options &options) {
  (void)options;
  rows.push_back(deadline_row("arm + disarm a deadline, 1,000,000 armed",
                              std::make_shared<Others>(nullptr), true));
  rows.push_back(deadline_row("the same on a manual clock",
                              std::make_shared<Others>(desist_clock_create(0)),
                              false));
}

} // namespace bench
