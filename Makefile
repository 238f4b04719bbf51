# desist: how it is built, tested and installed.
#
#   make            the libraries and the Lua module, under build/
#   make demo       a download, cancelled by a registered callback
#   make test       all tests; ends with "N passed, N failed"
#   make check      lint, tests, sanitizers: what CI runs
#   make bench      how fast, against what
#   make play       a game that embeds Lua and desist
#   make install    PREFIX=/usr/local DESTDIR=
#
# Besides: lib amalgamation game rock lint format race asan valgrind oom
# coverage docs clean.
# demo, test and their like first install what the machine lacks (.ci/setup.sh).
#
# A variant is the same build with other flags in a folder of its own:
# make VARIANT=tsan builds under build/tsan. SWITCHES leave parts out, as
# docs/building.md tells: make SWITCHES='NO_SIGNALS NO_GUARD', after make clean
# if it was built otherwise. Each check is one call of
# .ci/step.sh, which notes how it went; .ci/tally.sh adds up.

MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:
.SUFFIXES:

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
AR ?= ar
CFLAGS ?= -O2 -g

# --- Places -----------------------------------------------------------------

VARIANT :=
B := build$(VARIANT:%=/%)

PREFIX := /usr/local
DESTDIR :=
prefix := $(abspath $(PREFIX))
INCLUDEDIR := $(prefix)/include
LIBDIR := $(prefix)/lib
LUADIR := $(prefix)/share/lua/5.4
LUACDIR := $(prefix)/lib/lua/5.4

VERSION := $(shell sed -n 's/^.define DESIST_VERSION "\(.*\)"/\1/p' src/desist.h)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))

# --- Lua --------------------------------------------------------------------

LUA := lua5.4
LUA_PC := lua5.4

lua_cflags = $(shell pkg-config --cflags $(LUA_PC) 2>/dev/null || \
  echo -I/usr/include/$(LUA_PC))
lua_libs = $(shell pkg-config --libs $(LUA_PC) 2>/dev/null || echo -l$(LUA_PC))

# What other Lua versions or the user's own settings would bring in.
unexport LUA_INIT LUA_INIT_5_4 LUA_PATH_5_4 LUA_CPATH_5_4
lua_env = LUA_PATH='$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;;' \
  LUA_CPATH='$(CURDIR)/$(B)/lua/?.so;;'

# --- Flags ------------------------------------------------------------------

WERROR := -Werror
both_warnings := -Wall -Wextra -Wpedantic -Wshadow -Wundef -Wwrite-strings \
  -Wconversion $(WERROR)
c_warnings := $(both_warnings) -Wstrict-prototypes -Wmissing-prototypes

as_c := -std=gnu11 $(c_warnings)
as_cxx := -std=c++17 $(both_warnings)

# The compiler of src/ (a variant may have another) and of spec/c.
compile := $(CC) $(as_c)
compile_spec := $(CC) $(as_c)
compile_spec_cxx := $(CXX) $(as_cxx)
flags := $(CFLAGS)
link := -pthread
SWITCHES :=

# gcc takes more for uninitialised once it has added its checks.
sanitized := -O1 -g -fno-omit-frame-pointer -Wno-maybe-uninitialized

ifeq ($(VARIANT),tsan)
flags := $(sanitized) -fsanitize=thread
else ifeq ($(VARIANT),asan)
flags := $(sanitized) -fsanitize=address,undefined \
  -fno-sanitize-recover=undefined
else ifeq ($(VARIANT),nothreads)
SWITCHES := NO_THREADS
else ifeq ($(VARIANT),nosignals)
SWITCHES := NO_SIGNALS
else ifeq ($(VARIANT),small)
SWITCHES := NO_THREADS NO_SIGNALS NO_GUARD
else ifeq ($(VARIANT),coverage)
flags := -O0 -g --coverage
else ifeq ($(VARIANT),clang)
compile := clang $(as_c)
compile_spec := clang $(as_c)
else ifeq ($(VARIANT),cxx)
compile := $(CXX) -x c++ $(as_cxx)
LUA_PC := lua5.4-c++
endif

flags += -pthread -fPIC -fvisibility=hidden -fno-semantic-interposition -Isrc \
  -MMD -MP $(SWITCHES:%=-DDESIST_%) $(CPPFLAGS)

# --- What there is ----------------------------------------------------------

binding := $(filter-out src/lua_embed.c,$(wildcard src/lua_*.c))
core := $(filter-out src/lua_%,$(wildcard src/*.c))
headers := src/desist.h src/desist_lua.h
lua_files := $(sort $(shell find lua -name '*.lua'))

objects = $(patsubst src/%.c,$(B)/obj/%.o,$(1))
core_objects := $(call objects,$(core))
module_objects := $(core_objects) $(call objects,$(binding))
library_objects := $(module_objects) $(call objects,src/lua_embed.c)

module := $(B)/lua/desist/core.so
static := $(B)/libdesist.a
shared := $(B)/libdesist.so

# The programs of spec/c: those with lua_ in their name embed Lua, those that
# begin with stress_ run as long as they are told.
spec_c := $(basename $(notdir $(wildcard spec/c/*.c)))
spec_cxx := $(basename $(notdir $(wildcard spec/c/*.cpp)))
ifneq ($(VARIANT),cxx) # those embed a Lua that was built as C++
spec_cxx := $(filter-out lua_%,$(spec_cxx))
endif
spec_lua := $(filter lua_% stress_lua_%,$(spec_c) $(spec_cxx))
spec_oom := $(filter nomem oom% lua_oom%,$(spec_c))
spec_stress := $(filter stress_%,$(spec_c))
programs := $(spec_c) $(spec_cxx)

# --- Building ---------------------------------------------------------------

.PHONY: all lib module programs
all: lib module
lib: $(static) $(shared)
module: $(module) ; @:
programs: $(programs:%=$(B)/spec/%)

lua_objects := $(call objects,$(binding) src/lua_embed.c)
$(lua_objects): flags += $(lua_cflags)
$(B)/obj/lua_embed.o: flags += -DDESIST_EMBED -I$(B)
$(B)/obj/lua_embed.o: $(B)/embedded.h

$(library_objects): $(B)/obj/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	@echo "compile $@"
	@$(compile) $(flags) -c -o $@ $<

$(B)/embedded.h: $(lua_files) .ci/embed.lua Makefile
	@mkdir -p $(@D)
	@$(LUA) .ci/embed.lua $(lua_files) >$@

amalgamation := $(B)/amalgamation/desist.c

.PHONY: amalgamation
amalgamation:
	$(setup) 'make amalgamation' lua5.4
	@$(MAKE) $(amalgamation)

$(amalgamation): $(wildcard src/*.[ch]) $(B)/embedded.h LICENSE \
    .ci/amalgamate.lua Makefile
	@mkdir -p $(@D)
	@echo "write   $@"
	@$(LUA) .ci/amalgamate.lua $(B)/embedded.h $(@D)

# Anew each time, so that no object of a file that is gone stays in it.
$(static): $(library_objects)
	@echo "archive $@"
	@rm -f $@
	@$(AR) rcs $@ $^

link_shared = $(CC) $(flags) -shared -Wl,-Bsymbolic-functions $(LDFLAGS)

$(shared): $(library_objects)
	@echo "link    $@"
	@$(link_shared) -Wl,-soname,libdesist.so.$(SOVERSION) -Wl,-z,defs \
	  -o $@ $(library_objects) $(lua_libs) $(LDLIBS)
	@ln -sf libdesist.so $@.$(SOVERSION)

# Not linked to liblua: the host that loads it has one already.
$(module): $(module_objects)
	@mkdir -p $(@D)
	@echo "link    $@"
	@$(link_shared) -o $@ $(module_objects) $(LDLIBS)

link_spec = $(LDFLAGS) $(static) $(LDLIBS)
$(spec_lua:%=$(B)/spec/%): flags += $(lua_cflags)
$(spec_lua:%=$(B)/spec/%): link_spec += -Wl,-E $(lua_libs) -lm -ldl

$(spec_c:%=$(B)/spec/%): $(B)/spec/%: spec/c/%.c $(static)
	@mkdir -p $(@D)
	@echo "compile $@"
	@$(compile_spec) $(flags) -o $@ $< $(link_spec)

$(spec_cxx:%=$(B)/spec/%): $(B)/spec/%: spec/c/%.cpp $(static)
	@mkdir -p $(@D)
	@echo "compile $@"
	@$(compile_spec_cxx) $(flags) -o $@ $< $(link_spec)

# The game of examples/game. SDL's headers are the system's: its warnings are
# not ours.
game := $(B)/game/game
game_objects := $(patsubst examples/game/%.c,$(B)/game/%.o,\
  $(wildcard examples/game/*.c))
sdl_cflags = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags sdl2))
sdl_libs = $(shell pkg-config --libs sdl2)

.PHONY: game-program
game-program: $(game)

$(game_objects): flags += $(lua_cflags) $(sdl_cflags)
$(game_objects): $(B)/game/%.o: examples/game/%.c Makefile
	@mkdir -p $(@D)
	@echo "compile $@"
	@$(compile_spec) $(flags) -c -o $@ $<

$(game): $(game_objects) $(static)
	@echo "link    $@"
	@$(CC) $(flags) -o $@ $(game_objects) $(LDFLAGS) $(static) $(sdl_libs) \
	  $(lua_libs) -lm $(LDLIBS)

-include $(wildcard $(B)/obj/*.d $(B)/spec/*.d $(B)/game/*.d)

# --- Running checks ---------------------------------------------------------

# A suite is a target NAME-steps. $(call suite,NAME) runs all its steps,
# whatever fails, and adds up.
suite = @+rm -rf build/results/$(1); status=0; \
  $(MAKE) -k RESULTS=build/results/$(1) $(1)-steps || status=$$?; \
  sh .ci/tally.sh build/results/$(1) $$status

RESULTS := build/results/steps
LIMIT := 120
step = @+RESULTS=$(RESULTS) sh .ci/step.sh

# Each program of spec/c and each spec is a step: make run VARIANT=asan, make
# run-wait, make spec-wait. In SUITE stands what their names begin with in the
# report, in WRAP what comes before the program, in LUA_OPTIONS what before
# busted.
SUITE :=
WRAP :=
LUA_OPTIONS :=
STRESS_SECONDS := 1
RUN := $(programs)
SPECS := $(patsubst spec/%_spec.lua,%,$(wildcard spec/*_spec.lua))

.PHONY: run specs
run: $(RUN:%=run-%)
run-%: $(B)/spec/% $(module)
	$(step) $(SUITE)c/$* $(LIMIT) env $(lua_env) $(WRAP) $< \
	  $(STRESS_SECONDS) $(B)/lua

specs: $(SPECS:%=spec-%)
spec-%: spec/%_spec.lua $(module)
	$(step) $(SUITE)lua/$* $(LIMIT) env $(lua_env) $(WRAP) $(LUA) \
	  $(LUA_OPTIONS) /usr/bin/busted --output=TAP --verbose $<

# Two jobs, unless the user said how many.
jobs = $(if $(filter -j%,$(MAKEFLAGS)),,-j2)

setup = @sh .ci/setup.sh
to_build := cc lua5.4 lua.h
to_play := $(to_build) pkg-config sdl2
to_test := $(to_play) busted luv cqueues prosody luarocks c++ clang cmake
to_lint := luacheck luac5.1 clang-format cppcheck

# --- demo, game, bench ------------------------------------------------------

.PHONY: demo game play bench
demo:
	$(setup) 'make demo' $(to_build) 'luv?'
	@$(MAKE) module
	@$(lua_env) $(LUA) examples/register_callback.lua $(ARGS)

game:
	$(setup) 'make game' $(to_play)
	@$(MAKE) game-program

play: game
	$(game) $(ARGS)

bench:
	$(setup) 'make bench' $(to_build) c++ pkg-config glib lua5.3 lgi luv \
	  cqueues 'valgrind?'
	@$(MAKE) lib module
	@sh bench/run.sh $(ARGS)

# --- test -------------------------------------------------------------------

# For builds without threads, or signals. In the programs the tests that need
# them leave themselves out.
without_threads := $(filter-out stress_% lua_%,$(programs))
specs_without_threads := $(filter-out async_run descriptor examples% inspect \
  late loop_luv loop_prosody readme states% wakeup,$(SPECS))
# The programs that fork, wait and catch signals, and what interrupts Lua code.
near_signals := $(filter api_cpp fork fork_descriptor fork_locks lua_foreign \
  lua_unload nomem wait lua_guard%,$(programs))
specs_near_signals := $(filter real_deadline wait guard%,$(SPECS))
# All left out at once: nothreads has run the rest.
specs_small_build := async_scope deadline dispatch real_deadline source wait

.PHONY: test test-steps test-variants test-packages
test:
	$(setup) 'make test' $(to_test)
	$(call suite,test)

test-steps: specs run test-game test-variants test-packages

# Without a display. It changes scripts while they run: a copy of them.
.PHONY: test-game
test-game: $(game)
	@rm -rf $(B)/game/scripts && cp -R examples/game/scripts $(B)/game
	$(step) $(SUITE)game $(LIMIT) env SDL_VIDEODRIVER=dummy $(WRAP) $(game) \
	  --scripts $(B)/game/scripts --test

test-variants:
	$(step) nothreads/build 300 $(MAKE) $(jobs) VARIANT=nothreads lib module
	@+$(MAKE) -k run specs VARIANT=nothreads SUITE=nothreads/ RUN="$(without_threads)" \
	  SPECS="$(specs_without_threads)"
	$(step) nosignals/build 300 $(MAKE) $(jobs) VARIANT=nosignals lib module
	@+$(MAKE) -k run specs VARIANT=nosignals SUITE=nosignals/ \
	  RUN="$(near_signals)" SPECS="$(specs_near_signals)"
	$(step) small/build 300 $(MAKE) $(jobs) VARIANT=small lib module
	@+$(MAKE) -k run specs VARIANT=small SUITE=small/ \
	  RUN="$(filter $(without_threads),$(near_signals))" \
	  SPECS="$(filter $(specs_small_build),$(SPECS))"
	$(step) cxx/build 300 $(MAKE) $(jobs) VARIANT=cxx lib module
	@+$(MAKE) -k run VARIANT=cxx SUITE=cxx/ RUN=lua_cxx

test-packages: all $(amalgamation)
	$(step) rock $(LIMIT) sh .ci/check_rock.sh
	$(step) install $(LIMIT) sh .ci/check_install.sh
	$(step) amalgamation 300 sh .ci/check_amalgamation.sh \
	  "$(as_c)" "$(as_cxx)"
	$(step) cmake 300 sh .ci/check_cmake.sh "$(both_warnings)"

# --- Sanitizers, valgrind ---------------------------------------------------

# Sanitizers want the addresses that a machine with much randomness may take.
still := $(shell setarch -R true 2>/dev/null && echo setarch -R)

RACE_SECONDS := 12
RACE_LIMIT := $(shell expr 120 + $(RACE_SECONDS) \* 2)

.PHONY: race race-steps asan asan-steps oom oom-steps valgrind valgrind-steps
race:
	$(setup) 'make race' $(to_build) c++
	$(call suite,race)

race-steps: export TSAN_OPTIONS = halt_on_error=1 die_after_fork=0
race-steps:
	@+$(MAKE) run VARIANT=tsan SUITE=race/ WRAP="$(still)" \
	  RUN="$(filter-out $(spec_oom),$(programs))" \
	  STRESS_SECONDS=$(RACE_SECONDS) LIMIT=$(RACE_LIMIT)

asan:
	$(setup) 'make asan' $(to_test)
	$(call suite,asan)

asan-steps oom-steps: export ASAN_OPTIONS = detect_stack_use_after_return=1
asan-steps oom-steps: export UBSAN_OPTIONS = print_stacktrace=1
asan-steps:
	@+$(MAKE) -k run VARIANT=asan SUITE=asan/ WRAP="$(still)" \
	  RUN="$(filter-out $(spec_oom),$(programs))" STRESS_SECONDS=3
	@+$(MAKE) test-game VARIANT=asan SUITE=asan/ WRAP="$(still)"
	@+$(MAKE) -k specs VARIANT=asan SUITE=asan/ WRAP="$(preload)" \
	  SPECS="$(filter examples%,$(SPECS))"
	@+$(MAKE) -k specs VARIANT=asan SUITE=asan-collecting/ \
	  WRAP="$(preload) CHECK_SLOWER=100" \
	  LUA_OPTIONS="$(call collecting,10)" SPECS="$(specs_small)"
	@+$(MAKE) -k specs VARIANT=asan SUITE=asan-collecting/ \
	  WRAP="$(preload) CHECK_SLOWER=100" \
	  LUA_OPTIONS="$(call collecting,104)" SPECS="$(specs_big)"

# Stock lua5.4 with the runtime preloaded, and a collector that never rests;
# where there is so much to collect that this takes minutes, one that begins anew
# after each 4 % of growth. (The examples are processes of their own, with their
# own collectors.)
preload = $(still) env LD_PRELOAD=$(shell $(CC) -print-file-name=libasan.so)
collecting = -e 'collectgarbage(\"incremental\", $(1), 1000)'
specs_big := $(filter async_checkpoint async_failure async_gather async_idle async_odd \
  async_loop async_misuse async_property async_scope async_task async_token \
  budget clock effective_deadline guard% handle inspect% late linked_all long_lived loop_luv \
  loop_prosody misuse order sync_queue,\
  $(SPECS))
specs_small := $(filter-out examples% $(specs_big),$(SPECS))

# Every allocation failing in turn, and nothing lost.
oom:
	$(setup) 'make oom' $(to_build)
	$(call suite,oom)

oom-steps:
	@+$(MAKE) run VARIANT=asan SUITE=oom/ WRAP="$(still)" RUN="$(spec_oom)"

memcheck := valgrind --quiet --leak-check=full --show-leak-kinds=definite \
  --errors-for-leak-kinds=definite --keep-debuginfo=yes --error-exitcode=9

valgrind:
	$(setup) 'make valgrind' $(to_build) busted luv cqueues prosody valgrind
	$(call suite,valgrind)

# Not here: what valgrind makes too slow to be a test, what runs in processes
# of its own, and a fork in the middle of threads, whose memory nobody has then.
valgrind-steps: valgrind-lua valgrind-c
.PHONY: valgrind-lua valgrind-c
valgrind-lua valgrind-c: export CHECK_SLOWER = 20
valgrind-lua valgrind-c: export CHECK_TIMEOUT = 580
valgrind-lua:
	@+$(MAKE) -k specs SUITE=valgrind/ WRAP="$(memcheck)" LIMIT=600 \
	  SPECS="$(filter-out async_loop async_property examples% finalizer \
	  long_lived order,$(SPECS))"
valgrind-c:
	@+$(MAKE) -k run SUITE=valgrind/ WRAP="$(memcheck)" LIMIT=600 \
	  RUN="$(filter-out $(spec_oom) fork% deadline_many,$(programs))"

# --- lint, check ------------------------------------------------------------

c_files := $(wildcard src/*.[ch] spec/c/*.[ch] spec/c/*.cpp spec/hosts/*.c \
  bench/*.[ch] bench/*.cpp examples/game/*.[ch])

.PHONY: lint lint-steps format docs
lint:
	$(setup) 'make lint' $(to_play) luarocks clang $(to_lint)
	$(call suite,lint)

lint-steps: all
	$(step) lint/luacheck $(LIMIT) luacheck --quiet --no-color .
	$(step) lint/syntax $(LIMIT) luac5.1 -p $(lua_files)
	$(step) lint/format $(LIMIT) clang-format --dry-run -Werror $(c_files)
	$(step) lint/cppcheck $(LIMIT) cppcheck --quiet --error-exitcode=1 \
	  --enable=warning,portability,performance --std=c11 --inline-suppr -Isrc src
	$(step) lint/clang 300 $(MAKE) $(jobs) VARIANT=clang lib module programs \
	  game-program
	$(step) lint/analyze 300 clang --analyze --analyzer-output text \
	  -Xclang -analyzer-werror -std=gnu11 -Isrc $(lua_cflags) $(wildcard src/*.c)
	$(step) lint/layers $(LIMIT) $(LUA) .ci/lint.lua layers
	$(step) lint/names $(LIMIT) $(LUA) .ci/lint.lua names
	$(step) lint/layout $(LIMIT) $(LUA) .ci/lint.lua layout
	$(step) lint/text $(LIMIT) $(LUA) .ci/lint.lua text
	$(step) lint/links $(LIMIT) $(LUA) .ci/lint.lua links
	$(step) lint/version $(LIMIT) $(LUA) .ci/lint.lua version
	$(step) lint/rockspec $(LIMIT) $(LUA) .ci/lint.lua rockspec
	$(step) lint/luarocks $(LIMIT) luarocks lint rockspec/desist-scm-1.rockspec
	$(step) lint/symbols $(LIMIT) $(LUA) .ci/lint.lua symbols $(static)
	$(step) lint/exports $(LIMIT) $(LUA) .ci/lint.lua exports $(shared)
	$(step) lint/exports-module $(LIMIT) \
	  $(LUA) .ci/lint.lua exports $(module) core

format:
	$(setup) 'make format' clang-format
	clang-format -i $(c_files)

docs:
	$(setup) 'make docs' lua5.4
	$(LUA) .ci/lint.lua links

.PHONY: check check-steps
check:
	$(setup) 'make check' $(to_test) $(to_lint) valgrind
	$(call suite,check)

# Two of the parts that build in one folder never run at the same time.
check-steps:
	@+$(MAKE) -k $(jobs) all programs || true
	@+status=0; \
	$(MAKE) -k lint-steps || status=1; \
	$(MAKE) -k test-steps || status=1; \
	$(MAKE) -k $(jobs) races-and-valgrind memory-steps || status=1; \
	exit $$status

.PHONY: races-and-valgrind memory-steps
races-and-valgrind:
	@+status=0; for part in race-steps valgrind-lua; do \
	  $(MAKE) -k $$part || status=1; \
	done; exit $$status
memory-steps:
	@+status=0; for part in asan-steps oom-steps valgrind-c; do \
	  $(MAKE) -k $$part || status=1; \
	done; exit $$status

.PHONY: coverage
coverage:
	$(setup) 'make coverage' $(to_test) gcovr
	@find build/coverage -name '*.gcda' -delete 2>/dev/null || true
	@+$(MAKE) -k run specs VARIANT=coverage SUITE=coverage/
	gcovr --root . --filter src/ build/coverage/obj

# --- Packages ---------------------------------------------------------------

.PHONY: rock install clean
rock:
	$(setup) 'make rock' $(to_build) luarocks
	@sh .ci/check_rock.sh

# A host that embeds Lua names its Lua itself: which one is its own affair. What
# a C++ build needs beside it, the C++ host links anyway.
define pc
# Built with these parts left out, see docs/building.md:
switches=$(SWITCHES:%=DESIST_%)
prefix=$(prefix)
includedir=$(patsubst $(prefix)/%,$${prefix}/%,$(INCLUDEDIR))
libdir=$(patsubst $(prefix)/%,$${prefix}/%,$(LIBDIR))

Name: desist
Description: Cooperative cancellation for C and Lua
Version: $(VERSION)
Cflags: -I$${includedir} $(SWITCHES:%=-DDESIST_%)
Libs: -L$${libdir} -ldesist
Libs.private: -pthread
endef

install: export PC = $(pc)
install: all
	install -d $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(LIBDIR)/pkgconfig \
	  $(DESTDIR)$(LUADIR) $(DESTDIR)$(LUACDIR)/desist
	install -m 644 $(headers) $(DESTDIR)$(INCLUDEDIR)
	install -m 644 $(static) $(DESTDIR)$(LIBDIR)
	install -m 755 $(shared) $(DESTDIR)$(LIBDIR)/libdesist.so.$(VERSION)
	ln -sf libdesist.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libdesist.so.$(SOVERSION)
	ln -sf libdesist.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libdesist.so
	printf '%s\n' "$$PC" >$(DESTDIR)$(LIBDIR)/pkgconfig/desist.pc
	for file in $(lua_files:lua/%=%); do \
	  install -D -m 644 lua/$$file $(DESTDIR)$(LUADIR)/$$file || exit 1; \
	done
	install -m 755 $(module) $(DESTDIR)$(LUACDIR)/desist

clean:
	rm -rf build
