--- Runs every benchmark and prints one report.
--   lua5.4 bench/report.lua [--build DIR] [--rounds N] [--markdown]
--                           [--into FILE] [--only PROGRAM]
-- from the top folder. DIR (default: build) has libraries and programs as the
-- Makefile leaves them. `--markdown` prints Markdown; `--into FILE` prints
-- text and puts Markdown between the two marks in FILE. `--only` leaves out
-- all but one program: core, threads (with latency), latency, memory, lua,
-- guard or async.
--
-- The programs print fields separated by tabs: see bench.cpp, memory.cpp,
-- bench_async.lua, latency.lua.

local BEGIN = "<!-- make bench: begin -->"
local END = "<!-- make bench: end -->"

-- Ratios within this much above their target are a tie: where the processor
-- puts the same instructions makes as much difference.
local TIE = 1.02

local ONLY = { core = true, threads = true, latency = true, memory = true,
  lua = true, guard = true, async = true }

local lua = arg[-1] or "lua5.4"
local failures = 0

--- Options and programs ----------------------------------------------------

local function parse(arguments)
  local options = { build = "build", rounds = "" }
  local i = 1
  while i <= #arguments do
    local name, value = arguments[i], arguments[i + 1]
    if name == "--markdown" then
      options.markdown = true
    elseif name == "--build" and value then
      options.build, i = value, i + 1
    elseif name == "--into" and value then
      options.into, i = value, i + 1
    elseif name == "--only" and ONLY[value] then
      options.only, i = value, i + 1
    elseif name == "--rounds" and tonumber(value) then
      options.rounds, i = " --rounds " .. value, i + 1
    else
      io.stderr:write("report.lua: unknown option '", name, "'\n")
      os.exit(2)
    end
    i = i + 1
  end
  if options.only and options.into then
    io.stderr:write("report.lua: --into takes the whole report\n")
    os.exit(2)
  end
  return options
end

local function first_line(command)
  local pipe = assert(io.popen(command .. " 2>/dev/null"))
  local line = pipe:read("l")
  pipe:close()
  return line
end

local function split(line)
  local fields = {}
  for field in (line .. "\t"):gmatch("([^\t]*)\t") do
    fields[#fields + 1] = field
  end
  return fields
end

-- What a program printed: `machine` name -> value, `rows` in their order, each
-- with `title` and either `skipped` or a list of subjects; `memory` lines;
-- `latency` lines.
-- A program that fails leaves an empty table, not no report.
local function run(what, command)
  local printed = { machine = {}, rows = {}, memory = {}, latency = {},
    notes = {} }
  io.stderr:write("measure ", what, "\n")
  local by_title = {}
  local function row_of(title)
    if not by_title[title] then
      by_title[title] = { title = title }
      table.insert(printed.rows, by_title[title])
    end
    return by_title[title]
  end
  local pipe = assert(io.popen(command))
  for line in pipe:lines() do
    local f = split(line)
    if f[1] == "machine" then
      printed.machine[f[2]] = f[3]
    elseif f[1] == "skip" then
      row_of(f[2]).skipped = f[3]
    elseif f[1] == "row" then
      table.insert(row_of(f[2]), {
        name = f[3],
        nanoseconds = tonumber(f[4]),
        ratio = tonumber(f[5]),
        at_most = tonumber(f[6]) > 0 and tonumber(f[6]) or nil,
      })
    elseif f[1] == "latency" then
      table.insert(printed.latency, { group = f[2], name = f[3],
        median = tonumber(f[4]), worse = tonumber(f[5]),
        ratio = tonumber(f[6]),
        at_most = tonumber(f[7]) > 0 and tonumber(f[7]) or nil })
    elseif f[1] == "note" then
      table.insert(printed.notes, f[2])
    elseif f[1] == "memory" then
      local numbers = table.move(f, 3, 9, 1, {})
      for i = 1, #numbers do
        numbers[i] = tonumber(numbers[i])
      end
      numbers.title = f[2]
      table.insert(printed.memory, numbers)
    end
  end
  if not pipe:close() then
    io.stderr:write("report.lua: failed: ", command, "\n")
    failures = failures + 1
    printed.failed = true
  end
  return printed
end

local function run_all(options)
  local results = {}
  local function run_if(only, name, what, command)
    if not options.only or options.only == only then
      results[name] = run(what, command .. options.rounds)
    end
  end
  local core = options.build .. "/bench/bench_core"
  local paths = ('LUA_PATH="bench/?.lua;lua/?.lua;lua/?/init.lua;;" '
    .. 'LUA_CPATH="@/lua/?.so;@/bench/?.so;;" '):gsub("@", options.build)
  local latency = 'LUA_PATH="bench/?.lua;;" ' .. options.build
    .. "/bench/bench_latency bench/latency.lua"
  run_if("core", "single", "C", core)
  run_if("threads", "threaded", "C with threads", core .. " --threads")
  run_if(options.only == "threads" and "threads" or "latency", "latency",
    "latency", latency)
  run_if("memory", "memory", "memory", core .. " --memory")
  run_if("lua", "lua", "Lua", paths .. lua .. " bench/bench_lua.lua")
  if first_line("command -v lua5.3") then
    run_if("lua", "lgi", "lgi", 'LUA_PATH="bench/?.lua;;" LUA_CPATH=";;" '
      .. "lua5.3 bench/bench_lgi.lua")
  end
  run_if("guard", "guard", "guards", paths .. lua .. " bench/bench_guard.lua")
  run_if("async", "async", "tasks", paths .. lua .. " bench/bench_async.lua")
  return results
end

--- Cells -------------------------------------------------------------------

local function number(value, decimals)
  return value and ("%." .. decimals .. "f"):format(value) or "-"
end

-- Three digits are all that such a measurement carries.
local function nanoseconds(value)
  if not value then
    return "-"
  end
  return number(value, value < 10 and 2 or value < 100 and 1 or 0)
end

local function mark(ratio, at_most)
  if not (ratio and at_most) then
    return ""
  elseif math.floor(ratio * 100 + 0.5) / 100 <= at_most then
    return "yes"
  elseif ratio <= at_most * TIE then
    return "tie"
  end
  return ("no: %.0f %% over"):format((ratio / at_most - 1) * 100)
end

local function subject_of(row, name)
  for _, subject in ipairs(row or {}) do
    if subject.name == name then
      return subject
    end
  end
end

--- Tables: a heading, titles of columns, rows of cells, notes below ----------

local function core_table(heading, printed)
  local result = { heading = heading, notes = printed.notes, columns = {
    "operation", "desist ns", "against", "ns", "ratio", "at most", "reached",
    "GCancellable ns", "ratio" } }
  for _, row in ipairs(printed.rows) do
    local glib = subject_of(row, "GCancellable")
    if row.skipped then
      table.insert(result, { row.title, "-", "-", "-", "-", "-", row.skipped,
        "-", "-" })
    end
    for i = 2, #row do
      local peer = row[i]
      if peer ~= glib then
        table.insert(result, { i == 2 and row.title or "",
          i == 2 and nanoseconds(row[1].nanoseconds) or "", peer.name,
          nanoseconds(peer.nanoseconds), number(peer.ratio, 2),
          number(peer.at_most, 1), mark(peer.ratio, peer.at_most),
          nanoseconds(glib and glib.nanoseconds),
          number(glib and glib.ratio, 2) })
      end
    end
  end
  return result
end

local function memory_table(printed)
  local result = { heading = "Memory", columns = { "one more", "bytes",
    "at most", "allocations", "at most", "reached", "heap: desist", "std",
    "GCancellable" },
    notes = { "heap: growth of malloc's heap, its headers and padding included;"
      .. " handles and nodes that the caller provides are counted for all"
      .. " three." } }
  local function target(value)
    return value >= 0 and ("%g"):format(value) or "-"
  end
  for _, f in ipairs(printed.memory) do
    local bytes, allocations, bytes_target, allocations_target, heap, std,
      glib = table.unpack(f)
    local reached = ""
    if bytes_target >= 0 then
      reached = bytes <= bytes_target and allocations <= allocations_target
        and "yes" or ("no: %+g bytes"):format(bytes - bytes_target)
    end
    table.insert(result, { f.title, ("%g"):format(bytes), target(bytes_target),
      ("%g"):format(allocations), target(allocations_target), reached,
      number(heap, 0), number(std >= 0 and std or nil, 0),
      number(glib >= 0 and glib or nil, 0) })
  end
  return result
end

local function plain_table(printed)
  local result = { heading = "Lua 5.4 against plain Lua", columns = {
    "operation", "desist ns", "plain ns", "ratio", "at most", "reached",
    "floor ns", "ratio" },
    notes = { "floor: as many empty C method calls as the operation makes"
      .. " method calls; for cancel, a C loop of nothing but lua_pcall." } }
  for _, row in ipairs(printed.rows) do
    local plain, floor = row[2], subject_of(row, "floor")
    table.insert(result, { row.title, nanoseconds(row[1].nanoseconds),
      nanoseconds(plain.nanoseconds), number(plain.ratio, 2),
      number(plain.at_most, 1), mark(plain.ratio, plain.at_most),
      nanoseconds(floor and floor.nanoseconds),
      number(floor and floor.ratio, 1) })
  end
  return result
end

-- Two processes, so medians are divided, not rounds.
local function lgi_table(mine, theirs)
  local at_most = 0.05
  local result = { heading = "Lua 5.4 against GCancellable through lgi",
    columns = { "operation", "desist ns", "lgi ns", "ratio", "at most",
      "reached" },
    notes = { "A second process, on Lua 5.3: lgi has no Lua 5.4." } }
  if mine.failed or not mine.rows[1] then
    return result
  elseif not theirs or not theirs.rows[1] or theirs.rows[1].skipped then
    result.notes = { "Not measured: there is no lua5.3 with lgi here (Debian:"
      .. " lua5.3, lua-lgi, gir1.2-glib-2.0)." }
    return result
  end
  local worst = 0
  for i, row in ipairs(mine.rows) do
    local lgi = theirs.rows[i][1]
    assert(theirs.rows[i].title == row.title)
    local ratio = row[1].nanoseconds / lgi.nanoseconds
    worst = math.max(worst, ratio)
    table.insert(result, { row.title, nanoseconds(row[1].nanoseconds),
      nanoseconds(lgi.nanoseconds), number(ratio, 3), number(at_most, 2),
      mark(ratio, at_most) })
  end
  table.insert(result, { "any of these (the worst)", "", "", number(worst, 3),
    number(at_most, 2), mark(worst, at_most) })
  return result
end

local function tasks_table(printed)
  local result = { heading = "Lua 5.4: tasks", notes = printed.notes,
    columns = { "operation", "desist ns", "against", "ns", "ratio", "at most",
      "reached" } }
  for _, row in ipairs(printed.rows) do
    for i = 2, #row do
      local peer = row[i]
      table.insert(result, { i == 2 and row.title or "",
        i == 2 and nanoseconds(row[1].nanoseconds) or "", peer.name,
        nanoseconds(peer.nanoseconds), number(peer.ratio, 2),
        number(peer.at_most, 1), mark(peer.ratio, peer.at_most) })
    end
  end
  return result
end

local function guard_table(printed)
  local result = { heading = "Lua 5.4: guards that do not fire",
    notes = printed.notes, columns = { "operation", "how", "ns", "against",
      "ns", "ratio", "at most", "reached" } }
  for _, row in ipairs(printed.rows) do
    local mine, peer = row[1], row[2]
    table.insert(result, { row.title, mine.name,
      nanoseconds(mine.nanoseconds), peer.name, nanoseconds(peer.nanoseconds),
      number(peer.ratio, 3), number(peer.at_most, 2),
      mark(peer.ratio, peer.at_most) })
  end
  return result
end

local function sleepers_table(printed)
  local result = { heading = "Lua 5.4: memory of a sleeping task",
    columns = { "one more", "bytes of Lua", "at most", "reached", "heap" },
    notes = { "bytes of Lua: what collectgarbage(\"count\") grows by; heap:"
      .. " growth of malloc's heap, what C libraries keep included." } }
  for _, f in ipairs(printed.memory) do
    local bytes, at_most, heap = table.unpack(f)
    local limit = at_most > 0 and at_most or nil
    local reached = ""
    if limit then
      reached = bytes <= limit and "yes"
        or ("no: %+g bytes"):format(bytes - limit)
    end
    table.insert(result, { f.title, number(bytes, 0), number(limit, 0),
      reached, number(heap, 0) })
  end
  return result
end

local function latency_table(printed)
  local result = { heading = "Lua 5.4: from another thread to an idle state",
    columns = { "woken by", "what wakes", "median us", "90 %", "to the first",
      "at most us", "reached" },
    notes = { "Wall time. To the first: the ratio to a thread that sleeps and"
      .. " is woken in the same way, with nothing else to it." } }
  local group
  local function microseconds(value)
    return number(value and value / 1000, 1)
  end
  for _, f in ipairs(printed.latency) do
    table.insert(result, { f.group ~= group and f.group or "", f.name,
      microseconds(f.median), microseconds(f.worse), number(f.ratio, 2),
      microseconds(f.at_most), mark(f.at_most and f.median / f.at_most, 1) })
    group = f.group
  end
  return result
end

local function machine_line(results)
  local known, parts = {}, {}
  for _, printed in pairs(results) do
    for name, value in pairs(printed.machine) do
      known[name] = value
    end
  end
  local function add(form, value)
    if value then
      parts[#parts + 1] = form:format(value)
    end
  end
  add("%s cores", known.cores)
  add("%s", first_line("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo"))
  add("%s", first_line("uname -sr"))
  add("%s", known.compiler)
  add("glibc %s", known.glibc)
  add("GLib %s", known.GLib)
  add("%s", first_line(lua .. " -v"):match("^%S+ %S+"))
  add("lgi %s", known.lgi)
  add("cqueues %s", known.cqueues)
  add("luv %s", known.luv)
  add("desist %s", known.desist)
  add("medians of %s rounds", known.rounds)
  return table.concat(parts, "; ") .. "."
end

--- Two ways to print -------------------------------------------------------

-- Numbers to the right, words to the left: a column is words if its title is.
local words = { operation = true, against = true, reached = true,
  ["one more"] = true, ["woken by"] = true, ["what wakes"] = true,
  how = true }

local function text_of(content)
  local widths, lines = {}, { content.heading, "" }
  local function widen(cells)
    for i, cell in ipairs(cells) do
      widths[i] = math.max(widths[i] or 0, #cell)
    end
  end
  local function line_of(cells)
    local padded = {}
    for i, cell in ipairs(cells) do
      local left = words[content.columns[i]] and "-" or ""
      padded[i] = ("%" .. left .. widths[i] .. "s"):format(cell)
    end
    lines[#lines + 1] = (table.concat(padded, "  "):gsub("%s+$", ""))
  end
  widen(content.columns)
  for _, cells in ipairs(content) do
    widen(cells)
  end
  if content[1] then
    line_of(content.columns)
  end
  for _, cells in ipairs(content) do
    line_of(cells)
  end
  for _, note in ipairs(content.notes) do
    lines[#lines + 1] = "(" .. note .. ")"
  end
  return table.concat(lines, "\n") .. "\n"
end

local function markdown_of(content)
  local lines, rules = { "### " .. content.heading, "" }, {}
  local function line_of(cells)
    lines[#lines + 1] = "| " .. table.concat(cells, " | ") .. " |"
  end
  for i, column in ipairs(content.columns) do
    rules[i] = words[column] and "---" or "---:"
  end
  if content[1] then
    line_of(content.columns)
    line_of(rules)
  end
  for _, cells in ipairs(content) do
    line_of(cells)
  end
  for _, note in ipairs(content.notes) do
    lines[#lines + 1] = "\n" .. note:gsub("^%l", string.upper)
  end
  return table.concat(lines, "\n") .. "\n"
end

-- What stood between the marks before is gone.
local function put_into(file, markdown)
  local handle = assert(io.open(file))
  local old = handle:read("a")
  handle:close()
  local _, before = old:find(BEGIN, 1, true)
  local after = old:find(END, 1, true)
  if not (before and after) then
    error(file .. " has not both marks of 'make bench'", 0)
  end
  handle = assert(io.open(file, "w"))
  handle:write(old:sub(1, before), "\n\n", markdown, "\n", old:sub(after))
  assert(handle:close())
end

local options = parse(arg)
local results = run_all(options)
local tables = {}

local function add_table(printed, make, ...)
  if printed then
    local content = make(...)
    if printed.failed then
      table.insert(content.notes, "Not measured: the program failed.")
    end
    tables[#tables + 1] = content
  end
end

add_table(results.single, core_table,
  "C, in a process that never had a second thread", results.single)
add_table(results.threaded, core_table, "C, in a process with threads",
  results.threaded)
add_table(results.latency, latency_table, results.latency)
add_table(results.memory, memory_table, results.memory)
add_table(results.lua, plain_table, results.lua)
add_table(results.lua, lgi_table, results.lua, results.lgi)
add_table(results.guard, guard_table, results.guard)
add_table(results.async, tasks_table, results.async)
add_table(results.async, sleepers_table, results.async)

local function report(render)
  local parts = { machine_line(results) .. "\n" }
  for _, content in ipairs(tables) do
    parts[#parts + 1] = render(content)
  end
  return table.concat(parts, "\n")
end

io.write(report(options.markdown and markdown_of or text_of))
if options.into then
  put_into(options.into, report(markdown_of))
end
os.exit(failures == 0)
