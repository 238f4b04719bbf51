local desist = require "desist"
local helper = require "spec.helper"

describe("a registration", function()
  helper.leave_nothing(before_each, after_each)
  local source, token, calls

  before_each(function()
    source, calls = desist.source(), helper.recorder()
    token = source:token()
  end)

  it("knows its token", function()
    local registration = token:register(calls.note)
    assert.equal(token, registration:token())
    source:cancel()
    assert.equal(token, registration:token())
  end)

  it("is active until its callback ran", function()
    local registration = token:register(calls.note)
    assert.is_true(registration:is_active())
    source:cancel()
    assert.is_false(registration:is_active())
  end)

  it("is not active inside its own callback", function()
    local registration, active, stopped
    registration = token:register(function()
      active, stopped = registration:is_active(), registration:unregister()
    end)
    source:cancel()
    assert.is_false(active)
    assert.is_false(stopped)
  end)

  describe("unregister", function()
    it("returns true when the callback will never run because of it", function()
      local registration = token:register(calls.note)
      assert.is_true(registration:unregister())
      assert.is_false(registration:is_active())
      source:cancel()
      assert.equal(0, calls.n)
    end)

    it("returns false the second time", function()
      local registration = token:register(calls.note)
      registration:unregister()
      assert.is_false(registration:unregister())
      source:cancel()
      assert.is_false(registration:unregister())
    end)

    it("returns false after the callback ran", function()
      local registration = token:register(calls.note)
      source:cancel()
      assert.is_false(registration:unregister())
    end)

    it("stops only its own callback", function()
      token:register(calls:as "first")
      local second = token:register(calls:as "second")
      token:register(calls:as "third")
      second:unregister()
      source:cancel()
      assert.equal("third first", calls:order())
    end)

    it("stops all when called on all", function()
      local all = {}
      for i = 1, 18 do all[i] = token:register(calls.note) end
      for i = 1, 18 do assert.is_true(all[i]:unregister()) end
      source:cancel()
      assert.equal(0, calls.n)
    end)

    it("works after the source is collected", function()
      local registration = (function()
        return desist.source():token():register(calls.note)
      end)()
      helper.full_gc()
      assert.is_false(registration:is_active())
      assert.is_false(registration:unregister())
    end)
  end)

  it("is unregistered by close, which may be repeated", function()
    local registration = token:register(calls.note)
    registration:close()
    registration:close()
    assert.is_false(registration:is_active())
    source:cancel()
    registration:close()
    assert.equal(0, calls.n)
  end)

  it("is unregistered at the end of a <close> block", function()
    do
      local registration <close> = token:register(calls.note)
      assert.is_true(registration:is_active())
    end
    source:cancel()
    assert.equal(0, calls.n)
  end)

  it("is unregistered when an error leaves a <close> block", function()
    helper.raises(function()
      local _ <close> = token:register(calls.note)
      error "out"
    end, "out")
    source:cancel()
    assert.equal(0, calls.n)
  end)

  it("stays registered when its handle is collected", function()
    (function() token:register(calls.note) end)()
    helper.full_gc()
    source:cancel()
    assert.equal(1, calls.n)
  end)

  it("has a tostring that shows type, address and state", function()
    local registration = token:register(calls.note)
    local live = tostring(registration)
    assert.matches("registration", live)
    assert.matches("0x%x+", live)
    source:cancel()
    assert.matches("registration", tostring(registration))
    assert.not_equal(live, tostring(registration))
  end)
end)
