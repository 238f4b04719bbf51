local desist = require "desist"
local helper = require "spec.helper"

describe("desist.is_cancelled", function()
  helper.leave_nothing(before_each, after_each)

  it("is true for the error objects of cancellations", function()
    local source = desist.source()
    local link = desist.linked(source:token())
    source:cancel()
    assert.is_true(desist.is_cancelled(source:token():error()))
    assert.is_true(desist.is_cancelled(link:token():error()))
    assert.is_true(desist.is_cancelled(desist.cancelled():error()))
  end)

  it("is true for what pcall caught from throw_if_cancelled", function()
    local _, value = pcall(function()
      desist.cancelled():throw_if_cancelled()
    end)
    assert.is_true(desist.is_cancelled(value))
  end)

  it("is false for everything else", function()
    local source = desist.source()
    assert.is_false(desist.is_cancelled(nil))
    for _, value in ipairs { false, true, 0, "cancelled", {}, print,
      io.stdout, coroutine.create(print), source, source:token(),
      desist.none, desist.manual_clock(), desist } do
      assert.is_false(desist.is_cancelled(value))
    end
  end)

  it("is false for a table that merely looks like one", function()
    local token = desist.cancelled()
    local real = token:error()
    local forged = { kind = real.kind, reason = real.reason,
      token = real.token, origin = real.origin }
    assert.is_false(desist.is_cancelled(forged))
    assert.is_false(desist.is_cancelled(forged, token))
    debug.setmetatable(forged, debug.getmetatable(real))
    assert.is_false(desist.is_cancelled(forged))
    assert.is_false(desist.is_cancelled(forged, token))
  end)

  it("asks nothing of a value's metatable", function()
    local trap = setmetatable({}, {
      __index = function() error "indexed" end,
      __eq = function() error "compared" end,
      __name = "desist.error",
    })
    assert.is_false(desist.is_cancelled(trap))
    assert.is_false(desist.is_cancelled(trap, desist.cancelled()))
  end)

  it("compares with the token whose throw it was", function()
    local source, other = desist.source(), desist.source()
    source:cancel()
    other:cancel()
    local object = source:token():error()
    assert.is_true(desist.is_cancelled(object, source:token()))
    assert.is_false(desist.is_cancelled(object, other:token()))
    assert.is_false(desist.is_cancelled(object, desist.none))
    assert.is_true(desist.is_cancelled(object, nil))
  end)

  it("does not compare with the token where it began", function()
    local source = desist.source()
    local link = desist.linked(source:token())
    source:cancel()
    local object = link:token():error()
    assert.is_true(desist.is_cancelled(object, link:token()))
    assert.is_false(desist.is_cancelled(object, source:token()))
  end)

  it("is false for other values with any token", function()
    assert.is_false(desist.is_cancelled("cancelled", desist.cancelled()))
    assert.is_false(desist.is_cancelled(nil, desist.none))
  end)

  it("refuses a second argument that is no token", function()
    local object = desist.cancelled():error()
    for _, bad in ipairs { 1, "token", {}, true, io.stdout } do
      helper.argument_error(2, "is_cancelled", "token", function()
        desist.is_cancelled(object, bad)
      end)
    end
  end)
end)
