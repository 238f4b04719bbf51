local desist = require "desist"
local helper = require "spec.helper"

-- A root that lives on must not hold the callbacks of links which it can
-- cancel no more. Each callback here holds the link that it is on.

describe("a link that its inputs can cancel no more", function()
  helper.leave_nothing(before_each, after_each)
  local root, held, weak

  before_each(function()
    root, held = desist.source(), {}
    weak = setmetatable({}, { __mode = "k" })
  end)

  -- Registers on the link a callback that holds it, and watches it.
  local function hold_itself(link)
    link:token():register(function() return link end)
    weak[link] = true
    return link
  end

  local function assert_gone()
    helper.full_gc()
    assert.is_nil((next(weak)))
    assert.is_true(root:token():can_be_cancelled())
  end

  local function assert_held()
    helper.full_gc()
    assert.is_truthy((next(weak)))
  end

  it("is let go when one of all its inputs is closed", function()
    local other = desist.source()
    hold_itself(desist.linked_all(root:token(), other:token()))
    assert_held()
    other:close()
    assert_gone()
  end)

  it("is let go when one of all its inputs is collected", function()
    held.other = desist.source()
    hold_itself(desist.linked_all(root:token(), held.other:token()))
    assert_held()
    held.other = nil
    assert_gone()
  end)

  it("is let go when one of all its inputs goes with its clock", function()
    local clock = desist.manual_clock();
    (function()
      local other = desist.source { clock = clock }
      other:cancel_after(1)
      hold_itself(desist.linked_all(root:token(), other:token()))
    end)()
    assert_held()
    clock = nil
    assert_gone()
  end)

  it("is let go when the link between is closed", function()
    local between = desist.linked(root:token())
    hold_itself(desist.linked(between:token()))
    assert_held()
    between:close()
    assert_gone()
  end)

  it("is let go though the closed link has callbacks", function()
    held.between = hold_itself(desist.linked(root:token()))
    hold_itself(desist.linked(held.between:token()))
    held.between:close()
    held.between = nil
    assert_gone()
  end)

  it("is let go when all the links between are closed", function()
    local left, right = desist.linked(root:token()), desist.linked(root:token())
    hold_itself(desist.linked(left:token(), right:token()))
    left:close()
    assert_held()
    right:close()
    assert_gone()
  end)

  it("is let go below a chain that ends with its first", function()
    local first = desist.linked_all(root:token(), root:token())
    held.last = first:token()
    for _ = 1, 1000 do
      held.last = desist.linked_all(root:token(), held.last):token()
    end
    hold_itself(desist.linked(held.last))
    held.last = nil
    assert_held()
    first:close()
    assert_gone()
  end)

  it("is let go when it was made on a closed input", function()
    local other = desist.source()
    other:close()
    hold_itself(desist.linked(other:token()))
    hold_itself(desist.linked_all(other:token(), root:token()))
    assert_gone()
  end)

  it("is let go when its input was collected while it was made", function()
    local function make(other)
      collectgarbage "stop"
      held.token = desist.source():token()
      hold_itself(helper.collect_inside(other, held.token))
    end
    make(desist.linked)
    make(desist.linked_all)
    assert.is_false(held.token:can_be_cancelled())
    assert_gone()
  end)

  it("is let go when it has its callbacks from after", function()
    local other = desist.source()
    held.link = desist.linked_all(root:token(), other:token())
    held.below = desist.linked(held.link:token())
    other:close()
    hold_itself(held.link)
    hold_itself(held.below)
    held = nil
    assert_gone()
  end)

  it("is let go when the link between was cancelled itself", function()
    held.other, held.between = desist.source(), desist.linked(root:token())
    hold_itself(desist.linked_all(held.between:token(), held.other:token()))
    held.between:cancel()
    held.between = nil
    assert_held()
    held.other = nil
    assert_gone()
  end)

  it("can still be cancelled itself, and cancels what is below", function()
    local calls, other = helper.recorder(), desist.source()
    local link = desist.linked_all(root:token(), other:token())
    local below = desist.linked(link:token())
    link:token():register(calls:as "link")
    below:token():register(calls:as "below")
    other:close()
    helper.full_gc()
    root:cancel("root")
    assert.equal(0, calls.n)
    assert.is_true(link:cancel("own"))
    assert.equal("link below", calls:order())
    assert.equal(link:token(), below:token():error().origin)
  end)

  it("is reached by the inputs that are left", function()
    local calls, other = helper.recorder(), desist.source();
    (function()
      local between = desist.linked(root:token())
      local link = desist.linked(between:token(), other:token())
      link:token():register(calls.note)
      between:close()
    end)()
    helper.full_gc()
    other:cancel("other")
    assert.equal("other", calls:order())
  end)
end)
