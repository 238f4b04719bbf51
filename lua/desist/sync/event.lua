--- An event: once set, nobody waits until it is cleared.

local waiters = require "desist.sync.waiters"

local Event = {}
Event.__index = Event

--- sync.event(): not set.
local function event()
  return setmetatable({ flag = false, waiters = waiters.new() }, Event)
end

--- Wakes all; true if it was not set before.
function Event:set()
  if self.flag then return false end
  self.flag = true
  while self.waiters.first do self.waiters:serve() end
  return true
end

function Event:clear()
  self.flag = false
end

function Event:is_set()
  return self.flag
end

function Event:wait()
  local task = waiters.checkpoint("event:wait")
  if self.flag then return end
  local waiter = self.waiters:new_waiter(task)
  if not self.flag then self.waiters:wait(waiter) end
end

function Event:__tostring()
  return ("desist.event (%s)"):format(self.flag and "set" or "not set")
end

return event
