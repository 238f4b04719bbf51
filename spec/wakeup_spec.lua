local desist = require "desist"
local helper = require "spec.helper"

describe("desist.wakeup_fd", function()
  helper.leave_nothing(before_each, after_each)

  it("is readable while callbacks are queued", function()
    local fd = desist.wakeup_fd()
    assert.equal("integer", math.type(fd))
    assert.is_false(helper.readable(fd))
    local source = desist.source()
    source:token():register(function() end)
    source:token():register(function() end)
    assert.is_false(helper.readable(fd))
    source:cancel_async()
    assert.is_true(helper.readable(fd))
    assert.is_true(helper.readable(fd))
    desist.dispatch(1)
    assert.is_true(helper.readable(fd))
    desist.dispatch(1)
    assert.is_false(helper.readable(fd))
  end)

  it("becomes readable again and again", function()
    local fd = desist.wakeup_fd()
    for _ = 1, 10 do
      local source = desist.source()
      source:token():register(function() end)
      source:cancel_async()
      assert.is_true(helper.readable(fd))
      assert.equal(1, desist.dispatch())
      assert.is_false(helper.readable(fd))
    end
  end)

  it("is readable when it is asked for too late", function()
    local output, how, code = helper.child [[
      local desist = require "desist"
      local helper = require "spec.helper"
      local source = desist.source()
      source:token():register(print)
      source:cancel_async()
      print(helper.readable(desist.wakeup_fd()))
      desist.dispatch()
      print(helper.readable(desist.wakeup_fd()))
    ]]
    assert.equal("true\ncancelled\nfalse\n", output)
    assert.equal("exit", how)
    assert.equal(0, code)
  end)

  it("is readable when a real deadline queued callbacks", function()
    local fd = desist.wakeup_fd()
    local source = desist.source()
    source:token():register(function() end)
    source:cancel_after(0.005)
    assert.is_true(helper.becomes_true(function()
      return helper.readable(fd)
    end))
    assert.is_true(source:is_cancelled())
    assert.equal(1, desist.dispatch())
    assert.is_false(helper.readable(fd))
  end)

  it("is not for synchronous cancels", function()
    local fd = desist.wakeup_fd()
    local source = desist.source()
    local seen
    source:token():register(function() seen = helper.readable(fd) end)
    source:cancel()
    assert.is_false(seen)
    assert.is_false(helper.readable(fd))
  end)
end)
