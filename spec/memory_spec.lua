local desist = require "desist"
local helper = require "spec.helper"

local survivors = helper.survivors

describe("full collections free", function()
  helper.leave_nothing(before_each, after_each)

  it("a source with its token and registrations", function()
    local weak = survivors(function()
      local source = desist.source()
      return source, source:token(), source:token():register(print)
    end)
    for i = 1, 3 do assert.is_nil(weak[i]) end
  end)

  it("a callback that captures its own source", function()
    local weak = survivors(function()
      local source = desist.source()
      local function callback() return source end
      source:token():register(callback)
      return source, callback
    end)
    assert.is_nil(weak[1])
    assert.is_nil(weak[2])
  end)

  it("a callback that captures its own token", function()
    local weak = survivors(function()
      local token = desist.source():token()
      local function callback() return token end
      token:register(callback)
      return token, callback
    end)
    assert.is_nil(weak[1])
    assert.is_nil(weak[2])
  end)

  it("a callback that captures its own registration", function()
    local weak = survivors(function()
      local source, registration = desist.source(), nil
      local function callback() return source, registration end
      registration = source:token():register(callback)
      return registration, callback, source
    end)
    for i = 1, 3 do assert.is_nil(weak[i]) end
  end)

  it("arguments that hold their own source and registration", function()
    local weak = survivors(function()
      local source, object = desist.source(), {}
      object.source, object.token = source, source:token()
      object.registration = source:token():register(rawlen, object, object)
      return object, source
    end)
    assert.is_nil(weak[1])
    assert.is_nil(weak[2])
  end)

  it("a cancelled source with its reason and error object", function()
    local weak = survivors(function()
      local source, reason = desist.source(), {}
      source:cancel(reason)
      return source, source:token(), reason, source:token():error()
    end)
    for i = 1, 4 do assert.is_nil(weak[i]) end
  end)

  it("a reason that refers to its own source and error", function()
    local weak = survivors(function()
      local source, reason = desist.source(), {}
      source:cancel(reason)
      reason.source, reason.token = source, source:token()
      reason.error = source:token():error()
      return source, reason, reason.error
    end)
    for i = 1, 3 do assert.is_nil(weak[i]) end
  end)

  it("a callback that keeps its token's error object", function()
    local weak = survivors(function()
      local source, kept = desist.source(), {}
      source:token():register(function()
        kept.error, kept.source = source:token():error(), source
      end)
      source:cancel()
      return kept, kept.error, source
    end)
    for i = 1, 3 do assert.is_nil(weak[i]) end
  end)

  it("a link whose callback captures the whole graph", function()
    local weak = survivors(function()
      local first, second = desist.source(), desist.source()
      local link = desist.linked(first:token(), second:token())
      local leaf = desist.linked_all(link:token(), first:token())
      local function callback() return first, second, link, leaf end
      link:token():register(callback)
      leaf:token():register(callback)
      return first, second, link, leaf, callback
    end)
    for i = 1, 5 do assert.is_nil(weak[i]) end
  end)

  it("a circle of sources that cancel each other", function()
    local weak = survivors(function()
      local first, second = desist.source(), desist.source()
      first:token():register(function() second:cancel() end)
      second:token():register(function() first:cancel() end)
      return first, second
    end)
    assert.is_nil(weak[1])
    assert.is_nil(weak[2])
  end)

  it("a manual clock with sources armed on it", function()
    local weak = survivors(function()
      local clock = desist.manual_clock()
      local source = desist.source { clock = clock }
      local function callback() return clock, source end
      source:token():register(callback)
      source:cancel_after(1)
      return clock, source, callback
    end)
    for i = 1, 3 do assert.is_nil(weak[i]) end
  end)

  it("a source whose real deadline was disarmed", function()
    local weak = survivors(function()
      local source = desist.after(1000)
      local function callback() return source end
      source:token():register(callback)
      source:cancel_after(math.huge)
      return source, callback
    end)
    assert.is_nil(weak[1])
    assert.is_nil(weak[2])
  end)

  it("a cancelled source whose queued callbacks ran", function()
    local weak = survivors(function()
      local source = desist.source()
      local function callback() return source end
      source:token():register(callback)
      source:cancel_async({})
      desist.dispatch()
      return source, callback, source:token():reason()
    end)
    for i = 1, 3 do assert.is_nil(weak[i]) end
  end)

  it("the values of errors that cancel raised", function()
    local weak = survivors(function()
      local source, value = desist.source(), {}
      source:token():register(function() error(value) end)
      local _, object = pcall(source.cancel, source)
      value.object, value.source = object, source
      return value, object, source
    end)
    for i = 1, 3 do assert.is_nil(weak[i]) end
  end)

  it("a handler that on_error replaced", function()
    local weak = survivors(function()
      local function handler() end
      desist.on_error(desist.on_error(handler))
      return handler
    end)
    assert.is_nil(weak[1])
  end)
end)
