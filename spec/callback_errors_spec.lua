local desist = require "desist"
local helper = require "spec.helper"

local function throw(value)
  return function() error(value, 0) end
end

describe("errors in callbacks", function()
  helper.leave_nothing(before_each, after_each)
  local source, token, calls

  before_each(function()
    source, calls = desist.source(), helper.recorder()
    token = source:token()
  end)

  local function cancel(options)
    return helper.raises(function() source:cancel("why", options) end)
  end

  it("come out of cancel as one object of kind 'callbacks'", function()
    token:register(throw "only")
    local object = cancel()
    assert.equal("callbacks", object.kind)
    assert.equal(1, object.errors.n)
    assert.equal("only", object.errors[1].value)
  end)

  it("do not stop the other callbacks", function()
    token:register(calls:as "first")
    token:register(throw "one")
    token:register(calls:as "second")
    token:register(throw "two")
    token:register(calls:as "third")
    assert.equal(2, cancel().errors.n)
    assert.equal("third second first", calls:order())
  end)

  it("leave the source cancelled", function()
    token:register(throw "x")
    cancel()
    assert.is_true(source:is_cancelled())
    assert.equal("why", token:reason())
    assert.is_false(source:cancel())
  end)

  it("are listed in the order they were raised", function()
    for i = 1, 3 do token:register(throw("error " .. i)) end
    local errors = cancel().errors
    assert.equal(3, errors.n)
    for i = 1, 3 do assert.equal("error " .. 4 - i, errors[i].value) end
  end)

  it("are listed unchanged, whatever their type", function()
    local object = setmetatable({}, { __tostring = function() return "o" end })
    local values = { object, false, 12, print, true, io.stdout, "text" }
    for _, value in ipairs(values) do token:register(throw(value)) end
    local errors = cancel().errors
    assert.equal(#values, errors.n)
    for i, value in ipairs(values) do
      assert.is_true(rawequal(value, errors[#values + 1 - i].value))
    end
  end)

  it("count when they are nil", function()
    token:register(throw(nil))
    token:register(throw "other")
    token:register(throw(nil))
    local errors = cancel().errors
    assert.equal(3, errors.n)
    assert.is_table(errors[1])
    assert.is_nil(errors[1].value)
    assert.equal("other", errors[2].value)
    assert.is_nil(errors[3].value)
  end)

  it("keep the position that error put before a message", function()
    token:register(function() error "placed" end)
    assert.matches("callback_errors_spec.lua:%d+: placed$",
      cancel().errors[1].value)
  end)

  it("of Lua itself are listed too", function()
    token:register(function() return #nil end)
    assert.matches("attempt to get length", cancel().errors[1].value)
  end)

  it("of the whole linked graph come in one list", function()
    token:register(throw "root 1")
    local link = desist.linked(token)
    local leaf = desist.linked(link:token())
    link:token():register(throw "link")
    leaf:token():register(throw "leaf")
    token:register(throw "root 2")
    local errors = cancel().errors
    assert.equal(4, errors.n)
    local order = { "root 2", "link", "leaf", "root 1" }
    for i, value in ipairs(order) do
      assert.equal(value, errors[i].value)
    end
  end)

  it("all show in tostring", function()
    token:register(throw "the disk is full")
    token:register(throw(nil))
    token:register(throw(setmetatable({}, {
      __tostring = function() return "a thing that speaks" end,
    })))
    local text = tostring(cancel())
    assert.matches("the disk is full", text)
    assert.matches("nil", text)
    assert.matches("a thing that speaks", text)
  end)

  it("of a nested cancel are raised inside the callback", function()
    local other = desist.source()
    other:token():register(throw "inner")
    local ok, inner
    token:register(function() ok, inner = pcall(other.cancel, other) end)
    token:register(function() other.cancel(desist.source()) end)
    source:cancel()
    assert.is_false(ok)
    assert.equal("inner", inner.errors[1].value)
  end)

  it("of a nested cancel that pass through are one value", function()
    local other = desist.source()
    other:token():register(throw "a")
    other:token():register(throw "b")
    token:register(function() other:cancel() end)
    local errors = cancel().errors
    assert.equal(1, errors.n)
    assert.equal("callbacks", errors[1].value.kind)
    assert.equal(2, errors[1].value.errors.n)
  end)

  it("are collected anew by each cancel", function()
    token:register(throw "first")
    local first = cancel()
    source = desist.source()
    source:token():register(throw "second")
    local second = cancel()
    assert.not_equal(first, second)
    assert.equal(1, first.errors.n)
    assert.equal("second", second.errors[1].value)
  end)

  describe("with stop_on_error", function()
    local stop = { stop_on_error = true }

    it("come out as they are", function()
      local value = {}
      token:register(throw(value))
      assert.equal(value, cancel(stop))
    end)

    it("come out as they are when nil or false", function()
      for _, value in ipairs { { nil }, { false } } do
        local each = desist.source()
        each:token():register(throw(value[1]))
        local ok, got = pcall(each.cancel, each, nil, stop)
        assert.is_false(ok)
        assert.is_true(rawequal(value[1], got))
      end
    end)

    it("drop the remaining callbacks for good", function()
      local rest = token:register(calls:as "dropped")
      token:register(throw "stop")
      token:register(calls:as "ran")
      assert.equal("stop", cancel(stop))
      assert.equal("ran", calls:order())
      assert.is_false(rest:is_active())
      assert.is_false(rest:unregister())
      source:cancel()
      desist.dispatch()
      assert.equal("ran", calls:order())
    end)

    it("drop the remaining callbacks of the whole graph", function()
      local early = desist.linked(token)
      early:token():register(calls:as "dropped 1")
      token:register(calls:as "dropped 2")
      local link = desist.linked(token)
      link:token():register(calls:as "dropped 3")
      link:token():register(throw "from the link")
      token:register(calls:as "ran")
      assert.equal("from the link", cancel(stop))
      assert.equal("ran", calls:order())
      assert.is_true(early:is_cancelled())
      assert.equal(0, desist.dispatch())
    end)

    it("leave the source cancelled", function()
      token:register(throw "x")
      cancel(stop)
      assert.is_true(source:is_cancelled())
      token:register(calls:as "at once")
      assert.equal("at once", calls:order())
    end)

    it("absent, cancel returns true", function()
      token:register(calls:as "a")
      token:register(calls:as "b")
      assert.is_true(source:cancel(nil, stop))
      assert.equal("b a", calls:order())
    end)

    it("false, they are collected as ever", function()
      token:register(throw "one")
      token:register(throw "two")
      assert.equal(2, cancel({ stop_on_error = false }).errors.n)
    end)
  end)
end)
