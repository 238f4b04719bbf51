local desist = require "desist"
local helper = require "spec.helper"

-- The functions given to helper.thread run in a lua_State of their own: they
-- have no upvalues and require what they need.

describe("a reason in another state", function()
  helper.leave_nothing(before_each, after_each)

  -- The reason that another state gave, named by a Lua expression.
  local function given_there(expression)
    local source = desist.source()
    assert.is_true(helper.thread(function(handle, text)
      local same = require "desist".from_handle(handle)
      local reason = load("return " .. text)()
      same:cancel(reason)
      return reason == nil or rawequal(same:token():reason(), reason)
    end, source:handle(), expression).join())
    return source:token():reason()
  end

  -- What another state reads of a reason given here, as "type text".
  local function read_there(reason)
    local source, ready = desist.source(), desist.source()
    local thread = helper.thread(function(handle, ready_handle)
      local there = require "desist"
      local token = there.from_handle(handle)
      local seen, ran
      token:register(function(value) seen, ran = value, true end)
      there.from_handle(ready_handle):cancel()
      token:wait(10)
      local limit = there.now() + 5
      repeat there.dispatch() until ran or there.now() > limit
      assert(seen == token:reason() and seen == token:error().reason)
      return type(seen) .. " " .. tostring(seen)
    end, source:token():handle(), ready:handle())
    ready:token():wait(10)
    source:cancel(reason)
    return thread.join()
  end

  it("is the default when it was nil", function()
    assert.equal("cancelled", given_there "nil")
    assert.equal("string cancelled", read_there(nil))
  end)

  it("is itself when it is a boolean", function()
    assert.is_true(given_there "true")
    assert.is_false(given_there "false")
    assert.equal("boolean false", read_there(false))
  end)

  it("is itself when it is a number", function()
    for _, number in ipairs { 0, -1, 0.1, 1e300, math.huge, math.mininteger,
      math.maxinteger, 9007199254740993, 2.0 } do
      local text = math.type(number) == "integer" and
        ("0x%x"):format(number) or number == math.huge and "math.huge" or
        ("%a"):format(number)
      local got = given_there(text)
      assert.equal(number, got)
      assert.equal(math.type(number), math.type(got))
    end
    assert.equal("number 7", read_there(7))
    assert.equal("number 7.5", read_there(7.5))
  end)

  it("is itself when it is a string", function()
    assert.equal("", given_there "''")
    assert.equal("a\0b\255", given_there "'a\\0b\\255'")
    assert.equal(("long "):rep(20000), given_there "('long '):rep(20000)")
    assert.equal("string x\0y", read_there("x\0y"))
  end)

  it("is its tostring text when it is anything else", function()
    assert.matches("^table: 0x", given_there "{}")
    assert.matches("^function: ", given_there "print")
    assert.matches("^thread: ", given_there "coroutine.create(print)")
    assert.equal("I speak", given_there [[setmetatable({}, {
      __tostring = function() return "I speak" end })]])
    local object = {}
    assert.equal("string " .. tostring(object), read_there(object))
    object = setmetatable({}, { __tostring = function() return "mine" end })
    assert.equal("string mine", read_there(object))
  end)

  it("stays the same value, by identity, in the state that gave it", function()
    local source, reason = desist.source(), {}
    local link = desist.linked(source:token())
    local thread = helper.thread(function(handle)
      return require "desist".from_handle(handle):wait(10)
    end, source:token():handle())
    source:cancel(reason)
    assert.is_true(thread.join())
    assert.equal(reason, source:token():reason())
    assert.equal(reason, link:token():reason())
  end)
end)
