local desist = require "desist"
local helper = require "spec.helper"

describe("desist.linked with an input already cancelled", function()
  helper.leave_nothing(before_each, after_each)

  local function sources(count)
    local list, tokens = {}, {}
    for i = 1, count do
      list[i] = desist.source()
      tokens[i] = list[i]:token()
    end
    return list, tokens
  end

  it("is cancelled at birth with its reason", function()
    local source, reason = desist.source(), {}
    source:cancel(reason)
    local link = desist.linked(source:token())
    assert.is_true(link:is_cancelled())
    assert.equal(reason, link:token():reason())
    assert.equal(source:token(), link:token():error().origin)
    assert.is_false(link:cancel())
  end)

  it("takes the first such in argument order", function()
    local list, tokens = sources(4)
    list[4]:cancel(4)
    list[3]:cancel(3)
    list[2]:cancel(2)
    local link = desist.linked(nil, tokens[1], desist.none, tokens[2],
      tokens[3], tokens[4])
    assert.equal(2, link:token():reason())
    assert.equal(tokens[2], link:token():error().origin)
    link = desist.linked(tokens[4], tokens[3], tokens[2], tokens[1])
    assert.equal(4, link:token():reason())
  end)

  it("is not linked to the live ones", function()
    local list, tokens = sources(2)
    list[2]:cancel()
    local link = desist.linked(tokens[1], tokens[2])
    assert.is_true(link:is_cancelled())
    assert.is_true(list[1]:try_reset())
  end)

  it("keeps the kind", function()
    local clock = desist.manual_clock()
    local source = desist.source { clock = clock }
    source:cancel_after(0)
    local object = desist.linked(source:token()):token():error()
    assert.equal("deadline", object.kind)
    assert.equal("deadline exceeded", object.reason)
  end)

  it("counts desist.cancelled and closed ones that are cancelled", function()
    local source = desist.source()
    source:cancel("closed later")
    source:close()
    assert.equal("why",
      desist.linked(desist.cancelled("why")):token():reason())
    assert.equal("closed later",
      desist.linked(source:token()):token():reason())
  end)

  it("runs callbacks before register returns", function()
    local calls = helper.recorder()
    local link = desist.linked(desist.cancelled("r"))
    link:token():register(calls.note)
    assert.equal("r", calls:arguments(1)[1])
  end)
end)
