-- lint.lua: the rules of this codebase that no other tool knows.
--
--   lua5.4 .ci/lint.lua RULE [argument]
--
-- Prints "file:line: what is wrong" for each finding; exit status 1 if there
-- is any. The rules stand below, one function each.

local Rules = {}
local findings = 0

local function found(where, message, ...)
  findings = findings + 1
  print(where .. ": " .. message:format(...))
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function command(line)
  local pipe = assert(io.popen(line))
  local items = {}
  for item in pipe:lines() do items[#items + 1] = item end
  assert(pipe:close(), "failed: " .. line)
  return items
end

local function files(places)
  return command("find " .. places .. " -type f 2>/dev/null | LC_ALL=C sort"
    .. " || true")
end

-- The files that git knows or would add; in an unpacked archive, all.
local function tracked()
  return command("git ls-files -co --exclude-standard 2>/dev/null || "
    .. "find . -type f -not -path './build/*' | sed 's,^./,,'")
end

local function lines(path)
  local number = 0
  return coroutine.wrap(function()
    for line in (read(path):gsub("\n$", "") .. "\n"):gmatch("(.-)\n") do
      number = number + 1
      coroutine.yield(number, line)
    end
  end)
end

local function set(list)
  local members = {}
  for _, item in ipairs(list) do members[item] = true end
  return members
end

local function sorted(members)
  local list = {}
  for item in pairs(members) do list[#list + 1] = item end
  table.sort(list)
  return list
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

local function is_binding(path)
  return path:match("^src/lua_") or path == "src/desist_lua.h"
end

-- C without its comments and strings; the lines stay where they are.
local function code_of(path)
  local text = read(path):gsub("/%*.-%*/", function(comment)
    return (comment:gsub("[^\n]", " "))
  end)
  return (text:gsub('"[^"\n]*"', '""'))
end

-- "#include" lines: number, name, whether in quotes.
local function includes(path)
  local list = {}
  for number, line in lines(path) do
    local mark, name = line:match('^%s*#%s*include%s*([<"])([^>"]+)')
    if name then
      list[#list + 1] = { number = number, name = name, own = mark == '"' }
    end
  end
  return list
end

-- Public functions of a header, by name.
local function declared(path)
  local names = {}
  local code = code_of(path):gsub("#[^\n]*", "")
  for name in code:gmatch("DESIST_API%s+[^;(]-([%w_]+)%(") do
    names[name] = true
  end
  return names
end

-- platform <- core <- binding: who may include whom.
function Rules.layers()
  local lua_header = set { "lua.h", "lauxlib.h", "lualib.h", "luaconf.h" }
  -- The binding's view of what is below it: the queue is the one inner header
  -- of the core.
  local door = set { "platform.h", "atomic.h", "desist.h", "desist_lua.h",
    "queue.h", "embedded.h" }
  -- What only the platform files may know.
  local system = set { "pthread.h", "threads.h", "unistd.h", "fcntl.h",
    "poll.h", "signal.h", "time.h", "windows.h" }
  for _, path in ipairs(files("src")) do
    local name = path:match("[^/]+$")
    for _, include in ipairs(includes(path)) do
      local where, what = path .. ":" .. include.number, include.name
      if is_binding(path) then
        if include.own and not door[what] and not what:match("^lua_") then
          found(where, "the binding's doors are desist.h and queue.h, not %s",
            what)
        end
      elseif lua_header[what] or what:match("^lua_")
        or what == "desist_lua.h" then
        found(where, "the core knows no Lua: %s", what)
      end
      if name:match("^platform_") and include.own
        and not what:match("^platform") and what ~= "atomic.h" then
        found(where, "a platform file stands below the core: %s", what)
      end
      if not name:match("^platform") and not include.own
        and (system[what] or what:match("^sys/")
          and what ~= "sys/single_threaded.h") then
        found(where, "only platform files talk to the system: %s", what)
      end
    end
  end
end

-- desist_* public, desist__* internal, lua/ without globals of the C side.
function Rules.names()
  for _, path in ipairs(files("src")) do
    for name in code_of(path):gmatch("%f[%w_][%w_]+") do
      if name:match("^desist_.*_t$") then
        found(path, "no _t at the end of a type: %s", name)
      end
      if name:match("^DESIST_") and path:match("%.h$")
        and name:upper() ~= name then
        found(path, "a constant is written DESIST_UPPER: %s", name)
      end
    end
  end
  for _, header in ipairs { "src/desist.h", "src/desist_lua.h" } do
    for name in pairs(declared(header)) do
      if not name:match("^desist_[a-z]") and not name:match("^luaopen_desist")
      then
        found(header, "a public function is named desist_...: %s", name)
      end
    end
    if code_of(header):match("desist__") then
      found(header, "an internal name in a public header")
    end
  end
end

-- The exports of a shared library are the functions of the headers, and
-- nothing else. Arguments: the library, "core" for the module alone.
function Rules.exports(library, part)
  local public = declared("src/desist.h")
  for name in pairs(declared("src/desist_lua.h")) do public[name] = true end
  if part == "core" then public.luaopen_desist = nil end
  local exported = {}
  for _, line in ipairs(command("nm -D --defined-only " .. library)) do
    local name = line:match("(%S+)$")
    exported[name] = true
    if not public[name] then
      found(library, "exports %s, which no public header has", name)
    end
  end
  if next(exported) == nil then found(library, "exports nothing") end
  -- The module may have what it needs alone: its own entry is what counts.
  if part == "core" then public = { luaopen_desist_core = true } end
  for _, name in ipairs(sorted(public)) do
    if not exported[name] then
      found(library, "%s is declared but not there", name)
    end
  end
end

-- In the static library every global symbol bears the project's name.
function Rules.symbols(library)
  for _, line in ipairs(command("nm -g --defined-only " .. library)) do
    local name = line:match("^%x+ %a (%S+)$")
    if name and not name:match("^desist_") and not name:match("^luaopen_desist")
    then
      found(library, "a global symbol without the project's name: %s", name)
    end
  end
end

-- The rockspec lists every source and every Lua file.
function Rules.rockspec()
  for _, path in ipairs(files("rockspec")) do
    local spec = {}
    assert(loadfile(path, "t", spec))()
    local listed, present = {}, {}
    for module, what in pairs(spec.build.modules) do
      local sources = type(what) == "table" and what.sources or { what }
      for _, source in ipairs(sources) do listed[source] = module end
    end
    for _, source in ipairs(files("src lua")) do
      if source:match("%.lua$")
        or source:match("%.c$") and source ~= "src/lua_embed.c" then
        present[source] = true
        if not listed[source] then found(path, "misses %s", source) end
      end
    end
    for _, source in ipairs(sorted(listed)) do
      if not present[source] then
        found(path, "lists %s, which is not there", source)
      elseif source:match("%.lua$") then
        local module = source:gsub("^lua/", ""):gsub("%.lua$", "")
          :gsub("/init$", ""):gsub("/", ".")
        if listed[source] ~= module then
          found(path, "%s is module %s", source, module)
        end
      end
    end
    local name = spec.package .. "-" .. spec.version
    if path ~= "rockspec/" .. name .. ".rockspec" then
      found(path, "is %s inside", name)
    end
  end
end

-- desist.h, rockspecs and the top of CHANGELOG.md agree on the version.
function Rules.version()
  local version = read("src/desist.h"):match('DESIST_VERSION "([^"]+)"')
  if not version then return found("src/desist.h", "has no DESIST_VERSION") end
  if not version:match("^%d+%.%d+%.%d+$") then
    found("src/desist.h", "the version is major.minor.patch: %s", version)
  end
  local newest = read("CHANGELOG.md"):match("\n##[^\n]-(%d+%.%d+%.%d+)")
  if newest ~= version then
    found("CHANGELOG.md", "begins with %s, desist.h is %s",
      tostring(newest), version)
  end
  for _, path in ipairs(files("rockspec")) do
    local of = path:match("%-([^-]+)%-%d+%.rockspec$")
    if of ~= "scm" and of ~= version then
      found(path, "is for %s, desist.h is %s", tostring(of), version)
    end
  end
  for _, path in ipairs(files("lua")) do
    local other = read(path):match("_VERSION%s*=%s*[\"']([^\"']+)")
    if other and not other:find(version, 1, true) then
      found(path, "says %s, desist.h is %s", other, version)
    end
  end
end

-- Layout of every text file; what must not be committed.
function Rules.text()
  local limit = { c = 80, h = 80, cpp = 80, lua = 80 }
  for _, path in ipairs(tracked()) do
    local kind = path:match("%.(%w+)$")
    if exists(path) and not read(path):find("\0", 1, true) then
      if not read(path):match("\n$") and read(path) ~= "" then
        found(path, "does not end with a line end")
      end
      for number, line in lines(path) do
        local where = path .. ":" .. number
        if line:match("[ \t\r]$") then found(where, "blank at the end") end
        if limit[kind] then
          local length = utf8.len(line) or #line
          if length > limit[kind] then
            found(where, "%d columns are more than %d", length, limit[kind])
          end
          if line:find("\t", 1, true) then found(where, "a tab") end
          for _, mark in ipairs { "TO" .. "DO", "FIX" .. "ME" } do
            if line:match("%f[%w]" .. mark .. "%f[%W]") then
              found(where, "what is to be done goes into an issue")
            end
          end
        end
        for _, root in ipairs { "work", "home", "root" } do
          if line:match("%f[%w/]/" .. root .. "/%w") then
            found(where, "a path of one machine")
          end
        end
      end
    end
  end
end

-- Only these stand at the top.
function Rules.layout()
  local places = set { "src", "lua", "spec", "rockspec", "Makefile",
    "README.md", "examples", "bench", "docs", "LICENSE", "CHANGELOG.md",
    "CMakeLists.txt" }
  for _, path in ipairs(tracked()) do
    local top = path:match("^[^/]+")
    if not places[top] and not top:match("^%.") then
      found(path, "nothing else stands at the top level")
    end
  end
end

-- Links between the documents lead somewhere.
function Rules.links()
  local function anchors(path)
    local names = {}
    for heading in ("\n" .. read(path)):gmatch("\n#+%s+([^\n]+)") do
      local name = heading:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-")
      names[name] = true
    end
    return names
  end
  for _, path in ipairs(tracked()) do
    if path:match("%.md$") and exists(path) then
      local folder = path:match("^(.*/)") or ""
      local text = read(path):gsub("```.-```", ""):gsub("`[^`\n]*`", "")
      for target in text:gmatch("%]%(([^)%s]+)%)") do
        if not target:match("^%a+:") then
          local file, anchor = target:match("^([^#]*)#?(.*)$")
          local to = file == "" and path or folder .. file
          while to:match("[^/]+/%.%./") do
            to = to:gsub("[^/]+/%.%./", "", 1)
          end
          if not exists(to) then
            found(path, "a link to %s, which is not there", target)
          elseif anchor ~= "" and to:match("%.md$")
            and not anchors(to)[anchor] then
            found(path, "a link to %s, which has no such heading", target)
          end
        end
      end
    end
  end
end

local rule = Rules[arg[1]]
if not rule then
  io.stderr:write("usage: lint.lua ", table.concat(sorted(Rules), "|"), "\n")
  os.exit(2)
end
rule(table.unpack(arg, 2))
os.exit(findings == 0)
