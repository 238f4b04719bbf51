local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"

local in_task = helper.in_task

-- The error that fn(...) raises.
local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "no error raised")
  return err
end

-- Fails after so many seconds.
local function fail_after(seconds, value)
  async.sleep(seconds)
  error(value, 0)
end

-- Waits until it is cancelled, and fails then.
local function fail_at_cleanup(value)
  pcall(async.sleep, 1000)
  error(value, 0)
end

-- The values in an error with `errors`.
local function values(err)
  assert.equal("failure", err.kind)
  local list = { n = err.errors.n }
  for i = 1, err.errors.n do list[i] = err.errors[i].value end
  return list
end

describe("a failing task", function()
  helper.leave_nothing(before_each, after_each)
  local calls

  before_each(function() calls = helper.recorder() end)

  it("makes its scope raise the error, unchanged", in_task(function()
    for _, value in ipairs { "text", 5, true, {}, print } do
      local err = failure(async.scope, function(scope)
        scope:spawn(error, value, 0)
      end)
      assert.is_true(rawequal(value, err))
    end
  end))

  it("makes it raise nil and false, too", in_task(function()
    assert.same({ n = 2, false, nil }, table.pack(pcall(async.scope,
      function(scope) scope:spawn(error, nil) end)))
    assert.same({ n = 2, false, false }, table.pack(pcall(async.scope,
      function(scope) scope:spawn(error, false) end)))
  end))

  it("cancels its siblings and fn", in_task(function(loop)
    failure(async.scope, function(scope)
      local function wait(name)
        local _, err = pcall(async.sleep, 100)
        calls.note(name, err)
        error(err, 0)
      end
      scope:spawn(wait, "before")
      scope:spawn(fail_after, 2, "failed")
      scope:spawn(wait, "after")
      wait "fn"
    end)
    assert.equal(3, calls.n)
    assert.equal(2, loop:now())
  end))

  it("is the reason of that, of the kind 'failure'", in_task(function()
    local value = {}
    local seen, token
    failure(async.scope, function(scope)
      token = scope:token()
      scope:spawn(error, value)
      local _, err = pcall(async.sleep, 100)
      seen = err
      error(err, 0)
    end)
    assert.is_true(desist.is_cancelled(seen))
    assert.equal("failure", seen.kind)
    assert.equal(value, seen.reason)
    assert.equal(token, seen.origin)
    assert.equal(value, token:reason())
  end))

  it("leaves siblings that have ended alone", in_task(function()
    local sibling
    failure(async.scope, function(scope)
      sibling = scope:spawn(function() return "result" end)
      scope:spawn(fail_after, 1, "failed")
    end)
    assert.same({ true, "result" }, { sibling:result() })
  end))

  it("lets siblings that have not started never run", in_task(function()
    local sibling
    failure(async.scope, function(scope)
      scope:spawn(error, "failed", 0)
      sibling = scope:spawn(calls.note)
    end)
    assert.equal(0, calls.n)
    assert.equal("cancelled", sibling:status())
  end))

  it("has its error raised when the cleanup of all has ended", in_task(
  function(loop)
    local err = failure(async.scope, function(scope)
      scope:spawn(function()
        pcall(async.sleep, 100)
        async.shield(async.sleep, 5)
        calls.note "cleaned up"
      end)
      fail_after(1, "failed")
    end)
    assert.equal("failed", err)
    assert.equal("cleaned up", calls:order())
    assert.equal(6, loop:now())
  end))

  it("fails its scope though somebody has joined it", in_task(function()
    local err = failure(async.scope, function(scope)
      local task = scope:spawn(error, "joined", 0)
      async.shield(failure, task.join, task)
      return "result"
    end)
    assert.equal("joined", err)
  end))

  it("has its error raised by a join that waited for it, though it "
    .. "cancels the joiner", in_task(function()
    local seen
    failure(async.scope, function(scope)
      local task = scope:spawn(fail_after, 1, "joined")
      seen = failure(task.join, task)
    end)
    assert.equal("joined", seen)
  end))

  it("fails each scope around it, one after the other", in_task(function()
    local err = failure(async.scope, function()
      async.spawn(function()
        local _, cancelled = pcall(async.sleep, 100)
        calls.note(cancelled.kind)
      end)
      async.scope(function(inner)
        inner:spawn(error, "deep", 0)
        async.sleep(100)
      end)
    end)
    assert.equal("deep", err)
    assert.equal("failure", calls:order())
  end))

  it("fails only the scope whose error is caught", in_task(function()
    local result = async.scope(function()
      local err = failure(async.scope, function(inner)
        inner:spawn(error, "inner", 0)
      end)
      async.checkpoint()
      return err
    end)
    assert.equal("inner", result)
  end))

  it("makes results of fn worthless", in_task(function()
    assert.equal("late", failure(async.scope, function(scope)
      scope:spawn(fail_after, 3, "late")
      return "result"
    end))
  end))

  it("wins over the cancellation of its scope", in_task(function()
    assert.equal("failed", failure(async.scope, function(scope)
      scope:spawn(fail_at_cleanup, "failed")
      async.checkpoint()
      scope:cancel()
      async.checkpoint()
    end))
  end))

  it("wins over a cancellation from outside", in_task(function()
    assert.equal("failed", failure(async.scope, function(outer)
      async.scope(function(scope)
        scope:spawn(fail_at_cleanup, "failed")
        async.checkpoint()
        outer:cancel()
        async.checkpoint()
      end)
    end))
  end))

  it("of a cancellation error of somebody else's token has failed", in_task(
  function()
    local other = desist.cancelled("not ours")
    local task
    local err = failure(async.scope, function(scope)
      task = scope:spawn(other.throw_if_cancelled, other)
    end)
    assert.equal("failed", task:status())
    assert.equal(other:error(), err)
  end))

  it("of the cancellation error of another scope has failed", in_task(
  function()
    local _, old = async.scope(function(scope)
      scope:cancel()
      async.checkpoint()
    end)
    local task
    local err = failure(async.scope, function(scope)
      task = scope:spawn(error, old, 0)
    end)
    assert.equal("failed", task:status())
    assert.equal(old, err)
  end))

  it("of a sibling's cancellation error has failed", in_task(function()
    local joiner
    local err = failure(async.scope, function(scope)
      local task = scope:spawn(async.sleep, 100)
      joiner = scope:spawn(task.join, task)
      async.checkpoint()
      task:cancel "only the sibling"
    end)
    assert.equal("failed", joiner:status())
    assert.equal("only the sibling", err.reason)
  end))

  it("of its own scope's error, raised before that was cancelled, "
    .. "has failed", in_task(function()
    local ok, err = pcall(async.scope, function(scope)
      scope:spawn(error, desist.cancelled():error(), 0)
    end)
    assert.is_false(ok)
    assert.is_true(desist.is_cancelled(err))
  end))

  it("that returns normally after a cancel has returned", in_task(function()
    local task
    failure(async.scope, function(scope)
      task = scope:spawn(function()
        pcall(async.sleep, 100)
        return "returned"
      end)
      fail_after(1, "failed")
    end)
    assert.same({ true, "returned" }, { task:result() })
  end))
end)

describe("several failures", function()
  helper.leave_nothing(before_each, after_each)

  it("are raised as one, in the order in which they were raised", in_task(
  function()
    local value = {}
    local err = failure(async.scope, function(scope)
      scope:spawn(fail_at_cleanup, "second")
      scope:spawn(fail_after, 1, value)
      scope:spawn(function()
        pcall(async.sleep, 100)
        async.shield(fail_after, 3, "fourth")
      end)
      scope:spawn(function()
        pcall(async.sleep, 100)
        async.shield(fail_after, 2, "third")
      end)
    end)
    assert.same({ n = 4, value, "second", "third", "fourth" }, values(err))
    assert.is_false(desist.is_cancelled(err))
  end))

  it("may be nil and false", in_task(function()
    local err = failure(async.scope, function(scope)
      scope:spawn(fail_at_cleanup, nil)
      scope:spawn(fail_at_cleanup, false)
      fail_after(1, "first")
    end)
    assert.equal(3, err.errors.n)
    local list = values(err)
    assert.equal("first", list[1])
    local rest = { [tostring(list[2])] = true, [tostring(list[3])] = true }
    assert.same({ ["nil"] = true, ["false"] = true }, rest)
  end))

  it("name their values in tostring", in_task(function()
    local err = failure(async.scope, function(scope)
      scope:spawn(fail_at_cleanup, "one of them")
      fail_after(1, "the other")
    end)
    assert.matches("one of them", tostring(err))
    assert.matches("the other", tostring(err))
  end))

  it("of fn and a task are both raised", in_task(function()
    local err = failure(async.scope, function(scope)
      scope:spawn(fail_at_cleanup, "task")
      async.checkpoint()
      error("fn", 0)
    end)
    assert.same({ n = 2, "fn", "task" }, values(err))
  end))

  it("with the same text are several", in_task(function()
    local err = failure(async.scope, function(scope)
      scope:spawn(fail_at_cleanup, "same")
      fail_after(1, "same")
    end)
    assert.same({ n = 2, "same", "same" }, values(err))
  end))

  it("do not count siblings that were only cancelled", in_task(function()
    local err = failure(async.scope, function(scope)
      for _ = 1, 10 do scope:spawn(async.sleep, 100) end
      scope:spawn(fail_after, 1, "alone")
      async.sleep(100)
    end)
    assert.equal("alone", err)
  end))

  it("of an inner scope are one of the outer", in_task(function()
    local inner
    local err = failure(async.scope, function(scope)
      scope:spawn(function()
        inner = failure(async.scope, function()
          async.spawn(fail_at_cleanup, "b")
          fail_after(1, "a")
        end)
        error(inner, 0)
      end)
      scope:spawn(fail_at_cleanup, "c")
    end)
    assert.same({ n = 2, "a", "b" }, values(inner))
    local list = values(err)
    assert.equal(2, list.n)
    assert.equal(inner, list[1])
    assert.equal("c", list[2])
  end))
end)

describe("an error let out of join", function()
  helper.leave_nothing(before_each, after_each)

  it("counts once", in_task(function()
    local value = {}
    assert.equal(value, failure(async.scope, function(scope)
      scope:spawn(error, value):join()
    end))
    assert.equal("text", failure(async.scope, function(scope)
      scope:spawn(error, "text", 0):join()
    end))
  end))

  it("counts once when it is nil or false", in_task(function()
    for _, fn in ipairs { function() error(nil) end,
      function() error(false) end } do
      local err = failure(async.scope, function(scope)
        scope:spawn(fn):join()
      end)
      assert.is_true(not err)
    end
  end))

  it("counts once through a chain of joiners", in_task(function()
    local err = failure(async.scope, function(scope)
      local a = scope:spawn(fail_after, 1, "text")
      local b = scope:spawn(a.join, a)
      local c = scope:spawn(b.join, b)
      c:join()
    end)
    assert.equal("text", err)
  end))

  it("counts once when several let it out", in_task(function()
    local err = failure(async.scope, { supervise = true }, function(scope)
      local a = scope:spawn(fail_after, 1, "text")
      for _ = 1, 5 do scope:spawn(a.join, a) end
      async.sleep(3)
    end)
    assert.equal("text", err)
  end))

  it("counts once when caught and raised again later", in_task(function()
    local err = failure(async.scope, function(scope)
      local task = scope:spawn(error, { code = 1 })
      local caught = failure(task.join, task)
      error(caught, 0)
    end)
    assert.equal(1, err.code)
  end))

  it("counts once out of scopes in between", in_task(function()
    local err = failure(async.scope, function(scope)
      local task = scope:spawn(fail_after, 1, "text")
      async.timeout(50, async.scope, function()
        async.scope({ shield = true }, function() task:join() end)
      end)
    end)
    assert.equal("text", err)
  end))

  it("is its own failure in a scope that the task does not stand in", in_task(
  function()
    local err = failure(async.scope, function(scope)
      local task = scope:spawn(fail_after, 1, "text")
      failure(async.scope, function(inner)
        inner:spawn(function() async.shield(task.join, task) end)
      end)
    end)
    assert.equal("text", err)
  end))

  it("is another failure when it is wrapped", in_task(function()
    local err = failure(async.scope, function(scope)
      local task = scope:spawn(fail_after, 1, "text")
      async.shield(function()
        error("wrapped: " .. failure(task.join, task), 0)
      end)
    end)
    assert.same({ n = 2, "text", "wrapped: text" }, values(err))
  end))
end)

describe("supervise", function()
  helper.leave_nothing(before_each, after_each)

  local supervised = { supervise = true }

  it("lets siblings and fn go on", in_task(function(loop)
    local sibling
    local err = failure(async.scope, supervised, function(scope)
      scope:spawn(fail_after, 1, "failed")
      sibling = scope:spawn(function()
        async.sleep(3)
        return "result"
      end)
      async.sleep(2)
      assert.is_false(scope:is_cancelled())
    end)
    assert.equal("failed", err)
    assert.same({ true, "result" }, { sibling:result() })
    assert.equal(3, loop:now())
  end))

  it("collects failures until the end", in_task(function()
    local err = failure(async.scope, supervised, function(scope)
      scope:spawn(fail_after, 2, "second")
      scope:spawn(fail_after, 1, "first")
      scope:spawn(fail_after, 3, "third")
    end)
    assert.same({ n = 3, "first", "second", "third" }, values(err))
  end))

  it("takes a failure that a join raised as handled", in_task(function()
    local result = async.scope(supervised, function(scope)
      local task = scope:spawn(fail_after, 1, "handled")
      return failure(task.join, task)
    end)
    assert.equal("handled", result)
  end))

  it("raises the others", in_task(function()
    local err = failure(async.scope, supervised, function(scope)
      local task = scope:spawn(fail_after, 1, "handled")
      scope:spawn(fail_after, 2, "not handled")
      failure(task.join, task)
    end)
    assert.equal("not handled", err)
  end))

  it("raises a joined failure that fn lets out", in_task(function()
    local err = failure(async.scope, supervised, function(scope)
      scope:spawn(fail_after, 1, "let out"):join()
    end)
    assert.equal("let out", err)
  end))

  it("raises a joined failure that a task lets out", in_task(function()
    local err = failure(async.scope, supervised, function(scope)
      local task = scope:spawn(fail_after, 1, "let out")
      scope:spawn(task.join, task)
    end)
    assert.equal("let out", err)
  end))

  it("takes a joiner's failure as handled when that is joined", in_task(
  function()
    async.scope(supervised, function(scope)
      local task = scope:spawn(fail_after, 1, "handled later")
      local joiner = scope:spawn(task.join, task)
      assert.equal("handled later", failure(joiner.join, joiner))
    end)
  end))

  it("takes it as handled when the joiner lets it out of another scope",
  in_task(function()
    async.scope(function(outer)
      local task
      local service = outer:spawn(async.scope, supervised, function(scope)
        task = scope:spawn(fail_after, 1, "handled")
        async.sleep(5)
        return "served"
      end)
      async.checkpoint()
      local err = failure(async.scope, function() task:join() end)
      assert.equal("handled", err)
      assert.equal("served", service:join())
    end)
  end))

  it("does not take result() for a join", in_task(function()
    local err = failure(async.scope, supervised, function(scope)
      local task = scope:spawn(error, "seen", 0)
      async.checkpoint()
      task:result()
    end)
    assert.equal("seen", err)
  end))

  it("cancels the tasks when fn fails", in_task(function(loop)
    local task
    local err = failure(async.scope, supervised, function(scope)
      task = scope:spawn(async.sleep, 100)
      fail_after(1, "fn")
    end)
    assert.equal("fn", err)
    assert.equal("cancelled", task:status())
    assert.equal("failure", select(2, task:result()).kind)
    assert.equal(1, loop:now())
  end))

  it("raises failures of tasks with that of fn", in_task(function()
    local err = failure(async.scope, supervised, function(scope)
      scope:spawn(fail_after, 1, "task")
      fail_after(2, "fn")
    end)
    assert.same({ n = 2, "task", "fn" }, values(err))
  end))

  it("can be cancelled as any scope", in_task(function()
    local result, err = async.scope(supervised, function(scope)
      scope:spawn(async.sleep, 100)
      async.sleep(1)
      scope:cancel "stop"
      async.checkpoint()
    end)
    assert.is_nil(result)
    assert.equal("stop", err.reason)
  end))

  it("does not pile up errors that were joined", in_task(function()
    async.scope(supervised, function(scope)
      local function turn()
        local task = scope:spawn(error, ("x"):rep(100), 0)
        pcall(task.join, task)
      end
      for _ = 1, helper.many(1000) do turn() end
      local before = helper.kilobytes()
      for _ = 1, helper.many(5000) do turn() end
      local grown = helper.kilobytes() - before
      assert.is_true(grown < 64, ("grew by %.0f KB"):format(grown))
    end)
  end))

  it("holds for the scope, not for scopes inside", in_task(function()
    local err = failure(async.scope, supervised, function()
      async.scope(function(inner)
        inner:spawn(error, "inner", 0)
        async.sleep(100)
      end)
    end)
    assert.equal("inner", err)
  end))
end)

describe("the first task of a tree", function()
  helper.leave_nothing(before_each, after_each)

  it("fails when a task that was spawned in it fails", function()
    local loop = async.loop()
    local child
    local task = loop:spawn(function()
      child = async.spawn(error, "child", 0)
      async.sleep(100)
    end)
    helper.finish(loop)
    assert.equal("failed", child:status())
    assert.same({ false, "child" }, { task:result() })
    local errors = helper.handled_errors()
    assert.same({ n = 1, "child" }, errors)
  end)

  it("raises several errors as one", function()
    local loop = async.loop()
    local task = loop:spawn(function()
      async.spawn(fail_at_cleanup, "second")
      fail_after(1, "first")
    end)
    helper.finish(loop)
    assert.same({ n = 2, "first", "second" },
      values((select(2, task:result()))))
    assert.equal(1, helper.handled_errors().n)
  end)
end)
