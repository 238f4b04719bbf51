--- The rows of tasks with cqueues: one controller, whose coroutines come from
-- outside of it, which costs less than from inside.

local condition = require("cqueues.condition")
local cqueues = require("cqueues")
local shared = require("async_shared")
local timed = require("rounds").timed

local BATCH, CROWD, SLEEPERS = shared.BATCH, shared.CROWD, shared.SLEEPERS
local expect, whole = shared.expect, shared.whole
local poll, sleep = cqueues.poll, cqueues.sleep

local peer = {}

local function spawn_batches(queue, body, count)
  for _ = 1, count, BATCH do
    for _ = 1, BATCH do queue:wrap(body) end
    assert(queue:loop())
  end
end

function peer.spawn(count)
  local run, ran = whole(count, BATCH), 0
  local queue = cqueues.new()
  local seconds = timed(spawn_batches, queue, function()
    ran = ran + 1
  end, run)
  expect("coroutines", ran, run)
  queue:close()
  return seconds * count / run
end

--- Runs until all have ended; an error in one of them is raised.
local function finish(queue)
  assert(queue:loop())
  expect("coroutines left", queue:count(), 0)
end

local function close_after(queue, ...)
  queue:close()
  return ...
end

function peer.turns(size)
  return function(count)
    local each, begun, ended = math.ceil(count / size), 0, 0
    local queue = cqueues.new()
    for _ = 1, size do
      queue:wrap(function()
        begun = begun + 1
        for _ = 1, each do poll(0) end
        expect("coroutines", begun, size)
        ended = ended + 1
      end)
    end
    local seconds = timed(finish, queue)
    expect("coroutines", ended, size)
    return close_after(queue, seconds * count / (each * size))
  end
end

--- Begins a batch of coroutines that then wait.
local function step_batch(queue, i)
  if i % BATCH == 0 then assert(queue:step(0)) end
end

function peer.sleeping_turns(longer)
  return function(count)
    local run = whole(count, SLEEPERS)
    local sleepers, queue = shared.sleepers(run), cqueues.new()
    for i = 1, SLEEPERS do
      queue:wrap(sleepers.body, sleep, shared.delays[i] * longer)
    end
    assert(queue:step(0))
    sleepers.begin()
    finish(queue)
    return close_after(queue, sleepers.seconds() * count / run)
  end
end

function peer.crowd(count)
  local begun, ended = 0, 0
  local queue, woken = cqueues.new(), condition.new()
  local function body()
    begun = begun + 1
    woken:wait()
    expect("coroutines", begun, CROWD)
    ended = ended + 1
  end
  local seconds = timed(function()
    for i = 1, CROWD do
      queue:wrap(body)
      step_batch(queue, i)
    end
    woken:signal()
    finish(queue)
  end)
  expect("coroutines", ended, CROWD)
  return close_after(queue, seconds * count / CROWD)
end

--- A condition does not remember: a flag does.
function peer.event(count)
  local queue, changed = cqueues.new(), condition.new()
  local seen, flag = 0, false
  queue:wrap(function()
    for _ = 1, count do
      while not flag do changed:wait() end
      flag = false
      seen = seen + 1
    end
  end)
  queue:wrap(function()
    for _ = 1, count do
      flag = true
      changed:signal()
      while flag do poll(0) end
    end
  end)
  local seconds = timed(finish, queue)
  expect("signals", seen, count)
  return close_after(queue, seconds)
end

function peer.sleeping(count)
  local queue, begun = cqueues.new(), 0
  local function body()
    begun = begun + 1
    sleep(60)
  end
  for i = 1, count do
    queue:wrap(body)
    step_batch(queue, i)
  end
  expect("coroutines", begun, count)
  return function() queue:close() end
end

return peer
