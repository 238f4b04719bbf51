--- async.run: the built-in loop, on real time. It sleeps the OS thread until
-- something is due, or another thread, a signal or a deadline wakes it.

local desist = require "desist"
local arguments = require "desist.async.arguments"
local blocks = require "desist.async.block"
local loops = require "desist.async.loop"
local running = require "desist.async.running"

local cancel_quietly = blocks.cancel_quietly
local idle = desist._inside.idle

--- Gives the error of a guard that has stopped it while it was idle: tasks are
-- cancelled then, and have the guard's grace to end.
local function drive(main, loop)
  local stopped = nil
  while not main.ended do
    loop:_turn(desist.now())
    local next_time = loop:next_time()
    if main.ended then break end
    local left = next_time and next_time - desist.now()
    local err = (left == nil or left > 0) and idle(left)
    if err then
      stopped = err
      cancel_quietly(loop.root, "cancelled", err.reason)
    end
  end
  return stopped
end

local function results_of(ok, ...)
  if ok then return ... end
  error((...), 0)
end

--- The error of the main task is the caller's.
local function raised_here() end

--- Runs fn as the main task of a new loop, which `turn(main, loop)` drives
-- until it has ended, and closes the loop; fn's results, or its error.
local function run_on(loop, turn, fn, ...)
  loop.root.on_failure = raised_here
  local main = loop:spawn(fn, ...)
  local ok, err = pcall(turn, main, loop)
  loop:close()
  if not ok or err and main.ended == "cancelled" then error(err, 0) end
  return results_of(main:result())
end

--- async.run(fn, ...): runs fn as a task; its results, or its error.
local function run(fn, ...)
  arguments.check_callable(fn, 1, "run")
  if running.here.task then error("async.run inside a task", 2) end
  return run_on(loops.new { real = true }, drive, fn, ...)
end

return { run = run, run_on = run_on }
