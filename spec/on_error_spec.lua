local desist = require "desist"
local helper = require "spec.helper"

local function throw(value)
  return function() error(value, 0) end
end

describe("desist.on_error", function()
  helper.leave_nothing(before_each, after_each)

  -- Cancels a source whose callbacks throw these values, newest first.
  local function fail_later(...)
    local source = desist.source()
    for i = 1, select("#", ...) do
      source:token():register(throw((select(i, ...))))
    end
    source:cancel_async()
  end

  it("returns the handler it replaces", function()
    local first, second = function() end, function() end
    desist.on_error(first)
    assert.equal(first, desist.on_error(second))
    assert.equal(second, desist.on_error(first))
  end)

  it("is given the errors of cancel_async, one by one", function()
    fail_later("a", "b", "c")
    desist.dispatch()
    local errors = helper.handled_errors()
    assert.equal(3, errors.n)
    assert.equal("c b a", table.concat(errors, " "))
  end)

  it("is given the values unchanged", function()
    local value = {}
    fail_later(value, false)
    desist.dispatch()
    local errors = helper.handled_errors()
    assert.is_false(errors[1])
    assert.equal(value, errors[2])
  end)

  it("is given errors that are nil", function()
    fail_later(nil)
    desist.dispatch()
    local errors = helper.handled_errors()
    assert.equal(1, errors.n)
    assert.is_nil(errors[1])
  end)

  it("is given the errors of deadlines that fire at once", function()
    local source = desist.source()
    source:token():register(throw "at once")
    assert.is_true(source:cancel_after(0))
    assert.equal("at once", helper.handled_errors()[1])
    source = desist.source()
    source:token():register(throw "in the past")
    assert.is_true(source:cancel_at(-1))
    assert.equal("in the past", helper.handled_errors()[1])
  end)

  it("is given the errors of deadlines on a manual clock", function()
    local clock = desist.manual_clock()
    local calls = helper.recorder()
    for i = 1, 3 do
      local source = desist.source { clock = clock }
      source:token():register(calls.note)
      source:token():register(throw(i))
      source:cancel_after(i)
    end
    clock:advance(10)
    assert.equal(10, clock:now())
    assert.equal(3, calls.n)
    assert.equal("1 2 3", table.concat(helper.handled_errors(), " "))
  end)

  it("is not given the errors that cancel raises", function()
    local source = desist.source()
    source:token():register(throw "raised")
    assert.is_false(pcall(source.cancel, source))
    assert.equal(0, helper.handled_errors().n)
  end)

  it("does not stop other callbacks when the handler fails", function()
    local calls = helper.recorder()
    desist.on_error(function() error "the handler itself" end)
    for _ = 1, 2 do
      local source = desist.source()
      source:token():register(calls.note)
      source:token():register(throw "x")
      source:cancel_async()
    end
    pcall(desist.dispatch)
    pcall(desist.dispatch)
    assert.equal(2, calls.n)
  end)

  it("set to nil warns by default and lets the program go on", function()
    local output, how, code = helper.child [[
      local desist = require "desist"
      desist.on_error(print)
      desist.on_error(nil)
      for _, value in ipairs { "a loud failure", false, {} } do
        local source = desist.source()
        source:token():register(function() error(value, 0) end)
        source:token():register(function() error(nil) end)
        source:cancel_async()
      end
      print("ran", desist.dispatch())
    ]]
    assert.matches("warning:.*a loud failure", output)
    assert.matches("ran\t6", output)
    assert.equal("exit", how)
    assert.equal(0, code)
  end)

  it("warns by default from the start", function()
    local output, how, code = helper.child [[
      local desist = require "desist"
      local source = desist.source()
      source:token():register(error)
      source:cancel_async("quite loud")
      print("ran", desist.dispatch())
    ]]
    assert.matches("warning:.*quite loud", output)
    assert.matches("ran\t1", output)
    assert.equal("exit", how)
    assert.equal(0, code)
  end)

  it("warns by default in one piece, also of what has no text", function()
    local output, how, code = helper.child [[
      local desist = require "desist"
      local source = desist.source()
      local value = setmetatable({}, { __tostring = error })
      source:token():register(function() error(value) end)
      source:cancel_async()
      print("ran", desist.dispatch())
    ]]
    assert.matches("warning: desist: error in a callback: table: 0?x?%x+\n",
      output)
    assert.matches("\nran\t1", output)
    assert.equal("exit", how)
    assert.equal(0, code)
  end)

  it("refuses what cannot be called", function()
    for _, bad in ipairs { 1, "print", true, {} } do
      helper.argument_error(1, "on_error", "expected", function()
        desist.on_error(bad)
      end)
    end
  end)
end)
