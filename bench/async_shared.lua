--- What the subjects of the rows of tasks have in common: how many, how long,
-- and the checks that each of them did the work.
--
-- A subject's batch takes a number of operations and returns the seconds that
-- they took, as in rounds.lua. Where the work comes in wholes it does more and
-- returns the seconds of its share.

local BATCH = 100 -- tasks that begin together, as in a server
local SLEEPERS = 10000
local CROWD = 100000

local clock = os.clock

--- Delays in seconds, from 1 to 10 ms, in random order; the same in each run.
local delays = {}
math.randomseed(54)
for i = 1, SLEEPERS do
  delays[i] = 0.001 + 0.009 * math.random()
end

local function expect(what, got, expected)
  if got ~= expected then
    error(("%s: %s, expected %s"):format(what, got, expected), 0)
  end
end

--- At least `count`, in wholes of `size`.
local function whole(count, size)
  return math.ceil(count / size) * size
end

--- SLEEPERS sleepers, `run` of whose sleeps are timed. Each calls
-- `body(sleep, delay, ...)`, which sleeps by `sleep(delay, ...)` again and
-- again; `begin()` is called when all of them sleep, `seconds()` when all have
-- ended.
local function sleepers(run)
  local slept, goal, start, stop = 0, math.huge, nil, nil
  local self = {}

  function self.body(sleep, delay, first, second)
    repeat
      sleep(delay, first, second)
      slept = slept + 1
    until slept >= goal
    stop = stop or clock()
  end

  function self.begin()
    goal = slept + run
    start = clock()
  end

  --- The others have finished the sleep in which the last one found them.
  function self.seconds()
    expect("sleeps", slept, goal + SLEEPERS - 1)
    return stop - start
  end

  return self
end

--- Bytes of Lua, and of malloc's heap, that each of SLEEPERS takes. `make(n)`
-- makes n and returns what ends them; until then they are alive. What is made
-- once for all is made before.
local function weigh(heap, make)
  local function in_use()
    collectgarbage()
    collectgarbage()
    return collectgarbage("count") * 1024, heap()
  end
  make(BATCH)()
  local lua_before, heap_before = in_use()
  local finish = make(SLEEPERS)
  local lua_after, heap_after = in_use()
  finish()
  return (lua_after - lua_before) / SLEEPERS,
    (heap_after - heap_before) / SLEEPERS
end

return {
  BATCH = BATCH,
  CROWD = CROWD,
  SLEEPERS = SLEEPERS,
  delays = delays,
  expect = expect,
  sleepers = sleepers,
  weigh = weigh,
  whole = whole,
}
