--- A semaphore: so many permits, handed out in the order of asking.

local arguments = require "desist.async.arguments"
local hold = require "desist.sync.holding"
local waiters = require "desist.sync.waiters"

local Semaphore = {}
Semaphore.__index = Semaphore

--- sync.semaphore(permits)
local function semaphore(permits)
  arguments.check_count(permits, 1, "semaphore", 0)
  return setmetatable({ permits = permits, waiters = waiters.new() },
    Semaphore)
end

local function try_take(self)
  if self.permits == 0 then return false end
  self.permits = self.permits - 1
  return true
end

local function take(self, task)
  if try_take(self) then return end
  local waiter = self.waiters:new_waiter(task)
  if not try_take(self) then self.waiters:wait(waiter) end
end

function Semaphore:acquire()
  return take(self, waiters.checkpoint("semaphore:acquire"))
end

--- Whether it got one, without waiting.
function Semaphore:try_acquire()
  return try_take(self)
end

--- Gives back one permit, or n; to those who wait first.
function Semaphore:release(n)
  if n == nil then n = 1 end
  arguments.check_count(n, 1, "release", 1)
  while n > 0 and self.waiters.first do
    self.waiters:serve()
    n = n - 1
  end
  self.permits = self.permits + n
end

--- fn(...) with a permit.
function Semaphore:with(fn, ...)
  arguments.check_callable(fn, 1, "with")
  local task = waiters.checkpoint("semaphore:with")
  take(self, task)
  return hold(self.release, self, task, fn, ...)
end

function Semaphore:__tostring()
  return ("desist.semaphore (%s permits)"):format(self.permits)
end

return semaphore
