#!/bin/sh
# check_amalgamation.sh: compiles build/amalgamation as people's build systems
# will, by C and C++ compilers, with each switch, and runs the hosts of
# spec/hosts with it.
#
#   sh .ci/check_amalgamation.sh C_FLAGS CXX_FLAGS
#
# The flags say which warnings are errors.
set -e

as_c=$1 as_cxx=$2
out=$PWD/build/amalgamation/check hosts=$PWD/spec/hosts
rm -rf "$out"
cd build/amalgamation
mkdir "$out"

lua_flags() { pkg-config "--$1" "lua5.4$2" || exit 1; }

# try NAME COMPILER LUA SWITCHES...: one object, and both hosts.
try() {
  name=$1 compiler=$2 lua=$3
  shift 3
  switches=$(printf -- ' -DDESIST_%s' "$@")
  [ $# != 0 ] || switches=
  compile="$compiler -O0 $switches -I. $(lua_flags cflags "$lua")"
  echo "$name: $compile"
  $compile -c desist.c -o "$out/$name.o"
  # Names of a file's own all have its name before them; .N are of functions.
  if nm "$out/$name.o" | grep ' [bdrt] [a-zA-Z]' | grep -v '__\| desist_\|\.[0-9]*$'
  then
    echo "names with file scope that amalgamate.lua has not found" >&2
    exit 1
  fi
  case $switches in
  *NO_LUA*)
    host "$name-core" "$hosts/core.c"
    ;;
  *)
    host "$name-core" "$hosts/core.c" $(lua_flags libs "$lua")
    host "$name-embed" "$hosts/embed.c" $(lua_flags libs "$lua")
    ;;
  esac
}

host() {
  program=$out/$1 source=$2
  shift 2
  # The object is no source in the language that -x names.
  $compile -c "$source" -o "$program.o"
  ${compiler%% *} "$program.o" "$out/$name.o" -o "$program" "$@" -pthread
  timeout 60 "$program"
}

some() {
  try "$1" "$2" "$3"
  try "$1-small" "$2" "$3" NO_THREADS NO_SIGNALS NO_GUARD
  try "$1-least" "$2" "$3" NO_LUA NO_THREADS NO_SIGNALS NO_GUARD
}

all() {
  some "$1" "$2" "$3"
  try "$1-nothreads" "$2" "$3" NO_THREADS
  try "$1-nosignals" "$2" "$3" NO_SIGNALS
  try "$1-noguard" "$2" "$3" NO_GUARD
  try "$1-nolua" "$2" "$3" NO_LUA
}

all gcc "gcc $as_c" ''
some clang "clang $as_c" ''
some g++ "g++ -x c++ $as_cxx" -c++
all clang++ "clang++ -x c++ $as_cxx" -c++

# C hosts of a library compiled as C++, and the other way round.
name=g++
compiler="gcc" compile="gcc -I."
$compile -c "$hosts/core.c" -o "$out/mixed.o"
g++ "$out/mixed.o" "$out/g++.o" -o "$out/mixed" \
  $(lua_flags libs -c++) -pthread
"$out/mixed"
g++ -x c++ -I. -c "$hosts/core.c" -o "$out/mixed.o"
g++ "$out/mixed.o" "$out/gcc.o" -o "$out/mixed" $(lua_flags libs '') -pthread
"$out/mixed"

# The one line of its head comment, for each language.
cc -c desist.c -o "$out/line.o" $(lua_flags cflags '')
c++ -x c++ -c desist.c -o "$out/line.o" $(lua_flags cflags -c++)
