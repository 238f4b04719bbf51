local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"

local in_task = helper.in_task

local function sleeper(seconds, ...)
  async.sleep(seconds)
  return ...
end

-- Functions for a list.
local function returns(seconds, ...)
  local values = table.pack(...)
  return function()
    async.sleep(seconds)
    return table.unpack(values, 1, values.n)
  end
end

local function fails(seconds, value)
  return function()
    async.sleep(seconds)
    error(value, 0)
  end
end

-- Fails when it is cancelled.
local function fails_at_cleanup(value)
  return function()
    pcall(async.sleep, 1000)
    error(value, 0)
  end
end

-- The error that fn(...) raises.
local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "no error raised")
  return err
end

-- The values in an error with `errors`.
local function values(err)
  assert.equal("failure", err.kind)
  local list = { n = err.errors.n }
  for i = 1, err.errors.n do list[i] = err.errors[i].value end
  return list
end

local calls

-- A function that notes when its cleanup has ended, seconds after its cancel.
local function lingers(seconds, name)
  return function()
    pcall(async.sleep, 1000)
    async.shield(async.sleep, seconds)
    calls.note(name)
  end
end

describe("async.all", function()
  helper.leave_nothing(before_each, after_each)
  before_each(function() calls = helper.recorder() end)

  it("gives the first results in the order of the list", in_task(
  function(loop)
    local results = async.all {
      returns(3, "a", "more"), returns(1), returns(2, nil, "c"),
      returns(0, false),
    }
    assert.same({ n = 4, "a", nil, nil, false }, results)
    assert.equal(3, loop:now())
  end))

  it("runs all of them at once", in_task(function(loop)
    local list = {}
    for i = 1, 100 do list[i] = returns(5, i) end
    local results = async.all(list)
    assert.equal(100, results.n)
    assert.equal(77, results[77])
    assert.equal(5, loop:now())
  end))

  it("of nothing gives an empty list at once", in_task(function()
    async.spawn(calls.note)
    assert.same({ n = 0 }, async.all {})
    assert.equal(0, calls.n)
  end))

  it("takes tasks and functions", in_task(function(loop)
    local task = async.spawn(sleeper, 4, "task")
    local ended = async.spawn(sleeper, 1, "ended")
    async.sleep(2)
    local results = async.all { task, returns(1, "function"), ended }
    assert.same({ n = 3, "task", "function", "ended" }, results)
    assert.equal(4, loop:now())
  end))

  it("of ended tasks returns at once", in_task(function()
    local a, b = async.spawn(sleeper, 0, "a"), async.spawn(sleeper, 0, "b")
    async.sleep(1)
    async.spawn(calls.note)
    assert.same({ n = 2, "a", "b" }, async.all { a, b })
    assert.equal(0, calls.n)
  end))

  it("takes a task twice", in_task(function()
    local task = async.spawn(sleeper, 1, "task")
    assert.same({ n = 2, "task", "task" }, async.all { task, task })
  end))

  it("takes any callable", in_task(function()
    local callable = setmetatable({}, { __call = function() return 5 end })
    assert.same({ n = 1, 5 }, async.all { callable })
  end))

  it("at the first failure cancels the rest and raises it", in_task(
  function(loop)
    local value = {}
    local task = async.spawn(async.sleep, 100)
    local err = failure(async.all, {
      returns(1, "fine"), task, fails(2, value), lingers(0, "cancelled"),
    })
    assert.equal(value, err)
    assert.equal("cancelled", task:status())
    assert.equal("cancelled", calls:order())
    assert.equal(2, loop:now())
  end))

  it("raises it when all have ended", in_task(function(loop)
    failure(async.all, { fails(1, "failed"), lingers(4, "cleaned up") })
    assert.equal("cleaned up", calls:order())
    assert.equal(5, loop:now())
  end))

  it("raises what the others raise while they end, too", in_task(
  function()
    local err = failure(async.all, {
      fails_at_cleanup "second", fails(1, "first"), returns(0.5),
      fails_at_cleanup "third",
    })
    assert.equal(3, values(err).n)
    assert.equal("first", values(err)[1])
    assert.matches("second", tostring(err))
    assert.matches("third", tostring(err))
  end))

  it("raises nil and false", in_task(function()
    assert.same({ n = 2, false, nil },
      table.pack(pcall(async.all, { fails(0, nil) })))
    assert.same({ n = 2, false, false },
      table.pack(pcall(async.all, { fails(0, false) })))
  end))

  it("fails by a task that somebody else cancelled", in_task(function()
    local task = async.spawn(async.sleep, 100)
    async.spawn(function()
      async.sleep(1)
      task:cancel "elsewhere"
    end)
    local err = failure(async.all, { task, lingers(0, "cancelled") })
    assert.is_true(desist.is_cancelled(err))
    assert.equal("elsewhere", err.reason)
    assert.equal("cancelled", calls:order())
  end))

  it("fails by a task that was cancelled before", in_task(function()
    local task = async.spawn(async.sleep, 100)
    task:cancel "before"
    async.checkpoint()
    local err = failure(async.all, { calls.note, task })
    assert.equal("before", err.reason)
    assert.equal(0, calls.n)
  end))

  it("fails by a task that had failed before", in_task(function()
    async.scope({ supervise = true }, function(scope)
      local task = scope:spawn(error, "before", 0)
      async.checkpoint()
      assert.equal("before", failure(async.all, { calls.note, task }))
    end)
    assert.equal(0, calls.n)
  end))

  it("counts the failure of a task of the scope around it once", in_task(
  function()
    local err = failure(async.scope, function(scope)
      local task = scope:spawn(fails(1, "once"))
      async.shield(async.all, { task, returns(5) })
    end)
    assert.equal("once", err)
  end))

  it("handles a failure under supervise", in_task(function()
    local result = async.scope({ supervise = true }, function(scope)
      local task = scope:spawn(fails(1, "handled"))
      return failure(async.all, { task })
    end)
    assert.equal("handled", result)
  end))
end)

describe("async.race", function()
  helper.leave_nothing(before_each, after_each)
  before_each(function() calls = helper.recorder() end)

  it("gives all results of the first to end", in_task(function(loop)
    assert.same({ n = 3, nil, "b", nil }, table.pack(async.race {
      returns(3, "late"), returns(1, nil, "b", nil), returns(2),
    }))
    assert.equal(1, loop:now())
  end))

  it("raises the error of the first to end", in_task(function(loop)
    local value = {}
    assert.equal(value, failure(async.race, {
      returns(3, "late"), fails(1, value),
    }))
    assert.equal(1, loop:now())
  end))

  it("of several that end in one turn takes the first that ended", in_task(
  function()
    assert.equal("second in the list", async.race {
      returns(1, "first in the list"),
      function()
        async.sleep(0.5)
        async.sleep(0.25)
        return "second in the list"
      end,
    })
    assert.equal("a", async.race { returns(1, "a"), returns(1, "b") })
    local events = {}
    local function on(name)
      return function()
        async.await(function(resume) events[name] = resume end)
        return name
      end
    end
    async.spawn(function()
      async.sleep(1)
      events.c()
      events.a()
      events.b()
    end)
    assert.equal("c", async.race { on "a", on "b", on "c" })
  end))

  it("cancels the losers and awaits them", in_task(function(loop)
    local task = async.spawn(async.sleep, 100)
    assert.equal("won", async.race {
      lingers(3, "first"), returns(1, "won"), lingers(2, "second"), task,
    })
    assert.equal("second first", calls:order())
    assert.equal("cancelled", task:status())
    assert.equal(4, loop:now())
  end))

  it("of one gives its results", in_task(function()
    assert.equal("alone", async.race { returns(1, "alone") })
  end))

  it("of nothing is an argument error", in_task(function()
    helper.argument_error(1, "race", "empty", function()
      async.race {}
    end)
  end))

  it("takes ended tasks", in_task(function()
    local task = async.spawn(sleeper, 0, "ended")
    async.sleep(1)
    assert.equal("ended", async.race { calls.note, task })
    assert.equal(0, calls.n)
  end))

  it("raises what losers raise while they end", in_task(function()
    assert.equal("loser", failure(async.race, {
      returns(1, "won"), fails_at_cleanup "loser",
    }))
    assert.same({ n = 2, "first", "loser" }, values(failure(async.race, {
      fails(1, "first"), fails_at_cleanup "loser",
    })))
  end))

  it("may have a loser that returns", in_task(function()
    assert.equal("won", async.race {
      returns(1, "won"),
      function()
        pcall(async.sleep, 10)
        return "lost"
      end,
    })
  end))

  it("raises the error of a task that somebody else cancelled", in_task(
  function()
    local task = async.spawn(async.sleep, 100)
    async.spawn(task.cancel, task, "elsewhere")
    assert.equal("elsewhere",
      failure(async.race, { task, returns(5) }).reason)
  end))
end)

describe("async.any", function()
  helper.leave_nothing(before_each, after_each)
  before_each(function() calls = helper.recorder() end)

  it("gives all results of the first to return", in_task(function(loop)
    assert.same({ n = 3, nil, "b", nil }, table.pack(async.any {
      fails(0, "failed"), returns(3, "late"), returns(1, nil, "b", nil),
    }))
    assert.equal(1, loop:now())
  end))

  it("cancels the losers and awaits them", in_task(function(loop)
    assert.equal("won", async.any {
      lingers(3, "first"), returns(1, "won"), lingers(2, "second"),
    })
    assert.equal("second first", calls:order())
    assert.equal(4, loop:now())
  end))

  it("raises all errors if none returned, in the order raised", in_task(
  function()
    local value = {}
    local err = failure(async.any, {
      fails(3, "third"), fails(1, value), fails(2, false),
    })
    assert.same({ n = 3, value, false, "third" }, values(err))
  end))

  it("raises such an object for a single failure, too", in_task(function()
    assert.same({ n = 1, "alone" },
      values(failure(async.any, { fails(1, "alone") })))
  end))

  it("keeps nil among the errors", in_task(function()
    local err = failure(async.any, { fails(1, nil), fails(2, "b") })
    assert.equal(2, err.errors.n)
    assert.is_nil(err.errors[1].value)
    assert.equal("b", err.errors[2].value)
  end))

  it("is not decided by a cancelled task", in_task(function()
    local task = async.spawn(async.sleep, 100)
    async.spawn(task.cancel, task, "elsewhere")
    assert.equal("won", async.any { task, returns(2, "won") })
    local err = failure(async.any, { task, fails(1, "failed") })
    local list = values(err)
    assert.equal(2, list.n)
    assert.equal("elsewhere", list[1].reason)
    assert.equal("failed", list[2])
  end))

  it("of nothing is an argument error", in_task(function()
    helper.argument_error(1, "any", "empty", function() async.any {} end)
  end))

  it("forgets failures when one returned", in_task(function()
    assert.equal("won", async.any {
      fails(0, "early"), returns(1, "won"), fails_at_cleanup "late",
    })
  end))

  it("handles the failures of tasks under supervise", in_task(function()
    local result = async.scope({ supervise = true }, function(scope)
      local a, b = scope:spawn(fails(1, "a")), scope:spawn(fails(2, "b"))
      return failure(async.any, { a, b })
    end)
    assert.same({ n = 2, "a", "b" }, values(result))
  end))
end)

describe("a combinator", function()
  helper.leave_nothing(before_each, after_each)
  before_each(function() calls = helper.recorder() end)

  for _, name in ipairs { "all", "race", "any" } do
    local combine = async[name]

    it(name .. " cancelled from outside cancels and awaits its list",
    in_task(function(loop)
      local task
      local result, err = async.scope(function(scope)
        task = async.spawn(async.sleep, 100)
        async.spawn(function()
          async.sleep(1)
          scope:cancel "outside"
        end)
        combine { lingers(3, "a"), task, lingers(2, "b") }
      end)
      assert.is_nil(result)
      assert.equal("outside", err.reason)
      assert.equal("b a", calls:order())
      assert.equal("cancelled", task:status())
      assert.equal(4, loop:now())
    end))

    it(name .. " cancelled cancels tasks of other scopes, too", in_task(
    function()
      local task = async.spawn(async.sleep, 100)
      async.move_on_after(1, combine, { task })
      assert.equal("cancelled", task:status())
    end))

    it(name .. " in a cancelled scope starts nothing", in_task(function()
      async.scope(function(scope)
        scope:cancel "before"
        assert.equal("before", failure(combine, { calls.note }).reason)
      end)
      assert.equal(0, calls.n)
    end))

    it(name .. " cancelled raises what its members raise then", in_task(
    function()
      local err = failure(async.scope, function(scope)
        async.spawn(function()
          async.sleep(1)
          scope:cancel()
        end)
        combine { fails_at_cleanup "cleanup" }
      end)
      if type(err) == "string" then
        assert.equal("cleanup", err)
      else
        assert.same({ n = 1, "cleanup" }, values(err))
      end
    end))

    it(name .. " that gave its result wins over a cancellation in the "
      .. "same step", in_task(function()
      async.scope(function(scope)
        local resume
        async.spawn(function()
          async.sleep(1)
          resume("result")
          async.checkpoint()
          scope:cancel()
        end)
        local result = combine { function()
          return async.await(function(resume_it) resume = resume_it end)
        end }
        assert.equal("result", name == "all" and result[1] or result)
      end)
    end))

    it(name .. " may stand in another", in_task(function()
      local result = combine {
        function() return async.race { returns(1, "inner"), returns(2) } end,
      }
      assert.equal("inner", name == "all" and result[1] or result)
    end))

    it(name .. " leaves the list as it is", in_task(function()
      local fn = returns(1)
      local list = { fn }
      combine(list)
      assert.same({ fn }, list)
    end))

    it(name .. " shields nothing: members have the token's deadline",
    in_task(function()
      async.timeout(10, combine, { function()
        calls.note(async.token():remaining())
      end })
      assert.equal("10", tostring(calls:arguments(1)[1]):sub(1, 2))
    end))
  end

  it("waits for what its members have spawned", in_task(function(loop)
    async.all { function() async.spawn(async.sleep, 3) end }
    assert.equal(3, loop:now())
  end))

  it("cancels what a loser has spawned, and awaits it", in_task(
  function(loop)
    async.race {
      returns(1),
      function()
        async.spawn(lingers(2, "spawned"))
        async.sleep(100)
      end,
    }
    assert.equal("spawned", calls:order())
    assert.equal(3, loop:now())
  end))

  it("fails when what a member has spawned fails", in_task(function()
    assert.equal("spawned", failure(async.all, {
      function()
        async.spawn(error, "spawned", 0)
        async.sleep(10)
      end,
    }))
  end))

  it("does not fail the scope around it by a caught failure", in_task(
  function()
    async.scope(function(scope)
      failure(async.all, { fails(1, "caught") })
      assert.is_false(scope:is_cancelled())
      async.checkpoint()
    end)
  end))

  it("of a list with the running task in it is an error", in_task(
  function()
    local task
    task = async.spawn(function()
      async.checkpoint()
      helper.raises(function() async.all { task } end,
        "async_gather_spec.lua:%d+:", "join")
    end)
    async.sleep(1)
  end))

  it("keeps the traceback of the failure", in_task(function()
    local function raise_here() error({}) end
    local line = debug.getinfo(raise_here, "S").linedefined
    async.scope({ supervise = true }, function(scope)
      local task = scope:spawn(async.all, { raise_here })
      pcall(task.join, task)
      assert.matches("async_gather_spec.lua:" .. line .. ":",
        task:traceback())
    end)
  end))
end)

describe("tasks that gather each other", function()
  helper.leave_nothing(before_each, after_each)

  it("are told so, instead of waiting for ever", in_task(function()
    local a, b, c
    a = async.spawn(function() return async.race { b, function() end } end)
    b = async.spawn(function() return async.any { c, async.checkpoint } end)
    c = async.spawn(function()
      local ok, err = pcall(function() async.all { a } end)
      assert.is_false(ok)
      assert.matches("async_gather_spec.lua:%d+: join of a task that waits "
        .. "for the running one", err)
      return "c"
    end)
    assert.equal("c", c:join())
  end))
end)
