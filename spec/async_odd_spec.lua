local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"
local sync = require "desist.sync"

local in_task = helper.in_task

-- Tasks meet finalizers, callbacks that raise, and other odd places.

-- The collector runs `fn` at the next allocation that the calling function, or
-- what it calls, makes. It must be stopped.
local function at_next_allocation(fn)
  local function drop() setmetatable({}, { __gc = fn }) end
  local function clear_stack(...) return select("#", ...) end
  drop()
  clear_stack(nil, nil, nil, nil, nil, nil, nil, nil)
  collectgarbage("incremental", 100, 1000, 24)
  collectgarbage "restart"
end

describe("a finalizer", function()
  helper.leave_nothing(before_each, after_each)

  before_each(function() collectgarbage "stop" end)

  after_each(function()
    collectgarbage("incremental", 200, 100, 13)
    collectgarbage "restart"
  end)

  it("may arm deadlines while a task begins to sleep", function()
    for _ = 1, 10 do
      local loop, scopes = async.loop(), {}
      for i = 1, 400 do
        loop:spawn(async.scope, function(scope)
          scopes[i] = scope
          async.await(function() end)
        end)
      end
      loop:step(0)
      loop:spawn(function()
        at_next_allocation(function()
          for i = 1, 400 do scopes[i]:cancel_after(1000 + i) end
        end)
        async.sleep(1)
      end)
      loop:step(0)
      collectgarbage "stop"
      loop:step(5000)
      assert.is_true(loop:is_idle())
    end
  end)

  it("may spawn while somebody spawns", function()
    for _ = 1, 50 do
      local loop, ended, late = async.loop(), false, 0
      loop:spawn(function()
        async.scope(function(scope)
          at_next_allocation(function()
            if ended then return end
            scope:spawn(function()
              async.sleep(1)
              if ended then late = late + 1 end
            end)
          end)
          for _ = 1, 50 do scope:spawn(async.sleep, 0.5) end
          collectgarbage "stop"
        end)
        ended = true
      end)
      helper.finish(loop)
      assert.equal(0, late)
    end
  end)

  it("may release, set and put while somebody begins to wait", function()
    for _ = 1, 50 do
      for _, case in ipairs {
        { sync.semaphore(0), "acquire", "release" },
        { sync.event(), "wait", "set" },
        { sync.queue(), "get", "try_put", "value" },
      } do
        local object, wait, wake, value = table.unpack(case, 1, 4)
        local loop = async.loop()
        local task = loop:spawn(function()
          at_next_allocation(function() object[wake](object, value) end)
          object[wait](object)
        end)
        loop:step(0)
        collectgarbage "stop"
        helper.full_gc() -- if it has not run before
        loop:step(0)
        assert.equal("returned", task:status())
      end
    end
  end)
end)

describe("a cancellation on real time", function()
  helper.leave_nothing(before_each, after_each)

  local function busy(token)
    local stop = desist.now() + 5
    while desist.now() < stop do token:throw_if_cancelled() end
    return "ran through"
  end

  it("belongs to its scope before the loop has turned", function()
    async.run(function()
      local result, err = async.scope({ timeout = 0.01 }, function(scope)
        return busy(scope:token())
      end)
      assert.is_nil(result)
      assert.equal("deadline", err.kind)
      assert.is_nil((async.move_on_after(0.01, function()
        return busy(async.token())
      end)))
      local _, timeout = pcall(async.timeout, 0.01, function()
        return busy(async.token())
      end)
      assert.is_true(desist.is_timeout(timeout))
      local outside = desist.after(0.01):token()
      assert.is_nil((async.scope({ token = outside }, function(scope)
        return busy(scope:token())
      end)))
    end)
  end)

  it("ends a task as cancelled, and passes async.pcall", function()
    async.run(function()
      local status
      local _, err = async.scope({ timeout = 0.2 }, function(scope)
        local task = scope:spawn(function() return busy(async.token()) end)
        pcall(task.join, task)
        status = task:status()
        async.pcall(busy, scope:token())
        return "swallowed"
      end)
      assert.equal("cancelled", status)
      assert.equal("deadline", err.kind)
    end)
  end)

  it("by cancel_async is seen by the scope at once", function()
    async.run(function()
      local source = desist.source()
      local _, err = async.scope({ token = source:token() }, function(scope)
        source:cancel_async "now"
        assert.is_true(scope:is_cancelled())
        assert.is_false(scope:cancel "later")
        async.checkpoint()
      end)
      assert.equal("now", err.reason)
    end)
  end)
end)

describe("a callback that raises", function()
  helper.leave_nothing(before_each, after_each)

  local function fragile(cleaned)
    return function()
      async.token():register(helper.fail, "callback")
      pcall(async.sleep, 100)
      async.shield(async.sleep, 1)
      if cleaned then cleaned.done = true end
    end
  end

  it("does not keep race from awaiting the loser", in_task(function()
    local cleaned = {}
    local result = async.race { function()
      async.sleep(1)
      return "won"
    end, fragile(cleaned) }
    assert.equal("won", result)
    assert.is_true(cleaned.done)
    assert.equal(1, helper.handled_errors().n)
  end))

  it("does not keep a scope from its background tasks", in_task(function()
    local one, two = {}, {}
    local result = async.scope(function(scope)
      scope:background(fragile(one))
      scope:background(fragile(two))
      async.sleep(1)
      return "result"
    end)
    assert.equal("result", result)
    assert.is_true(one.done and two.done)
    assert.equal(2, helper.handled_errors().n)
  end))

  it("does not keep a loop from closing", function()
    local loop, closed = async.loop(), 0
    local function body()
      async.token():register(helper.fail, "callback")
      local _ <close> = setmetatable({}, {
        __close = function() closed = closed + 1 end,
      })
      async.sleep(10)
    end
    local tasks = { loop:spawn(body), loop:spawn(body) }
    loop:step(0)
    loop:close()
    assert.equal(2, closed)
    assert.equal("cancelled", tasks[1]:status())
    assert.is_true(loop:is_idle())
    helper.handled_errors()
  end)
end)

describe("a loop", function()
  helper.leave_nothing(before_each, after_each)

  it("loses no task where there are too many C calls below it", function()
    local function deep(depth, fn)
      if depth == 0 then return fn() end
      local ok, err = pcall(deep, depth - 1, fn)
      if not ok then error(err, 0) end
    end
    for depth = 150, 199 do
      local loop = async.loop()
      local tasks = {}
      for i = 1, 2 do tasks[i] = loop:spawn(async.sleep, 1) end
      pcall(deep, depth, function() loop:step(0) end)
      loop:step(0)
      loop:step(1)
      assert.is_true(loop:is_idle())
      assert.not_equal("waiting", tasks[1]:status())
    end
    helper.handled_errors()
  end)

  it("reports failures that its close keeps from being raised", function()
    local loop = async.loop()
    loop:spawn(async.scope, function(scope)
      scope:spawn(async.shield, async.sleep, 10)
      scope:spawn(error, "disk full", 0)
    end)
    loop:step(0)
    loop:close()
    assert.same({ n = 1, "disk full" }, helper.handled_errors())
  end)

  it("may be stepped by a callback of a cancel", function()
    local loop, kept = async.loop(), nil
    local task = loop:spawn(function()
      async.scope(function(scope)
        kept = scope
        scope:token():register(function() loop:step(1) end)
        async.sleep(1)
        async.checkpoint()
      end)
      async.sleep(5)
      return "fine"
    end)
    loop:step(0)
    kept:cancel()
    loop:step(10)
    assert.same({ true, "fine" }, { task:result() })
  end)

  it("runs what a deadline of a token on its time has woken", function()
    local loop = async.loop()
    local task = loop:spawn(function()
      local source = desist.linked(async.token())
      source:cancel_after(1)
      async.await(function(resume) source:token():register(resume) end)
    end)
    loop:step(0)
    loop:step(2)
    assert.equal("returned", task:status())
  end)

  it("tells tasks that join each other", in_task(function()
    local a, b
    a = async.spawn(function() return b:join() end)
    b = async.spawn(function()
      local ok, err = pcall(a.join, a)
      assert.is_false(ok)
      assert.matches("join of a task that waits for the running one", err)
      return "b"
    end)
    assert.equal("b", a:join())
  end))

  it("ends many joiners and background tasks in linear time", in_task(
  function()
    local count = helper.many(20000)
    async.scope(function(scope)
      local task = scope:spawn(async.sleep, 10)
      for _ = 1, count do scope:spawn(task.join, task) end
      for _ = 1, count do scope:background(async.sleep, 10) end
      for _ = 1, count do scope:spawn(async.checkpoint) end
      async.sleep(1)
      local start = os.clock()
      scope:cancel()
      assert.is_true(os.clock() - start < 5)
    end)
  end))

  it("gives the token of a task nested very deep", in_task(function()
    local deepest
    local function nest(depth)
      if depth == 0 then
        deepest = async.token():can_be_cancelled()
      else
        async.scope(function(scope) scope:spawn(nest, depth - 1) end)
      end
    end
    nest(helper.many(100000))
    assert.is_true(deepest)
  end))

  it("names no task after a loop", function()
    local loop = async.loop { name = "game" }
    local task = loop:spawn(async.timeout, 1, async.sleep, 5)
    loop:step(1)
    loop:step(0)
    assert.matches("in task 1$", tostring(select(2, task:result())))
    helper.handled_errors()
  end)
end)
