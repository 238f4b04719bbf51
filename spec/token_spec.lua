local desist = require "desist"
local helper = require "spec.helper"

describe("a token", function()
  helper.leave_nothing(before_each, after_each)

  it("is live until its source is cancelled", function()
    local source = desist.source()
    local token = source:token()
    assert.is_false(token:is_cancelled())
    source:cancel()
    assert.is_true(token:is_cancelled())
  end)

  it("outlives the handle of its source", function()
    local token
    do
      local source = desist.source()
      token = source:token()
      source:cancel("before the end")
    end
    helper.full_gc()
    assert.is_true(token:is_cancelled())
    assert.is_true(token:can_be_cancelled())
    assert.equal("before the end", token:reason())
  end)

  it("equals only itself", function()
    local source = desist.source()
    local token, other = source:token(), desist.source():token()
    assert.is_true(token == source:token())
    assert.is_false(token == other)
    assert.is_false(token == source)
    assert.is_false(desist.none == token)
  end)

  it("works as a table key", function()
    local source, other = desist.source(), desist.source()
    local names = { [source:token()] = "one", [other:token()] = "two" }
    source:cancel()
    assert.equal("one", names[source:token()])
    assert.equal("two", names[other:token()])
    assert.is_nil(names[desist.none])
  end)

  it("offers no way to its source", function()
    local token = desist.source():token()
    for _, name in ipairs { "source", "cancel", "cancel_async",
      "cancel_after", "cancel_at", "try_reset", "close" } do
      assert.is_nil(token[name], name)
    end
  end)

  describe("can_be_cancelled", function()
    it("is true while the source can cancel", function()
      local source = desist.source()
      assert.is_true(source:token():can_be_cancelled())
    end)

    it("stays true after a cancellation", function()
      local source = desist.source()
      source:cancel()
      assert.is_true(source:token():can_be_cancelled())
      source:close()
      assert.is_true(source:token():can_be_cancelled())
    end)

    it("is false once the source is collected uncancelled", function()
      local token = (function() return desist.source():token() end)()
      helper.full_gc()
      assert.is_false(token:can_be_cancelled())
      assert.is_false(token:is_cancelled())
    end)

    it("is false once all that could cancel a link is gone", function()
      local first, second = desist.source(), desist.source()
      local token = (function()
        return desist.linked(first:token(), second:token()):token()
      end)()
      helper.full_gc()
      assert.is_true(token:can_be_cancelled())
      first:close()
      assert.is_true(token:can_be_cancelled())
      second:close()
      assert.is_false(token:can_be_cancelled())
    end)
  end)

  describe("reason", function()
    it("is nil while live", function()
      local source = desist.source()
      assert.is_nil(source:token():reason())
    end)

    it("is the same value at every call", function()
      local source, reason = desist.source(), {}
      source:cancel(reason)
      assert.equal(reason, source:token():reason())
      assert.equal(reason, source:token():reason())
    end)

    it("stays when the source is collected", function()
      local reason = {}
      local token = (function()
        local source = desist.source()
        source:cancel(reason)
        return source:token()
      end)()
      helper.full_gc()
      assert.equal(reason, token:reason())
    end)
  end)

  describe("throw_if_cancelled", function()
    it("returns nothing while live", function()
      local source = desist.source()
      assert.equal(0, select("#", source:token():throw_if_cancelled()))
    end)

    it("raises the error object once cancelled", function()
      local source = desist.source()
      local token = source:token()
      source:cancel("stop")
      for _ = 1, 2 do
        local value = helper.raises(function() token:throw_if_cancelled() end)
        assert.equal(token:error(), value)
      end
    end)
  end)

  describe("tostring", function()
    it("says type, address and name", function()
      local source = desist.source { name = "upload 3" }
      local text = tostring(source:token())
      assert.matches("token", text)
      assert.matches("0x%x+", text)
      assert.matches("upload 3", text)
    end)

    it("shows the state", function()
      local source = desist.source()
      assert.not_matches("cancelled", tostring(source:token()))
      source:cancel()
      assert.matches("cancelled", tostring(source:token()))
    end)
  end)
end)

describe("desist.none", function()
  helper.leave_nothing(before_each, after_each)
  local none = desist.none

  it("is a token that is never cancelled", function()
    assert.is_false(none:is_cancelled())
    assert.is_false(none:can_be_cancelled())
    assert.is_nil(none:reason())
    assert.is_nil(none:error())
    assert.equal(0, select("#", none:throw_if_cancelled()))
  end)

  it("has no deadline", function()
    assert.is_nil(none:deadline())
    assert.equal(math.huge, none:remaining())
  end)

  it("has a tostring", function()
    assert.matches("token", tostring(none))
  end)

  it("is taken where a token is", function()
    assert.is_false(desist.linked(none):is_cancelled())
    assert.is_false(none:wait(0))
  end)
end)

describe("desist.cancelled", function()
  helper.leave_nothing(before_each, after_each)

  it("gives a token that is cancelled already", function()
    local token = desist.cancelled()
    assert.is_true(token:is_cancelled())
    assert.is_true(token:can_be_cancelled())
    assert.equal("cancelled", token:reason())
  end)

  it("keeps its reason", function()
    local reason = {}
    assert.equal(reason, desist.cancelled(reason):reason())
    assert.is_false(desist.cancelled(false):reason())
    assert.equal("cancelled", desist.cancelled(nil):reason())
  end)

  it("throws an error that began with itself", function()
    local token = desist.cancelled("born so")
    local value = helper.raises(function() token:throw_if_cancelled() end)
    assert.equal(token:error(), value)
    assert.equal("cancelled", value.kind)
    assert.equal("born so", value.reason)
    assert.equal(token, value.token)
    assert.equal(token, value.origin)
  end)

  it("runs callbacks before register returns", function()
    local calls = helper.recorder()
    local registration = desist.cancelled("why"):register(calls.note, 1)
    assert.equal(1, calls.n)
    assert.equal("why", calls:arguments(1)[2])
    assert.is_false(registration:is_active())
  end)

  it("has nothing left", function()
    local token = desist.cancelled()
    assert.is_nil(token:deadline())
    assert.equal(0, token:remaining())
    assert.is_true(token:wait())
  end)

  it("stays as it is through collections", function()
    local token = desist.cancelled("kept")
    helper.full_gc()
    assert.equal("kept", token:reason())
    assert.is_true(token:can_be_cancelled())
  end)
end)
