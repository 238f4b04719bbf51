local desist = require "desist"
local helper = require "spec.helper"

describe("source:close", function()
  helper.leave_nothing(before_each, after_each)

  it("does not cancel", function()
    local source = desist.source()
    source:close()
    assert.is_false(source:is_cancelled())
    assert.is_false(source:token():is_cancelled())
  end)

  it("may be repeated", function()
    local source = desist.source()
    for _ = 1, 3 do source:close() end
    source = desist.source()
    source:cancel()
    for _ = 1, 3 do source:close() end
    assert.is_true(source:is_cancelled())
  end)

  it("makes every cancelling method return false", function()
    local source = desist.source()
    source:close()
    assert.is_false(source:cancel())
    assert.is_false(source:cancel_async())
    assert.is_false(source:cancel_after(0))
    assert.is_false(source:cancel_after(1))
    assert.is_false(source:cancel_at(-1))
    assert.is_false(source:is_cancelled())
  end)

  it("leaves a token that can no longer be cancelled", function()
    local source = desist.source()
    local token = source:token()
    source:close()
    assert.is_false(token:can_be_cancelled())
  end)

  it("drops the callbacks unrun", function()
    local source, calls = desist.source(), helper.recorder()
    local registration = source:token():register(calls.note)
    source:close()
    assert.is_false(registration:is_active())
    assert.is_false(registration:unregister())
    source:cancel()
    assert.equal(0, calls.n)
  end)

  it("disarms the deadline", function()
    local clock = desist.manual_clock()
    local source = desist.source { clock = clock }
    source:cancel_after(1)
    source:close()
    assert.is_nil(source:token():deadline())
    assert.equal(math.huge, source:token():remaining())
    clock:advance(2)
    assert.is_false(source:is_cancelled())
  end)

  it("unlinks from the inputs", function()
    local first, second = desist.source(), desist.source()
    local link = desist.linked(first:token(), second:token())
    link:close()
    assert.is_true(first:try_reset())
    assert.is_true(second:try_reset())
    first:cancel()
    assert.is_false(link:is_cancelled())
  end)

  it("leaves a cancelled source as it is", function()
    local source = desist.source()
    source:cancel("kept")
    source:close()
    assert.is_true(source:is_cancelled())
    assert.equal("kept", source:token():reason())
    assert.is_true(source:token():can_be_cancelled())
  end)

  it("happens at the end of a <close> block", function()
    local token
    do
      local source <close> = desist.source()
      token = source:token()
      assert.is_true(token:can_be_cancelled())
    end
    assert.is_false(token:can_be_cancelled())
    assert.is_false(token:is_cancelled())
  end)

  it("happens when an error leaves a <close> block", function()
    local token
    local thrown = helper.raises(function()
      local source <close> = desist.source()
      token = source:token()
      error({ "thrown" }, 0)
    end)
    assert.equal("thrown", thrown[1])
    assert.is_false(token:can_be_cancelled())
  end)
end)
