local desist = require "desist"
local helper = require "spec.helper"

describe("a running callback", function()
  helper.leave_nothing(before_each, after_each)
  local source, token, calls

  before_each(function()
    source, calls = desist.source(), helper.recorder()
    token = source:token()
  end)

  it("can unregister those that have not started", function()
    local registrations, results = {}, {}
    registrations[0] = token:register(calls:as "0")
    registrations[1] = token:register(calls:as("1", function()
      for i = 0, 2 do results[i] = registrations[i]:unregister() end
    end))
    registrations[2] = token:register(calls:as "2")
    source:cancel()
    assert.equal("2 1", calls:order())
    assert.is_true(results[0])
    assert.is_false(results[1])
    assert.is_false(results[2])
    assert.is_false(registrations[0]:unregister())
  end)

  it("can unregister those of a link that has not had its turn", function()
    local link = desist.linked(token)
    local registration = link:token():register(calls:as "link")
    local stopped
    token:register(function() stopped = registration:unregister() end)
    source:cancel()
    assert.is_true(stopped)
    assert.equal(0, calls.n)
  end)

  it("shares the removal of a third with another", function()
    local third = token:register(calls:as "third")
    local results = {}
    for i = 1, 2 do
      token:register(function() results[i] = third:unregister() end)
    end
    source:cancel()
    assert.is_true(results[2])
    assert.is_false(results[1])
    assert.equal(0, calls.n)
  end)

  it("finds the others active until they start", function()
    local first, second, seen
    first = token:register(function() end)
    token:register(function()
      seen = { first:is_active(), second:is_active() }
    end)
    second = token:register(function() end)
    source:cancel()
    assert.same({ true, false }, seen)
  end)

  it("gets false from cancel, for the whole graph", function()
    local link = desist.linked(token)
    local results = {}
    link:token():register(function() results[1] = link:cancel("no") end)
    token:register(function()
      results[2] = source:cancel("no")
      results[3] = link:cancel("no")
      results[4] = source:cancel_async("no")
      results[5] = source:cancel_after(0)
    end)
    source:cancel("yes")
    assert.same({ false, false, false, false, false }, results)
    assert.equal("yes", token:reason())
    assert.equal("yes", link:token():reason())
  end)

  it("runs what it registers at once, inside itself", function()
    token:register(calls:as "last")
    token:register(function()
      calls.note "a"
      token:register(calls:as "i")
      calls.note "A"
    end)
    source:cancel()
    assert.equal("a i A last", calls:order())
  end)

  it("runs at once what it registers on a link still to come", function()
    local link = desist.linked(token)
    link:token():register(calls:as "own turn")
    token:register(function()
      link:token():register(calls:as "at once")
      calls.note "end"
    end)
    source:cancel()
    assert.equal("at once end own turn", calls:order())
  end)

  it("can cancel another source, whose callbacks run first", function()
    local other = desist.source()
    other:token():register(calls:as "other 1")
    other:token():register(calls:as "other 2")
    token:register(calls:as "own 1")
    local result
    token:register(function()
      result = other:cancel()
      calls.note "own 2"
    end)
    source:cancel()
    assert.is_true(result)
    assert.equal("other 2 other 1 own 2 own 1", calls:order())
  end)

  it("can cancel another input of one link, which runs once", function()
    local other = desist.source()
    local link = desist.linked(token, other:token())
    link:token():register(calls:as "link")
    local result
    token:register(function() result = other:cancel("second") end)
    source:cancel("first")
    assert.is_true(result)
    assert.equal("link", calls:order())
    assert.equal("first", link:token():reason())
    assert.equal("second", other:token():reason())
  end)

  it("can link its token, giving a link born cancelled", function()
    local link
    token:register(function()
      link = desist.linked(token)
      assert(link:is_cancelled())
      link:token():register(calls.note)
    end)
    source:cancel("parent")
    assert.equal("parent", link:token():reason())
    assert.equal(1, calls.n)
  end)

  it("drops the rest of its own source by close, not of its links", function()
    token:register(calls:as "dropped")
    local link = desist.linked(token)
    link:token():register(calls:as "link")
    token:register(calls:as("closes", function() source:close() end))
    source:cancel()
    assert.equal("closes link", calls:order())
    assert.is_true(source:is_cancelled())
  end)

  it("drops the callbacks of a link by closing it, not of others", function()
    token:register(calls:as "own")
    local link = desist.linked(token)
    local below = desist.linked(link:token())
    below:token():register(calls:as "below")
    local registration = link:token():register(calls:as "dropped")
    local stopped
    token:register(function()
      link:close()
      stopped = registration:unregister()
    end)
    source:cancel()
    assert.equal("below own", calls:order())
    assert.is_false(stopped)
    assert.is_true(link:is_cancelled())
  end)

  it("can drop the last reference to its source", function()
    local holder = { desist.source() }
    holder[1]:token():register(calls:as "first")
    holder[1]:token():register(calls:as("second", function()
      holder[1] = nil
      helper.full_gc()
    end))
    assert.is_true(holder[1]:cancel())
    assert.equal("second first", calls:order())
  end)

  it("can drop the last reference to a link still to come", function()
    local links = { desist.linked(token) }
    links[1]:token():register(calls:as "link")
    token:register(function()
      links[1] = nil
      helper.full_gc()
    end)
    source:cancel()
    assert.equal("link", calls:order())
  end)

  it("can close registrations, its own too", function()
    local first, own
    first = token:register(calls:as "first")
    own = token:register(calls:as("own", function()
      own:close()
      first:close()
      own:close()
    end))
    source:cancel()
    assert.equal("own", calls:order())
  end)

  it("can cancel through many sources in turn", function()
    local sources = { source }
    for i = 2, 50 do
      sources[i] = desist.source()
      sources[i - 1]:token():register(function() sources[i]:cancel(i) end)
    end
    sources[50]:token():register(calls:as "end")
    source:cancel()
    assert.equal(1, calls.n)
    assert.equal(50, sources[50]:token():reason())
  end)
end)
