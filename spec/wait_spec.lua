local desist = require "desist"
local helper = require "spec.helper"

describe("token:wait", function()
  helper.leave_nothing(before_each, after_each)

  -- Calls fn and gives its result and the seconds it took.
  local function timed(fn)
    local start = desist.now()
    local result = fn()
    return result, desist.now() - start
  end

  it("returns true at once on a cancelled token", function()
    local source = desist.source()
    source:cancel()
    assert.is_true(source:token():wait())
    assert.is_true(source:token():wait(0))
    assert.is_true(source:token():wait(1000))
    source:close()
    assert.is_true(source:token():wait())
    assert.is_true(desist.cancelled():wait())
  end)

  it("returns false when the time is up", function()
    local source = desist.source()
    local result, took = timed(function() return source:token():wait(0.02) end)
    assert.is_false(result)
    assert.is_true(took >= 0.019 and took < 5)
  end)

  it("returns false at once with a limit of 0", function()
    local source = desist.source()
    local result, took = timed(function() return source:token():wait(0) end)
    assert.is_false(result)
    assert.is_true(took < 1)
  end)

  it("leaves the token usable", function()
    local source = desist.source()
    for _ = 1, 100 do assert.is_false(source:token():wait(0)) end
    assert.is_true(source:try_reset())
    source:cancel("after")
    assert.equal("after", source:token():reason())
  end)

  it("is ended by the token's deadline", function()
    local source = desist.after(0.01)
    local result, took = timed(function() return source:token():wait() end)
    assert.is_true(result)
    assert.is_true(took < 5)
    assert.equal("deadline", source:token():error().kind)
  end)

  it("is ended by the deadline of an input", function()
    local source = desist.after(0.01)
    local link = desist.linked(desist.source():token(), source:token())
    assert.is_true(link:token():wait(5))
  end)

  it("takes nil for no limit", function()
    assert.is_true(desist.after(0.005):token():wait(nil))
  end)

  it("does not look at manual clocks", function()
    local clock = desist.manual_clock()
    local source = desist.source { clock = clock }
    source:cancel_after(1000)
    local result, took = timed(function() return source:token():wait(0.01) end)
    assert.is_false(result)
    assert.is_true(took >= 0.009 and took < 5)
  end)

  describe("dispatches meanwhile", function()
    it("what is queued", function()
      local source, calls = desist.source(), helper.recorder()
      source:token():register(calls.note)
      source:cancel_async("queued")
      assert.is_false(desist.source():token():wait(0.01))
      assert.equal(1, calls.n)
      assert.equal("queued", calls:arguments(1)[1])
    end)

    it("what comes due", function()
      local source, calls = desist.after(0.005), helper.recorder()
      source:token():register(calls.note)
      assert.is_true(helper.becomes_true(function()
        desist.none:wait(0.01)
        return calls.n > 0
      end))
      assert.equal(1, calls.n)
    end)

    it("so that a queued callback's cancel ends the wait", function()
      local first, second = desist.source(), desist.source()
      first:token():register(function() second:cancel("by callback") end)
      first:cancel_async()
      assert.is_true(second:token():wait())
      assert.equal("by callback", second:token():reason())
    end)

    it("so that a deadline's callback ends the wait", function()
      local first, second = desist.after(0.01), desist.source()
      first:token():register(function() second:cancel() end)
      local result, took = timed(function() return second:token():wait(30) end)
      assert.is_true(result)
      assert.is_true(took < 5)
    end)

    it("and gives the callbacks' errors to on_error", function()
      local first, second = desist.source(), desist.source()
      first:token():register(function() second:cancel() end)
      first:token():register(helper.fail)
      first:cancel_async("failed")
      assert.is_true(second:token():wait())
      local errors = helper.handled_errors()
      assert.equal(1, errors.n)
      assert.equal("failed", errors[1])
    end)

    it("also inside a callback's own wait", function()
      local first, second = desist.source(), desist.source()
      local third = desist.source()
      local inner
      third:token():register(function() second:cancel() end)
      first:token():register(function()
        third:cancel_async()
        inner = second:token():wait(5)
      end)
      first:cancel()
      assert.is_true(inner)
    end)
  end)

  describe("on a token that can never be cancelled", function()
    local function never()
      local closed = desist.source()
      closed:close()
      local lost = (function() return desist.source():token() end)()
      helper.full_gc()
      return { desist.none, closed:token(), lost }
    end

    it("raises without a limit", function()
      for _, token in ipairs(never()) do
        helper.raises(function() token:wait() end)
        helper.raises(function() token:wait(nil) end)
      end
    end)

    it("waits for the time to be up with one", function()
      for _, token in ipairs(never()) do
        assert.is_false(token:wait(0))
        local result, took = timed(function() return token:wait(0.01) end)
        assert.is_false(result)
        assert.is_true(took >= 0.009 and took < 5)
      end
    end)
  end)

  describe("when the source is closed meanwhile", function()
    local function close_later()
      local source, trigger = desist.source(), desist.source()
      trigger:token():register(function() source:close() end)
      trigger:cancel_async()
      return source:token()
    end

    it("raises the same error without a limit", function()
      local token = close_later()
      local ok, value = pcall(token.wait, token)
      local _, same = pcall(desist.none.wait, desist.none)
      assert.is_false(ok)
      assert.equal(same, value)
    end)

    it("returns false when the time is up with one", function()
      local token = close_later()
      local result, took = timed(function() return token:wait(0.02) end)
      assert.is_false(result)
      assert.is_true(took >= 0.019 and took < 5)
      assert.is_false(token:can_be_cancelled())
    end)
  end)

  it("refuses limits that are negative or no number", function()
    local source, closed = desist.source(), desist.source()
    closed:close()
    for _, token in ipairs { source:token(), closed:token(), desist.none,
      desist.cancelled() } do
      for _, bad in ipairs { -1, -1e-300, -math.huge, 0 / 0 } do
        helper.argument_error(1, "wait", ".", function() token:wait(bad) end)
      end
      for _, bad in ipairs { "1", false, {}, print } do
        helper.argument_error(1, "wait", "number expected", function()
          token:wait(bad)
        end)
      end
    end
  end)
end)
