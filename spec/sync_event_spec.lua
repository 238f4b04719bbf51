local async = require "desist.async"
local helper = require "spec.helper"
local sync = require "desist.sync"

local in_task = helper.in_task

describe("sync.event", function()
  helper.leave_nothing(before_each, after_each)
  local calls, event

  before_each(function()
    calls, event = helper.recorder(), sync.event()
  end)

  local function waiter(name)
    event:wait()
    calls.note(name)
  end

  it("is not set at first", function()
    assert.is_false(event:is_set())
  end)

  it("is set and cleared", function()
    assert.is_true(event:set())
    assert.is_true(event:is_set())
    assert.is_false(event:set())
    event:clear()
    assert.is_false(event:is_set())
    event:clear()
    assert.is_true(event:set())
  end)

  it("wakes all who wait, in their order", in_task(function()
    for i = 1, 5 do async.spawn(waiter, i) end
    async.sleep(1)
    assert.equal(0, calls.n)
    event:set()
    assert.equal(0, calls.n)
    async.checkpoint()
    assert.equal("1 2 3 4 5", calls:order())
  end))

  it("stays set: later waits return at once", in_task(function()
    event:set()
    async.spawn(calls.note)
    event:wait()
    event:wait()
    assert.equal(0, calls.n)
    assert.is_true(event:is_set())
  end))

  it("returns nothing from wait", in_task(function()
    event:set()
    assert.equal(0, select("#", event:wait()))
  end))

  it("lets wait begin anew when it is cleared", in_task(function(loop)
    event:set()
    event:clear()
    async.spawn(function()
      async.sleep(2)
      event:set()
    end)
    event:wait()
    assert.equal(2, loop:now())
  end))

  it("wakes those who waited though it is cleared before they run", in_task(
  function()
    for i = 1, 3 do async.spawn(waiter, i) end
    async.checkpoint()
    event:set()
    event:clear()
    async.spawn(waiter, "late")
    async.checkpoint()
    async.checkpoint()
    assert.equal("1 2 3", calls:order())
    event:set()
  end))

  it("can be set outside of tasks", function()
    local loop = async.loop()
    loop:spawn(waiter, "woke")
    loop:step(0)
    event:set()
    assert.equal(-math.huge, loop:next_time())
    loop:step(0)
    assert.equal("woke", calls:order())
  end)

  it("wakes tasks of several loops", function()
    local loops = { async.loop(), async.loop() }
    for i = 1, 2 do
      loops[i]:spawn(waiter, i)
      loops[i]:step(0)
    end
    event:set()
    loops[2]:step(0)
    loops[1]:step(0)
    assert.equal("2 1", calls:order())
  end)

  it("does not wake who was cancelled, and keeps the others", in_task(
  function()
    local tasks = {}
    for i = 1, 5 do tasks[i] = async.spawn(waiter, i) end
    async.checkpoint()
    tasks[1]:cancel()
    tasks[3]:cancel()
    tasks[5]:cancel()
    async.checkpoint()
    event:set()
    async.checkpoint()
    assert.equal("2 4", calls:order())
  end))

  it("gives a wait that was woken and then cancelled its event", in_task(
  function()
    local task = async.spawn(waiter, "woke")
    async.checkpoint()
    event:set()
    task:cancel()
    task:join()
    assert.equal("woke", calls:order())
    assert.equal("returned", task:status())
  end))

  it("raises from wait in a cancelled scope, though it is set", in_task(
  function()
    event:set()
    async.scope(function(scope)
      scope:cancel()
      event:wait()
      calls.note "never"
    end)
    assert.equal(0, calls.n)
  end))

  it("keeps nobody who has gone", in_task(function()
    local weak = helper.survivors(function()
      local task = async.spawn(event.wait, event)
      async.checkpoint()
      task:cancel()
      async.checkpoint()
      async.checkpoint()
      return task
    end)
    assert.is_nil(weak[1])
  end))

  it("shows its state", function()
    assert.matches("not set", tostring(event))
    event:set()
    assert.matches("set", tostring(event))
  end)
end)
