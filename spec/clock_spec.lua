local desist = require "desist"
local helper = require "spec.helper"

describe("desist.now", function()
  it("gives seconds that never go back", function()
    local last = desist.now()
    assert.equal("float", math.type(last))
    for _ = 1, 1000 do
      local now = desist.now()
      assert.is_true(now >= last)
      last = now
    end
  end)

  it("runs at the speed of time", function()
    local before, seconds = desist.now(), os.time()
    assert.is_true(helper.becomes_true(function()
      return desist.now() - before >= 0.02
    end))
    assert.is_true(os.time() - seconds <= 5)
  end)
end)

describe("a manual clock", function()
  helper.leave_nothing(before_each, after_each)
  local clock, calls

  before_each(function()
    clock, calls = desist.manual_clock(), helper.recorder()
  end)

  -- A source whose callback notes `name` and then runs `action`.
  local function due(time, name, action)
    local source = desist.source { clock = clock }
    source:token():register(calls:as(name, action))
    source:cancel_at(time)
    return source
  end

  it("starts at 0, or where it is told to", function()
    assert.equal(0, clock:now())
    assert.equal(12.5, desist.manual_clock(12.5):now())
    assert.equal(0, desist.manual_clock(nil):now())
  end)

  it("moves when it is told to only", function()
    assert.equal(0, clock:now())
    clock:advance(1.5)
    assert.equal(1.5, clock:now())
    clock:advance(0)
    assert.equal(1.5, clock:now())
    clock:set(10)
    assert.equal(10, clock:now())
    clock:set(10)
    assert.equal(10, clock:now())
  end)

  it("moves alone", function()
    local other = desist.manual_clock()
    local source = desist.source { clock = other }
    source:cancel_after(1)
    clock:advance(5)
    assert.equal(0, other:now())
    assert.is_false(source:is_cancelled())
  end)

  it("cancels what is due in the order of the deadlines", function()
    due(3, "three")
    due(1, "one")
    due(2, "two")
    due(4, "four")
    clock:advance(3)
    assert.equal("one two three", calls:order())
    clock:set(4)
    assert.equal("one two three four", calls:order())
  end)

  it("cancels ties in the order of arming", function()
    for i = 1, 20 do due(5, i) end
    clock:advance(5)
    local expected = {}
    for i = 1, 20 do expected[i] = i end
    assert.equal(table.concat(expected, " "), calls:order())
  end)

  it("counts arming again as arming", function()
    local first = due(5, "first")
    due(5, "second")
    first:cancel_at(5)
    due(5, "third")
    clock:advance(5)
    assert.equal("second first third", calls:order())
  end)

  it("keeps the order of thousands of deadlines", function()
    local last, sorted = 0, true
    for i = 1, 5000 do
      local time = (i * 7919) % 5003 + 1
      due(time, time, function()
        sorted = sorted and time >= last
        last = time
      end)
    end
    clock:advance(2500)
    clock:advance(3000)
    assert.equal(5000, calls.n)
    assert.is_true(sorted)
  end)

  it("tells callbacks the time of the deadline that fired", function()
    local seen = {}
    for _, time in ipairs { 1, 2.5, 4 } do
      due(time, "x", function() seen[#seen + 1] = clock:now() end)
    end
    clock:advance(10)
    assert.same({ 1, 2.5, 4 }, seen)
    assert.equal(10, clock:now())
  end)

  it("fires deadlines armed inside the span in the same call", function()
    due(1, "one", function()
      due(2, "two", function() due(2.5, "two and a half") end)
      due(5, "the end")
      due(5.5, "beyond")
    end)
    due(3, "three")
    clock:advance(5)
    assert.equal("one two two and a half three the end", calls:order())
    clock:advance(1)
    assert.equal(6, calls.n)
  end)

  it("measures what callbacks arm from the deadline that fired", function()
    local times = {}
    local function tick()
      times[#times + 1] = clock:now()
      local source = desist.source { clock = clock }
      source:token():register(tick)
      source:cancel_after(2)
    end
    due(2, "start", tick)
    clock:advance(9)
    assert.same({ 2, 4, 6, 8 }, times)
  end)

  it("lets callbacks move, disarm and close what is still to come", function()
    local later, closed = nil, nil
    due(1, "one", function()
      later:cancel_after(math.huge)
      closed:close()
    end)
    later, closed = due(2, "disarmed"), due(3, "closed")
    clock:advance(5)
    assert.equal("one", calls:order())
    assert.is_false(later:is_cancelled())
  end)

  it("cancels explicitly what a callback cancels before its time", function()
    local later
    due(1, "one", function() later:cancel("early") end)
    later = due(2, "later")
    clock:advance(5)
    assert.equal("one later", calls:order())
    assert.equal("early", later:token():reason())
    assert.equal("cancelled", later:token():error().kind)
  end)

  it("runs callbacks before it returns", function()
    due(1, "one")
    clock:advance(1)
    assert.equal(1, calls.n)
    assert.equal(0, desist.dispatch())
  end)

  it("finishes its span when callbacks fail", function()
    due(1, "one", helper.fail)
    due(2, "two")
    clock:advance(5)
    assert.equal("one two", calls:order())
    assert.equal(5, clock:now())
    assert.equal(1, helper.handled_errors().n)
  end)

  it("cannot be moved from inside its own movement", function()
    local results = {}
    due(1, "one", function()
      results[1] = pcall(clock.advance, clock, 1)
      results[2] = pcall(clock.set, clock, 3)
    end)
    due(2, "two")
    clock:advance(5)
    assert.same({ false, false }, results)
    assert.equal("one two", calls:order())
    assert.equal(5, clock:now())
    clock:advance(1)
    assert.equal(6, clock:now())
  end)

  it("can be moved from callbacks that it did not cause", function()
    local source = desist.source()
    due(1, "one")
    source:token():register(function() clock:advance(1) end)
    source:cancel()
    assert.equal("one", calls:order())
  end)

  it("can move another clock from inside its movement", function()
    local other = desist.manual_clock()
    local source = desist.source { clock = other }
    source:token():register(calls:as "other")
    source:cancel_after(1)
    due(1, "one", function()
      other:advance(2)
      calls.note "back"
    end)
    clock:advance(1)
    assert.equal("one other back", calls:order())
    assert.equal(2, other:now())
  end)

  it("cannot be set backwards", function()
    clock:set(5)
    helper.argument_error(1, "set", ".", function() clock:set(4.999) end)
    helper.argument_error(1, "set", ".", function() clock:set(-1) end)
    assert.equal(5, clock:now())
  end)

  it("cannot be advanced by less than nothing", function()
    clock:set(5)
    for _, bad in ipairs { -1, -1e-9, -math.huge, 0 / 0 } do
      helper.argument_error(1, "advance", ".", function()
        clock:advance(bad)
      end)
    end
    helper.argument_error(1, "set", ".", function() clock:set(0 / 0) end)
    assert.equal(5, clock:now())
  end)

  it("takes numbers alone", function()
    for _, bad in ipairs { "1", true, {}, print } do
      helper.argument_error(1, "advance", "number expected", function()
        clock:advance(bad)
      end)
      helper.argument_error(1, "set", "number expected", function()
        clock:set(bad)
      end)
      helper.argument_error(1, "manual_clock", "number expected", function()
        desist.manual_clock(bad)
      end)
    end
    helper.argument_error(1, "advance", "number expected", function()
      clock:advance()
    end)
    helper.argument_error(1, "set", "number expected", function()
      clock:set(nil)
    end)
    helper.argument_error(1, "manual_clock", ".", function()
      desist.manual_clock(0 / 0)
    end)
  end)

  it("fires what is due across a long jump at once", function()
    due(1, "soon")
    due(1e6, "far")
    due(5e6, "farther")
    clock:advance(4e6)
    assert.equal("soon far", calls:order())
    clock:advance(1e6)
    assert.equal("soon far farther", calls:order())
  end)

  it("stays usable for the sources made on it", function()
    local source = desist.source { clock = clock }
    clock = nil
    helper.full_gc()
    assert.is_true(source:cancel_at(-1))
    assert.is_true(source:is_cancelled())
  end)

  it("has a tostring", function()
    assert.matches("clock", tostring(clock))
    assert.matches("0x%x+", tostring(clock))
  end)

  it("is the only thing taken for a clock", function()
    for _, bad in ipairs { 1, "clock", true, {}, io.stdout, desist.none } do
      helper.argument_error(1, "source", "clock", function()
        desist.source { clock = bad }
      end)
    end
  end)
end)
