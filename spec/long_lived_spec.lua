local desist = require "desist"
local helper = require "spec.helper"

describe("a long-lived token", function()
  helper.leave_nothing(before_each, after_each)
  local source, token
  local many, slack = 100000, 64 -- links; kilobytes

  before_each(function()
    source = desist.source()
    token = source:token()
  end)

  -- Kilobytes that `many` steps leave behind.
  local function growth(step)
    local before = helper.kilobytes()
    for _ = 1, many do step() end
    return helper.kilobytes() - before
  end

  -- A table of Lua's may double once; what leaks grows every time.
  local function assert_stays_small(step)
    for _ = 1, 1000 do step() end
    local left = growth(step)
    if left >= slack then left = growth(step) end
    assert.is_true(left < slack, ("grew by %.0f KB"):format(left))
  end

  it("is as small as before when its links were cancelled", function()
    assert_stays_small(function() desist.linked(token):cancel() end)
    assert.is_true(source:try_reset())
  end)

  it("is as small as before when its links were closed", function()
    assert_stays_small(function() desist.linked(token):close() end)
    assert.is_true(source:try_reset())
  end)

  it("is as small as before when its links were dropped", function()
    assert_stays_small(function() desist.linked(token) end)
    assert.is_true(source:try_reset())
  end)

  it("is as small as before when links' tokens were dropped", function()
    assert_stays_small(function() desist.linked(token):token() end)
    assert.is_true(source:try_reset())
  end)

  it("is left by links that another input cancelled", function()
    assert_stays_small(function()
      local other = desist.source()
      local _ = desist.linked(token, other:token())
      other:cancel()
    end)
    assert.is_true(source:try_reset())
  end)

  it("is left by finished links that are still held", function()
    local held = {}
    for i = 1, 100 do
      local other = desist.source()
      held[i] = desist.linked(token, other:token())
      other:cancel()
    end
    assert.is_true(source:try_reset())
    assert.is_true(held[100]:is_cancelled())
  end)

  it("is left by links that a deadline finished", function()
    local clock = desist.manual_clock()
    local base = desist.source { clock = clock }
    local link = desist.linked(base:token())
    link:cancel_after(1)
    assert.is_false(base:try_reset())
    clock:advance(1)
    assert.is_true(link:is_cancelled())
    assert.is_true(base:try_reset())
  end)

  it("is left in the cancel, not by the collector", function()
    collectgarbage "stop"
    desist.linked(token):cancel()
    local left = source:try_reset()
    collectgarbage "restart"
    assert.is_true(left)
  end)

  it("is as small as before when callbacks were unregistered", function()
    local function callback() end
    assert_stays_small(function()
      token:register(callback, 1, 2):unregister()
    end)
  end)

  it("is as small as before after many waits", function()
    assert_stays_small(function() token:wait(0) end)
  end)

  it("is as small as before after many deadlines", function()
    assert_stays_small(function() source:cancel_after(1000) end)
    source:cancel_after(math.huge)
  end)
end)
