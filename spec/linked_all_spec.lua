local desist = require "desist"
local helper = require "spec.helper"

describe("desist.linked_all", function()
  helper.leave_nothing(before_each, after_each)

  local function sources(count)
    local list, tokens = {}, {}
    for i = 1, count do
      list[i] = desist.source()
      tokens[i] = list[i]:token()
    end
    return list, tokens
  end

  it("is cancelled when every input is, by the last", function()
    local list, tokens = sources(3)
    local link = desist.linked_all(table.unpack(tokens))
    list[3]:cancel "first"
    list[1]:cancel "second"
    assert.is_false(link:is_cancelled())
    assert.is_nil(link:token():reason())
    list[2]:cancel "last"
    assert.is_true(link:is_cancelled())
    assert.equal("last", link:token():reason())
    assert.equal(tokens[2], link:token():error().origin)
  end)

  it("passes the last reason on by identity", function()
    local list, tokens = sources(2)
    local link = desist.linked_all(table.unpack(tokens))
    local reason = {}
    list[2]:cancel({})
    list[1]:cancel(reason)
    assert.equal(reason, link:token():reason())
  end)

  it("of one token follows it", function()
    local source = desist.source()
    local link = desist.linked_all(source:token())
    source:cancel("only")
    assert.equal("only", link:token():reason())
  end)

  it("can be cancelled itself, its inputs cannot be by it", function()
    local list, tokens = sources(2)
    local link = desist.linked_all(table.unpack(tokens))
    list[1]:cancel()
    assert.is_true(link:cancel("own"))
    assert.equal("own", link:token():reason())
    assert.is_false(list[2]:is_cancelled())
    list[2]:cancel("late")
    assert.equal("own", link:token():reason())
  end)

  it("counts duplicates once", function()
    local list, tokens = sources(2)
    local link = desist.linked_all(tokens[1], tokens[1], tokens[2], tokens[1])
    list[1]:cancel()
    assert.is_false(link:is_cancelled())
    list[2]:cancel("last")
    assert.equal("last", link:token():reason())
  end)

  it("runs its callbacks once, in the cancel of the last input", function()
    local list, tokens = sources(2)
    local calls = helper.recorder()
    local link = desist.linked_all(table.unpack(tokens))
    link:token():register(calls.note)
    list[1]:cancel()
    assert.equal(0, calls.n)
    list[2]:cancel("last")
    assert.equal(1, calls.n)
    assert.equal("last", calls:arguments(1)[1])
  end)

  it("is complete when one graph holds all its inputs", function()
    local source, calls = desist.source(), helper.recorder()
    local left = desist.linked(source:token())
    local right = desist.linked(source:token())
    local link = desist.linked_all(left:token(), right:token(), source:token())
    link:token():register(calls:as "all")
    source:token():register(function()
      calls.note(link:is_cancelled() and "seen" or "half")
    end)
    source:cancel("one")
    assert.equal("seen all", calls:order())
    assert.equal("one", link:token():reason())
    assert.equal(source:token(), link:token():error().origin)
  end)

  it("is completed by a callback that cancels the last input", function()
    local list, tokens = sources(2)
    local calls = helper.recorder()
    local link = desist.linked_all(table.unpack(tokens))
    link:token():register(calls.note)
    tokens[1]:register(function() list[2]:cancel("inner") end)
    list[1]:cancel("outer")
    assert.equal(1, calls.n)
    assert.equal("inner", link:token():reason())
  end)

  it("feeds links of either kind", function()
    local list, tokens = sources(3)
    local both = desist.linked_all(tokens[1], tokens[2])
    local any = desist.linked(both:token())
    local all = desist.linked_all(any:token(), tokens[3])
    list[1]:cancel()
    list[3]:cancel()
    assert.is_false(all:is_cancelled())
    list[2]:cancel("last")
    assert.equal("last", any:token():reason())
    assert.equal("last", all:token():reason())
  end)

  it("takes a chain of 20,000", function()
    local source = desist.source()
    local last = source
    for _ = 1, 20000 do last = desist.linked_all(last:token()) end
    source:cancel("far")
    assert.equal("far", last:token():reason())
  end)

  describe("with inputs already cancelled", function()
    it("waits for the others", function()
      local list, tokens = sources(3)
      list[1]:cancel "1"
      list[3]:cancel "3"
      local link = desist.linked_all(table.unpack(tokens))
      assert.is_false(link:is_cancelled())
      list[2]:cancel "2"
      assert.equal("2", link:token():reason())
      assert.equal(tokens[2], link:token():error().origin)
    end)

    it("all of them, is born cancelled by the last argument", function()
      local list, tokens = sources(3)
      for _, i in ipairs { 3, 2, 1 } do list[i]:cancel(i) end
      local link = desist.linked_all(table.unpack(tokens))
      assert.is_true(link:is_cancelled())
      assert.equal(3, link:token():reason())
      assert.equal(tokens[3], link:token():error().origin)
      assert.is_false(link:cancel())
    end)

    it("counts a duplicate at its first place", function()
      local list, tokens = sources(2)
      list[1]:cancel "one"
      list[2]:cancel "two"
      local link = desist.linked_all(tokens[1], tokens[2], tokens[1])
      assert.equal("two", link:token():reason())
      link = desist.linked_all(tokens[2], tokens[1], tokens[2], tokens[2])
      assert.equal("one", link:token():reason())
    end)

    it("keeps the kind of the last", function()
      local clock = desist.manual_clock()
      local source = desist.source { clock = clock }
      source:cancel_after(0)
      local link = desist.linked_all(desist.cancelled(), source:token())
      assert.equal("deadline", link:token():error().kind)
      link = desist.linked_all(source:token(), desist.cancelled("x"))
      assert.equal("cancelled", link:token():error().kind)
    end)
  end)

  describe("with an input that is never cancelled", function()
    it("is reached by its own cancel alone", function()
      local source, closed = desist.source(), desist.source()
      closed:close()
      local links = { desist.linked_all(desist.none),
        desist.linked_all(source:token(), desist.none),
        desist.linked_all(closed:token(), source:token()) }
      source:cancel()
      for _, link in ipairs(links) do
        assert.is_false(link:is_cancelled())
        assert.is_true(link:token():can_be_cancelled())
        assert.is_true(link:cancel("own"))
      end
    end)

    it("is reached by its own deadline", function()
      local clock = desist.manual_clock()
      local source = desist.source { clock = clock }
      local link = desist.linked_all(source:token(), desist.none)
      assert.is_true(link:cancel_after(0))
      assert.equal("deadline", link:token():error().kind)
    end)

    it("also when that input is closed later", function()
      local list, tokens = sources(2)
      local link = desist.linked_all(table.unpack(tokens))
      list[1]:close()
      list[2]:cancel()
      assert.is_false(link:is_cancelled())
      assert.is_true(link:cancel("own"))
    end)
  end)

  it("leaves all inputs once finished", function()
    local list, tokens = sources(3)
    local link = desist.linked_all(table.unpack(tokens))
    assert.is_false(list[1]:try_reset())
    link:cancel()
    for i = 1, 3 do assert.is_true(list[i]:try_reset()) end
    desist.linked_all(table.unpack(tokens)):close()
    for i = 1, 3 do assert.is_true(list[i]:try_reset()) end
  end)

  it("works without its handle while its token is held", function()
    local list, tokens = sources(2)
    local token = (function()
      return desist.linked_all(table.unpack(tokens)):token()
    end)()
    helper.full_gc()
    list[1]:cancel()
    helper.full_gc()
    assert.is_true(token:can_be_cancelled())
    list[2]:cancel("last")
    assert.equal("last", token:reason())
  end)

  it("needs at least one token", function()
    helper.argument_error(1, "linked_all", "token", function()
      desist.linked_all()
    end)
  end)

  it("refuses nil", function()
    local token = desist.source():token()
    helper.argument_error(1, "linked_all", "token", function()
      desist.linked_all(nil)
    end)
    helper.argument_error(2, "linked_all", "token", function()
      desist.linked_all(token, nil, token)
    end)
    helper.argument_error(2, "linked_all", "token", function()
      desist.linked_all(token, nil)
    end)
  end)

  it("refuses what is no token, a source too", function()
    local token = desist.source():token()
    for _, bad in ipairs { 1, "token", true, false, {}, io.stdout,
      desist.source() } do
      helper.argument_error(2, "linked_all", "token", function()
        desist.linked_all(token, bad)
      end)
    end
  end)
end)
