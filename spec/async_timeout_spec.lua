local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"

local in_task = helper.in_task

local function nothing() end

local function give(...) return ... end

-- The error that fn(...) raises.
local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "no error raised")
  return err
end

describe("async.timeout", function()
  helper.leave_nothing(before_each, after_each)

  it("returns the results of fn, which got the arguments", in_task(
  function()
    assert.same({ n = 3, nil, 2, nil },
      table.pack(async.timeout(5, give, nil, 2, nil)))
    assert.equal(0, select("#", async.timeout(5, nothing)))
  end))

  it("raises a timeout error when the time is up", in_task(function(loop)
    local err = failure(async.timeout, 2.5, async.sleep, 10)
    assert.equal(2.5, loop:now())
    assert.is_true(desist.is_timeout(err))
    assert.is_false(desist.is_cancelled(err))
    assert.equal("timeout", err.kind)
    assert.equal(2.5, err.seconds)
  end))

  it("names the seconds and the named scope in the error", in_task(
  function()
    local err = failure(async.scope, { name = "login" }, function()
      async.timeout(0.25, async.sleep, 10)
    end)
    assert.matches("0%.25", tostring(err))
    assert.matches("login", tostring(err))
  end))

  it("names the task in the error", in_task(function()
    local task = async.spawn({ name = "reader" }, function()
      return failure(async.timeout, 1, async.sleep, 10)
    end)
    assert.matches("reader", tostring(task:join()))
    local nameless = async.spawn(function()
      return failure(async.timeout, 1, async.sleep, 10)
    end)
    assert.matches("task", tostring(nameless:join()))
  end))

  it("leaves no timer when fn ends before", in_task(function(loop)
    async.timeout(100, async.sleep, 1)
    failure(async.timeout, 100, error, "early")
    async.sleep(1)
    assert.is_nil(loop:next_time())
  end))

  it("raises the error of fn that comes before", in_task(function()
    local value = {}
    assert.equal(value, failure(async.timeout, 5, function()
      async.sleep(1)
      error(value)
    end))
  end))

  it("lets cleanup run, in which each checkpoint raises", in_task(
  function(loop)
    local calls = helper.recorder()
    failure(async.timeout, 1, function()
      local _ <close> = setmetatable({}, { __close = function()
        calls.note "closed"
        assert.is_true(desist.is_cancelled(failure(async.sleep, 5)))
      end })
      async.sleep(10)
    end)
    assert.equal("closed", calls:order())
    assert.equal(1, loop:now())
  end))

  it("raises the error that fn raises instead", in_task(function()
    local err = failure(async.timeout, 1, function()
      pcall(async.sleep, 10)
      error("instead", 0)
    end)
    assert.equal("instead", err)
  end))

  it("gives the results of a function that returns late", in_task(
  function(loop)
    assert.equal("late", async.timeout(1, function()
      pcall(async.sleep, 10)
      return "late"
    end))
    assert.equal("later", async.timeout(1, function()
      async.shield(async.sleep, 4)
      return "later"
    end))
    assert.equal(5, loop:now())
  end))

  it("gives fn's own cancellation errors, raised inside, kind 'deadline'",
  in_task(function()
    failure(async.timeout, 1, function()
      local err = failure(async.sleep, 10)
      assert.is_true(desist.is_cancelled(err))
      assert.equal("deadline", err.kind)
      assert.equal("deadline exceeded", err.reason)
      assert.equal(async.token(), err.origin)
      error(err, 0)
    end)
  end))

  it("of 0 calls fn, which meets it at its first checkpoint", in_task(
  function(loop)
    assert.equal("result", async.timeout(0, give, "result"))
    local met = false
    local err = failure(async.timeout, 0, function()
      met = true
      async.sleep(5)
      met = false
    end)
    assert.is_true(met)
    assert.is_true(desist.is_timeout(err))
    assert.equal(0, err.seconds)
    assert.equal(0, loop:now())
  end))

  it("of less than the clock can tell is as 0", in_task(function(loop)
    async.sleep(1e6)
    local err = failure(async.timeout, 1e-300, async.sleep, 5)
    assert.is_true(desist.is_timeout(err))
    assert.equal(1e-300, err.seconds)
    assert.equal(1e6, loop:now())
  end))

  it("of math.huge never comes", in_task(function(loop)
    assert.equal("result", async.timeout(math.huge, function()
      async.sleep(1e9)
      return "result"
    end))
    assert.is_true(loop:now() >= 1e9)
  end))

  it("of 1e300 never comes", in_task(function()
    assert.equal("result", async.timeout(1e300, function()
      async.sleep(1)
      return "result"
    end))
  end))

  it("owns what async.spawn spawns inside, and waits for it", in_task(
  function(loop)
    assert.equal("result", async.timeout(5, function()
      async.spawn(async.sleep, 3)
      return "result"
    end))
    assert.equal(3, loop:now())
  end))

  it("cuts what was spawned inside, and raises", in_task(function(loop)
    local task
    local err = failure(async.timeout, 2, function()
      task = async.spawn(async.sleep, 10)
      return "result"
    end)
    assert.is_true(desist.is_timeout(err))
    assert.equal("cancelled", task:status())
    assert.equal(2, loop:now())
  end))

  it("fails with a task that was spawned inside", in_task(function(loop)
    assert.equal("failed", failure(async.timeout, 5, function()
      async.spawn(error, "failed", 0)
      async.sleep(10)
    end))
    assert.equal(0, loop:now())
  end))

  it("does not swallow the timeout around it", in_task(function(loop)
    local turns = 0
    local err = failure(async.timeout, 3.2, function()
      while true do
        turns = turns + 1
        pcall(async.timeout, 1.5, async.sleep, 10)
        async.checkpoint()
      end
    end)
    assert.equal(3.2, err.seconds)
    assert.equal(3, turns)
    assert.equal(3.2, loop:now())
  end))

  it("lets an outer timeout that is nearer pass through", in_task(
  function(loop)
    local err = failure(async.timeout, 1, async.timeout, 5, async.sleep, 10)
    assert.equal(1, err.seconds)
    assert.equal(1, loop:now())
  end))

  it("that is nearer leaves the outer one as it was", in_task(
  function(loop)
    local err = failure(async.timeout, 5, function()
      assert.equal(1, failure(async.timeout, 1, async.sleep, 10).seconds)
      async.sleep(10)
    end)
    assert.equal(5, err.seconds)
    assert.equal(5, loop:now())
  end))

  it("lets the cancellation of a scope around it pass", in_task(function()
    local result, err = async.scope(function(scope)
      async.spawn(function()
        async.sleep(1)
        scope:cancel "outside"
      end)
      async.timeout(5, async.sleep, 10)
    end)
    assert.is_nil(result)
    assert.equal("outside", err.reason)
  end))

  it("is a failure for the scopes around it", in_task(function()
    local sibling
    local err = failure(async.scope, { timeout = 50 }, function(scope)
      sibling = scope:spawn(async.sleep, 100)
      async.timeout(1, async.sleep, 10)
    end)
    assert.is_true(desist.is_timeout(err))
    local _, of_sibling = sibling:result()
    assert.equal("failure", of_sibling.kind)
    assert.equal(err, of_sibling.reason)
  end))

  it("fails a task that lets it out", in_task(function()
    async.scope({ supervise = true }, function(scope)
      local task = scope:spawn(async.timeout, 1, async.sleep, 10)
      local err = failure(task.join, task)
      assert.is_true(desist.is_timeout(err))
      assert.equal("failed", task:status())
      assert.is_string(task:traceback())
    end)
  end))

  it("does not fire for what was armed and left", in_task(function()
    for i = 1, 5 do
      async.timeout(i, nothing)
      async.timeout(i + 0.5, async.sleep, i)
    end
    async.sleep(20)
  end))

  it("fires at its time when a step goes far beyond", function()
    local loop, times = async.loop(), {}
    loop:spawn(function()
      for i = 1, 3 do
        failure(async.timeout, 1.5, async.sleep, 100)
        times[i] = loop:now()
      end
    end)
    loop:step(1000)
    assert.same({ 1.5, 3, 4.5 }, times)
    assert.equal(1000, loop:now())
    assert.is_true(loop:is_idle())
  end)
end)

describe("desist.is_timeout", function()
  it("is true for timeout errors alone", in_task(function()
    local _, cut = async.move_on_after(1, async.sleep, 10)
    for _, value in ipairs { false, 1, "timeout", {}, print, cut,
      { kind = "timeout", seconds = 1 }, desist.cancelled():error() } do
      assert.is_false(desist.is_timeout(value))
    end
    assert.is_false(desist.is_timeout(nil))
    assert.is_false(desist.is_timeout())
    assert.is_true(desist.is_timeout(
      failure(async.timeout, 1, async.sleep, 10)))
  end))
end)

describe("async.move_on_after", function()
  helper.leave_nothing(before_each, after_each)

  it("returns the results of fn, which got the arguments", in_task(
  function()
    assert.same({ n = 3, nil, 2, nil },
      table.pack(async.move_on_after(5, give, nil, 2, nil)))
  end))

  it("returns nil and the error when the time is up", in_task(
  function(loop)
    local results = table.pack(async.move_on_after(2, async.sleep, 10))
    assert.equal(2, results.n)
    assert.is_nil(results[1])
    local err = results[2]
    assert.equal("deadline", err.kind)
    assert.equal("deadline exceeded", err.reason)
    assert.is_true(desist.is_cancelled(err))
    assert.is_false(desist.is_timeout(err))
    assert.equal(2, loop:now())
  end))

  it("of 0 calls fn, which meets it at its first checkpoint", in_task(
  function()
    assert.equal("result", async.move_on_after(0, give, "result"))
    assert.is_nil((async.move_on_after(0, async.checkpoint)))
  end))

  it("raises the error of fn", in_task(function()
    assert.equal("failed", failure(async.move_on_after, 5, error, "failed",
      0))
  end))

  it("does not swallow what is around it", in_task(function(loop)
    local err = failure(async.timeout, 1, function()
      async.move_on_after(1, async.sleep, 10)
      async.move_on_after(5, async.sleep, 10)
    end)
    assert.is_true(desist.is_timeout(err))
    assert.equal(1, loop:now())
  end))

  it("owns what async.spawn spawns inside", in_task(function(loop)
    local result, err = async.move_on_after(2, function()
      async.spawn(async.sleep, 10)
      return "result"
    end)
    assert.is_nil(result)
    assert.equal("deadline", err.kind)
    assert.equal(2, loop:now())
  end))

  it("gives the results of a function that returns late", in_task(
  function()
    assert.equal("late", async.move_on_after(1, function()
      pcall(async.sleep, 10)
      return "late"
    end))
  end))
end)

describe("a scope with a deadline", function()
  helper.leave_nothing(before_each, after_each)

  it("returns nil and the error when its timeout is over", in_task(
  function(loop)
    local result, err = async.scope({ timeout = 2 }, function()
      async.sleep(10)
    end)
    assert.is_nil(result)
    assert.equal("deadline", err.kind)
    assert.is_true(desist.is_cancelled(err))
    assert.is_false(desist.is_timeout(err))
    assert.equal(2, loop:now())
  end))

  it("takes an absolute time of the loop's clock", in_task(function(loop)
    async.sleep(3)
    async.scope({ deadline = 5 }, function()
      async.sleep(10)
    end)
    assert.equal(5, loop:now())
  end))

  it("with both keeps the nearer", in_task(function(loop)
    async.scope({ timeout = 1, deadline = 3 }, function()
      async.sleep(10)
    end)
    assert.equal(1, loop:now())
    async.scope({ timeout = 10, deadline = 3 }, function()
      async.sleep(10)
    end)
    assert.equal(3, loop:now())
  end))

  it("in the past calls fn, which meets it at its first checkpoint", in_task(
  function(loop)
    async.sleep(5)
    for _, options in ipairs { { deadline = 1 }, { deadline = -100 },
      { deadline = 5 }, { deadline = -math.huge }, { timeout = 0 } } do
      assert.equal("result", async.scope(options, function(scope)
        assert.is_true(scope:is_cancelled())
        assert.is_true(scope:token():is_cancelled())
        return "result"
      end))
      local result, err = async.scope(options, function()
        async.checkpoint()
      end)
      assert.is_nil(result)
      assert.equal("deadline", err.kind)
    end
    assert.equal(5, loop:now())
  end))

  it("of math.huge has none", in_task(function(loop)
    async.scope({ timeout = math.huge, deadline = math.huge }, function()
      assert.is_nil(async.token():deadline())
      async.sleep(1000)
    end)
    assert.equal(1000, loop:now())
  end))

  it("cancelled before it stays cancelled, not timed out", in_task(
  function()
    local result, err = async.scope({ timeout = 2 }, function(scope)
      scope:cancel "explicit"
      async.shield(async.sleep, 5)
      async.checkpoint()
    end)
    assert.is_nil(result)
    assert.equal("cancelled", err.kind)
    assert.equal("explicit", err.reason)
  end))

  it("met without a checkpoint changes nothing", in_task(function()
    local result = async.scope({ timeout = 2 }, function(scope)
      async.shield(async.sleep, 5)
      assert.is_true(scope:is_cancelled())
      return "result"
    end)
    assert.equal("result", result)
  end))

  it("can not be taken back by cancel_after once it has passed", in_task(
  function()
    local result, err = async.scope({ timeout = 2 }, function(scope)
      async.shield(async.sleep, 5)
      assert.is_false(scope:cancel_after(100))
      async.checkpoint()
    end)
    assert.is_nil(result)
    assert.equal("deadline", err.kind)
  end))

  it("raises at each checkpoint after it", in_task(function()
    async.scope({ timeout = 1 }, function()
      local first = failure(async.sleep, 10)
      for _ = 1, 5 do
        assert.equal(first, failure(async.sleep, 10))
        assert.equal(first, failure(async.checkpoint))
      end
    end)
  end))
end)
