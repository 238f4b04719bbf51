--- A queue: values from those who put to those who get, in order.
--
-- Values stand in items[head + 1 .. tail]. With capacity 0 each value goes from
-- hand to hand.

local arguments = require "desist.async.arguments"
local waiters = require "desist.sync.waiters"

local Queue = {}
Queue.__index = Queue

--- sync.queue([capacity]): without one it never is full.
local function queue(capacity)
  if capacity == nil then capacity = math.huge end
  arguments.check_count(capacity, 1, "queue", 0)
  return setmetatable({
    capacity = capacity, items = {}, head = 0, tail = 0, closed = false,
    getters = waiters.new(), putters = waiters.new(),
  }, Queue)
end

local function push(self, value)
  local tail = self.tail + 1
  self.items[tail] = value
  self.tail = tail
end

local function pop(self)
  local head = self.head + 1
  local value = self.items[head]
  self.items[head] = nil
  self.head = head
  if head == self.tail then self.head, self.tail = 0, 0 end
  return value
end

--- True if it went in; nil: it is full.
local function offer(self, value)
  if self.getters.first then
    self.getters:serve(value)
    return true
  elseif self.tail - self.head < self.capacity then
    push(self, value)
    return true
  end
end

--- The next value; nil: there is none.
local function take(self)
  local putters = self.putters
  if self.tail > self.head then
    local value = pop(self)
    if putters.first then push(self, putters:serve(true)) end
    return value
  elseif putters.first then
    return (putters:serve(true))
  end
end

local function check_value(value, name)
  if value == nil then
    arguments.bad(1, name, "a value expected, got nil", 2)
  end
end

--- True; false, "closed" if the queue is. Waits while it is full.
function Queue:put(value)
  check_value(value, "put")
  local task = waiters.checkpoint("queue:put")
  if self.closed then return false, "closed" end
  if offer(self, value) then return true end
  local waiter = self.putters:new_waiter(task, value)
  if self.closed then return false, "closed" end
  if offer(self, value) then return true end
  self.putters:wait(waiter)
  return waiter.value, waiter.other
end

--- The same without waiting: false if it is full.
function Queue:try_put(value)
  check_value(value, "try_put")
  if self.closed then return false, "closed" end
  return offer(self, value) or false
end

--- The next value; nil, "closed" if there is none and the queue is closed.
function Queue:get()
  local task = waiters.checkpoint("queue:get")
  local value = take(self)
  if value ~= nil then return value end
  if self.closed then return nil, "closed" end
  local waiter = self.getters:new_waiter(task)
  value = take(self)
  if value ~= nil then return value end
  if self.closed then return nil, "closed" end
  self.getters:wait(waiter)
  return waiter.value, waiter.other
end

--- The same without waiting: nil if there is none.
function Queue:try_get()
  local value = take(self)
  if value == nil and self.closed then return nil, "closed" end
  return value
end

--- Nothing can be put any more; what is there can still be got.
function Queue:close()
  self.closed = true
  while self.putters.first do self.putters:serve(false, "closed") end
  while self.getters.first do self.getters:serve(nil, "closed") end
end

--- How many values stand in it.
function Queue:size()
  return self.tail - self.head
end

function Queue:__tostring()
  return ("desist.queue (%d values%s)"):format(self:size(),
    self.closed and ", closed" or "")
end

return queue
