#!/bin/sh
# Builds the benchmark programs and prints the report. Called by `make bench`
# from the top folder, after the libraries and the Lua module are built; what is
# given here goes to bench/report.lua. BUILD, HEADERS, CC, CXX, LUA and LUA_PC
# may be set.
set -eu

build=${BUILD:-build}
headers=${HEADERS:-src}
out=$build/bench
lua=${LUA:-lua5.4}
mkdir -p "$out"

# Functions and loops on boundaries, so that where the linker happens to put
# them does not decide a row. desist is linked as a user would: the archive.
echo "compile $out/bench_core" >&2
# shellcheck disable=SC2046
${CXX:-g++} -std=c++20 -O2 -Wall -Wextra -Wpedantic -Wshadow -Wconversion \
  -Werror -falign-functions=64 -falign-loops=32 -pthread -I"$headers" \
  $(pkg-config --cflags gio-2.0) -o "$out/bench_core" bench/*.cpp \
  "$build/libdesist.a" $(pkg-config --libs gio-2.0)

echo "compile $out/bench_floor.so" >&2
# shellcheck disable=SC2046
${CC:-cc} -std=gnu11 -O2 -Wall -Wextra -Wpedantic -Wshadow -Wconversion \
  -Wstrict-prototypes -Wmissing-prototypes -Werror -fPIC -shared \
  $(pkg-config --cflags "${LUA_PC:-lua5.4}") -o "$out/bench_floor.so" \
  bench/floor.c

echo "compile $out/bench_latency" >&2
# shellcheck disable=SC2046
${CC:-cc} -std=gnu11 -O2 -Wall -Wextra -Wpedantic -Wshadow -Wconversion \
  -Wstrict-prototypes -Wmissing-prototypes -Werror -pthread -I"$headers" \
  $(pkg-config --cflags "${LUA_PC:-lua5.4}") -o "$out/bench_latency" \
  bench/latency.c "$build/libdesist.a" -Wl,-E \
  $(pkg-config --libs "${LUA_PC:-lua5.4}")

exec "$lua" bench/report.lua --build "$build" "$@"
