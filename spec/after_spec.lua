local desist = require "desist"
local helper = require "spec.helper"

describe("desist.after", function()
  helper.leave_nothing(before_each, after_each)

  it("gives a source with its deadline armed", function()
    local before = desist.now()
    local source = desist.after(1000)
    assert.is_false(source:is_cancelled())
    assert.near(before + 1000, source:token():deadline(), 5)
    assert.is_true(source:cancel("early"))
  end)

  it("of 0 is cancelled when it returns", function()
    local source = desist.after(0)
    assert.is_true(source:is_cancelled())
    assert.equal("deadline exceeded", source:token():reason())
  end)

  it("of what never comes has no deadline", function()
    assert.is_nil(desist.after(math.huge):token():deadline())
    assert.is_nil(desist.after(1e300):token():deadline())
  end)

  it("works written as desist.after(seconds):token()", function()
    local token = desist.after(0.01):token()
    helper.full_gc()
    assert.is_true(token:wait())
    assert.equal("deadline", token:error().kind)
  end)

  it("refuses what cancel_after refuses", function()
    for _, bad in ipairs { -1, 0 / 0, -math.huge } do
      helper.argument_error(1, "after", ".", function() desist.after(bad) end)
    end
    for _, bad in ipairs { "1", true, {} } do
      helper.argument_error(1, "after", "number expected", function()
        desist.after(bad)
      end)
    end
    helper.argument_error(1, "after", "number expected", function()
      desist.after()
    end)
  end)
end)
