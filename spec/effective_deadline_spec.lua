local desist = require "desist"
local helper = require "spec.helper"

describe("the effective deadline", function()
  helper.leave_nothing(before_each, after_each)
  local clock

  before_each(function()
    clock = desist.manual_clock(10)
  end)

  local function source(seconds, on)
    local new = desist.source { clock = on or clock }
    if seconds then new:cancel_after(seconds) end
    return new
  end

  local function assert_left(seconds, deadline, each)
    assert.equal(seconds, each:token():remaining())
    assert.equal(deadline, each:token():deadline())
  end

  it("is nil, with math.huge left, when there is none", function()
    assert_left(math.huge, nil, source())
    assert_left(math.huge, nil, desist.source())
  end)

  it("is the source's own without inputs", function()
    local each = source(5)
    assert_left(5, 15, each)
    clock:advance(2)
    assert_left(3, 15, each)
    each:cancel_after(1)
    assert_left(1, 13, each)
    each:cancel_after(math.huge)
    assert_left(math.huge, nil, each)
  end)

  it("is nil, with 0 left, once cancelled", function()
    local each, fired = source(5), source(1)
    each:cancel()
    assert_left(0, nil, each)
    clock:advance(1)
    assert_left(0, nil, fired)
    local plain = desist.source()
    plain:cancel()
    assert_left(0, nil, plain)
  end)

  it("is gone after close and try_reset", function()
    local closed, reset = source(5), source(5)
    closed:close()
    reset:try_reset()
    assert_left(math.huge, nil, closed)
    assert_left(math.huge, nil, reset)
  end)

  it("is a time of the real clock for real sources", function()
    local each = desist.after(100)
    assert.near(desist.now() + 100, each:token():deadline(), 1)
    assert.near(100, each:token():remaining(), 1)
    assert.is_true(each:token():remaining() <= 100)
  end)

  describe("of desist.linked", function()
    it("is the nearest over the inputs", function()
      local a, b, c = source(7), source(3), source()
      local link = desist.linked(a:token(), b:token(), c:token())
      assert_left(3, 13, link)
    end)

    it("is its own when that is nearer, else the input's", function()
      local link = desist.linked(source(5):token())
      assert_left(5, 15, link)
      link:cancel_after(2)
      assert_left(2, 12, link)
      link:cancel_after(9)
      assert_left(5, 15, link)
    end)

    it("reaches through links of links", function()
      local root = source(8)
      local link = desist.linked(root:token())
      for _ = 1, 5 do link = desist.linked(link:token(), source(20):token()) end
      assert_left(8, 18, link)
      root:cancel_after(1)
      assert_left(1, 11, link)
    end)

    it("follows what the inputs do", function()
      local a, b = source(3), source(7)
      local link = desist.linked(a:token(), b:token())
      a:cancel_after(math.huge)
      assert_left(7, 17, link)
      a:cancel_after(4)
      assert_left(4, 14, link)
      a:close()
      assert_left(7, 17, link)
      b:try_reset()
      assert_left(7, 17, link)
    end)

    it("is nil, with 0 left, once an input cancelled it", function()
      local a = source(3)
      local link = desist.linked(a:token(), source(9):token())
      clock:advance(3)
      assert_left(0, nil, link)
    end)

    it("compares each on its own clock", function()
      local other = desist.manual_clock(1000)
      local a, b = source(5), source(2, other)
      local link = desist.linked(a:token(), b:token())
      assert_left(2, 1002, link)
      clock:advance(4)
      assert_left(1, 15, link)
    end)

    it("compares real and manual clocks", function()
      local real = desist.after(1000)
      local link = desist.linked(real:token(), source(5):token())
      assert_left(5, 15, link)
      local near = desist.linked(real:token(), source(1e6):token())
      assert.equal(real:token():deadline(), near:token():deadline())
      assert.near(1000, near:token():remaining(), 5)
    end)

    it("looks at a ladder of diamonds once", function()
      local left, right = source(6), source(4)
      for _ = 1, 60 do
        left, right = desist.linked(left:token(), right:token()),
          desist.linked(right:token(), left:token())
      end
      assert_left(4, 14, left)
    end)

    it("looks down a chain of 20,000", function()
      local root = source(6)
      local last = root
      for _ = 1, 20000 do last = desist.linked(last:token()) end
      assert_left(6, 16, last)
    end)
  end)

  describe("of desist.linked_all", function()
    it("is the farthest of the inputs", function()
      local link = desist.linked_all(source(3):token(), source(8):token(),
        source(5):token())
      assert_left(8, 18, link)
    end)

    it("is nil as long as a live input has none", function()
      local a, b = source(3), source()
      local link = desist.linked_all(a:token(), b:token())
      assert_left(math.huge, nil, link)
      b:cancel_after(1)
      assert_left(3, 13, link)
      b:cancel_after(math.huge)
      assert_left(math.huge, nil, link)
    end)

    it("leaves out the inputs that are cancelled", function()
      local a, b, c = source(3), source(8), source()
      local link = desist.linked_all(a:token(), b:token(), c:token())
      c:cancel()
      assert_left(8, 18, link)
      b:cancel()
      assert_left(3, 13, link)
      clock:advance(3)
      assert_left(0, nil, link)
    end)

    it("leaves out inputs that were cancelled at birth", function()
      local link = desist.linked_all(desist.cancelled(), source(4):token())
      assert_left(4, 14, link)
    end)

    it("is never later than its own", function()
      local link = desist.linked_all(source(3):token(), source(8):token())
      link:cancel_after(5)
      assert_left(5, 15, link)
      link:cancel_after(9)
      assert_left(8, 18, link)
      local stuck = desist.linked_all(source(3):token(), source():token())
      stuck:cancel_after(5)
      assert_left(5, 15, stuck)
    end)

    it("is its own with an input that is never cancelled", function()
      local link = desist.linked_all(source(3):token(), desist.none)
      assert_left(math.huge, nil, link)
      link:cancel_after(50)
      assert.near(50, link:token():remaining(), 5)
    end)

    it("is the farthest of nearest ones", function()
      local left = desist.linked(source(2):token(), source(9):token())
      local right = desist.linked(source(4):token(), source(6):token())
      assert_left(4, 14, desist.linked_all(left:token(), right:token()))
    end)
  end)
end)
