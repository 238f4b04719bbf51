-- amalgamate.lua: writes the library as one C file and its public headers.
--
--   lua5.4 .ci/amalgamate.lua build/embedded.h build/amalgamation
--
-- The first argument is what embed.lua wrote, the second the folder for
-- desist.c, desist.h and desist_lua.h.
--
-- The sources are found, not listed: platform files, core, binding. An internal
-- header stands before the first file that includes it, once. Nothing that a
-- file has for itself meets what another has: each name with file scope gets
-- the file's name before it (`lock` of signal.c is signal__lock), and macros of
-- a .c file are undefined at its end.
--
-- Names are found in the layout that clang-format gives the sources. One that
-- escaped would be defined twice, or shadowed, for a compiler: make test has
-- the file compiled as C++ too, where no two variables are taken for one.

local embedded, folder = table.unpack(arg)

local public = { ["desist.h"] = true, ["desist_lua.h"] = true }

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function command(line)
  local pipe, lines = assert(io.popen(line)), {}
  for item in pipe:lines() do lines[#lines + 1] = item end
  assert(pipe:close(), "failed: " .. line)
  return lines
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

-- --- Tokens ----------------------------------------------------------------

-- The end of the literal that begins at `from`.
local function literal_end(text, from)
  local quote, at = text:sub(from, from), from + 1
  while text:sub(at, at) ~= quote do
    at = at + (text:sub(at, at) == "\\" and 2 or 1)
    assert(at <= #text, "a literal without an end")
  end
  return at
end

local patterns = {
  { "comment", "^/%*.-%*/" },
  { "comment", "^//[^\n]*" },
  { "include", "^#[ \t]*include[^\n]*" },
  { "name", "^[%a_][%w_]*" },
  { "number", "^%.?%d[%w_.]*" },
  { "space", "^%s+" },
  { "mark", "^%->" },
  { "mark", "^." },
}

-- Calls visit(kind, token, where it ends) for each, in turn.
local function each_token(text, visit)
  local at = 1
  while at <= #text do
    local kind, last
    if text:find("^[\"']", at) then
      kind, last = "literal", literal_end(text, at)
    else
      for _, pattern in ipairs(patterns) do
        kind, last = pattern[1], select(2, text:find(pattern[2], at))
        if last then break end
      end
    end
    visit(kind, text:sub(at, last), last)
    at = last + 1
  end
end

-- --- Names with file scope -------------------------------------------------

-- Without comments and literals, then without directives.
local function bare(text)
  local parts = {}
  each_token(text, function(kind, token)
    local blank = kind == "comment" or kind == "literal" or kind == "include"
    parts[#parts + 1] = blank and " " or token
  end)
  return (("\n" .. table.concat(parts)):gsub("\\\n", " ")
    :gsub("\n[ \t]*#[^\n]*", "\n"))
end

-- Function bodies and what stands in other braces are gone: declarations, each
-- up to a semicolon, are left.
local function declarations(code)
  return code:gsub("%b{}", "{}"):gsub("%)%s*{}", ");")
    :gsub("__attribute__%s*%b()", " "):gmatch("([^;]*);")
end

-- Tags that headers know: a struct of them may be filled in a .c file.
local header_tags = {}
for _, path in ipairs(command "ls src/*.h") do
  for tag in bare(read(path)):gmatch("%f[%w_]struct%s+([%w_]+)") do
    header_tags[tag] = true
  end
end

local function add_declared(declaration, names)
  for tag in declaration:gmatch("%f[%w_]struct%s+([%w_]+)%s*{}") do
    if not header_tags[tag] then names[tag] = true end
  end
  local head = declaration:gsub("=.*", "")
  local pointer = head:match("^[^(]*%(%s*%*+%s*([%w_]+)")
  local called = head:match("^[^(]-([%w_]+)%s*%(")
  if pointer or called then
    names[pointer or called] = true
    return
  end
  local list = declaration:gsub("%b()", ""):gsub("%b[]", "")
    :gsub("=[^,]*", "") .. ","
  for name in list:gmatch("([%w_]+)%s*,") do names[name] = true end
end

-- What two files may not both have; what others may see is the project's.
local function file_names(text, path)
  local code = bare(text)
  local names, shared = {}, {}
  for items in code:gmatch("%f[%w_]enum%s*[%w_]*%s*(%b{})") do
    for name in items:gsub("=[^,}]*", ""):gmatch("[%a_][%w_]*") do
      names[name] = true
    end
  end
  for declaration in declarations(code) do
    local own = declaration:find("%f[%w_]static%f[^%w_]")
      or declaration:find("%f[%w_]typedef%f[^%w_]")
      or declaration:find("^%s*struct") or declaration:find("^%s*enum")
    add_declared(declaration, own and names or shared)
  end
  for name in pairs(shared) do
    if not name:match("^desist_") and not name:match("^luaopen_") then
      error(path .. ": is neither static nor the project's: " .. name)
    end
  end
  for name in pairs(names) do
    if name:match("^desist_") then names[name] = nil end
  end
  return names
end

-- --- One file --------------------------------------------------------------

-- The file's own names with `prefix` before them; members of structs have
-- names of their own.
local function rename(text, names, prefix)
  local parts, before = {}, {}
  local braces = {} -- for each open one: whether it is a struct's
  each_token(text, function(kind, token, last)
    local written = token
    if token == "{" then
      local word = before[2] == "struct" or before[2] == "union"
      braces[#braces + 1] = word or before[1] == "struct"
        or before[1] == "union"
    elseif token == "}" then
      braces[#braces] = nil
    elseif kind == "name" and names[token] then
      local member = before[1] == "." or before[1] == "->"
        or braces[#braces] and text:find("^%s*[;,%[:)]", last + 1)
      if not member then written = prefix .. token end
    end
    if kind ~= "space" and kind ~= "comment" then
      before[1], before[2] = token, before[1]
    end
    parts[#parts + 1] = written
  end)
  return table.concat(parts)
end

local function undefine(text)
  local lines, seen = {}, {}
  for name in ("\n" .. text):gmatch("\n[ \t]*#[ \t]*define[ \t]+([%w_]+)") do
    if not seen[name] then lines[#lines + 1] = "#undef " .. name .. "\n" end
    seen[name] = true
  end
  return table.concat(lines)
end

local output, done = {}, {}

local function put(text) output[#output + 1] = text end

local function title(path)
  put("\n/* " .. ("="):rep(20) .. " " .. path .. " " .. ("="):rep(20)
    .. " */\n\n")
end

-- Puts the internal headers first that a text includes, and returns it without
-- these lines.
local put_header
local function without_includes(text)
  return (("\n" .. text):gsub('\n[ \t]*#[ \t]*include[ \t]*"([^"]+)"[^\n]*',
    function(name)
      if public[name] then return nil end
      put_header(name)
      return ""
    end):gsub("^\n", ""))
end

function put_header(name)
  if done[name] then return end
  done[name] = true
  local path = name == "embedded.h" and embedded or "src/" .. name
  local text = without_includes(read(path))
  title(path == embedded and name or path)
  put(text)
end

local function put_source(path)
  local text = read(path)
  local prefix = path:match("([%w_]+)%.c$") .. "__"
  local rest = without_includes(text)
  title(path)
  put(rename(rest, file_names(text, path), prefix))
  put(undefine(text))
end

-- --- All of it -------------------------------------------------------------

-- Platform, core and binding, in the order in which they rest on each other.
local layers = { {}, {}, {} }
for _, path in ipairs(command "LC_ALL=C ls src/*.c") do
  local name = path:match("[^/]+$")
  local layer = name:match("^platform_") and 1 or name:match("^lua_") and 3
    or 2
  table.insert(layers[layer], path)
end

local version = read("src/desist.h"):match('DESIST_VERSION "([^"]+)"')
put(([[
/*
** desist %s in one file: cooperative cancellation for C and Lua.
**
**   cc -c desist.c -I<where lua.h is> -pthread
**   c++ -x c++ -c desist.c -I<where lua.h is> -pthread    for Lua built as C++
**
** desist.h and desist_lua.h are the documentation. What can be left out, by
** -D: DESIST_NO_LUA (then no lua.h is needed), DESIST_NO_THREADS,
** DESIST_NO_SIGNALS, DESIST_NO_GUARD.
**
** Made from the project's sources by `make amalgamation`: change those, not
** this. A name like link__make is `make` of src/link.c.
**
%s*/
]]):format(version, read("LICENSE"):gsub("[^\n]*\n", function(line)
  return line == "\n" and "**\n" or "** " .. line
end)))

for number, layer in ipairs(layers) do
  if number == 3 then
    put("\n#if !defined(DESIST_NO_LUA)\n\n#define DESIST_EMBED\n")
  end
  for _, path in ipairs(layer) do put_source(path) end
end
put("\n#endif /* DESIST_NO_LUA */\n")

write(folder .. "/desist.c", table.concat(output))
for name in pairs(public) do
  write(folder .. "/" .. name, read("src/" .. name))
end
