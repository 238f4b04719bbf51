local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"

local in_task = helper.in_task

local function nothing() end

local function sleeper(seconds, ...)
  async.sleep(seconds)
  return ...
end

describe("a task", function()
  helper.leave_nothing(before_each, after_each)
  local calls, loop

  before_each(function()
    calls, loop = helper.recorder(), async.loop()
  end)

  it("starts in a step, after spawn has returned", function()
    loop:spawn(calls.note, "ran")
    assert.equal(0, calls.n)
    loop:step(0)
    assert.equal(1, calls.n)
  end)

  it("starts after spawn has returned inside a task", in_task(function()
    async.spawn(calls.note, "task")
    calls.note "after"
    async.checkpoint()
    assert.equal("after task", calls:order())
  end))

  it("starts in the same step as the task that spawned it", function()
    loop:spawn(function()
      async.spawn(async.spawn, calls.note, "grandchild")
    end)
    loop:step(0)
    assert.equal("grandchild", calls:order())
  end)

  it("starts in the order of spawning", function()
    for i = 1, 50 do loop:spawn(calls.note, i) end
    loop:step(0)
    assert.equal(50, calls.n)
    for i = 1, 50 do assert.equal(i, calls:arguments(i)[1]) end
  end)

  it("gets the arguments of spawn, nil included", function()
    loop:spawn(calls.note, nil, "b", nil)
    loop:step(0)
    assert.same({ n = 3, nil, "b", nil }, calls:arguments(1))
  end)

  it("runs alone until it waits", in_task(function()
    async.spawn(function()
      calls.note "a1"
      calls.note "a2"
      async.checkpoint()
      calls.note "a3"
    end)
    async.spawn(calls.note, "b")
    async.sleep(1)
    assert.equal("a1 a2 b a3", calls:order())
  end))

  it("runs in a coroutine of its own", in_task(function()
    local mine = coroutine.running()
    local other = async.spawn(coroutine.running):join()
    assert.is_thread(other)
    assert.not_equal(mine, other)
  end))

  it("goes on when its object is dropped", function()
    loop:spawn(function()
      async.spawn(function()
        async.sleep(1)
        calls.note "ended"
      end)
    end)
    loop:step(0)
    helper.full_gc()
    loop:step(1)
    assert.equal("ended", calls:order())
  end)

  it("takes any callable", in_task(function()
    local callable = setmetatable({}, {
      __call = function(_, value) return value + 1 end,
    })
    assert.equal(3, async.spawn(callable, 2):join())
  end))

  it("fails when it yields by itself", function()
    local task = loop:spawn(function()
      coroutine.yield("a value")
      calls.note "went on"
    end)
    loop:step(0)
    assert.equal("failed", task:status())
    assert.equal(0, calls.n)
    local errors = helper.handled_errors()
    assert.equal(1, errors.n)
    assert.matches("coroutine.yield in a task", tostring(errors[1]))
  end)

  it("may use coroutines of its own", in_task(function()
    local each = coroutine.wrap(function()
      for i = 1, 3 do coroutine.yield(i) end
    end)
    assert.equal(6, each() + each() + each())
  end))
end)

describe("task:join", function()
  helper.leave_nothing(before_each, after_each)
  local calls

  before_each(function() calls = helper.recorder() end)

  it("returns the task's results, nil included", in_task(function()
    local task = async.spawn(function() return nil, "b", nil end)
    assert.same({ n = 3, nil, "b", nil }, table.pack(task:join()))
    assert.equal(0, select("#", async.spawn(nothing):join()))
  end))

  it("waits for the end of the task", in_task(function(loop)
    local task = async.spawn(sleeper, 3, "late")
    assert.equal("late", task:join())
    assert.equal(3, loop:now())
  end))

  it("gives the results of an ended task at once", in_task(function()
    local task = async.spawn(sleeper, 1, "there")
    async.sleep(2)
    async.spawn(calls.note, "other")
    assert.equal("there", task:join())
    assert.equal("there", task:join())
    assert.equal(0, calls.n)
  end))

  it("raises the task's error, unchanged", in_task(function()
    for _, value in ipairs { "text", 5, true, {}, print } do
      async.scope({ supervise = true }, function(scope)
        local task = scope:spawn(error, value, 0)
        local ok, err = pcall(task.join, task)
        assert.is_false(ok)
        assert.is_true(rawequal(value, err))
      end)
    end
  end))

  it("raises nil and false, too", in_task(function()
    async.scope({ supervise = true }, function(scope)
      local with_nil = scope:spawn(error, nil)
      local with_false = scope:spawn(error, false)
      assert.same({ n = 2, false, nil },
        table.pack(pcall(with_nil.join, with_nil)))
      assert.same({ n = 2, false, false },
        table.pack(pcall(with_false.join, with_false)))
    end)
  end))

  it("raises the cancellation error of a cancelled task", in_task(function()
    local task = async.spawn(async.sleep, 5)
    async.checkpoint()
    task:cancel "enough"
    local err = helper.raises(function() task:join() end, "enough")
    assert.is_true(desist.is_cancelled(err))
    assert.equal("enough", err.reason)
    assert.equal("cancelled", err.kind)
  end))

  it("may be called by several, who go on in that order", in_task(function()
    local task = async.spawn(sleeper, 1, "result")
    for i = 1, 3 do
      async.spawn(function() calls.note(i, task:join()) end)
    end
    async.sleep(2)
    assert.equal("1 2 3", calls:order())
    assert.equal("result", calls:arguments(3)[2])
  end))

  it("may be called from a task of another tree", function()
    local loop = async.loop()
    local first = loop:spawn(sleeper, 1, "result")
    local second = loop:spawn(function() return first:join() end)
    helper.finish(loop)
    assert.same({ true, "result" }, { second:result() })
  end)

  it("ends with the joiner's cancellation, not the task's", in_task(
  function(loop)
    local task = async.spawn(sleeper, 3, "kept")
    local joiner = async.spawn(task.join, task)
    async.sleep(1)
    joiner:cancel()
    async.checkpoint()
    assert.equal("cancelled", joiner:status())
    assert.equal("suspended", task:status())
    assert.equal("kept", task:join())
    assert.equal(3, loop:now())
  end))

  it("takes a joiner that was cancelled off the list", in_task(function()
    local task = async.spawn(sleeper, 2, "result")
    local joiners = {}
    for i = 1, 4 do
      joiners[i] = async.spawn(function() calls.note(i, task:join()) end)
    end
    async.sleep(1)
    joiners[2]:cancel()
    joiners[4]:cancel()
    async.sleep(2)
    assert.equal("1 3", calls:order())
  end))

  it("lets a joiner be ended by a timeout", in_task(function()
    local task = async.spawn(sleeper, 2, "result")
    assert.is_nil((async.move_on_after(1, task.join, task)))
    assert.equal("result", task:join())
  end))

  it("takes nothing from a cancelled joiner: it raises", in_task(function()
    local ended = async.spawn(nothing)
    async.checkpoint()
    local result, err = async.scope(function(scope)
      scope:cancel "first"
      ended:join()
      calls.note "joined"
    end)
    assert.is_nil(result)
    assert.equal("first", err.reason)
    assert.equal(0, calls.n)
  end))

  it("of the running task is an error, not a hang", in_task(function()
    local task
    task = async.spawn(function()
      helper.raises(function() task:join() end, "async_task_spec.lua:%d+:",
        "join")
    end)
  end))

  it("of a task that waits for the running one is an error", in_task(
  function()
    local outer
    outer = async.spawn(function()
      async.scope(function(scope)
        scope:spawn(function()
          helper.raises(function() outer:join() end,
            "async_task_spec.lua:%d+:", "join")
        end)
      end)
    end)
  end))

  it("outside of tasks is an error", function()
    local loop = async.loop()
    local task = loop:spawn(nothing)
    helper.raises(function() task:join() end, "task:join outside a task")
    loop:step(0)
    helper.raises(function() task:join() end, "task:join outside a task")
  end)
end)

describe("task:cancel", function()
  helper.leave_nothing(before_each, after_each)
  local calls, loop

  before_each(function()
    calls, loop = helper.recorder(), async.loop()
  end)

  it("ends the task at its checkpoint", function()
    local task = loop:spawn(function()
      calls:as "before" ()
      async.sleep(10)
      calls:as "after" ()
    end)
    loop:step(1)
    assert.is_true(task:cancel "why")
    loop:step(0)
    assert.equal("cancelled", task:status())
    assert.equal("before", calls:order())
    assert.is_true(loop:is_idle())
    assert.is_nil(loop:next_time())
  end)

  it("gives the error its reason, by identity", in_task(function()
    local reason = {}
    local task = async.spawn(async.sleep, 10)
    async.checkpoint()
    task:cancel(reason)
    async.checkpoint()
    local ok, err = task:result()
    assert.is_false(ok)
    assert.equal(reason, err.reason)
    assert.equal("cancelled", err.kind)
    assert.is_true(desist.is_cancelled(err))
  end))

  it("has the reason 'cancelled' by default and keeps false", in_task(
  function()
    local plain = async.spawn(async.sleep, 10)
    local with_false = async.spawn(async.sleep, 10)
    async.checkpoint()
    plain:cancel()
    with_false:cancel(false)
    async.checkpoint()
    assert.equal("cancelled", select(2, plain:result()).reason)
    assert.is_false(select(2, with_false:result()).reason)
  end))

  it("is true the first time only; the first reason stays", function()
    local task = loop:spawn(async.sleep, 10)
    loop:step(0)
    assert.is_true(task:cancel "first")
    assert.is_false(task:cancel "second")
    loop:step(0)
    assert.equal("first", select(2, task:result()).reason)
    assert.is_false(task:cancel "third")
  end)

  it("before the start lets it never run", function()
    local task = loop:spawn(calls.note)
    assert.is_true(task:cancel "early")
    assert.is_false(task:cancel "again")
    loop:step(0)
    assert.equal(0, calls.n)
    assert.equal("cancelled", task:status())
    assert.equal("early", select(2, task:result()).reason)
  end)

  it("after the end returns false and changes nothing", function()
    local task = loop:spawn(function() return "result" end)
    loop:step(0)
    assert.is_false(task:cancel())
    assert.equal("returned", task:status())
    assert.same({ true, "result" }, { task:result() })
  end)

  it("is legal from inside the task: the next checkpoint raises", function()
    local task
    task = loop:spawn(function()
      assert.is_true(task:cancel "myself")
      assert.is_false(task:cancel())
      calls.note "still here"
      async.checkpoint()
      calls.note "never"
    end)
    loop:step(0)
    assert.equal("still here", calls:order())
    assert.equal("cancelled", task:status())
    assert.equal("myself", select(2, task:result()).reason)
  end)

  it("lets a task that meets no checkpoint return", function()
    local task
    task = loop:spawn(function()
      task:cancel()
      return "result"
    end)
    loop:step(0)
    assert.equal("returned", task:status())
    assert.same({ true, "result" }, { task:result() })
  end)

  it("cancels what the task does in its scopes", function()
    local task = loop:spawn(function()
      async.scope(function(scope)
        scope:spawn(function()
          local _ <close> = setmetatable({}, { __close = calls:as "child" })
          async.sleep(10)
        end)
        local _ <close> = setmetatable({}, { __close = calls:as "task" })
        async.sleep(10)
      end)
    end)
    loop:step(0)
    task:cancel "all of it"
    loop:step(0)
    assert.equal(2, calls.n)
    assert.equal("cancelled", task:status())
    assert.equal("all of it", select(2, task:result()).reason)
    assert.is_true(loop:is_idle())
  end)

  it("does not cancel what it spawned beside itself", in_task(function()
    local child
    async.scope(function(scope)
      local task = scope:spawn(function()
        child = async.spawn(sleeper, 2, "child")
        async.sleep(1)
      end)
      async.checkpoint()
      task:cancel()
    end)
    assert.same({ true, "child" }, { child:result() })
  end))
end)

describe("task:result", function()
  helper.leave_nothing(before_each, after_each)

  it("is nothing while the task has not ended", in_task(function()
    local task = async.spawn(async.sleep, 1)
    assert.equal(0, select("#", task:result()))
    async.checkpoint()
    assert.equal(0, select("#", task:result()))
    task:join()
    assert.is_true(task:result())
  end))

  it("is true and the results, nil included", in_task(function()
    local task = async.spawn(function() return nil, 2, nil end)
    async.checkpoint()
    assert.same({ n = 4, true, nil, 2, nil }, table.pack(task:result()))
    assert.same({ n = 4, true, nil, 2, nil }, table.pack(task:result()))
  end))

  it("is false and the error, unchanged", in_task(function()
    async.scope({ supervise = true }, function(scope)
      local value = {}
      local task, with_nil = scope:spawn(error, value), scope:spawn(error)
      async.checkpoint()
      assert.same({ n = 2, false, nil }, table.pack(with_nil:result()))
      local ok, err = task:result()
      assert.is_false(ok)
      assert.equal(value, err)
      pcall(task.join, task)
      pcall(with_nil.join, with_nil)
    end)
  end))

  it("can be asked for outside of tasks and after the loop", function()
    local loop = async.loop()
    local task = loop:spawn(function() return "result" end)
    loop:step(0)
    loop:close()
    assert.same({ true, "result" }, { task:result() })
  end)
end)

describe("task:status", function()
  helper.leave_nothing(before_each, after_each)

  it("goes from waiting over running and suspended to returned", function()
    local loop, task = async.loop(), nil
    local seen
    task = loop:spawn(function()
      seen = task:status()
      async.sleep(1)
    end)
    assert.equal("waiting", task:status())
    loop:step(0)
    assert.equal("running", seen)
    assert.equal("suspended", task:status())
    loop:step(1)
    assert.equal("returned", task:status())
  end)

  it("is running for a task that resumes a coroutine", in_task(function()
    local task
    task = async.spawn(function()
      return coroutine.wrap(function() return task:status() end)()
    end)
    assert.equal("running", task:join())
  end))

  it("is suspended while a scope of it waits for its tasks", function()
    local loop = async.loop()
    local task = loop:spawn(function()
      async.scope(function(scope) scope:spawn(async.sleep, 1) end)
    end)
    loop:step(0)
    assert.equal("suspended", task:status())
    helper.finish(loop)
  end)

  it("is suspended while it waits for what it spawned", function()
    local loop = async.loop()
    local task = loop:spawn(function() async.spawn(async.sleep, 1) end)
    loop:step(0)
    assert.equal("suspended", task:status())
    assert.equal(0, select("#", task:result()))
    loop:step(1)
    assert.equal("returned", task:status())
  end)

  it("is failed or cancelled after such an end", in_task(function()
    async.scope({ supervise = true }, function(scope)
      local failed = scope:spawn(error, "failed", 0)
      local cancelled = scope:spawn(async.sleep, 1)
      async.checkpoint()
      cancelled:cancel()
      async.checkpoint()
      assert.equal("failed", failed:status())
      assert.equal("cancelled", cancelled:status())
      pcall(failed.join, failed)
    end)
  end))
end)

describe("task:traceback", function()
  helper.leave_nothing(before_each, after_each)

  local function raise_here(value) error(value) end
  local place = "async_task_spec.lua:"
    .. debug.getinfo(raise_here, "S").linedefined .. ":"

  -- The traceback of a task that calls fn.
  local function traceback_of(fn, ...)
    local loop = async.loop()
    local task = loop:spawn(fn, ...)
    helper.finish(loop)
    assert.equal("failed", task:status())
    assert.equal(1, helper.handled_errors().n)
    return task:traceback()
  end

  it("is a string that names the place of the error", function()
    local text = traceback_of(raise_here, "wrong")
    assert.matches(place, text)
  end)

  it("is there for errors of any type", function()
    for _, value in ipairs { 5, {}, false } do
      assert.matches(place, traceback_of(raise_here, value))
    end
    assert.matches(place, traceback_of(raise_here, nil))
  end)

  it("names the first place, however many scopes it has passed", function()
    local text = traceback_of(function()
      async.scope(function()
        async.timeout(5, async.scope, function(scope)
          scope:spawn(raise_here, "deep")
        end)
      end)
    end)
    assert.matches(place, text)
  end)

  it("names the first place of an error that join let out", function()
    local text = traceback_of(function()
      async.spawn(raise_here, {}):join()
    end)
    assert.matches(place, text)
  end)

  it("is nil as long as the task has not failed", in_task(function()
    local task = async.spawn(async.sleep, 1)
    assert.is_nil(task:traceback())
    async.checkpoint()
    task:cancel()
    async.checkpoint()
    assert.is_nil(task:traceback())
    local fine = async.spawn(nothing)
    fine:join()
    assert.is_nil(fine:traceback())
  end))
end)

describe("a named task", function()
  helper.leave_nothing(before_each, after_each)

  it("shows its name and status", in_task(function()
    local task = async.spawn({ name = "reader" }, async.sleep, 1)
    assert.matches("reader", tostring(task))
    assert.matches("waiting", tostring(task))
    task:join()
    assert.matches("returned", tostring(task))
  end))

  it("gets the arguments after its function", in_task(function()
    local function give(...) return ... end
    assert.same({ 1, 2 },
      { async.spawn({ name = "giver" }, give, 1, 2):join() })
  end))

  it("can be spawned by loops and scopes", in_task(function(loop)
    local first = loop:spawn({ name = "of the loop" }, nothing)
    assert.matches("of the loop", tostring(first))
    async.scope(function(scope)
      assert.matches("of the scope",
        tostring(scope:spawn({ name = "of the scope" }, nothing)))
      assert.matches("behind",
        tostring(scope:background({ name = "behind" }, nothing)))
    end)
  end))
end)
