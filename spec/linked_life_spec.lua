local desist = require "desist"
local helper = require "spec.helper"

describe("the life of a link", function()
  helper.leave_nothing(before_each, after_each)

  it("goes on without its handle while its token is held", function()
    local first, second = desist.source(), desist.source()
    local token = (function()
      return desist.linked(first:token(), second:token()):token()
    end)()
    helper.full_gc()
    assert.is_true(token:can_be_cancelled())
    second:cancel("reached")
    assert.equal("reached", token:reason())
  end)

  it("goes on without handle and token while it has callbacks", function()
    local source, calls = desist.source(), helper.recorder();
    (function()
      desist.linked(source:token()):token():register(calls.note)
    end)()
    helper.full_gc()
    source:cancel("reached")
    assert.equal(1, calls.n)
    assert.equal("reached", calls:arguments(1)[1])
  end)

  it("goes on without handle and token while it has links", function()
    local source = desist.source()
    local last = (function()
      local link = desist.linked(source:token())
      return desist.linked(desist.linked(link:token()):token())
    end)()
    helper.full_gc()
    assert.is_false(source:try_reset())
    source:cancel("reached")
    assert.equal("reached", last:token():reason())
  end)

  it("ends when nothing of it is held any more", function()
    local source = desist.source();
    (function()
      local link = desist.linked(source:token())
      desist.linked(link:token())
    end)()
    helper.full_gc()
    assert.is_true(source:try_reset())
  end)

  describe("without its handle ends with the last that needs it:", function()
    local source

    -- Makes what needs a link whose handle is collected; lets go of it.
    local function assert_goes(make, let_go)
      source = desist.source()
      local held = {}
      make(held, function() return desist.linked(source:token()) end)
      helper.full_gc()
      assert.is_false(source:try_reset())
      let_go(held)
      helper.full_gc()
      assert.is_true(source:try_reset())
    end

    local function make_link(held, link)
      held[1] = desist.linked(link():token())
    end

    it("its token", function()
      assert_goes(function(held, link)
        held[1] = link():token()
      end, function(held)
        held[1] = nil
      end)
    end)

    it("a link that is dropped", function()
      assert_goes(make_link, function(held) held[1] = nil end)
    end)

    it("a link that is closed", function()
      assert_goes(make_link, function(held) held[1]:close() end)
    end)

    it("a link that is cancelled", function()
      assert_goes(make_link, function(held) held[1]:cancel() end)
    end)

    it("a registration", function()
      assert_goes(function(held, link)
        held[1] = link():token():register(print)
      end, function(held)
        held[1]:unregister()
        held[1] = nil
      end)
    end)

    it("the end of a chain", function()
      assert_goes(function(held, link)
        local last = link()
        for _ = 1, 1000 do
          last = desist.linked(last:token())
          if math.random(10) == 1 then collectgarbage "step" end
        end
        held[1] = last
      end, function(held)
        held[1] = nil
      end)
    end)
  end)
end)
