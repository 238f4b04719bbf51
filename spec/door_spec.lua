-- The door between a loop and its host, seen from a host made of a table.

local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"
local hosted = require "desist.async.door".hosted
local sync = require "desist.sync"

-- A host that notes what it is asked for. Its handles are tables; `asked` has
-- those that are neither called nor forgotten.
local Host = {}
Host.__index = Host

local function new_host()
  return setmetatable({ asked = {}, log = helper.recorder(), inside = false,
    watches = 0 }, Host)
end

function Host:ask(kind, fn, seconds)
  local handle = { kind = kind, fn = fn, seconds = seconds,
    time = desist.now() + (seconds or 0) }
  self.asked[#self.asked + 1] = handle
  self.log.note(kind)
  return handle
end

function Host:take(handle)
  for i = 1, #self.asked do
    if self.asked[i] == handle then return table.remove(self.asked, i) end
  end
  error("a handle that is not pending: " .. handle.kind)
end

-- How many are pending: soon and later together, or "watch".
function Host:pending(kind)
  local count = 0
  for i = 1, #self.asked do
    local is_watch = self.asked[i].kind == "watch"
    if is_watch == (kind == "watch") then count = count + 1 end
  end
  return count
end

function Host:door()
  local host = self
  return {
    soon = function(fn) return host:ask("soon", fn) end,
    later = function(seconds, fn) return host:ask("later", fn, seconds) end,
    watch = function(fd, fn)
      assert.equal(desist.wakeup_fd(), fd)
      return host:ask("watch", fn)
    end,
    forget = function(handle)
      host.log.note("forget " .. handle.kind)
      host:take(handle)
      return "anything"
    end,
  }
end

-- Calls what is asked for, and not watched; false: nothing is. Waits for its
-- time, unless it is called early.
function Host:call(early)
  for i = 1, #self.asked do
    local handle = self.asked[i]
    if handle.kind ~= "watch" then
      repeat until early or desist.now() >= handle.time
      self:take(handle)
      handle.fn()
      return true
    end
  end
  return false
end

describe("a door", function()
  helper.leave_nothing(before_each, after_each)

  local host, loop
  before_each(function()
    host = new_host()
    loop = hosted(host:door(), "hand-made")
  end)
  after_each(function()
    loop:close()
    assert.same({}, host.asked)
  end)

  it("is asked for nothing until there is a task", function()
    assert.is_true(loop:is_idle())
    loop:close()
    assert.equal("", host.log:order())
  end)

  it("is told to watch and to turn soon when a task is spawned", function()
    local ran = false
    loop:spawn(function() ran = true end)
    assert.is_false(ran)
    assert.equal("watch soon", host.log:order())
    host:call()
    assert.is_true(ran)
  end)

  it("is told to forget all when no task is left", function()
    loop:spawn(function() end)
    host:call()
    assert.equal("watch soon forget watch", host.log:order())
    assert.same({}, host.asked)
  end)

  it("is asked once for what many tasks need", function()
    for _ = 1, 100 do loop:spawn(async.sleep, 0) end
    assert.equal(1, host:pending())
    assert.equal(1, host:pending "watch")
    while host:call() do
      assert.is_true(host:pending() <= 1)
    end
    assert.is_true(loop:is_idle())
  end)

  it("is asked for later with the time of the next timer", function()
    for _, seconds in ipairs { 50, 20, 30 } do
      loop:spawn(async.sleep, seconds)
    end
    host:call()
    assert.equal(1, host:pending())
    local handle = host.asked[2]
    assert.equal("later", handle.kind)
    assert.is_true(handle.seconds > 19 and handle.seconds <= 20)
    loop:cancel()
    host:call()
  end)

  it("is asked for a day at most", function()
    loop:spawn(async.sleep, 1e9)
    host:call()
    assert.equal(86400, host.asked[2].seconds)
    host:call(true)
    assert.equal("later", host.asked[2].kind)
    loop:cancel()
    host:call()
  end)

  it("that turns too early is asked again", function()
    local done = false
    loop:spawn(function()
      async.sleep(0.3)
      done = true
    end)
    host:call()
    host:call(true)
    assert.is_false(done)
    while host:call() do assert.is_true(host:pending() <= 1) end
    assert.is_true(done)
  end)

  it("is told to forget later when something becomes ready", function()
    local task = loop:spawn(async.sleep, 60)
    host:call()
    task:cancel()
    assert.equal("watch soon later forget later soon", host.log:order())
    host:call()
  end)

  it("is told to forget later when a nearer deadline is set", function()
    local scope
    loop:spawn(function()
      async.scope(function(opened)
        scope = opened
        async.sleep(60)
      end)
    end)
    host:call()
    scope:cancel_after(70)
    assert.equal("watch soon later", host.log:order())
    scope:cancel_after(0.3)
    assert.equal("watch soon later forget later later", host.log:order())
    while host:call() do assert.is_true(host:pending() <= 1) end
    assert.is_true(loop:is_idle())
  end)

  it("is asked for nothing but the watch by a task that waits for others",
    function()
      local event = sync.event()
      loop:spawn(event.wait, event)
      host:call()
      assert.equal(0, host:pending())
      assert.equal(1, host:pending "watch")
      event:set()
      assert.equal(1, host:pending())
      host:call()
      assert.same({}, host.asked)
    end)

  it("brings in what other threads queued when it calls the watch", function()
    local source = desist.source()
    local reason
    loop:spawn(function()
      local _, err = async.scope({ token = source:token() }, function()
        async.sleep(60)
      end)
      reason = err.reason
    end)
    host:call()
    source:cancel_async "from outside"
    assert.is_true(helper.readable(desist.wakeup_fd()))
    assert.equal("watch", host.asked[1].kind)
    host.asked[1].fn()
    assert.is_nil(reason)
    assert.equal(1, host:pending())
    host:call()
    assert.equal("from outside", reason)
  end)

  it("is told to forget all when the loop is closed", function()
    loop:spawn(async.sleep, 60)
    host:call()
    loop:spawn(async.sleep, 60)
    loop:close()
    assert.same({}, host.asked)
    assert.equal("watch soon later forget later soon forget soon forget watch",
      host.log:order())
    helper.raises(function() loop:spawn(print) end, "the loop is closed")
  end)

  it("may live inside a task of another loop", function()
    local order = helper.recorder()
    async.run(function()
      loop:spawn(order:as "inner")
      host:call()
      async.sleep(0)
      order.note "outer"
    end)
    assert.equal("inner outer", order:order())
  end)
end)
