#!/bin/sh
# check_cmake.sh: builds and installs desist with CMake under build/cmake, and
# builds and runs the hosts of spec/hosts with it: found installed, static and
# shared, and as a part of their project, with switches and as C++.
#
#   sh .ci/check_cmake.sh FLAGS
set -e

source=$PWD out=$PWD/build/cmake
rm -rf "$out"
export CFLAGS="-O0 $1" CXXFLAGS="-O0 $1" CTEST_OUTPUT_ON_FAILURE=1

# project NAME FOLDER OPTIONS...
project() {
  name=$1 folder=$2
  shift 2
  cmake -S "$folder" -B "$out/$name" -DCMAKE_INSTALL_PREFIX="$out/prefix" "$@"
  cmake --build "$out/$name" -- -s -j2
}

# hosts NAME OPTIONS...
hosts() {
  project "$1" "$source/spec/hosts" "$@"
  (cd "$out/$1" && ctest)
}

exports() { nm -D --defined-only "$1" | sed 's/.* //' | sort; }

# The same as what make builds.
project desist "$source"
cmp build/embedded.h "$out/desist/embedded.h"
cmake --install "$out/desist"
exports "$out/prefix/lib/libdesist.so" >"$out/exports"
exports build/libdesist.so | cmp - "$out/exports"

hosts found-static -DCMAKE_PREFIX_PATH="$out/prefix"
hosts found-shared -DCMAKE_PREFIX_PATH="$out/prefix" -DLIBRARY=desist::shared \
  -DAS_CXX=ON
hosts part-shared -DSOURCE="$source" -DBUILD_SHARED_LIBS=ON \
  -DDESIST_LUA_TARGET=project_lua
hosts part-cxx -DSOURCE="$source" -DDESIST_AS_CXX=ON -DAS_CXX=ON \
  -DLUA_PC=lua5.4-c++ -DDESIST_THREADS=OFF -DDESIST_SIGNALS=OFF \
  -DDESIST_GUARD=OFF
