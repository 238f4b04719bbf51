--- What a guard costs that does not fire, and what leads up to it.
--   lua5.4 bench/bench_guard.lua [--rounds N] [--batch SECONDS]
-- with desist and bench/?.lua on the search paths. The programs run inside a
-- guard and inside pcall; their instructions are counted by callgrind, if there
-- is valgrind: as many turns more are these instructions more.

local coroutine_resume = coroutine.resume -- Lua's own

local desist = require "desist"
local async = require "desist.async"
local programs = require "guard_programs"
local rounds = require "rounds"

local AT_MOST = 1.02
local lua = arg[-1] or "lua5.4"
local source = desist.source()
local token = source:token()

local function inside_guard(program)
  return function(count)
    return rounds.timed(desist.guard, token, program, count)
  end
end

local function inside_pcall(program)
  return function(count) return rounds.timed(pcall, program, count) end
end

local function row(title, name, batch, peer, peer_batch, at_most)
  return { title = title, subjects = {
    { name = name, batch = batch },
    { name = peer, batch = peer_batch, at_most = at_most },
  } }
end

-- --- Instructions -----------------------------------------------------------

-- Of one run; nil: there is no valgrind.
local function instructions(name, count, how)
  local pipe = assert(io.popen(("valgrind --tool=callgrind "
    .. "--callgrind-out-file=/dev/null %s bench/guard_programs.lua '%s' %d %s "
    .. "2>&1"):format(lua, name, count, how)))
  local text = pipe:read "a"
  pipe:close()
  local refs = text:match "Collected : (%d+)"
  return refs and tonumber(refs)
end

-- What so many turns more take.
local function growth(name, count, how)
  local few = instructions(name, count, how)
  local many = few and instructions(name, 11 * count, how)
  return many and many - few
end

local TURNS = {
  ["a tight loop"] = 20000, calls = 3000, tables = 5000, strings = 5000,
}

local function count_instructions(names)
  for _, name in ipairs(names) do
    local plain = growth(name, TURNS[name], "plain")
    if not plain then
      print "note\tNo instructions were counted: there is no valgrind."
      return
    end
    local ratio = growth(name, TURNS[name], "guarded") / plain
    print(("note\t%s: %.4f x the instructions, counted by callgrind.")
      :format(name, ratio))
  end
end

-- --- What leads up to it ----------------------------------------------------

local function empty() end

local function calls(fn, ...)
  local first, second = ...
  return function(count)
    return rounds.timed(function()
      for _ = 1, count do fn(first, second) end
    end)
  end
end

local function switches(resume)
  return function(count)
    local co = coroutine.create(function()
      while true do coroutine.yield() end
    end)
    return rounds.timed(function()
      for _ = 1, count do resume(co) end
    end)
  end
end

local function steps(options)
  return function(count)
    local loop = async.loop()
    loop:spawn(function()
      while true do async.next_step() end
    end)
    local seconds = rounds.timed(function()
      for _ = 1, count do loop:step(0.01, options) end
    end)
    loop:close()
    return seconds
  end
end

rounds.parse(arg)
desist.track_coroutines()
local names = { "a tight loop", "calls", "tables", "strings" }
local rows = {}
for _, name in ipairs(names) do
  rows[#rows + 1] = row(name, "inside a guard", inside_guard(programs[name]),
    "inside pcall", inside_pcall(programs[name]), AT_MOST)
end
rows[#rows + 1] = row("a call of an empty function", "desist.guard",
  calls(desist.guard, token, empty), "pcall", calls(pcall, empty))
rows[#rows + 1] = row("resume + yield", "tracked", switches(coroutine.resume),
  "Lua's own", switches(coroutine_resume))
rows[#rows + 1] = row("a step with one task", "with a budget",
  steps { budget = 1 }, "without", steps(nil))
rounds.run(rows)
count_instructions(names)
assert(not source:is_cancelled())
