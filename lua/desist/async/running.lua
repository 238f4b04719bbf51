--- Which task runs, and how one that waits gets ready again.
--
-- A task that waits has in `task.wait` the function that aborts this wait, and
-- what that function needs in `task.on`. Whoever ends the wait first clears
-- `task.wait`; so a wait ends once, by its result or by a cancellation. A task
-- without one is running, ready, or waiting for the end of its own block.

local yield, running = coroutine.yield, coroutine.running
local can_wait = require "desist"._inside.can_wait

local here = { task = false } -- the task that runs now, or false

local SUSPEND = {} -- what a task yields: nobody else can

--- Why the function `name` cannot wait here; `level` as for error().
local function refuse(name, level)
  local task = here.task
  if not task then
    error(name .. " outside a task", level + 1)
  elseif task.co ~= running() then
    error(name .. ": not in a task's own coroutine", level + 1)
  end
  error(name .. ": attempt to yield across a C-call boundary", level + 1)
end

--- The running task, for the function `name`; `level` as for error().
local function current(name, level)
  local task = here.task
  if not task or not can_wait(task.co) then refuse(name, (level or 1) + 2) end
  return task
end

--- Appends a task to what its loop runs next.
local function ready(task)
  local loop = task.parent.loop
  local count = loop.ready_count + 1
  loop.ready_count = count
  loop.ready[count] = task
  if loop.resting then loop:on_rest() end
end

--- Ends a task's wait with a result, which the caller has stored.
local function wake(task)
  task.wait = nil
  return ready(task)
end

--- Ends its wait by cancellation. The abort function has run.
local function cut(task)
  task.cut = true
  return ready(task)
end

--- Waits until `wake`; false if it was cut short instead.
local function suspend(task, abort, on)
  task.wait, task.on = abort, on
  yield(SUSPEND)
  task.on = nil
  if task.cut then
    task.cut = nil
    return false
  end
  return true
end

--- Waits, seeing no cancellation, until somebody makes the task ready.
local function park()
  yield(SUSPEND)
end

return {
  SUSPEND = SUSPEND,
  current = current,
  cut = cut,
  here = here,
  park = park,
  ready = ready,
  refuse = refuse,
  suspend = suspend,
  wake = wake,
}
