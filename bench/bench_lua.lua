--- The Lua rows: desist, plain.lua, and the floor of calls that do nothing.
--   lua5.4 bench/bench_lua.lua [--rounds N] [--batch SECONDS]
-- with desist, bench/?.lua and the built bench_floor on the search paths.

local desist = require("desist")
local floor = require("bench_floor")
local operations = require("operations")
local plain = require("plain")
local rounds = require("rounds")

-- As many empty C method calls as the operation makes method calls: what
-- nothing written in C can go below.
local function one_call(object, count)
  for _ = 1, count, 10 do
    object:empty() object:empty()
    object:empty() object:empty()
    object:empty() object:empty()
    object:empty() object:empty()
    object:empty() object:empty()
  end
end

local function two_calls(object, count)
  for _ = 1, count do
    object:empty() object:empty()
  end
end

local function four_calls(object, count)
  for _ = 1, count do
    object:empty() object:empty() object:empty() object:empty()
  end
end

local function protected_calls(_, count)
  local ran = 0
  floor.call(function()
    ran = ran + 1
  end, count)
  assert(ran == count)
end

local function floor_of(calls)
  return function(count)
    return rounds.timed(calls, floor.new(), count)
  end
end

local function row(title, operation, at_most, calls)
  return {
    title = title,
    subjects = {
      { name = "desist", batch = operation(desist.source) },
      { name = "plain", batch = operation(plain.source), at_most = at_most },
      { name = "floor", batch = floor_of(calls) },
    },
  }
end

rounds.parse(arg)
print("machine\tLua\t" .. _VERSION)
rounds.run {
  row("token:is_cancelled()", operations.poll, 1.1, one_call),
  row("register + unregister", operations.register, 1.5, two_calls),
  row("cancel, per callback of 1,000", operations.cancel, 1.0,
    protected_calls),
  row("source + token + register + cancel", operations.life, 1.5, four_calls),
}
