local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"

local in_task = helper.in_task

local function nothing() end

-- The error that fn(...) raises.
local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "no error raised")
  return err
end

-- An operation of a callback API: `start` for await, and what happened to it.
local function operation()
  local self = { started = 0, aborted = 0 }
  function self.start(resume)
    self.started = self.started + 1
    self.resume = resume
    return function(...)
      self.aborted = self.aborted + 1
      self.arguments = select("#", ...)
    end
  end
  return self
end

describe("async.await", function()
  helper.leave_nothing(before_each, after_each)
  local calls, loop, op

  before_each(function()
    calls, loop, op = helper.recorder(), async.loop(), operation()
  end)

  it("returns what resume was given later, nil included", function()
    local task = loop:spawn(async.await, op.start)
    loop:step(0)
    assert.equal("suspended", task:status())
    assert.is_nil(loop:next_time())
    op.resume(nil, "b", nil)
    assert.equal(-math.huge, loop:next_time())
    assert.equal("suspended", task:status())
    loop:step(0)
    assert.same({ n = 4, true, nil, "b", nil }, table.pack(task:result()))
    assert.equal(0, op.aborted)
  end)

  it("returns what resume was given inside start", in_task(function()
    async.spawn(calls.note)
    assert.same({ n = 3, nil, "b", nil }, table.pack(async.await(
      function(resume)
        resume(nil, "b", nil)
        return calls.note
      end)))
    assert.equal(0, calls.n)
  end))

  it("returns nothing when resume was given nothing", in_task(function()
    assert.equal(0, select("#", async.await(function(resume) resume() end)))
  end))

  it("lets others run while it waits", in_task(function()
    async.spawn(function()
      async.sleep(1)
      op.resume("result")
    end)
    async.spawn(calls.note)
    assert.equal("result", async.await(op.start))
    assert.equal(1, calls.n)
  end))

  it("lets resume return at once: the task goes on later", in_task(
  function()
    async.spawn(function()
      op.resume()
      calls.note "resumer"
    end)
    async.await(op.start)
    calls.note "awaiter"
    assert.equal("resumer awaiter", calls:order())
  end))

  it("takes the first resume and ignores others", in_task(function()
    async.spawn(function()
      assert.equal(0, select("#", op.resume("first")))
      op.resume("second")
    end)
    assert.equal("first", async.await(op.start))
    op.resume("third")
    async.sleep(1)
    op.resume("fourth")
    assert.equal("late", async.await(function(resume)
      op.resume("fifth")
      resume("late")
      resume("later")
    end))
  end))

  it("can be resumed from any coroutine", in_task(function()
    async.spawn(function()
      coroutine.wrap(function() op.resume("wrapped") end)()
    end)
    assert.equal("wrapped", async.await(op.start))
  end))

  it("calls start at once, in the task's coroutine", in_task(function()
    local co = coroutine.running()
    async.await(function(resume)
      assert.equal(co, coroutine.running())
      resume()
    end)
  end))

  it("raises the error of start, unchanged", in_task(function()
    local value = {}
    assert.equal(value, failure(async.await, function() error(value) end))
    assert.equal(value, failure(async.await, function(resume)
      op.resume = resume
      error(value)
    end))
    op.resume("late")
    assert.same({ n = 2, false, nil },
      table.pack(pcall(async.await, function() error(nil) end)))
    async.sleep(1)
  end))

  it("cancelled calls the abort function once, inside the cancel",
  function()
    local task = loop:spawn(async.await, op.start)
    loop:step(0)
    task:cancel "why"
    assert.equal(1, op.aborted)
    assert.equal(0, op.arguments)
    assert.equal("suspended", task:status())
    loop:step(0)
    assert.equal(1, op.aborted)
    assert.equal("cancelled", task:status())
    assert.equal("why", select(2, task:result()).reason)
  end)

  it("cancelled ignores late resumes, also those of the abort function",
  function()
    local resume
    local task = loop:spawn(function()
      failure(async.await, function(resume_it)
        resume = resume_it
        return function() resume_it("from abort") end
      end)
      async.shield(async.sleep, 2)
      calls.note "went on"
    end)
    loop:step(0)
    task:cancel()
    resume("late")
    loop:step(1)
    resume("later")
    assert.equal(0, calls.n)
    loop:step(1)
    assert.equal("went on", calls:order())
    resume("after the end")
    assert.is_true(loop:is_idle())
    assert.is_nil(loop:next_time())
  end)

  it("cancelled without an abort function just raises", in_task(function()
    local result, err = async.move_on_after(1, async.await, nothing)
    assert.is_nil(result)
    assert.equal("deadline", err.kind)
  end))

  it("cancelled before does not call start", in_task(function()
    async.scope(function(scope)
      scope:cancel()
      failure(async.await, op.start)
      failure(async.await, op.start)
    end)
    assert.equal(0, op.started)
  end))

  it("resumed and then cancelled returns; the next checkpoint raises",
  function()
    local task = loop:spawn(function()
      calls.note(async.await(op.start))
      async.checkpoint()
      calls.note "never"
    end)
    loop:step(0)
    op.resume("result")
    task:cancel()
    loop:step(0)
    assert.equal("result", calls:order())
    assert.equal(0, op.aborted)
    assert.equal("cancelled", task:status())
  end)

  it("cancelled and then resumed raises", function()
    local task = loop:spawn(function()
      calls.note(async.await(op.start))
    end)
    loop:step(0)
    task:cancel()
    op.resume("result")
    loop:step(0)
    assert.equal(0, calls.n)
    assert.equal("cancelled", task:status())
  end)

  it("whose start cancels the scope aborts and raises", in_task(function()
    local result, err = async.scope(function(scope)
      async.await(function(resume)
        op.start(resume)
        scope:cancel "from start"
        return function() op.aborted = op.aborted + 1 end
      end)
    end)
    assert.is_nil(result)
    assert.equal("from start", err.reason)
    assert.equal(1, op.aborted)
  end))

  it("whose start resumes and cancels returns", in_task(function()
    async.scope(function(scope)
      local result = async.await(function(resume)
        resume("result")
        scope:cancel()
        return function() op.aborted = op.aborted + 1 end
      end)
      assert.equal("result", result)
      failure(async.checkpoint)
    end)
    assert.equal(0, op.aborted)
  end))

  it("gives an error of the abort function to on_error", function()
    local task = loop:spawn(async.await, function()
      return function() error("cannot abort", 0) end
    end)
    local other = loop:spawn(async.await, op.start)
    loop:step(0)
    assert.is_true(loop:cancel())
    assert.same({ n = 1, "cannot abort" }, helper.handled_errors())
    assert.equal(1, op.aborted)
    loop:step(0)
    assert.equal("cancelled", task:status())
    assert.equal("cancelled", other:status())
  end)

  it("lets the abort function cancel, resume and spawn", function()
    local second = operation()
    local third
    local task = loop:spawn(async.await, function()
      return function()
        second.resume("from abort")
        third:cancel()
        loop:spawn(calls.note, "spawned")
      end
    end)
    local resumed = loop:spawn(async.await, second.start)
    third = loop:spawn(async.sleep, 100)
    loop:step(0)
    task:cancel()
    loop:step(0)
    assert.same({ true, "from abort" }, { resumed:result() })
    assert.equal("cancelled", third:status())
    assert.equal("spawned", calls:order())
    assert.is_true(loop:is_idle())
  end)

  it("aborts the newest task first", function()
    for i = 1, 4 do
      loop:spawn(async.await, function()
        return function() calls.note(i) end
      end)
    end
    loop:step(0)
    loop:cancel()
    assert.equal("4 3 2 1", calls:order())
    loop:step(0)
  end)

  it("reads cancelled in the abort function", function()
    local token
    local task = loop:spawn(function()
      token = async.token()
      async.await(function()
        return function() calls.note(token:is_cancelled()) end
      end)
    end)
    loop:step(0)
    task:cancel()
    assert.equal("true", calls:order())
    loop:step(0)
  end)

  it("is not aborted once it has ended", in_task(function()
    async.scope(function(scope)
      async.spawn(function() op.resume() end)
      async.await(op.start)
      scope:cancel()
    end)
    assert.equal(0, op.aborted)
  end))

  it("may be nested in start of another", in_task(function()
    local result = async.await(function(resume)
      resume(async.await(function(inner) inner("inner") end))
    end)
    assert.equal("inner", result)
  end))

  it("takes any callable", in_task(function()
    local callable = setmetatable({}, {
      __call = function(_, resume) resume("called") end,
    })
    assert.equal("called", async.await(callable))
  end))

  it("resumed after the loop was closed is ignored", function()
    loop:spawn(async.await, op.start)
    loop:step(0)
    loop:close()
    assert.equal(1, op.aborted)
    op.resume("late")
    assert.is_true(loop:is_idle())
  end)

  it("is reached by a timer of its own deadline at once", function()
    local task = loop:spawn(async.timeout, 2, async.await, op.start)
    loop:step(0)
    loop:step(5)
    assert.equal(1, op.aborted)
    assert.equal("failed", task:status())
    assert.is_true(desist.is_timeout(select(2, task:result())))
    assert.equal(1, helper.handled_errors().n)
  end)

  it("keeps nothing of an ended wait", in_task(function()
    local weak = setmetatable({}, { __mode = "v" })
    local held
    local function wait()
      weak[1] = {}
      held = nil
      async.await(function(resume)
        held = resume
        resume(weak[1])
        local kept = weak[1]
        return function() return kept end
      end)
    end
    wait()
    held = nil
    helper.full_gc()
    assert.is_nil(held)
    assert.is_nil(weak[1])
  end))
end)
