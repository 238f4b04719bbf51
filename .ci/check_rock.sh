#!/bin/sh
# check_rock.sh: LuaRocks makes the rock from a copy of the sources, into a
# tree of its own, offline; then a script requires the module from there and
# from nowhere else. What it exports is checked as well: LuaRocks compiles with
# flags of its own.
set -e

build=$PWD/build/rock-build tree=$PWD/build/rock
rm -rf "$build" "$tree"
mkdir -p "$build"
cp -R src lua rockspec LICENSE "$build"

(cd "$build" &&
  luarocks --lua-version=5.4 --tree "$tree" make \
    rockspec/desist-scm-1.rockspec --deps-mode=none)

lua5.4 .ci/lint.lua exports "$tree/lib/lua/5.4/desist/core.so" core

LUA_PATH="$tree/share/lua/5.4/?.lua;$tree/share/lua/5.4/?/init.lua" \
LUA_CPATH="$tree/lib/lua/5.4/?.so" \
lua5.4 - <<'LUA'
local desist = require "desist"
local source = desist.source()
local seen
source:token():register(function(reason) seen = reason end)
assert(source:cancel("installed") and seen == "installed")
local timed = desist.after(0.001)
assert(timed:token():wait(10) and timed:token():reason() == "deadline exceeded")
print(desist._VERSION)
LUA
