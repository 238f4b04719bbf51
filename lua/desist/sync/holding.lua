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

--- Gives back what it still holds when its coroutine is closed.
local Guard = {
  __close = function(self)
    if self.held ~= nil then self.release(self.held) end
  end,
}

local function done(guard, task, ...)
  local held = guard.held
  guard.held = nil
  guard.release(held)
  return released(task, ...)
end

local function once()
  return true
end

--- fn(...)'s results or its error, after release(held). A `for` closes its
-- fourth value, in Lua 5.4; before that no coroutine is closed.
local function hold(release, held, task, fn, ...)
  local guard = setmetatable({ held = held, release = release }, Guard)
  for _ in once, nil, nil, guard do -- luacheck: ignore 512
    return done(guard, task, xpcall(fn, tasks.on_error, ...))
  end
end

return hold
