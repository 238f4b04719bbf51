--- Calling a function while something is held, and giving it back in any case.

local desist = require "desist"
local outcome = require "desist.async.outcome"
local tasks = require "desist.async.task"

local function released(task, ok, ...)
  if ok then return ... end
  local err = ...
  if desist.is_cancelled(err) then error(err, 0) end
  return outcome.raise(task, outcome.failure_of(task, err))
end

local function done(release, held, task, ...)
  release(held)
  return released(task, ...)
end

--- fn(...)'s results or its error, after release(held).
local function hold(release, held, task, fn, ...)
  return done(release, held, task, xpcall(fn, tasks.on_error, ...))
end

return hold
