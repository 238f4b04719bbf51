--- The rows of tasks with bare coroutines: what tasks cannot go far below.
-- There is no loop, no clock, nothing that catches an error.

local shared = require("async_shared")
local timed = require("rounds").timed

local BATCH, CROWD = shared.BATCH, shared.CROWD
local expect, whole = shared.expect, shared.whole
local create, resume, yield = coroutine.create, coroutine.resume,
  coroutine.yield

local raw = {}

local function spawn_batches(body, count)
  local list = {}
  for _ = 1, count, BATCH do
    for i = 1, BATCH do list[i] = create(body) end
    for i = 1, BATCH do resume(list[i]) end
  end
end

function raw.spawn(count)
  local run, ran = whole(count, BATCH), 0
  local seconds = timed(spawn_batches, function() ran = ran + 1 end, run)
  expect("coroutines", ran, run)
  return seconds * count / run
end

--- `size` coroutines that take turns.
function raw.turns(size)
  return function(count)
    local each, begun, ended, list = math.ceil(count / size), 0, 0, {}
    for i = 1, size do
      list[i] = create(function()
        begun = begun + 1
        for _ = 1, each do yield() end
        expect("coroutines", begun, size)
        ended = ended + 1
      end)
    end
    local seconds = timed(function()
      for _ = 0, each do
        for i = 1, size do resume(list[i]) end
      end
    end)
    expect("coroutines", ended, size)
    return seconds * count / (each * size)
  end
end

local function live_and_end(body)
  local list = {}
  for i = 1, CROWD do
    list[i] = create(body)
    if i % BATCH == 0 then
      for j = i - BATCH + 1, i do resume(list[j]) end
    end
  end
  for i = 1, CROWD do resume(list[i]) end
end

function raw.crowd(count)
  local begun, ended = 0, 0
  local seconds = timed(live_and_end, function()
    begun = begun + 1
    yield()
    expect("coroutines", begun, CROWD)
    ended = ended + 1
  end)
  expect("coroutines", ended, CROWD)
  return seconds * count / CROWD
end

--- Coroutines that wait, and what ends them.
function raw.sleeping(count)
  local list = {}
  local function body() yield() end
  for i = 1, count do
    list[i] = create(body)
    resume(list[i])
  end
  return function()
    for i = 1, count do resume(list[i]) end
  end
end

return raw
