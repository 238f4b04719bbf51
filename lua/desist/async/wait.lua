--- Checkpoints that wait: for time, for the next step, for a callback.

local arguments = require "desist.async.arguments"
local blocks = require "desist.async.block"
local outcome = require "desist.async.outcome"
local running = require "desist.async.running"
local desist = require "desist"

local throw, unpack = blocks.throw, outcome.unpack
local current, here, suspend = running.current, running.here, running.suspend
local wake = running.wake
local SUSPEND, yield = running.SUSPEND, coroutine.yield
local can_wait, refuse = desist._inside.can_wait, running.refuse
local check_seconds = arguments.check_seconds
local push_after = desist._inside.timers.push_after
local remove_timer = desist._inside.timers.remove
local real_now = desist.now
local pcall, select = pcall, select

--- Between two looks at a predicate, on loops that are not stepped.
local PAUSE = 0.01

-- --- Time -------------------------------------------------------------------

--- Lets others run, and goes on in the next step; on real time in the next
-- round. Inside it nothing but the cancellation is waited for.
local function next_turn(name)
  local task = here.task
  if not task or not can_wait(task.co) then refuse(name, 2) end
  local block = task.block
  if block.doom then return throw(block) end
  local loop = task.parent.loop
  if loop.real then
    local count = loop.ready_count + 1
    loop.ready_count = count
    loop.ready[count] = task
  else
    loop:_put_off(task)
  end
  yield(SUSPEND)
  if block.doom then
    task.cut = nil
    return throw(block)
  end
end

--- async.checkpoint(): lets others run.
local function checkpoint()
  return next_turn("async.checkpoint")
end

--- async.next_step()
local function next_step()
  return next_turn("async.next_step")
end

local function unsleep(task)
  local at = task.at
  if at then
    task.at = nil
    if at ~= true then remove_timer(task.parent.loop.timers, at) end
  end
end

--- async.sleep(seconds). Few locals, and it yields by itself: how much stack a
-- sleeping task needs is decided here.
local function sleep(seconds)
  local task = here.task
  if not task or not can_wait(task.co) then refuse("async.sleep", 2) end
  if task.block.doom then
    check_seconds(seconds, 1, "sleep")
    return throw(task.block)
  end
  local loop = task.parent.loop
  loop = push_after(loop.timers, task, loop.real and real_now() or loop.time,
    seconds)
  if not loop then
    check_seconds(seconds, 1, "sleep")
    return next_turn("async.sleep")
  end
  task.at, task.wait = loop, unsleep
  yield(SUSPEND)
  if task.cut then
    task.cut = nil
    return throw(task.block)
  end
end

--- async.wait_until(predicate)
local function wait_until(predicate)
  local task = current("async.wait_until")
  local block = task.block
  arguments.check_callable(predicate, 1, "wait_until")
  if block.doom then return throw(block) end
  while not predicate() do
    if task.parent.loop.real then
      sleep(PAUSE)
    else
      next_step()
    end
  end
end

-- --- Callbacks --------------------------------------------------------------

--- The abort function of an await; its error is the handler's.
local function abort_operation(_, wait)
  local abort = wait.abort
  wait.over = true
  if abort then
    local ok, err = pcall(abort)
    if not ok then desist._inside.report(err) end
  end
end

--- async.await(start)
local function await(start)
  local task = current("async.await")
  local block = task.block
  arguments.check_callable(start, 1, "await")
  if block.doom then return throw(block) end
  local wait = {}
  local function resume(...)
    if wait.over then return end
    wait.over = true
    wait.results = { n = select("#", ...), ... }
    if task.wait == abort_operation and task.on == wait then wake(task) end
  end
  local ok, abort = pcall(start, resume)
  if not ok then
    wait.over = true
    error(abort, 0)
  end
  if not wait.over then
    if abort ~= nil and not arguments.is_callable(abort) then
      wait.over = true
      error(("async.await: start gave a %s, function or nil expected")
        :format(type(abort)), 2)
    end
    wait.abort = abort
    if block.doom then
      abort_operation(task, wait)
      return throw(block)
    end
    if not suspend(task, abort_operation, wait) then return throw(block) end
  end
  return unpack(wait.results, 1, wait.results.n)
end

-- --- Errors -----------------------------------------------------------------

local function returned(task, ok, ...)
  if ok then return true, ... end
  local err = ...
  if task and blocks.owner_of(task.block, err) then error(err, 0) end
  return false, err
end

--- async.pcall(fn, ...): lets pass the cancellation of what is around it.
local function async_pcall(...)
  return returned(here.task, pcall(...))
end

--- async.xpcall(fn, handler, ...): the handler sees none of that either.
local function async_xpcall(fn, handler, ...)
  local task = here.task
  local passing = false
  local function returned_here(ok, ...)
    if passing then error((...), 0) end
    return ok, ...
  end
  return returned_here(xpcall(fn, function(err)
    if task and blocks.owner_of(task.block, err) then
      passing = true
      return err
    end
    return handler(err)
  end, ...))
end

return {
  await = await,
  checkpoint = checkpoint,
  next_step = next_step,
  pcall = async_pcall,
  sleep = sleep,
  wait_until = wait_until,
  xpcall = async_xpcall,
}
