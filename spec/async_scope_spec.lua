local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"

local in_task = helper.in_task

local function nothing() end

local function sleeper(seconds, ...)
  async.sleep(seconds)
  return ...
end

-- Something to be closed that notes `name`.
local function closing(calls, name)
  return setmetatable({}, { __close = function() calls.note(name) end })
end

describe("async.scope", function()
  helper.leave_nothing(before_each, after_each)
  local calls

  before_each(function() calls = helper.recorder() end)

  it("calls fn at once, with the scope and the arguments", in_task(
  function()
    local co = coroutine.running()
    async.scope(function(scope, ...)
      assert.is_function(scope.spawn)
      assert.same({ n = 3, nil, 2, nil }, table.pack(...))
      assert.equal(co, coroutine.running())
      calls.note "called"
    end, nil, 2, nil)
    assert.equal(1, calls.n)
  end))

  it("returns the results of fn, nil included", in_task(function()
    local function give() return nil, "b", nil end
    assert.same({ n = 3, nil, "b", nil }, table.pack(async.scope(give)))
    assert.equal(0, select("#", async.scope(nothing)))
    assert.same({ n = 3, nil, "b", nil }, table.pack(async.scope({}, give)))
  end))

  it("returns them when all of its tasks have ended", in_task(
  function(loop)
    local result = async.scope(function(scope)
      scope:spawn(sleeper, 1)
      scope:spawn(sleeper, 3)
      scope:spawn(sleeper, 2)
      return "result"
    end)
    assert.equal("result", result)
    assert.equal(3, loop:now())
  end))

  it("waits for tasks that its tasks spawned", in_task(function(loop)
    async.scope(function(scope)
      scope:spawn(function()
        scope:spawn(sleeper, 1)
        async.spawn(function() async.spawn(sleeper, 4) end)
      end)
    end)
    assert.equal(4, loop:now())
  end))

  it("does not wait for tasks of the scope around it", in_task(
  function(loop)
    async.scope(function(outer)
      async.scope(function()
        outer:spawn(sleeper, 5)
        async.spawn(sleeper, 1)
      end)
      assert.equal(1, loop:now())
    end)
    assert.equal(5, loop:now())
  end))

  it("lets others run while it waits", in_task(function()
    async.spawn(function()
      for i = 1, 3 do
        calls.note(i)
        async.sleep(1)
      end
    end)
    async.scope(function(scope) scope:spawn(sleeper, 5) end)
    assert.equal("1 2 3", calls:order())
  end))

  it("takes any callable", in_task(function()
    local callable = setmetatable({}, {
      __call = function(_, scope, value)
        assert.is_function(scope.cancel)
        return value
      end,
    })
    assert.equal(5, async.scope(callable, 5))
    assert.equal(5, async.scope({ name = "named" }, callable, 5))
  end))

  it("raises the error of fn, when its tasks have ended", in_task(
  function()
    local value = {}
    local ok, err = pcall(async.scope, function(scope)
      scope:spawn(function()
        local _ <close> = closing(calls, "cleaned up")
        async.sleep(10)
      end)
      async.checkpoint()
      error(value)
    end)
    assert.is_false(ok)
    assert.equal(value, err)
    assert.equal("cleaned up", calls:order())
  end))

  it("may be nested a hundred times", in_task(function()
    local function nest(depth)
      if depth == 0 then return "innermost" end
      return async.scope(function() return nest(depth - 1) end)
    end
    assert.equal("innermost", nest(100))
  end))

  it("nested too deeply is an error of Lua, not a crash", function()
    local loop = async.loop()
    local depth = 0
    local function nest()
      depth = depth + 1
      return async.scope(nest)
    end
    local task = loop:spawn(nest)
    helper.finish(loop)
    assert.equal("failed", task:status())
    assert.matches("C stack overflow", tostring(select(2, task:result())))
    assert.is_true(depth > 150)
    helper.handled_errors()
  end)

  it("works in tasks of tasks, however deep", in_task(function(loop)
    local deepest
    local function nest(depth)
      deepest = depth
      if depth == helper.many(2000) then return async.sleep(10) end
      async.scope(function(scope) scope:spawn(nest, depth + 1) end)
    end
    local result, err = async.scope({ timeout = 1 }, function(scope)
      scope:spawn(nest, 1)
    end)
    assert.is_nil(result)
    assert.equal("deadline", err.kind)
    assert.equal(helper.many(2000), deepest)
    assert.equal(1, loop:now())
  end))

  it("shows its name and state", in_task(function()
    local kept
    async.scope({ name = "download" }, function(scope)
      kept = scope
      assert.matches("download", tostring(scope))
      assert.matches("live", tostring(scope))
      scope:cancel()
      assert.matches("cancelled", tostring(scope))
    end)
    assert.matches("download", tostring(kept))
    async.scope(function(scope) kept = scope end)
    assert.matches("ended", tostring(kept))
  end))
end)

describe("scope:spawn", function()
  helper.leave_nothing(before_each, after_each)

  it("is possible while a task of the scope lives", in_task(function(loop)
    local late
    async.scope(function(scope)
      scope:spawn(function()
        async.sleep(1)
        late = scope:spawn(sleeper, 1, "late")
      end)
    end)
    assert.equal(2, loop:now())
    assert.same({ true, "late" }, { late:result() })
  end))

  it("into a scope that has ended is an error", in_task(function()
    local kept
    async.scope(function(scope) kept = scope end)
    helper.raises(function() kept:spawn(nothing) end,
      "async_scope_spec.lua:%d+:", "ended")
    helper.raises(function() kept:background(nothing) end,
      "async_scope_spec.lua:%d+:", "ended")
  end))

  it("is possible from other tasks and from outside of tasks", function()
    local loop, kept = async.loop(), nil
    local first = loop:spawn(function()
      async.scope(function(scope)
        kept = scope
        async.sleep(1)
      end)
    end)
    loop:step(0)
    local from_outside = kept:spawn(sleeper, 3, "outside")
    local other = loop:spawn(function()
      return kept:spawn(sleeper, 2, "other")
    end)
    loop:step(2)
    assert.equal("suspended", first:status())
    loop:step(1)
    assert.equal("returned", first:status())
    assert.same({ true, "outside" }, { from_outside:result() })
    assert.equal("returned", (select(2, other:result()):status()))
  end)

  it("into a cancelled scope gives a task that never runs", in_task(
  function()
    local calls = helper.recorder()
    local task
    local result, err = async.scope(function(scope)
      scope:cancel "closed"
      task = scope:spawn(calls.note)
    end)
    assert.equal(0, calls.n)
    assert.equal("cancelled", task:status())
    assert.is_nil(result)
    assert.equal("closed", err.reason)
  end))
end)

describe("async.spawn", function()
  helper.leave_nothing(before_each, after_each)

  it("spawns into the innermost scope of the task", in_task(function(loop)
    async.scope(function()
      async.scope(function() async.spawn(sleeper, 1) end)
      assert.equal(1, loop:now())
      async.spawn(sleeper, 2)
    end)
    assert.equal(3, loop:now())
  end))

  it("spawns beside a task that has opened no scope", in_task(
  function(loop)
    local inner
    async.scope(function(scope)
      local task = scope:spawn(function()
        inner = async.spawn(sleeper, 2)
      end)
      task:join()
      assert.equal(0, loop:now())
      assert.equal("returned", task:status())
    end)
    assert.equal("returned", inner:status())
    assert.equal(2, loop:now())
  end))

  it("in the first task of a tree lets that wait", function()
    local loop = async.loop()
    local task = loop:spawn(function()
      async.spawn(sleeper, 2)
      return "result"
    end)
    loop:step(1)
    assert.equal("suspended", task:status())
    loop:step(1)
    assert.same({ true, "result" }, { task:result() })
  end)

  it("in a coroutine that the task made spawns, too", in_task(
  function(loop)
    async.scope(function()
      coroutine.wrap(function() async.spawn(sleeper, 2) end)()
    end)
    assert.equal(2, loop:now())
  end))

  it("outside of tasks is an error", function()
    helper.raises(function() async.spawn(nothing) end,
      "async_scope_spec.lua:%d+: async.spawn outside a task")
  end)
end)

describe("scope:cancel", function()
  helper.leave_nothing(before_each, after_each)
  local calls

  before_each(function() calls = helper.recorder() end)

  it("makes the scope return nil and the error", in_task(function()
    local reason = {}
    local token
    local results = table.pack(async.scope(function(scope)
      token = scope:token()
      scope:cancel(reason)
      async.checkpoint()
      calls.note "never"
    end))
    assert.equal(2, results.n)
    assert.is_nil(results[1])
    local err = results[2]
    assert.is_true(desist.is_cancelled(err))
    assert.equal("cancelled", err.kind)
    assert.equal(reason, err.reason)
    assert.equal(token, err.origin)
    assert.equal(0, calls.n)
  end))

  it("is true the first time only; the first reason stays", in_task(
  function()
    local _, err = async.scope(function(scope)
      assert.is_false(scope:is_cancelled())
      assert.is_true(scope:cancel "first")
      assert.is_true(scope:is_cancelled())
      assert.is_false(scope:cancel "second")
      async.checkpoint()
    end)
    assert.equal("first", err.reason)
  end))

  it("has the reason 'cancelled' by default and keeps false", in_task(
  function()
    local function cancel_with(...)
      return select(2, async.scope(function(scope, ...)
        scope:cancel(...)
        async.checkpoint()
      end, ...))
    end
    assert.equal("cancelled", cancel_with().reason)
    assert.is_false(cancel_with(false).reason)
  end))

  it("reaches fn and all tasks, of inner scopes too", in_task(
  function(loop)
    local function wait(name)
      local _ <close> = closing(calls, name)
      async.sleep(100)
    end
    async.scope(function(scope)
      scope:spawn(wait, "task")
      scope:spawn(function()
        async.scope(function(inner)
          inner:spawn(wait, "inner task")
          wait "inner"
        end)
      end)
      scope:spawn(function()
        async.sleep(2)
        scope:cancel()
      end)
      wait "fn"
    end)
    assert.equal(4, calls.n)
    assert.equal(2, loop:now())
  end))

  it("cancels no scope beside or around it", in_task(function()
    async.scope(function(outer)
      local beside = outer:spawn(async.scope, function(scope)
        async.sleep(2)
        return scope:is_cancelled()
      end)
      async.scope(function(scope)
        scope:cancel()
        async.checkpoint()
      end)
      assert.is_false(outer:is_cancelled())
      assert.is_false(beside:join())
    end)
  end))

  it("changes nothing when no checkpoint follows", in_task(function()
    local result, err = async.scope(function(scope)
      scope:cancel()
      return "result", nil
    end)
    assert.equal("result", result)
    assert.is_nil(err)
    async.checkpoint()
  end))

  it("lets tasks that return normally be awaited", in_task(function(loop)
    local result = async.scope(function(scope)
      scope:spawn(async.shield, async.sleep, 3)
      async.checkpoint()
      scope:cancel()
      return "result"
    end)
    assert.equal("result", result)
    assert.equal(3, loop:now())
  end))

  it("makes it return nil, err when it only ended a task", in_task(
  function()
    local result, err = async.scope(function(scope)
      scope:spawn(async.sleep, 5)
      async.checkpoint()
      scope:cancel "a task was cut short"
      return "result"
    end)
    assert.is_nil(result)
    assert.equal("a task was cut short", err.reason)
  end))

  it("reaches tasks that live on after fn has returned", in_task(
  function(loop)
    local result, err = async.scope(function(scope)
      scope:spawn(function()
        async.sleep(1)
        scope:cancel "late"
      end)
      scope:spawn(async.sleep, 5)
      return "result"
    end)
    assert.is_nil(result)
    assert.equal("late", err.reason)
    assert.equal(1, loop:now())
  end))

  it("after the end is false", in_task(function()
    local kept
    async.scope(function(scope) kept = scope end)
    assert.is_false(kept:cancel())
    assert.is_false(kept:is_cancelled())
  end))

  it("is possible from outside of tasks", function()
    local loop, kept = async.loop(), nil
    local task = loop:spawn(function()
      return async.scope(function(scope)
        kept = scope
        async.sleep(5)
      end)
    end)
    loop:step(1)
    assert.is_true(kept:cancel "outside")
    assert.equal(-math.huge, loop:next_time())
    loop:step(0)
    local ok, result, err = task:result()
    assert.is_true(ok)
    assert.is_nil(result)
    assert.equal("outside", err.reason)
    assert.is_nil(loop:next_time())
  end)

  it("takes effect on a sibling before it runs again", in_task(function()
    async.scope(function(scope)
      scope:spawn(function()
        async.checkpoint()
        calls.note "never"
      end)
      async.checkpoint()
      scope:cancel()
    end)
    async.sleep(1)
    assert.is_true(calls.n <= 1)
  end))

  it("lets a caught error leave the scope as its own", in_task(function()
    local result, err = async.scope(function(scope)
      scope:cancel "own"
      local _, caught = pcall(async.checkpoint)
      error(caught, 0)
    end)
    assert.is_nil(result)
    assert.equal("own", err.reason)
  end))

  it("gives way to results when fn swallowed it", in_task(function()
    local result = async.scope(function(scope)
      scope:cancel()
      pcall(async.checkpoint)
      return "result"
    end)
    assert.equal("result", result)
  end))

  it("gives way to an error that fn raises instead", in_task(function()
    local ok, err = pcall(async.scope, function(scope)
      scope:cancel()
      pcall(async.checkpoint)
      error("instead", 0)
    end)
    assert.is_false(ok)
    assert.equal("instead", err)
  end))
end)

describe("a task cancelled by task:cancel", function()
  helper.leave_nothing(before_each, after_each)

  it("cuts nothing short but itself", in_task(function(loop)
    local result = async.scope(function(scope)
      local task = scope:spawn(async.sleep, 10)
      scope:spawn(sleeper, 2)
      async.checkpoint()
      task:cancel()
      return "result"
    end)
    assert.equal("result", result)
    assert.equal(2, loop:now())
  end))
end)

describe("scope:cancel_after", function()
  helper.leave_nothing(before_each, after_each)

  it("arms a deadline: the scope returns nil and the error", in_task(
  function(loop)
    local result, err = async.scope(function(scope)
      assert.is_true(scope:cancel_after(2))
      async.sleep(10)
    end)
    assert.is_nil(result)
    assert.equal("deadline", err.kind)
    assert.equal("deadline exceeded", err.reason)
    assert.equal(2, loop:now())
  end))

  it("arms again: the last time counts", in_task(function(loop)
    async.scope(function(scope)
      scope:cancel_after(2)
      async.sleep(1)
      assert.is_true(scope:cancel_after(5))
      async.sleep(10)
    end)
    assert.equal(6, loop:now())
    async.scope(function(scope)
      scope:cancel_after(5)
      assert.is_true(scope:cancel_after(1))
      async.sleep(10)
    end)
    assert.equal(7, loop:now())
  end))

  it("replaces the timeout of the options", in_task(function(loop)
    async.scope({ timeout = 1 }, function(scope)
      scope:cancel_after(3)
      async.sleep(10)
    end)
    assert.equal(3, loop:now())
  end))

  it("disarms with math.huge", in_task(function(loop)
    local result = async.scope({ timeout = 1 }, function(scope)
      assert.is_true(scope:cancel_after(math.huge))
      async.sleep(10)
      return "result"
    end)
    assert.equal("result", result)
    assert.equal(10, loop:now())
  end))

  it("of 0 cancels before it returns", in_task(function()
    local _, err = async.scope(function(scope)
      local token = scope:token()
      assert.is_true(scope:cancel_after(0))
      assert.is_true(scope:is_cancelled())
      assert.is_true(token:is_cancelled())
      async.checkpoint()
    end)
    assert.equal("deadline", err.kind)
  end))

  it("is false once cancelled or ended, and changes nothing", in_task(
  function()
    local kept
    local _, err = async.scope(function(scope)
      kept = scope
      scope:cancel "first"
      assert.is_false(scope:cancel_after(0))
      assert.is_false(scope:cancel_after(5))
      async.checkpoint()
    end)
    assert.equal("first", err.reason)
    assert.is_false(kept:cancel_after(1))
    async.scope(function(scope) kept = scope end)
    assert.is_false(kept:cancel_after(0))
    assert.is_false(kept:is_cancelled())
  end))

  it("leaves no timer when the scope ends before", in_task(function(loop)
    async.scope(function(scope) scope:cancel_after(10) end)
    async.sleep(1)
    assert.is_nil(loop:next_time())
  end))

  it("is seen by the tokens of the scope", in_task(function()
    async.scope(function(scope)
      local token = scope:token()
      scope:cancel_after(4)
      assert.equal(4, token:remaining())
      async.sleep(1)
      assert.equal(3, token:remaining())
      scope:cancel_after(math.huge)
      assert.equal(math.huge, token:remaining())
    end)
  end))
end)

describe("scope:background", function()
  helper.leave_nothing(before_each, after_each)
  local calls

  before_each(function() calls = helper.recorder() end)

  local function forever(name)
    local _ <close> = closing(calls, name)
    while true do async.sleep(1) end
  end

  it("is cancelled when fn and the ordinary tasks are done", in_task(
  function(loop)
    local task
    local result = async.scope(function(scope)
      task = scope:background(forever, "background")
      scope:spawn(sleeper, 3)
      return "result"
    end)
    assert.equal("result", result)
    assert.equal(3, loop:now())
    assert.equal("background", calls:order())
    assert.equal("cancelled", task:status())
  end))

  it("is awaited", in_task(function(loop)
    async.scope(function(scope)
      scope:background(function()
        pcall(async.sleep, 100)
        async.shield(async.sleep, 5)
        calls.note "cleaned up"
      end)
      async.checkpoint()
    end)
    assert.equal(5, loop:now())
    assert.equal("cleaned up", calls:order())
  end))

  it("that never started does not run", in_task(function()
    async.scope(function(scope) scope:background(calls.note) end)
    assert.equal(0, calls.n)
  end))

  it("may end by itself", in_task(function(loop)
    async.scope(function(scope)
      scope:background(calls.note, "ended")
      scope:spawn(sleeper, 2)
    end)
    assert.equal("ended", calls:order())
    assert.equal(2, loop:now())
  end))

  it("fails the scope when it fails", in_task(function()
    local ok, err = pcall(async.scope, function(scope)
      scope:background(error, "behind", 0)
      async.sleep(10)
    end)
    assert.is_false(ok)
    assert.equal("behind", err)
  end))

  it("fails the scope when its cleanup fails", in_task(function()
    local ok, err = pcall(async.scope, function(scope)
      scope:background(function()
        pcall(async.sleep, 10)
        error("while cleaning up", 0)
      end)
      async.checkpoint()
    end)
    assert.is_false(ok)
    assert.equal("while cleaning up", err)
  end))

  it("goes on while tasks spawned late live", in_task(function(loop)
    async.scope(function(scope)
      scope:background(function()
        async.sleep(1)
        scope:spawn(sleeper, 4)
        forever "background"
      end)
      scope:spawn(sleeper, 2)
    end)
    assert.equal(5, loop:now())
    assert.equal("background", calls:order())
  end))

  it("does not cut the scope short when the scope is cancelled", in_task(
  function()
    local result = async.scope(function(scope)
      scope:background(forever, "background")
      async.checkpoint()
      scope:cancel()
      return "result"
    end)
    assert.equal("result", result)
  end))

  it("all of them are cancelled, those of background tasks too", in_task(
  function()
    async.scope(function(scope)
      scope:background(function()
        scope:background(forever, "second")
        forever "first"
      end)
      async.sleep(1.5)
    end)
    assert.equal(2, calls.n)
  end))
end)

describe("the end of a scope", function()
  helper.leave_nothing(before_each, after_each)

  it("is no checkpoint: what is cancelled meanwhile reaches the tasks only",
  in_task(function()
    local result = async.scope(function(outer)
      local inner = async.scope(function(scope)
        scope:spawn(function()
          async.sleep(1)
          outer:cancel "meanwhile"
        end)
        return "inner"
      end)
      return inner
    end)
    assert.equal("inner", result)
  end))

  it("raises outer cancellation if that ended one of its tasks", in_task(
  function()
    local after = false
    local result, err = async.scope(function(outer)
      async.scope(function(scope)
        scope:spawn(async.sleep, 10)
        scope:spawn(function()
          async.sleep(1)
          outer:cancel "outside"
        end)
      end)
      after = true
    end)
    assert.is_nil(result)
    assert.equal("outside", err.reason)
    assert.is_false(after)
  end))

  it("leaves no deadline", in_task(function(loop)
    async.scope({ timeout = 5, deadline = 7 }, nothing)
    async.sleep(1)
    assert.is_nil(loop:next_time())
  end))

  it("leaves its outside token", in_task(function()
    local source = desist.source()
    local token
    async.scope({ token = source:token() }, function(scope)
      token = scope:token()
      assert.is_true(token:can_be_cancelled())
    end)
    assert.is_true(source:try_reset())
    source:cancel()
    assert.is_false(token:is_cancelled())
  end))

  it("makes its token one that can no longer be cancelled", in_task(
  function()
    local token, kept
    async.scope({ timeout = 1 }, function(scope)
      kept, token = scope, scope:token()
      assert.is_true(token:can_be_cancelled())
    end)
    assert.is_false(token:can_be_cancelled())
    assert.equal(token, kept:token())
    async.sleep(2)
    assert.is_false(token:is_cancelled())
  end))

  it("drops callbacks on its token", in_task(function()
    local calls = helper.recorder()
    async.scope({ timeout = 1 }, function(scope)
      scope:token():register(calls.note)
    end)
    async.sleep(2)
    assert.equal(0, calls.n)
  end))

  it("keeps a token that was cancelled cancelled", in_task(function()
    local token, kept
    async.scope(function(scope)
      kept, token = scope, scope:token()
      scope:cancel "why"
    end)
    assert.is_true(token:is_cancelled())
    assert.is_true(kept:is_cancelled())
    assert.equal("why", token:reason())
  end))

  it("gives a token for a scope that has ended, too", in_task(function()
    local kept
    async.scope(function(scope) kept = scope end)
    local token = kept:token()
    assert.is_false(token:is_cancelled())
    assert.is_false(token:can_be_cancelled())
  end))
end)
