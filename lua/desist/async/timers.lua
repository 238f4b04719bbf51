--- What is due when: a binary heap of items.
--
-- Ordered by time, then by `order`, a number that the caller makes unique. An
-- item stands in at most one heap and knows its place in `item.at`, so that
-- removing it costs no search. Three arrays instead of a table an entry: a
-- sleeping task costs 48 bytes here.

local Timers = {}
Timers.__index = Timers

local function new()
  return setmetatable({ count = 0, times = {}, orders = {}, items = {} },
    Timers)
end

--- Moves the hole at `i` up to where the item belongs, and fills it.
local function rise(self, i, item, time, order)
  local times, orders, items = self.times, self.orders, self.items
  while i > 1 do
    local up = (i - i % 2) / 2
    local above = times[up]
    if above < time or (above == time and orders[up] < order) then break end
    local moved = items[up]
    times[i], orders[i], items[i] = above, orders[up], moved
    moved.at = i
    i = up
  end
  times[i], orders[i], items[i] = time, order, item
  item.at = i
end

function Timers:push(item, time, order)
  local count = self.count + 1
  self.count = count
  return rise(self, count, item, time, order)
end

--- Takes out the item at place `i`: the hole sinks to a leaf, always to the
-- earlier child, where the last item fills it and rises again.
local function take(self, i)
  local times, orders, items = self.times, self.orders, self.items
  local count = self.count
  local item = items[i]
  local down = 2 * i
  while down < count do
    local time = times[down]
    local other = times[down + 1]
    if other < time or (other == time and orders[down + 1] < orders[down]) then
      down, time = down + 1, other
    end
    if down == count then break end
    local moved = items[down]
    times[i], orders[i], items[i] = time, orders[down], moved
    moved.at = i
    i, down = down, 2 * down
  end
  self.count = count - 1
  local last, time, order = items[count], times[count], orders[count]
  times[count], orders[count], items[count] = nil, nil, nil
  if i < count then rise(self, i, last, time, order) end
  item.at = nil
  return item
end

function Timers:remove(item)
  take(self, item.at)
end

--- Takes out the first item.
function Timers:pop()
  return take(self, 1)
end

return { new = new }
