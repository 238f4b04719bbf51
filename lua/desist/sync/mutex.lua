--- A mutex: held by one task at a time, in the order of asking.

local arguments = require "desist.async.arguments"
local hold = require "desist.sync.holding"
local running = require "desist.async.running"
local waiters = require "desist.sync.waiters"

local Mutex = {}
Mutex.__index = Mutex

--- sync.mutex()
local function mutex()
  return setmetatable({ holder = nil, waiters = waiters.new() }, Mutex)
end

local function check_holder(self, task, level)
  if self.holder == task then
    error("mutex: this task holds it already", level + 1)
  end
end

local function try_take(self, task)
  if self.holder ~= nil then return false end
  self.holder = task
  return true
end

local function take(self, task)
  if try_take(self, task) then return end
  local waiter = self.waiters:new_waiter(task)
  if not try_take(self, task) then self.waiters:wait(waiter) end
end

function Mutex:lock()
  local task = waiters.checkpoint("mutex:lock")
  check_holder(self, task, 2)
  return take(self, task)
end

--- Whether it got it, without waiting.
function Mutex:try_lock()
  return try_take(self, running.current("mutex:try_lock"))
end

local function hand_over(self)
  local first = self.waiters.first
  self.holder = first and first.task
  if first then self.waiters:serve() end
end

function Mutex:unlock()
  if self.holder == nil then
    error("mutex: unlocked though nobody holds it", 2)
  elseif self.holder ~= running.here.task then
    error("mutex: unlocked by a task that does not hold it", 2)
  end
  return hand_over(self)
end

--- fn(...) while it is held.
function Mutex:with(fn, ...)
  arguments.check_callable(fn, 1, "with")
  local task = waiters.checkpoint("mutex:with")
  check_holder(self, task, 2)
  take(self, task)
  return hold(hand_over, self, task, fn, ...)
end

function Mutex:__tostring()
  return ("desist.mutex (%s)"):format(self.holder and "locked" or "free")
end

return mutex
