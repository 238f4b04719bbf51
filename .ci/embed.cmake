# embed.cmake: writes what embed.lua writes, where there is no Lua yet.
#
#   cmake -DOUTPUT=embedded.h -P .ci/embed.cmake lua/desist.lua ...
#
# Run in the project's folder; the files in the order of their names.

set(files)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE 0 ${last})
  if(CMAKE_ARGV${i} MATCHES "^lua/.*[.]lua$")
    list(APPEND files "${CMAKE_ARGV${i}}")
  endif()
endforeach()

string(REPEAT "0x..," 15 line)
set(arrays)
set(entries)
set(number 0)
foreach(file IN LISTS files)
  math(EXPR number "${number} + 1")
  file(READ "${file}" bytes HEX)
  string(LENGTH "${bytes}" digits)
  if(digits EQUAL 0 OR digits GREATER 131070)
    message(FATAL_ERROR "${file}: too short or too long")
  endif()
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "(${line})" "  \\1\n" bytes "${bytes}")
  string(REGEX REPLACE "(^|\n)(0x[^\n]*)$" "\\1  \\2\n" bytes "${bytes}")
  string(APPEND arrays "\n/* ${file} */\n"
    "static const unsigned char desist__embedded_${number}[] = {\n${bytes}};\n")
  string(REGEX REPLACE "^lua/|(/init)?[.]lua$" "" module "${file}")
  string(REPLACE "/" "." module "${module}")
  set(symbol desist__embedded_${number})
  string(APPEND entries
    "  {\"${module}\", (const char *)${symbol}, sizeof ${symbol}},\n")
endforeach()

file(WRITE "${OUTPUT}" "/* Generated from the Lua files. */\n${arrays}
static const struct {
  const char *name;
  const char *code;
  size_t length;
} desist__embedded[] = {
${entries}  {NULL, NULL, 0},
};
")
