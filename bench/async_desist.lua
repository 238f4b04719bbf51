--- The rows of tasks with desist.async, on its built-in loop.

local async = require("desist.async")
local shared = require("async_shared")
local sync = require("desist.sync")
local timed = require("rounds").timed

local BATCH, CROWD, SLEEPERS = shared.BATCH, shared.CROWD, shared.SLEEPERS
local expect, whole = shared.expect, shared.whole
local checkpoint = async.checkpoint

local tasks = {}

-- --- Tasks ------------------------------------------------------------------

local function spawn_batches(scope, body, count)
  for _ = 1, count, BATCH do
    for _ = 1, BATCH do scope:spawn(body) end
    checkpoint()
  end
end

function tasks.spawn(count)
  local run, ran = whole(count, BATCH), 0
  local seconds = async.run(async.scope, function(scope)
    local seconds = timed(spawn_batches, scope, function()
      ran = ran + 1
    end, run)
    expect("tasks", ran, run)
    return seconds
  end)
  return seconds * count / run
end

--- `size` tasks that take turns.
function tasks.turns(size)
  return function(count)
    local each, begun, ended = math.ceil(count / size), 0, 0
    local seconds = timed(async.run, function()
      for _ = 1, size do
        async.spawn(function()
          begun = begun + 1
          for _ = 1, each do checkpoint() end
          expect("tasks", begun, size)
          ended = ended + 1
        end)
      end
    end)
    expect("tasks", ended, size)
    return seconds * count / (each * size)
  end
end

function tasks.crowd(count)
  local begun, ended, woken = 0, 0, sync.event()
  local function body()
    begun = begun + 1
    woken:wait()
    expect("tasks", begun, CROWD)
    ended = ended + 1
  end
  local seconds = timed(async.run, function()
    for i = 1, CROWD do
      async.spawn(body)
      if i % BATCH == 0 then checkpoint() end
    end
    woken:set()
  end)
  expect("tasks", ended, CROWD)
  return seconds * count / CROWD
end

-- --- Sleeping ---------------------------------------------------------------

--- Sleepers whose delays are so many times longer.
function tasks.sleeping_turns(longer)
  return function(count)
    local run = whole(count, SLEEPERS)
    local sleepers = shared.sleepers(run)
    async.run(function()
      for i = 1, SLEEPERS do
        async.spawn(sleepers.body, async.sleep, shared.delays[i] * longer)
      end
      checkpoint()
      sleepers.begin()
    end)
    return sleepers.seconds() * count / run
  end
end

--- Lets `count` tasks of `scope` sleep.
local function lie_down(scope, count, body)
  for i = 1, count do
    scope:spawn(body)
    if i % BATCH == 0 then checkpoint() end
  end
end

local function cancel_sleepers()
  local ended, start = 0, nil
  async.scope(function(scope)
    lie_down(scope, SLEEPERS, function()
      local ok, err = pcall(async.sleep, 60)
      expect("a sleep", ok, false)
      ended = ended + 1
      error(err, 0)
    end)
    start = os.clock()
    scope:cancel()
  end)
  expect("tasks", ended, SLEEPERS)
  return os.clock() - start
end

function tasks.cancel(count)
  local seconds, run = 0, 0
  while run < count do
    seconds = seconds + async.run(cancel_sleepers)
    run = run + SLEEPERS
  end
  return seconds * count / run
end

--- Tasks that sleep, and what ends them. For a caller that is a task.
function tasks.sleeping(count)
  local begun = 0
  local task = async.spawn(async.scope, function(scope)
    lie_down(scope, count, function()
      begun = begun + 1
      async.sleep(60)
    end)
  end)
  repeat checkpoint() until begun == count
  return function()
    task:cancel()
    pcall(task.join, task)
  end
end

-- --- In one task ------------------------------------------------------------

--- Batches that do `operation(...)` over and over in one task; `body` is for
-- the operation to call.
local function calls(make)
  return function(count)
    local ran = 0
    local loop = make(function() ran = ran + 1 end)
    local seconds = async.run(timed, loop, count)
    expect("calls", ran, count)
    return seconds
  end
end

tasks.scope = calls(function(body)
  return function(count)
    for _ = 1, count do async.scope(body) end
  end
end)

tasks.timeout = calls(function(body)
  return function(count)
    for _ = 1, count do async.timeout(60, body) end
  end
end)

tasks.await = calls(function(body)
  local function start(resume)
    body()
    resume()
  end
  return function(count)
    for _ = 1, count do async.await(start) end
  end
end)

tasks.queue_alone = calls(function(body)
  local queue = sync.queue(1)
  return function(count)
    for i = 1, count do
      queue:put(i)
      if queue:get() == i then body() end
    end
  end
end)

-- --- Between two ------------------------------------------------------------

function tasks.queue(capacity)
  return function(count)
    local sum, queue = 0, sync.queue(capacity)
    local seconds = timed(async.run, function()
      async.spawn(function()
        for _ = 1, count do sum = sum + queue:get() end
      end)
      for i = 1, count do queue:put(i) end
    end)
    expect("the sum", sum, count * (count + 1) // 2)
    return seconds
  end
end

function tasks.event(count)
  local seen, event = 0, sync.event()
  local seconds = timed(async.run, function()
    async.spawn(function()
      for _ = 1, count do
        event:wait()
        event:clear()
        seen = seen + 1
      end
    end)
    checkpoint()
    for _ = 1, count do
      event:set()
      checkpoint()
    end
  end)
  expect("events", seen, count)
  return seconds
end

return tasks
