/* handle.c: texts by which other parts of the process find an object. */
#include "check.h"
#include "check_callbacks.h"
#include "check_memory.h"

static desist_source *source;
static desist_token *token;
static char of_source[DESIST_HANDLE_SIZE], of_token[DESIST_HANDLE_SIZE];

static void begin(void) {
  source = desist_source_create();
  token = desist_source_token(source);
  CHECK(desist_source_handle(source, of_source));
  CHECK(desist_token_handle(token, of_token));
}

static void end(void) { desist_source_release(source); }

TEST(a_handle_is_a_short_text_and_stays_the_same) {
  char again[DESIST_HANDLE_SIZE];
  size_t i;
  begin();
  CHECK(memchr(of_source, '\0', sizeof of_source) != NULL);
  CHECK(memchr(of_token, '\0', sizeof of_token) != NULL);
  CHECK(strlen(of_source) >= 16 && strlen(of_token) >= 16);
  for (i = 0; of_source[i]; i++)
    CHECK(of_source[i] > ' ' && of_source[i] < 127);
  CHECK(strcmp(of_source, of_token) != 0);
  CHECK(desist_source_handle(source, again));
  CHECK_TEXT(again, of_source);
  CHECK(desist_token_handle(token, again));
  CHECK_TEXT(again, of_token);
  end();
}

TEST(a_handle_finds_its_object) {
  desist_source *found;
  desist_token *found_token;
  begin();
  found = desist_source_from_handle(of_source);
  CHECK(found == source);
  found_token = desist_token_from_handle(of_token);
  CHECK(found_token == token);
  end();
  /* Both are references. */
  CHECK(desist_token_can_be_cancelled(found_token));
  CHECK(desist_source_cancel(found, NULL));
  CHECK(desist_token_is_cancelled(found_token));
  desist_source_release(found);
  CHECK(desist_token_is_cancelled(found_token));
  desist_token_release(found_token);
}

TEST(a_tokens_handle_never_gives_a_source) {
  begin();
  CHECK(desist_source_from_handle(of_token) == NULL);
  end();
}

TEST(a_dead_handle_finds_nothing) {
  begin();
  end();
  CHECK(desist_source_from_handle(of_source) == NULL);
  CHECK(desist_token_from_handle(of_token) == NULL);
}

TEST(handles_keep_nothing_alive) {
  long live;
  begin();
  end();
  live = MEMORY_GET(live);
  begin();
  desist_token_retain(token);
  end();
  CHECK(!desist_token_can_be_cancelled(token));
  desist_token_release(token);
  CHECK_LIVE(live);
}

TEST(closed_uncancelled_has_no_handle_and_is_not_found) {
  char handle[DESIST_HANDLE_SIZE];
  begin();
  desist_source_close(source);
  CHECK(!desist_source_handle(source, handle));
  CHECK(!desist_token_handle(token, handle));
  CHECK(desist_source_from_handle(of_source) == NULL);
  CHECK(desist_token_from_handle(of_token) == NULL);
  end();
}

TEST(a_cancelled_token_is_found_after_its_source_is_gone) {
  desist_token *found;
  begin();
  desist_token_retain(token);
  desist_source_cancel(source, NULL);
  end();
  CHECK(desist_source_from_handle(of_source) == NULL);
  found = desist_token_from_handle(of_token);
  CHECK(found == token);
  desist_token_release(found);
  desist_token_release(token);
  CHECK(desist_token_from_handle(of_token) == NULL);
}

TEST(a_handle_can_be_asked_of_what_is_cancelled) {
  char handle[DESIST_HANDLE_SIZE];
  desist_token *found;
  desist_source *plain = desist_source_create();
  desist_source_cancel(plain, NULL);
  CHECK(desist_token_handle(desist_source_token(plain), handle));
  found = desist_token_from_handle(handle);
  CHECK(found == desist_source_token(plain));
  desist_token_release(found);
  desist_source_release(plain);
}

TEST(links_have_handles) {
  char handle[DESIST_HANDLE_SIZE];
  desist_source *link, *found;
  begin();
  link = link_any(token, NULL);
  CHECK(desist_source_handle(link, handle));
  found = desist_source_from_handle(handle);
  CHECK(found == link);
  desist_source_release(link);
  CHECK(desist_source_cancel(found, NULL));
  desist_source_release(found);
  end();
}

/* --- Forgery ----------------------------------------------------------- */

static void check_forged(const char *handle) {
  CHECK(desist_source_from_handle(handle) == NULL);
  CHECK(desist_token_from_handle(handle) == NULL);
}

TEST(a_changed_handle_finds_nothing) {
  char forged[DESIST_HANDLE_SIZE * 2];
  const char *handles[2];
  size_t h, i, length;
  begin();
  handles[0] = of_source, handles[1] = of_token;
  for (h = 0; h < 2; h++) {
    length = strlen(handles[h]);
    for (i = 0; i < length; i++) {
      strcpy(forged, handles[h]);
      forged[i] = forged[i] == '0' ? '1' : '0';
      check_forged(forged);
      forged[i] = '\0'; /* cut short */
      check_forged(forged);
    }
    strcpy(forged, handles[h]);
    strcat(forged, "0");
    check_forged(forged);
    strcat(strcpy(forged, handles[h]), handles[h]);
    check_forged(forged);
    strcat(strcpy(forged, " "), handles[h]);
    check_forged(forged);
  }
  end();
}

TEST(nonsense_finds_nothing) {
  static char long_text[100000];
  char high[DESIST_HANDLE_SIZE];
  memset(long_text, 'a', sizeof long_text - 1);
  memset(high, '\xff', sizeof high - 1);
  high[sizeof high - 1] = '\0';
  check_forged(NULL);
  check_forged("");
  check_forged("desist");
  check_forged(long_text);
  check_forged(high);
  check_forged("00000000000000000000000000000000");
}

TEST(no_two_handles_are_alike) {
  enum { MANY = 1000 };
  static desist_source *sources[MANY];
  static char handles[MANY][DESIST_HANDLE_SIZE];
  int i, k, alike = 0;
  for (i = 0; i < MANY; i++) {
    sources[i] = desist_source_create();
    CHECK(desist_source_handle(sources[i], handles[i]));
  }
  for (i = 0; i < MANY; i++)
    for (k = 0; k < i; k++) alike += strcmp(handles[i], handles[k]) == 0;
  CHECK_INT(alike, 0);
  for (i = 0; i < MANY; i++) {
    desist_source *found = desist_source_from_handle(handles[i]);
    CHECK(found == sources[i]);
    desist_source_release(found);
    desist_source_release(sources[i]);
  }
}

CHECK_MAIN()
