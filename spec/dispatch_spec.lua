local desist = require "desist"
local helper = require "spec.helper"

describe("desist.dispatch", function()
  helper.leave_nothing(before_each, after_each)
  local calls

  before_each(function()
    calls = helper.recorder()
  end)

  local function queue(...)
    local source = desist.source()
    for i = select("#", ...), 1, -1 do
      source:token():register(calls:as((select(i, ...))))
    end
    source:cancel_async()
    return source
  end

  it("returns 0 when nothing is queued", function()
    assert.equal(0, desist.dispatch())
    assert.equal(0, desist.dispatch(10))
  end)

  it("returns how many ran", function()
    queue("a", "b")
    queue("c")
    assert.equal(3, desist.dispatch())
  end)

  it("counts callbacks that failed", function()
    local source = desist.source()
    source:token():register(helper.fail)
    source:token():register(calls.note)
    source:cancel_async("failed")
    assert.equal(2, desist.dispatch())
    assert.equal("failed", helper.handled_errors()[1])
  end)

  it("takes queued sources in the order they were cancelled", function()
    local sources = {}
    for i = 1, 3 do
      sources[i] = desist.source()
      sources[i]:token():register(calls:as(i))
    end
    sources[2]:cancel_async()
    sources[3]:cancel_async()
    sources[1]:cancel_async()
    desist.dispatch()
    assert.equal("2 3 1", calls:order())
  end)

  it("keeps the order of a cancel within each graph", function()
    local source = desist.source()
    source:token():register(calls:as "before")
    local link = desist.linked(source:token())
    source:token():register(calls:as "after")
    link:token():register(calls:as "link 1")
    link:token():register(calls:as "link 2")
    source:cancel_async()
    queue("next")
    assert.equal(5, desist.dispatch())
    assert.equal("after link 2 link 1 before next", calls:order())
  end)

  it("runs at most max", function()
    queue("a", "b", "c")
    queue("d", "e")
    assert.equal(2, desist.dispatch(2))
    assert.equal("a b", calls:order())
    assert.equal(2, desist.dispatch(2))
    assert.equal("a b c d", calls:order())
    assert.equal(1, desist.dispatch(2))
    assert.equal("a b c d e", calls:order())
  end)

  it("stops in the middle of a link and goes on there", function()
    local source = desist.source()
    source:token():register(calls:as "own 1")
    local link = desist.linked(source:token())
    source:token():register(calls:as "own 2")
    link:token():register(calls:as "link 1")
    link:token():register(calls:as "link 2")
    source:cancel_async()
    for i = 1, 4 do
      assert.equal(1, desist.dispatch(1))
      assert.equal(i, calls.n)
    end
    assert.equal("own 2 link 2 link 1 own 1", calls:order())
  end)

  it("with 0 runs none", function()
    queue("a")
    assert.equal(0, desist.dispatch(0))
    assert.equal(0, calls.n)
    assert.equal(1, desist.dispatch())
  end)

  it("with nil runs all", function()
    queue("a", "b")
    assert.equal(2, desist.dispatch(nil))
  end)

  it("runs each callback once when it is called from one", function()
    local source = desist.source()
    source:token():register(calls:as "a")
    source:token():register(calls:as("b", function() desist.dispatch() end))
    source:token():register(calls:as "c")
    source:cancel_async()
    queue("d")
    desist.dispatch()
    desist.dispatch()
    assert.equal(4, calls.n)
  end)

  it("leaves a synchronous cancel of another source alone", function()
    queue("queued")
    local source = desist.source()
    source:token():register(calls:as "now")
    source:cancel()
    assert.equal("now", calls:order())
    desist.dispatch()
    assert.equal("now queued", calls:order())
  end)

  it("runs a link once, whichever way its inputs are cancelled", function()
    local first, second = desist.source(), desist.source()
    local link = desist.linked(first:token(), second:token())
    link:token():register(calls.note)
    first:cancel_async("async")
    second:cancel("sync")
    desist.dispatch()
    assert.equal(1, calls.n)
    assert.equal("async", link:token():reason())
  end)

  it("finds the graph wholly cancelled", function()
    local source = desist.source()
    local link = desist.linked(source:token())
    local seen
    source:token():register(function() seen = link:is_cancelled() end)
    source:cancel_async()
    desist.dispatch()
    assert.is_true(seen)
  end)

  it("refuses what is no number", function()
    for _, bad in ipairs { "1", true, {}, print } do
      helper.argument_error(1, "dispatch", "number expected", function()
        desist.dispatch(bad)
      end)
    end
  end)
end)
