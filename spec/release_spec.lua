local desist = require "desist"
local helper = require "spec.helper"

local survivors = helper.survivors

describe("a callback and its arguments are released", function()
  helper.leave_nothing(before_each, after_each)
  local source, token

  before_each(function()
    source = desist.source()
    token = source:token()
  end)

  -- Registers on the token; then calls `finish` with the registration, which
  -- stays held. Both callback and argument must be gone.
  local function assert_released(on, finish)
    local registration
    local weak = survivors(function()
      local argument = {}
      local function callback() return argument end
      registration = on:register(callback, argument)
      finish(registration)
      return callback, argument
    end)
    assert.is_nil(weak[1])
    assert.is_nil(weak[2])
    assert.is_false(registration:is_active())
  end

  it("when it ran", function()
    assert_released(token, function() source:cancel() end)
  end)

  it("when it ran in a dispatch", function()
    assert_released(token, function()
      source:cancel_async()
      desist.dispatch()
    end)
  end)

  it("when it ran inside register", function()
    source:cancel()
    assert_released(token, function() end)
  end)

  it("when it failed", function()
    local registration
    local weak = survivors(function()
      local argument = {}
      registration = token:register(function(_) error "x" end, argument)
      pcall(source.cancel, source)
      return argument
    end)
    assert.is_nil(weak[1])
    assert.is_false(registration:unregister())
  end)

  it("when it was unregistered", function()
    assert_released(token, function(each) each:unregister() end)
    assert_released(token, function(each) each:close() end)
  end)

  it("when its source was closed or reset", function()
    assert_released(token, function() source:try_reset() end)
    assert_released(token, function() source:close() end)
  end)

  it("when its source was collected, though the token is held", function()
    assert_released(token, function() source = nil end)
    assert.is_false(token:can_be_cancelled())
  end)

  it("when it could never run", function()
    source:close()
    assert_released(token, function() end)
    assert_released(desist.none, function() end)
  end)

  it("when stop_on_error dropped it", function()
    assert_released(token, function()
      token:register(helper.fail)
      pcall(source.cancel, source, "x", { stop_on_error = true })
    end)
  end)

  it("when the link it was on was cancelled by an input", function()
    local link = desist.linked(token)
    assert_released(link:token(), function() source:cancel() end)
  end)

  it("before the other callbacks of the same cancel run", function()
    local released
    local weak = setmetatable({}, { __mode = "v" })
    token:register(function()
      helper.full_gc()
      released = weak[1] == nil
    end);
    (function()
      local argument = {}
      weak[1] = argument
      token:register(rawlen, argument)
    end)()
    source:cancel()
    assert.is_true(released)
  end)

  it("but not while it can still run", function()
    local weak = survivors(function()
      local argument = {}
      token:register(function() return argument end, argument)
      return argument
    end)
    assert.is_table(weak[1])
    source:cancel()
    helper.full_gc()
    assert.is_nil(weak[1])
  end)
end)
