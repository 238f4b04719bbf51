local desist = require "desist"
local helper = require "spec.helper"

describe("callbacks and coroutines", function()
  helper.leave_nothing(before_each, after_each)
  local source, token, seen

  before_each(function()
    source, seen = desist.source(), nil
    token = source:token()
  end)

  local function look()
    seen = coroutine.running()
  end

  -- Runs fn in a coroutine; gives the coroutine, which is dead afterwards.
  local function inside(fn)
    local co = coroutine.create(fn)
    assert(coroutine.resume(co))
    return co
  end

  it("run on the coroutine that cancels", function()
    token:register(look)
    local co = inside(function() source:cancel() end)
    assert.equal(co, seen)
  end)

  it("never run on the coroutine that registered", function()
    local co = inside(function() token:register(look) end)
    source:cancel()
    assert.not_equal(co, seen)
    assert.equal(coroutine.running(), seen)
  end)

  it("run on the canceller when the registering one is gone", function()
    inside(function() token:register(look) end)
    helper.full_gc()
    local co = inside(function()
      source:cancel()
    end)
    assert.equal(co, seen)
  end)

  it("run on the canceller when the registering one is suspended", function()
    local first = coroutine.create(function()
      token:register(look)
      coroutine.yield()
      return "undisturbed"
    end)
    coroutine.resume(first)
    local co = inside(function() source:cancel() end)
    assert.equal(co, seen)
    assert.equal("suspended", coroutine.status(first))
    assert.equal("undisturbed", select(2, coroutine.resume(first)))
  end)

  it("run on the coroutine that dispatches", function()
    token:register(look)
    source:cancel_async()
    local co = inside(function() desist.dispatch() end)
    assert.equal(co, seen)
  end)

  it("run on the coroutine that waits", function()
    token:register(look)
    source:cancel_async()
    local co = inside(function() desist.none:wait(0.001) end)
    assert.equal(co, seen)
  end)

  it("run on the coroutine that moves the clock", function()
    local clock = desist.manual_clock()
    local timed = desist.source { clock = clock }
    timed:token():register(look)
    timed:cancel_after(1)
    local co = inside(function() clock:advance(1) end)
    assert.equal(co, seen)
  end)

  it("run on the coroutine that registers too late", function()
    source:cancel()
    local co = inside(function() token:register(look) end)
    assert.equal(co, seen)
  end)

  it("leave the cancelling coroutine free to yield afterwards", function()
    token:register(look)
    local co = coroutine.create(function()
      source:cancel()
      coroutine.yield "yielded"
      return "returned"
    end)
    assert.equal("yielded", select(2, coroutine.resume(co)))
    assert.equal("returned", select(2, coroutine.resume(co)))
  end)

  it("may resume other coroutines", function()
    local worker = coroutine.wrap(function()
      coroutine.yield "half"
      return "whole"
    end)
    local got = {}
    token:register(function() got[2] = worker() end)
    token:register(function() got[1] = worker() end)
    inside(function() source:cancel() end)
    assert.same({ "half", "whole" }, got)
  end)

  it("meet Lua's own error when they yield from cancel", function()
    local ok, message
    token:register(function() ok, message = pcall(coroutine.yield) end)
    inside(function() source:cancel() end)
    assert.is_false(ok)
    assert.matches("attempt to yield across a C%-call boundary", message)
  end)

  it("report the yield that they did not catch as their error", function()
    token:register(function() coroutine.yield() end)
    local ok, object
    inside(function() ok, object = pcall(source.cancel, source) end)
    assert.is_false(ok)
    assert.equal(1, object.errors.n)
    assert.matches("attempt to yield", object.errors[1].value)
  end)

  it("cannot yield when they run inside register", function()
    source:cancel()
    local ok, message
    inside(function()
      ok, message = pcall(token.register, token, coroutine.yield)
    end)
    assert.is_false(ok)
    assert.matches("attempt to yield across a C%-call boundary", message)
  end)

  it("cannot yield when they are dispatched", function()
    token:register(coroutine.yield)
    source:cancel_async()
    inside(function() desist.dispatch() end)
    local errors = helper.handled_errors()
    assert.equal(1, errors.n)
    assert.matches("attempt to yield", errors[1])
  end)

  it("do not keep the coroutine that registered them", function()
    local weak = helper.survivors(function()
      local co = inside(function() token:register(look) end)
      return co
    end)
    assert.is_nil(weak[1])
    source:cancel()
    assert.equal(coroutine.running(), seen)
  end)

  it("may throw the token's error out of their coroutine", function()
    local co = coroutine.create(function()
      source:cancel("stop")
      token:throw_if_cancelled()
    end)
    local ok, value = coroutine.resume(co)
    assert.is_false(ok)
    assert.equal(token:error(), value)
  end)

  it("close what a closed coroutine held", function()
    local co = coroutine.create(function()
      local registration <close> = token:register(look)
      coroutine.yield(registration:is_active())
    end)
    assert.is_true(select(2, coroutine.resume(co)))
    coroutine.close(co)
    source:cancel()
    assert.is_nil(seen)
  end)
end)
