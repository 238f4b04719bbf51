local desist = require "desist"
local helper = require "spec.helper"

describe("a deadline", function()
  helper.leave_nothing(before_each, after_each)
  local clock, source, token, calls

  before_each(function()
    clock, calls = desist.manual_clock(100), helper.recorder()
    source = desist.source { clock = clock }
    token = source:token()
    token:register(calls.note)
  end)

  local function assert_fired()
    assert.is_true(source:is_cancelled())
    assert.equal("deadline exceeded", token:reason())
    assert.equal("deadline", token:error().kind)
    assert.equal(1, calls.n)
    assert.equal("deadline exceeded", calls:arguments(1)[1])
  end

  it("cancels at its time and not before", function()
    assert.is_true(source:cancel_after(5))
    clock:set(104.999999)
    assert.is_false(source:is_cancelled())
    clock:set(105)
    assert_fired()
  end)

  it("is absolute with cancel_at", function()
    assert.is_true(source:cancel_at(105))
    assert.equal(105, token:deadline())
    clock:set(104)
    assert.is_false(source:is_cancelled())
    clock:set(105)
    assert_fired()
  end)

  it("of 0 seconds cancels before the call returns", function()
    assert.is_true(source:cancel_after(0))
    assert_fired()
  end)

  it("of minus zero seconds is one of zero", function()
    assert.is_true(source:cancel_after(-0.0))
    assert_fired()
  end)

  it("in the past cancels before the call returns", function()
    for _, time in ipairs { 100, 99, 0, -1, -1e300, -math.huge } do
      local each = desist.source { clock = clock }
      local seen
      each:token():register(function(reason) seen = reason end)
      assert.is_true(each:cancel_at(time))
      assert.equal("deadline exceeded", seen)
      assert.equal("deadline", each:token():error().kind)
    end
  end)

  it("takes integers and floats", function()
    source:cancel_after(2)
    assert.equal(102, token:deadline())
    source:cancel_after(2.5)
    assert.equal(102.5, token:deadline())
  end)

  it("of next to nothing has come a microsecond later", function()
    assert.is_true(source:cancel_after(5e-324))
    clock:advance(1e-6)
    assert_fired()
  end)

  it("does not drift when the clock moves in tenths", function()
    source:cancel_after(1)
    for _ = 1, 9 do clock:advance(0.1) end
    assert.is_false(source:is_cancelled())
    clock:advance(0.1)
    assert_fired()
  end)

  it("is moved by arming again", function()
    source:cancel_after(5)
    assert.is_true(source:cancel_after(10))
    assert.equal(110, token:deadline())
    clock:advance(7)
    assert.is_false(source:is_cancelled())
    assert.is_true(source:cancel_after(1))
    clock:advance(1)
    assert_fired()
  end)

  it("is moved by cancel_at over cancel_after", function()
    source:cancel_after(5)
    source:cancel_at(120)
    clock:advance(10)
    assert.is_false(source:is_cancelled())
    clock:advance(10)
    assert_fired()
  end)

  it("is disarmed by math.huge", function()
    source:cancel_after(5)
    assert.is_true(source:cancel_after(math.huge))
    assert.is_nil(token:deadline())
    source:cancel_at(105)
    assert.is_true(source:cancel_at(math.huge))
    assert.is_nil(token:deadline())
    clock:advance(1000)
    assert.is_false(source:is_cancelled())
  end)

  it("is disarmed by more than the clock can hold", function()
    for _, huge in ipairs { 1e300, 1e19, math.maxinteger } do
      source:cancel_after(5)
      assert.is_true(source:cancel_after(huge))
      assert.is_nil(token:deadline())
      assert.equal(math.huge, token:remaining())
      source:cancel_at(105)
      assert.is_true(source:cancel_at(huge))
      assert.is_nil(token:deadline())
    end
    clock:advance(1000)
    assert.is_false(source:is_cancelled())
  end)

  it("may be disarmed without being armed", function()
    assert.is_true(source:cancel_after(math.huge))
    assert.is_true(source:cancel_at(math.huge))
    assert.is_nil(token:deadline())
  end)

  it("cancels once", function()
    source:cancel_after(1)
    clock:advance(1)
    clock:advance(1)
    assert_fired()
    assert.is_false(source:cancel("late"))
    assert_fired()
  end)

  it("is disarmed by an explicit cancel, whose reason stays", function()
    source:cancel_after(5)
    source:cancel("explicit")
    assert.is_nil(token:deadline())
    clock:advance(10)
    assert.equal("explicit", token:reason())
    assert.equal("cancelled", token:error().kind)
    assert.equal(1, calls.n)
  end)

  it("is disarmed when an input cancels the link it is on", function()
    local link = desist.linked(token)
    link:cancel_after(5)
    source:cancel("input")
    clock:advance(10)
    assert.equal("input", link:token():reason())
    assert.equal("cancelled", link:token():error().kind)
  end)

  it("cannot be armed once cancelled or closed", function()
    local closed = desist.source { clock = clock }
    closed:close()
    source:cancel("first")
    for _, each in ipairs { source, closed } do
      for _, seconds in ipairs { 0, 1, math.huge, 1e300 } do
        assert.is_false(each:cancel_after(seconds))
        assert.is_false(each:cancel_at(seconds))
      end
      assert.is_nil(each:token():deadline())
    end
    clock:advance(10)
    assert.equal("first", token:reason())
    assert.is_false(closed:is_cancelled())
  end)

  it("refuses seconds that are negative or no number", function()
    local closed, cancelled = desist.source(), desist.source()
    closed:close()
    cancelled:cancel()
    for _, each in ipairs { source, closed, cancelled } do
      for _, bad in ipairs { -1, -1e-300, -math.huge, 0 / 0, -(0 / 0) } do
        helper.argument_error(1, "cancel_after", ".", function()
          each:cancel_after(bad)
        end)
      end
      for _, bad in ipairs { "1", true, {}, io.stdout, print } do
        helper.argument_error(1, "cancel_after", "number expected", function()
          each:cancel_after(bad)
        end)
        helper.argument_error(1, "cancel_at", "number expected", function()
          each:cancel_at(bad)
        end)
      end
      helper.argument_error(1, "cancel_after", "number expected", function()
        each:cancel_after()
      end)
      helper.argument_error(1, "cancel_at", "number expected", function()
        each:cancel_at(nil)
      end)
      helper.argument_error(1, "cancel_at", ".", function()
        each:cancel_at(0 / 0)
      end)
    end
    assert.is_nil(token:deadline())
    assert.is_false(source:is_cancelled())
  end)

  it("stays armed when arming again is refused", function()
    source:cancel_after(5)
    pcall(source.cancel_after, source, -1)
    pcall(source.cancel_after, source, "1")
    assert.equal(105, token:deadline())
    clock:advance(5)
    assert_fired()
  end)

  it("cancels links like a cancel does", function()
    local link = desist.linked(token)
    link:token():register(calls:as "link")
    source:cancel_after(1)
    clock:advance(1)
    assert.equal("link deadline exceeded", calls:order())
    assert.equal("deadline exceeded", link:token():reason())
  end)

  it("keeps its source alive while its clock is", function()
    local n = 0;
    (function()
      local each = desist.source { clock = clock }
      each:token():register(function() n = n + 1 end)
      each:cancel_after(1)
    end)()
    helper.full_gc()
    clock:advance(1)
    assert.equal(1, n)
  end)

  it("cannot come when its clock is collected", function()
    local left = (function()
      local own = desist.manual_clock()
      local each = desist.source { clock = own }
      each:cancel_after(1)
      return each:token()
    end)()
    helper.full_gc()
    assert.is_false(left:is_cancelled())
    assert.is_false(left:can_be_cancelled())
  end)
end)
