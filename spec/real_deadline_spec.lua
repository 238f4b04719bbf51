local desist = require "desist"
local helper = require "spec.helper"

describe("a deadline on the real clock", function()
  helper.leave_nothing(before_each, after_each)

  it("flips the flag while Lua is busy", function()
    local source = desist.source()
    local token = source:token()
    local due = desist.now() + 0.01
    assert.is_true(source:cancel_after(0.01))
    local early = token:is_cancelled()
    assert.is_true(not early or desist.now() >= due)
    assert.is_true(helper.becomes_true(function()
      return token:is_cancelled()
    end))
    assert.is_true(desist.now() >= due)
    assert.equal("deadline exceeded", token:reason())
    assert.equal("deadline", token:error().kind)
  end)

  it("leaves the callbacks to the next dispatch", function()
    local source, calls = desist.source(), helper.recorder()
    source:token():register(calls:as "a")
    local link = desist.linked(source:token())
    link:token():register(calls:as "link")
    source:cancel_after(0.005)
    assert.is_true(helper.becomes_true(function()
      return link:is_cancelled()
    end))
    assert.equal(0, calls.n)
    assert.is_true(helper.becomes_true(function()
      desist.dispatch()
      return calls.n == 2
    end))
    assert.equal("link a", calls:order())
    assert.equal("deadline exceeded", calls:arguments(1)[2])
  end)

  it("may be a time of desist.now", function()
    local source = desist.source()
    local time = desist.now() + 1000
    source:cancel_at(time)
    assert.near(time, source:token():deadline(), 1e-6)
    time = desist.now() + 0.01
    source:cancel_at(time)
    assert.is_true(source:token():wait(5))
    assert.is_true(desist.now() >= time - 1e-6)
  end)

  it("comes in the order of the times, not of arming", function()
    local calls, base = helper.recorder(), desist.now()
    for _, delay in ipairs { 0.5, 0.3, 0.4 } do
      local source = desist.source()
      source:token():register(calls:as(delay))
      source:cancel_at(base + delay)
    end
    assert.is_true(helper.becomes_true(function()
      desist.dispatch()
      return calls.n == 3
    end))
    assert.equal("0.3 0.4 0.5", calls:order())
  end)

  it("is disarmed in time", function()
    local source = desist.source()
    source:cancel_after(0.2)
    source:cancel_after(math.huge)
    assert.is_false(source:token():wait(0.25))
  end)

  it("keeps its source alive", function()
    local token = (function()
      local source = desist.source()
      source:cancel_after(0.01)
      return source:token()
    end)()
    helper.full_gc()
    assert.is_true(token:can_be_cancelled())
    assert.is_true(token:wait(5))
  end)

  it("gives its callbacks' errors to on_error", function()
    local source = desist.source()
    source:token():register(helper.fail)
    source:cancel_after(0.001)
    assert.is_true(source:token():wait(5))
    local errors
    assert.is_true(helper.becomes_true(function()
      desist.dispatch()
      errors = helper.handled_errors()
      return errors.n > 0
    end))
    assert.equal("deadline exceeded", errors[1])
  end)
end)
