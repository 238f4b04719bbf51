local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"
local sync = require "desist.sync"

local in_task = helper.in_task

-- The error that fn(...) raises.
local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "no error raised")
  return err
end

-- The rows of docs/tasks.md, 8, in their order.
describe("at the same moment", function()
  helper.leave_nothing(before_each, after_each)
  local calls, loop

  before_each(function()
    calls, loop = helper.recorder(), async.loop()
  end)

  it("a sleeper wakes and its timeout fires: sleep returns, the next "
    .. "checkpoint raises", in_task(function(of_task)
    local err = failure(async.timeout, 2, function()
      async.sleep(2)
      calls.note "woke"
      async.checkpoint()
      calls.note "never"
    end)
    assert.is_true(desist.is_timeout(err))
    assert.equal("woke", calls:order())
    assert.equal(2, of_task:now())
  end))

  it("a sleeper wakes and its timeout fires: returning at once is in time",
  in_task(function()
    assert.equal("in time", async.timeout(2, function()
      async.sleep(2)
      return "in time"
    end))
    assert.equal("in time", async.move_on_after(2, function()
      async.sleep(2)
      return "in time"
    end))
  end))

  it("a sleeper wakes whose timeout was armed later or earlier", in_task(
  function()
    local task = async.spawn(function()
      async.sleep(3)
      return "woke"
    end)
    assert.equal("woke", async.timeout(3, task.join, task))
    assert.equal("woke", async.timeout(3, function()
      async.scope(function(scope)
        scope:spawn(async.sleep, 1)
        async.sleep(1)
      end)
      async.sleep(2)
      return "woke"
    end))
  end))

  it("a task sets an event at the time of a waiter's deadline: the waiter "
    .. "has its event", in_task(function()
    local event = sync.event()
    async.spawn(function()
      async.sleep(2)
      event:set()
    end)
    async.timeout(2, function()
      event:wait()
      calls.note "has it"
    end)
    assert.equal("has it", calls:order())
  end))

  it("that holds for what other tasks do in between, too", in_task(
  function()
    local queue, event = sync.queue(), sync.event()
    async.spawn(function()
      async.sleep(2)
      event:set()
    end)
    async.spawn(function()
      event:wait()
      queue:put("value")
    end)
    assert.equal("value", async.timeout(2, queue.get, queue))
  end))

  it("two deadlines cancel in arming order, and both before any task runs",
  function()
    local function block(name)
      async.move_on_after(2, function()
        async.token():register(calls.note, name)
        pcall(async.sleep, 100)
        calls.note(name .. " runs")
      end)
    end
    loop:spawn(block, "a")
    loop:spawn(block, "b")
    loop:step(0)
    loop:step(2)
    assert.equal("a b a runs b runs", calls:order())
  end)

  it("an inner and an outer deadline: the outer error is raised", in_task(
  function()
    local err = failure(async.timeout, 2, function()
      async.move_on_after(2, async.sleep, 10)
      calls.note "never"
    end)
    assert.is_true(desist.is_timeout(err))
    assert.equal(2, err.seconds)
    err = failure(async.timeout, 2, function()
      async.sleep(1)
      async.timeout(1, async.sleep, 10)
    end)
    assert.equal(2, err.seconds)
    assert.equal(0, calls.n)
  end))

  it("an inner deadline armed before the outer: the outer error, too",
  in_task(function()
    local result, err = async.scope({ name = "outer" }, function(outer)
      async.scope({ timeout = 2, name = "inner" }, function()
        outer:cancel_after(2)
        async.sleep(10)
      end)
      calls.note "never"
    end)
    assert.is_nil(result)
    assert.matches("outer", tostring(err))
    assert.equal(0, calls.n)
  end))

  it("a result and then a cancel: the result, the next checkpoint raises",
  function()
    local queue, event = sync.queue(), sync.event()
    local task
    local function cancelled_after(give)
      task = loop:spawn(function(wait, ...)
        calls.note(wait(...))
        calls.note(failure(async.checkpoint).kind)
      end, table.unpack(give, 2))
      loop:step(0)
      give[1]()
      task:cancel()
      loop:step(0)
    end
    cancelled_after { function() queue:try_put("item") end, queue.get,
      queue }
    cancelled_after { function() event:set() end, function()
      event:wait()
      return "event"
    end }
    local resume
    cancelled_after { function() resume("resumed") end, async.await,
      function(resume_it) resume = resume_it end }
    assert.equal("item cancelled event cancelled resumed cancelled",
      calls:order())
  end)

  it("a cancel and then a result: the error, the result is ignored",
  function()
    local queue = sync.queue()
    local task = loop:spawn(function() calls.note(queue:get()) end)
    loop:step(0)
    task:cancel()
    assert.is_true(queue:try_put("item"))
    loop:step(0)
    assert.equal(0, calls.n)
    assert.equal("cancelled", task:status())
    assert.equal("item", queue:try_get())
  end)

  it("a task ends and its joiner is cancelled: the result", function()
    local task = loop:spawn(function()
      async.sleep(1)
      return "result"
    end)
    local joiner = loop:spawn(function() calls.note(task:join()) end)
    loop:spawn(function()
      async.sleep(1)
      async.await(function(resume) resume() end)
      assert.equal("returned", task:status())
      joiner:cancel()
    end)
    loop:step(5)
    assert.equal("result", calls:order())
  end)

  it("task:cancel before the start: it never runs", function()
    local task = loop:spawn(calls.note)
    task:cancel()
    loop:step(0)
    assert.equal(0, calls.n)
    assert.equal("cancelled", task:status())
  end)

  it("task:cancel after the end: false", function()
    local task = loop:spawn(calls.note)
    loop:step(0)
    assert.is_false(task:cancel())
    assert.equal("returned", task:status())
  end)

  it("a scope is cancelled while it waits for its last task, which then "
    .. "returns: the results of fn", in_task(function()
    assert.equal("result", async.scope(function(scope)
      scope:spawn(function()
        async.sleep(1)
        scope:cancel()
        return "normally"
      end)
      return "result"
    end))
    assert.equal("result", async.scope({ timeout = 2 }, function(scope)
      scope:spawn(async.sleep, 2)
      return "result"
    end))
  end))

  it("a scope is cancelled when all has ended normally: the results of fn",
  in_task(function()
    assert.equal("result", async.scope(function(scope)
      local task = scope:spawn(function() return "normally" end)
      task:join()
      scope:cancel()
      return "result"
    end))
    local kept
    assert.equal("result", async.scope(function(scope)
      kept = scope
      scope:spawn(function()
        async.sleep(1)
        loop.cancel_now = function() return kept:cancel() end
      end)
      return "result"
    end))
    assert.is_false(loop.cancel_now())
  end))

  it("the scope's own error is on its way and a block around is cancelled: "
    .. "nil, err, and the next checkpoint raises", in_task(function()
    local result, err = async.scope(function(outer)
      local inner_result, inner_err = async.scope(function(inner)
        inner:cancel "inner"
        local own = failure(async.checkpoint)
        outer:cancel "outer"
        error(own, 0)
      end)
      assert.is_nil(inner_result)
      assert.equal("inner", inner_err.reason)
      async.checkpoint()
    end)
    assert.is_nil(result)
    assert.equal("outer", err.reason)
  end))

  it("a task fails while its scope is being cancelled: the failure", in_task(
  function()
    assert.equal("failed", failure(async.scope, function(scope)
      scope:spawn(function()
        local _ <close> = setmetatable({}, {
          __close = function() error("failed", 0) end,
        })
        async.sleep(10)
      end)
      async.checkpoint()
      scope:cancel()
      async.checkpoint()
    end))
  end))

  it("race with several that end in one turn: the first that ended", in_task(
  function()
    local function ends_at(seconds, name)
      return function()
        async.sleep(seconds)
        return name
      end
    end
    assert.equal("b", async.race { function()
      async.sleep(0.5)
      async.sleep(0.5)
      return "a"
    end, ends_at(1, "b"), ends_at(1, "c") })
  end))
end)
