/* api_cpp.cpp: desist.h as a C++ header; every function of it is used once. */
#include "check.h"

#include "desist.h"

namespace {

void count(void *data, desist_reason *) { ++*static_cast<int *>(data); }

void *allocate(void *, void *block, size_t, size_t size) {
  if (size != 0) return realloc(block, size);
  free(block);
  return nullptr;
}

/* What a C++ programmer would write first. */
class Source {
public:
  Source() : source_(desist_source_create()) {}
  explicit Source(desist_source *source) : source_(source) {}
  Source(const Source &other) : source_(other.source_) {
    desist_source_retain(source_);
  }
  Source &operator=(const Source &) = delete;
  ~Source() { desist_source_release(source_); }
  desist_source *get() const { return source_; }
  desist_token *token() const { return desist_source_token(source_); }

private:
  desist_source *source_;
};

} // namespace

TEST(the_allocator_can_be_set) {
  desist_set_allocator(allocate, nullptr);
  { Source source; }
  desist_set_allocator(nullptr, nullptr);
}

TEST(sources_and_tokens) {
  Source source, copy(source);
  desist_token *token = source.token();
  CHECK(copy.token() == token);
  CHECK(desist_source_set_name(source.get(), "c++"));
  CHECK_TEXT(desist_token_name(token), "c++");
  CHECK(desist_token_can_be_cancelled(token));
  CHECK(desist_source_try_reset(source.get()));
  CHECK(!desist_token_wait(token, 0));
  CHECK(desist_token_fd(token) >= 0);
  CHECK(desist_source_cancel(source.get(), nullptr));
  CHECK(desist_token_is_cancelled(token) && desist_token_poll(token));
  CHECK(desist_token_origin(token) == token);
  CHECK(desist_token_reason(token) != nullptr);
  desist_token_retain(token);
  desist_token_release(token);
  desist_source_close(source.get());
}

TEST(links) {
  Source a, b;
  desist_token *inputs[] = { a.token(), b.token() };
  Source any(desist_source_create_linked(inputs, 2, DESIST_LINK_ANY));
  Source all(desist_source_create_linked(inputs, 2, DESIST_LINK_ALL));
  desist_source_cancel(a.get(), nullptr);
  CHECK(desist_token_is_cancelled(any.token()));
  CHECK(!desist_token_is_cancelled(all.token()));
}

TEST(registrations) {
  Source source;
  desist_registration one, two, three;
  int ran = 0;
  desist_register(source.token(), &one, count, &ran);
  desist_register(source.token(), &two, count, &ran);
  desist_register(
      source.token(), &three,
      [](void *data, desist_reason *) { *static_cast<int *>(data) += 10; },
      &ran);
  CHECK(desist_is_registered(&one));
  CHECK(desist_unregister(&one));
  CHECK(desist_unregister_wait(&two));
  desist_source_cancel(source.get(), nullptr);
  CHECK_INT(ran, 10);
}

TEST(reasons) {
  desist_reason *reason = desist_reason_create(1, "one");
  desist_reason *other =
      desist_reason_create_kind(DESIST_KIND_FAILURE, 2, "two");
  desist_reason_retain(reason);
  desist_reason_release(reason);
  CHECK_INT(desist_reason_kind(other), DESIST_KIND_FAILURE);
  CHECK_INT(desist_reason_code(reason), 1);
  CHECK_TEXT(desist_reason_text(reason), "one");
  desist_reason_release(reason);
  desist_reason_release(other);
}

TEST(clocks) {
  desist_clock *clock = desist_clock_create(0);
  Source source(desist_source_create_on(clock)), late;
  desist_clock_retain(clock);
  desist_clock_release(clock);
  CHECK(desist_now() > 0);
  CHECK_INT(desist_clock_now(clock), 0);
  CHECK(desist_source_cancel_at(source.get(), 5));
  CHECK_INT(desist_token_deadline(source.token()), 5);
  CHECK_INT(desist_token_remaining(source.token()), 5);
  CHECK(desist_clock_advance(clock, 4));
  CHECK(desist_clock_set(clock, 5));
  CHECK(desist_token_is_cancelled(source.token()));
  CHECK(desist_source_cancel_after(late.get(), 0));
  desist_source_retain(late.get());
  desist_source_detach(late.get());
  desist_clock_release(clock);
}

TEST(handles) {
  Source source;
  char handle[DESIST_HANDLE_SIZE];
  CHECK(desist_source_handle(source.get(), handle));
  Source found(desist_source_from_handle(handle));
  CHECK(found.get() == source.get());
  CHECK(desist_token_handle(source.token(), handle));
  desist_token *token = desist_token_from_handle(handle);
  CHECK(token == source.token());
  desist_token_release(token);
}

TEST_WITH_SIGNALS(signals) {
  const int numbers[] = { SIGUSR1 };
  Source source(desist_source_create_signals(numbers, 1));
  raise(SIGUSR1);
  CHECK(desist_token_wait(source.token(), MS(10000)));
}

TEST(the_version) { CHECK_TEXT(desist_version(), DESIST_VERSION); }

CHECK_MAIN()
