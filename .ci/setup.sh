#!/bin/sh
# setup.sh: what a target needs and this machine has not, installed.
#
#   sh .ci/setup.sh "make demo" cc lua5.4 lua.h 'luv?'
#
# The first argument is who asks. Each other one is a thing of the table
# below; with a question mark it is welcome but can be done without. A thing
# is there if it works when tried. Where all is there nothing is printed;
# else this says what it installs and why, and installs it by the name of its
# Debian package, with apt-get alone.

asker=$1
shift

cc=${CC:-gcc}
lua_flags() { pkg-config --cflags lua5.4 2>/dev/null || echo -I/usr/include/lua5.4; }
has() { command -v "$1" >/dev/null 2>&1; }
quiet() { "$@" >/dev/null 2>&1 </dev/null; }
compiles() { printf '%s\nint main(void) { return 0; }\n' "$1" |
  $cc $2 -x c - -o /dev/null >/dev/null 2>&1; }

# thing: how to see that it is there | its packages | what it is for
look_up() {
  case $1 in
  cc) package='gcc libc6-dev' reason='compiles the core and the Lua module' ;;
  c++) package='g++' reason='compiles the sources and headers as C++' ;;
  clang) package=clang reason='compiles the sources a second time' ;;
  cmake) package='cmake make' reason='builds desist as a part of CMake projects, as a test' ;;
  lua5.4) package=lua5.4 reason='runs the module' ;;
  lua.h) package=liblua5.4-dev reason='the headers of Lua 5.4, to compile the module' ;;
  sdl2) package=libsdl2-dev reason='the window of the example of a game' ;;
  luv) package=lua-luv reason='the event loop of the demo and its tests, and to compare with' ;;
  prosody) package=prosody reason='a host of tasks, in their tests' ;;
  busted) package=lua-busted reason='runs the specs' ;;
  luarocks) package=luarocks reason='installs the rock into a tree of its own, as a test' ;;
  pkg-config) package=pkg-config reason='finds an installed desist, as a test' ;;
  luac5.1) package=lua5.1 reason='checks that lua/ keeps to the syntax of all Lua versions' ;;
  luacheck) package=lua-check reason='checks the Lua files' ;;
  clang-format) package=clang-format reason='checks the layout of the C files' ;;
  cppcheck) package=cppcheck reason='checks the C files' ;;
  valgrind) package=valgrind reason='checks memory' ;;
  gcovr) package=gcovr reason='reports coverage' ;;
  glib) package=libglib2.0-dev reason='GCancellable, to compare with' ;;
  lua5.3) package=lua5.3 reason='runs lgi, to compare with' ;;
  lgi) package=lua-lgi reason='GCancellable in Lua, to compare with' ;;
  cqueues) package=lua-cqueues reason='threads that run tests, and coroutines to compare with' ;;
  *) echo "setup.sh: unknown thing '$1'" >&2; exit 2 ;;
  esac
}

works() {
  case $1 in
  cc) compiles '#include <stdio.h>' '' ;;
  c++) has "${CXX:-g++}" ;;
  lua.h) compiles '#include <lauxlib.h>' "$(lua_flags)" ;;
  luv) quiet lua5.4 -e 'require "luv"' ;;
  sdl2) quiet pkg-config --exists sdl2 ;;
  prosody) has prosody ;;
  busted) quiet lua5.4 -e 'require "busted"' && test -f /usr/bin/busted ;;
  glib) quiet pkg-config --exists gio-2.0 ;;
  cqueues) quiet lua5.4 -e 'require "cqueues"' ;;
  lgi) quiet lua5.3 -e 'require("lgi").require("Gio")' ;;
  *) quiet "$1" --version || quiet "$1" -v ;;
  esac
}

# Sets `needed` and `wished` (packages), `why` (lines) for what does not work.
look_around() {
  needed= wished= why=
  for thing; do
    name=${thing%\?}
    look_up "$name"
    works "$name" && continue
    why="$why  $package: $reason
"
    if [ "$name" = "$thing" ]; then
      needed="$needed $package"
    else
      wished="$wished $package"
    fi
  done
}

give_up() {
  echo "$asker: $1" >&2
  printf 'Please install, with the package manager of this system (the names\n' >&2
  printf 'are those of Debian 12):\n%s' "$why" >&2
  exit 1
}

# Optional things alone are no reason to stop.
do_without() {
  [ -z "$needed" ] || give_up "$1"
  echo "$asker: $1; doing without:"
  printf '%s' "$why"
  exit 0
}

look_around "$@"
[ -n "$needed$wished" ] || exit 0

has apt-get || do_without 'things are missing and there is no apt-get here'
if [ "$(id -u)" = 0 ]; then
  as_root=
elif has sudo && { [ -t 0 ] || quiet sudo -n true; }; then
  as_root=sudo
else
  do_without 'things are missing, and installing them takes root or sudo'
fi

echo "$asker: installing with ${as_root:+$as_root }apt-get:"
printf '%s' "$why"

apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" </dev/null; }
install() { apt install --no-install-recommends -y $needed $wished >/dev/null; }

# Package lists that are missing or old: one update, one more try.
if ! quiet apt-cache show $needed $wished; then
  apt update && install
elif ! install 2>/dev/null; then
  apt update && install
fi || do_without 'apt-get could not install all of it'

look_around "$@"
[ -z "$needed" ] || give_up 'installed, but these still do not work'
exit 0
