local desist = require "desist"
local helper = require "spec.helper"

describe("desist.linked", function()
  helper.leave_nothing(before_each, after_each)

  local function sources(count)
    local list, tokens = {}, {}
    for i = 1, count do
      list[i] = desist.source { name = "input " .. i }
      tokens[i] = list[i]:token()
    end
    return list, tokens
  end

  it("is cancelled by each of its inputs", function()
    for i = 1, 3 do
      local list, tokens = sources(3)
      local link = desist.linked(table.unpack(tokens))
      assert.is_false(link:is_cancelled())
      assert.is_nil(link:token():reason())
      list[i]:cancel(i)
      assert.is_true(link:is_cancelled())
      assert.equal(i, link:token():reason())
      assert.equal(tokens[i], link:token():error().origin)
    end
  end)

  it("has a token of its own", function()
    local source = desist.source()
    local link = desist.linked(source:token())
    assert.not_equal(source:token(), link:token())
    assert.equal(link:token(), link:token())
  end)

  it("gives the very reason on every token of the graph", function()
    local source, reason = desist.source(), {}
    local link = desist.linked(source:token())
    local leaf = desist.linked(link:token(), desist.source():token())
    source:cancel(reason)
    assert.equal(reason, link:token():reason())
    assert.equal(reason, leaf:token():reason())
  end)

  it("passes on false as a reason", function()
    local source = desist.source()
    local link = desist.linked(source:token())
    source:cancel(false)
    assert.is_false(link:token():reason())
  end)

  it("keeps its first reason", function()
    local list, tokens = sources(2)
    local link = desist.linked(table.unpack(tokens))
    list[2]:cancel "first"
    list[1]:cancel "second"
    assert.is_false(link:cancel "third")
    assert.equal("first", link:token():reason())
  end)

  it("does not cancel its inputs", function()
    local source = desist.source()
    local link = desist.linked(source:token())
    assert.is_true(link:cancel("own"))
    assert.is_false(source:is_cancelled())
    assert.is_true(source:cancel("later"))
    assert.equal("own", link:token():reason())
  end)

  it("leaves other links of its input alone", function()
    local source = desist.source()
    local first = desist.linked(source:token())
    local second = desist.linked(source:token())
    first:cancel()
    assert.is_false(second:is_cancelled())
    local third = desist.linked(source:token())
    assert.is_false(third:is_cancelled())
    source:cancel("all")
    assert.equal("all", second:token():reason())
    assert.equal("all", third:token():reason())
  end)

  it("runs its callbacks once, though both inputs are cancelled", function()
    local list, tokens = sources(2)
    local calls = helper.recorder()
    local link = desist.linked(table.unpack(tokens))
    link:token():register(calls.note)
    list[1]:cancel()
    list[2]:cancel()
    assert.equal(1, calls.n)
  end)

  it("cancels exactly what is below the cancelled one", function()
    local nodes = { desist.source() }
    local parent = { nil, 1, 1, 2, 2, 3, 4, 4 }
    for i = 2, 8 do
      nodes[i] = desist.linked(nodes[parent[i]]:token())
    end
    nodes[2]:cancel()
    local below = { [2] = true, [4] = true, [5] = true, [7] = true, [8] = true }
    for i = 1, 8 do
      assert.equal(below[i] or false, nodes[i]:is_cancelled())
    end
  end)

  it("takes links as inputs", function()
    for leaf = 1, 4 do
      local list, tokens = sources(4)
      local left = desist.linked(tokens[1], tokens[2])
      local right = desist.linked(tokens[3], left:token())
      local top = desist.linked(right:token(), tokens[4])
      list[leaf]:cancel(leaf)
      assert.equal(leaf, top:token():reason())
      assert.equal(leaf <= 2, left:is_cancelled())
      assert.equal(leaf <= 3, right:is_cancelled())
    end
  end)

  it("takes two hundred inputs", function()
    for _, i in ipairs { 1, 100, 200 } do
      local list, tokens = sources(200)
      local link = desist.linked(table.unpack(tokens))
      list[i]:cancel(i)
      assert.equal(i, link:token():reason())
      for j = 1, 200 do
        assert.equal(j ~= i, list[j]:try_reset())
      end
    end
  end)

  describe("skips", function()
    it("nil wherever it stands", function()
      local source = desist.source()
      local token = source:token()
      local links = { desist.linked(nil, token), desist.linked(token, nil),
        desist.linked(nil, nil, token, nil, nil) }
      source:cancel("x")
      for i = 1, 3 do assert.equal("x", links[i]:token():reason()) end
    end)

    it("tokens that can never be cancelled", function()
      local source, closed = desist.source(), desist.source()
      closed:close()
      local link = desist.linked(desist.none, closed:token(), source:token())
      source:cancel("x")
      assert.equal("x", link:token():reason())
    end)

    it("duplicates", function()
      local source, calls = desist.source(), helper.recorder()
      local token = source:token()
      local link = desist.linked(token, token, token)
      link:token():register(calls.note)
      source:cancel("x")
      assert.equal("x", link:token():reason())
      assert.equal(1, calls.n)
    end)

    it("everything, and is a plain source then", function()
      local closed = desist.source()
      closed:close()
      for _, link in ipairs { desist.linked(), desist.linked(nil),
        desist.linked(nil, nil), desist.linked(desist.none),
        desist.linked(closed:token(), nil, desist.none) } do
        assert.is_false(link:is_cancelled())
        assert.is_true(link:token():can_be_cancelled())
        assert.is_true(link:cancel("own"))
        assert.equal("own", link:token():reason())
      end
    end)
  end)

  it("outlives the close of an input", function()
    local list, tokens = sources(2)
    local link = desist.linked(table.unpack(tokens))
    list[1]:close()
    assert.is_false(link:is_cancelled())
    list[2]:cancel("second")
    assert.equal("second", link:token():reason())
  end)

  it("can still be cancelled when all its inputs are closed", function()
    local list, tokens = sources(2)
    local link = desist.linked(table.unpack(tokens))
    list[1]:close()
    list[2]:close()
    assert.is_true(link:token():can_be_cancelled())
    assert.is_true(link:cancel("own"))
  end)

  it("leaves all its inputs when one cancels it", function()
    local list, tokens = sources(3)
    local link = desist.linked(table.unpack(tokens))
    list[2]:cancel()
    assert.is_true(link:is_cancelled())
    assert.is_true(list[1]:try_reset())
    assert.is_true(list[3]:try_reset())
  end)

  it("refuses what is no token", function()
    local source = desist.source()
    local token = source:token()
    for _, bad in ipairs { 1, "token", true, false, {}, io.stdout } do
      helper.argument_error(1, "linked", "token", function()
        desist.linked(bad)
      end)
      helper.argument_error(3, "linked", "token", function()
        desist.linked(token, nil, bad)
      end)
    end
    assert.is_true(source:try_reset())
  end)

  it("refuses a source where a token is wanted", function()
    local source = desist.source()
    helper.argument_error(1, "linked", "token", function()
      desist.linked(source)
    end)
    helper.argument_error(2, "linked", "token", function()
      desist.linked(desist.cancelled(), source)
    end)
  end)
end)
