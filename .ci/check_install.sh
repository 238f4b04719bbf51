#!/bin/sh
# check_install.sh: installs under build/prefix, and builds and runs there what
# a packager's users would: a C host and a C++ host found through pkg-config,
# shared and static, a host that embeds Lua, and a script.
set -e

prefix=$PWD/build/prefix
rm -rf "$prefix"
make install PREFIX="$prefix" >/dev/null
lua5.4 .ci/lint.lua exports "$prefix/lib/libdesist.so"

export PKG_CONFIG_PATH="$prefix/lib/pkgconfig" LD_LIBRARY_PATH="$prefix/lib"
cd "$prefix"

cat >host.c <<'C'
#include <desist.h>

static void note(void *data, desist_reason *reason) {
  *(int *)data = desist_reason_code(reason);
}

int main(void) {
  int seen = 0;
  desist_registration node;
  desist_source *source = desist_source_create();
  desist_reason *reason = desist_reason_create(7, "seven");
  desist_register(desist_source_token(source), &node, note, &seen);
  desist_source_cancel(source, reason);
  desist_reason_release(reason);
  desist_source_release(source);
  source = desist_source_create();
  desist_source_cancel_after(source, 1000000);
  if (!desist_token_wait(desist_source_token(source), -1)) return 2;
  desist_source_release(source);
  return seen == 7 ? 0 : 1;
}
C

cat >embed.c <<'C'
#include <desist_lua.h>
#include <lauxlib.h>
#include <lualib.h>

int main(void) {
  lua_State *L = luaL_newstate();
  int status;
  luaL_openlibs(L);
  luaL_requiref(L, "desist", luaopen_desist, 1);
  status = luaL_dostring(L, "package.path, package.cpath = '', ''\n"
                            "local source = desist.source()\n"
                            "source:cancel 'bye'\n"
                            "assert(source:token():reason() == 'bye')");
  if (status != 0) lua_writestringerror("%s\n", lua_tostring(L, -1));
  lua_close(L);
  return status;
}
C

cflags="-Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags desist)"
libs=$(pkg-config --libs desist)
lua_cflags=$(pkg-config --cflags lua5.4) lua_libs=$(pkg-config --libs lua5.4)
archive="$prefix/lib/libdesist.a -pthread"

set -x
gcc -std=c11 $cflags host.c -o host $libs && ./host
gcc -std=c11 $cflags host.c -o host-static $archive && ./host-static
gcc -std=c11 $cflags host.c -o host-static \
  $(pkg-config --static --libs desist | sed 's/-ldesist/-l:libdesist.a/') &&
  ./host-static
g++ -x c++ -std=c++17 $cflags host.c -o host-cxx $libs && ./host-cxx
gcc -std=c11 $cflags $lua_cflags embed.c -o embed $libs $lua_libs && ./embed
gcc -std=c11 $cflags $lua_cflags embed.c -o embed-static \
  $archive $lua_libs -lm && ./embed-static

LUA_PATH="$prefix/share/lua/5.4/?.lua;$prefix/share/lua/5.4/?/init.lua" \
LUA_CPATH="$prefix/lib/lua/5.4/?.so" \
lua5.4 -e 'assert(require("desist").source():cancel())'
