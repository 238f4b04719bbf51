local desist = require "desist"
local helper = require "spec.helper"

describe("the error object of a cancellation", function()
  helper.leave_nothing(before_each, after_each)

  it("is nil while the token is live", function()
    local source = desist.source()
    assert.is_nil(source:token():error())
    source:close()
    assert.is_nil(source:token():error())
  end)

  it("is the same at every call", function()
    local source = desist.source()
    source:cancel()
    local object = source:token():error()
    assert.equal(object, source:token():error())
    helper.full_gc()
    assert.equal(object, source:token():error())
  end)

  it("is what throw_if_cancelled raises", function()
    local source = desist.source()
    local token = source:token()
    source:cancel()
    local ok, value = pcall(token.throw_if_cancelled, token)
    assert.is_false(ok)
    assert.equal(token:error(), value)
  end)

  it("has kind, reason, token and origin", function()
    local source, reason = desist.source(), {}
    source:cancel(reason)
    local object = source:token():error()
    assert.equal("cancelled", object.kind)
    assert.equal(reason, object.reason)
    assert.equal(source:token(), object.token)
    assert.equal(source:token(), object.origin)
  end)

  it("keeps false as its reason", function()
    local source = desist.source()
    source:cancel(false)
    assert.is_false(source:token():error().reason)
  end)

  it("has kind 'deadline' when the time was up", function()
    local clock = desist.manual_clock()
    local source = desist.source { clock = clock }
    source:cancel_after(1)
    clock:advance(1)
    local object = source:token():error()
    assert.equal("deadline", object.kind)
    assert.equal("deadline exceeded", object.reason)
  end)

  it("names through links whose throw it is and where it began", function()
    local source, reason = desist.source(), {}
    local link = desist.linked(source:token())
    local leaf = desist.linked(link:token())
    source:cancel(reason)
    for _, each in ipairs { link, leaf } do
      local object = each:token():error()
      assert.equal(each:token(), object.token)
      assert.equal(source:token(), object.origin)
      assert.equal(reason, object.reason)
      assert.equal("cancelled", object.kind)
    end
    assert.not_equal(link:token():error(), leaf:token():error())
  end)

  it("begins at the link when the link itself was cancelled", function()
    local source = desist.source()
    local link = desist.linked(source:token())
    local leaf = desist.linked(link:token())
    link:cancel()
    assert.equal(link:token(), leaf:token():error().origin)
    source:cancel()
    assert.equal(link:token(), leaf:token():error().origin)
  end)

  it("has kind 'deadline' through links too", function()
    local clock = desist.manual_clock()
    local source = desist.source { clock = clock }
    local link = desist.linked(source:token())
    source:cancel_after(1)
    clock:advance(1)
    assert.equal("deadline", link:token():error().kind)
    assert.equal(source:token(), link:token():error().origin)
  end)

  it("says the reason in its tostring", function()
    local source = desist.source()
    source:cancel("the user left")
    assert.matches("the user left", tostring(source:token():error()))
  end)

  it("says what happened in its tostring", function()
    local clock = desist.manual_clock()
    local source = desist.source { clock = clock }
    assert.matches("cancelled", tostring(desist.cancelled():error()))
    source:cancel_at(0)
    assert.matches("deadline exceeded", tostring(source:token():error()))
  end)

  it("has a tostring for reasons of every type", function()
    for _, reason in ipairs { false, true, 1.5, {}, print, io.stdout } do
      assert.is_string(tostring(desist.cancelled(reason):error()))
    end
  end)

  it("works on when everything else is collected", function()
    local object = (function()
      local source = desist.source()
      local link = desist.linked(source:token())
      source:cancel("kept")
      return link:token():error()
    end)()
    helper.full_gc()
    assert.equal("kept", object.reason)
    assert.equal(object, object.token:error())
    assert.is_true(object.origin:is_cancelled())
    assert.not_equal(object.token, object.origin)
  end)
end)
