local desist = require "desist"
local helper = require "spec.helper"

-- What loops keep their sleepers and deadlines in (src/lua_timers.c).
local timers = desist._inside.timers

local function is_before(a, b)
  if a.time ~= b.time then return a.time < b.time end
  if a.late ~= b.late then return b.late end
  return a.number < b.number
end

-- A list that does slowly what the heap does.
local function first_of(live)
  local first
  for item in pairs(live) do
    if first == nil or is_before(item, first) then first = item end
  end
  return first
end

describe("timers", function()
  helper.leave_nothing(before_each, after_each)

  -- Random pushes, removals and takes; `heap` may have given many orders.
  local function play(heap, moves)
    local live, count = {}, 0
    for number = 1, moves do
      local move = math.random(3)
      if move <= 2 then
        local item = { time = math.random(20), number = number,
          late = math.random(3) == 1 }
        item.slot = timers.push(heap, item, item.time, item.late)
        live[item] = true
        count = count + 1
      elseif count > 0 and math.random(2) == 1 then
        local item = next(live)
        timers.remove(heap, item.slot)
        assert.is_false(pcall(timers.remove, heap, item.slot))
        live[item] = nil
        count = count - 1
      elseif count > 0 then
        local first = first_of(live)
        assert.equal(first.time, timers.first(heap))
        assert.is_nil(timers.take(heap, first.time - 0.5))
        local item, time, late = timers.take(heap, first.time)
        assert.equal(first, item)
        assert.equal(first.time, time)
        assert.equal(first.late, late)
        live[item] = nil
        count = count - 1
      end
    end
    while count > 0 do
      local first = first_of(live)
      assert.equal(first, (timers.take(heap, math.huge)))
      live[first] = nil
      count = count - 1
    end
    assert.is_nil(timers.first(heap))
  end

  it("give items by time, the early first, then as put in", function()
    for _ = 1, helper.many(100) do play(timers.new(), 200) end
  end)

  it("do so when their numbers are used up", function()
    for left = 1, helper.many(100) do
      play(timers.new(2 ^ 31 - 1 - left), 200)
    end
  end)

  it("say whether the next item is of the same moment and sort", function()
    local heap = timers.new()
    timers.push(heap, "a", 1, false)
    timers.push(heap, "b", 1, true)
    timers.push(heap, "c", 1, false)
    assert.same({ "a", 1, false, true }, { timers.take(heap, 5) })
    assert.is_nil(timers.take_same(heap, 1, true))
    assert.equal("c", timers.take_same(heap, 1, false))
    assert.same({ "b", 1, true, false }, { timers.take(heap, 5) })
  end)

  it("tell durations from what is none", function()
    local heap = timers.new()
    assert.is_number(timers.push_after(heap, "item", 10, 0.5))
    assert.equal(10.5, timers.first(heap))
    assert.is_true(timers.push_after(heap, "item", 10, math.huge))
    assert.is_false(timers.push_after(heap, "item", 10, 0))
    assert.is_false(timers.push_after(heap, "item", 1e9, 1e-9))
    for _, value in ipairs { -1, 0 / 0, "1", false } do
      assert.is_nil(timers.push_after(heap, "item", 10, value))
    end
    assert.is_nil(timers.push_after(heap, "item", 10))
  end)

  it("keep no item, and no room for very many, when all are out", function()
    local heap = timers.new()
    local before = helper.kilobytes()
    local weak = helper.survivors(function()
      local item = {}
      for i = 1, 20000 do timers.push(heap, item, i) end
      for _ = 1, 20000 do timers.take(heap, math.huge) end
      return item
    end)
    assert.is_nil(weak[1])
    assert.is_true(helper.kilobytes() - before < 40)
    assert.equal(1, timers.push(heap, "again", 1))
  end)
end)
