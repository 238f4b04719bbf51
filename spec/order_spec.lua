local desist = require "desist"
local helper = require "spec.helper"

describe("a cancellation", function()
  helper.leave_nothing(before_each, after_each)
  local source, token, calls

  before_each(function()
    source, calls = desist.source(), helper.recorder()
    token = source:token()
  end)

  it("shows no callback a graph that is half cancelled", function()
    local other = desist.source()
    local reason = {}
    local links = {}
    links[1] = desist.linked(token)
    links[2] = desist.linked(token, other:token())
    links[3] = desist.linked(links[1]:token())
    links[4] = desist.linked_all(links[2]:token(), links[3]:token())
    links[5] = desist.linked(links[4]:token())
    local function look()
      for i, each in ipairs(links) do
        calls.note(i)
        assert(each:is_cancelled() and each:token():is_cancelled())
        assert(rawequal(each:token():reason(), reason))
        assert(each:token():error().origin == token)
      end
      assert(source:is_cancelled() and not other:is_cancelled())
    end
    token:register(look)
    for _, each in ipairs(links) do each:token():register(look) end
    token:register(look)
    source:cancel(reason)
    assert.equal(7 * 5, calls.n)
  end)

  it("runs the callbacks last registered, first run", function()
    for _, name in ipairs { "a", "b", "c", "d" } do
      token:register(calls:as(name))
    end
    source:cancel()
    assert.equal("d c b a", calls:order())
  end)

  it("gives a link its turn where it was made", function()
    token:register(calls:as "before")
    local link = desist.linked(token)
    token:register(calls:as "after")
    link:token():register(calls:as "link 1")
    link:token():register(calls:as "link 2")
    source:cancel()
    assert.equal("after link 2 link 1 before", calls:order())
  end)

  it("walks links of links depth first", function()
    token:register(calls:as "root 1")
    local left = desist.linked(token)
    token:register(calls:as "root 2")
    local right = desist.linked(token)
    left:token():register(calls:as "left 1")
    local leaf = desist.linked(left:token())
    left:token():register(calls:as "left 2")
    leaf:token():register(calls:as "leaf")
    right:token():register(calls:as "right")
    source:cancel()
    assert.equal("right root 2 left 2 leaf left 1 root 1", calls:order())
  end)

  it("runs a diamond's callbacks once, in its first turn", function()
    local first, second = desist.linked(token), desist.linked(token)
    first:token():register(calls:as "first")
    second:token():register(calls:as "second 1")
    local joint = desist.linked(first:token(), second:token())
    second:token():register(calls:as "second 2")
    joint:token():register(calls:as "joint 1")
    joint:token():register(calls:as "joint 2")
    source:cancel()
    assert.equal("second 2 joint 2 joint 1 second 1 first", calls:order())
  end)

  it("takes a source linked directly and through another once", function()
    local middle = desist.linked(token)
    local joint = desist.linked(token, middle:token())
    token:register(calls:as "root")
    middle:token():register(calls:as "middle")
    joint:token():register(calls:as "joint")
    source:cancel()
    assert.equal("root joint middle", calls:order())
  end)

  it("starts at the link that was cancelled, not at its inputs", function()
    local link = desist.linked(token)
    token:register(calls:as "input")
    link:token():register(calls:as "link")
    link:cancel()
    assert.equal("link", calls:order())
    source:cancel()
    assert.equal("link input", calls:order())
  end)

  it("leaves nothing to run after cancel returned", function()
    local link = desist.linked(token)
    token:register(calls.note)
    link:token():register(calls.note)
    source:cancel()
    assert.equal(2, calls.n)
    link:cancel()
    source:cancel_async()
    assert.equal(0, desist.dispatch())
    assert.equal(2, calls.n)
  end)

  it("takes a chain of 100,000 links", function()
    local last = source
    for _ = 1, 100000 do last = desist.linked(last:token()) end
    last:token():register(calls.note)
    assert.is_true(source:cancel("far"))
    assert.is_true(last:is_cancelled())
    assert.equal("far", last:token():reason())
    assert.equal(token, last:token():error().origin)
    assert.equal(1, calls.n)
  end)

  it("takes a chain of 100,000 links that have callbacks", function()
    local last, sum = source, 0
    local function count() sum = sum + 1 end
    for _ = 1, 100000 do
      last = desist.linked(last:token())
      last:token():register(count)
    end
    source:cancel()
    assert.equal(100000, sum)
  end)

  it("takes 100,000 links on one token", function()
    local links, sum = {}, 0
    local function count() sum = sum + 1 end
    for i = 1, 100000 do
      links[i] = desist.linked(token)
      links[i]:token():register(count)
    end
    source:cancel()
    assert.equal(100000, sum)
    assert.is_true(links[1]:is_cancelled())
  end)

  it("is not needed to drop a chain of 100,000 links", function()
    (function()
      local last = source
      for _ = 1, 100000 do last = desist.linked(last:token()) end
    end)()
    helper.full_gc()
    assert.is_true(source:try_reset())
  end)
end)
