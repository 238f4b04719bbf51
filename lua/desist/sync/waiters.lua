--- Tasks that wait for their turn, first come, first served.
--
-- A waiter carries in `value` what it brings or what it was given, and in
-- `other` a second result. One that was served does not stand here any more,
-- so a cancellation that comes later takes nothing away from it.

local blocks = require "desist.async.block"
local running = require "desist.async.running"

local Waiters = {}
Waiters.__index = Waiters

local function new()
  return setmetatable({ first = nil, last = nil }, Waiters)
end

local function remove(self, waiter)
  local next, previous = waiter.next, waiter.previous
  if next then next.previous = previous else self.last = previous end
  if previous then previous.next = next else self.first = next end
end

--- The abort function of the wait.
local function leave(_, waiter)
  return remove(waiter.list, waiter)
end

--- The running task, for the method `name`; raises if it is cancelled.
local function checkpoint(name)
  local task = running.current(name, 2)
  local block = task.block
  if block.doom then blocks.throw(block) end
  return task
end

--- One for `wait`. Made before the last look at whether it must wait at all:
-- making it may run a finalizer, which may serve, set or put.
function Waiters:new_waiter(task, value)
  return { list = self, task = task, value = value }
end

--- Waits until served; the waiter.
function Waiters:wait(waiter)
  local task, last = waiter.task, self.last
  waiter.previous = last
  if last then last.next = waiter else self.first = waiter end
  self.last = waiter
  if not running.suspend(task, leave, waiter) then
    blocks.throw(task.block)
  end
  return waiter
end

--- Serves the first, with two results; the value it brought. There must be one.
function Waiters:serve(value, other)
  local waiter = self.first
  local brought = waiter.value
  remove(self, waiter)
  waiter.value, waiter.other = value, other
  running.wake(waiter.task)
  return brought
end

return { checkpoint = checkpoint, new = new }
