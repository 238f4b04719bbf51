local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"

-- The built-in loop lives on real time: what is checked here are lower limits
-- of times, and upper ones that only a hanging test would miss.

-- Calls fn and gives the seconds it took, and its results.
local function timed(fn, ...)
  local start = desist.now()
  return (function(...) return desist.now() - start, ... end)(fn(...))
end

-- The error that fn(...) raises.
local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "no error raised")
  return err
end

describe("async.run", function()
  helper.leave_nothing(before_each, after_each)
  local calls

  before_each(function() calls = helper.recorder() end)

  it("returns the results of fn, which got the arguments", function()
    local function give(...) return ... end
    assert.same({ n = 3, nil, 2, nil },
      table.pack(async.run(give, nil, 2, nil)))
    assert.equal(0, select("#", async.run(give)))
  end)

  it("raises the error of fn, unchanged", function()
    local value = {}
    assert.equal(value, failure(async.run, error, value))
    assert.is_nil(failure(async.run, error, nil))
    assert.is_false(failure(async.run, error, false))
  end)

  it("raises the error of a task that was spawned in it", function()
    assert.equal("task", failure(async.run, function()
      async.spawn(error, "task", 0)
      async.sleep(100)
    end))
  end)

  it("waits for what was spawned in it", function()
    local task
    async.run(function()
      task = async.spawn(function()
        async.sleep(0.02)
        return "result"
      end)
    end)
    assert.same({ true, "result" }, { task:result() })
  end)

  it("sleeps for real time", function()
    local took = timed(async.run, function() async.sleep(0.03) end)
    assert.is_true(took >= 0.03 and took < 5)
  end)

  it("runs other tasks meanwhile, in the order of their times", function()
    local took = timed(async.run, function()
      for _, seconds in ipairs { 0.5, 0.1, 0.3 } do
        async.spawn(function()
          async.sleep(seconds)
          calls.note(seconds)
        end)
      end
    end)
    assert.equal("0.1 0.3 0.5", calls:order())
    assert.is_true(took >= 0.5 and took < 5)
  end)

  it("burns nothing while it is idle", function()
    async.run(async.scope, function(scope)
      for _ = 1, 1000 do scope:spawn(async.sleep, 60) end
      async.sleep(0.01)
      local cpu = os.clock()
      async.sleep(0.3)
      assert.is_true(os.clock() - cpu < 0.1)
      scope:cancel()
    end)
  end)

  it("burns nothing while only a thread can wake it", function()
    local source, ready = desist.source(), desist.source()
    local thread = helper.thread(function(handle, ready_handle)
      local there = require "desist"
      there.from_handle(ready_handle):cancel()
      there.none:wait(0.3)
      there.from_handle(handle):cancel("from there")
    end, source:handle(), ready:handle())
    assert.is_true(ready:token():wait(20))
    local cpu = os.clock()
    local took, result, err = timed(async.run, async.scope,
      { token = source:token() }, function() async.sleep(math.huge) end)
    assert.is_true(os.clock() - cpu < 0.1)
    assert.is_true(took < 5)
    assert.is_nil(result)
    assert.equal("from there", err.reason)
    thread.join()
  end)

  it("is woken at once by a cancel from another thread", function()
    local source = desist.source()
    local thread = helper.thread(function(handle)
      local there = require "desist"
      local same = there.from_handle(handle)
      there.none:wait(0.02)
      local now = there.now()
      same:cancel(now)
      return now
    end, source:handle())
    local _, err, woke = async.run(function()
      local result, err = async.scope({ token = source:token() },
        function() async.sleep(60) end)
      return result, err, desist.now()
    end)
    local cancelled_at = thread.join()
    assert.equal(cancelled_at, err.reason)
    assert.is_true(woke - cancelled_at < 1)
  end)

  it("runs callbacks of other threads while it sleeps", function()
    local source, go = desist.source(), desist.source()
    local thread = helper.thread(function(handle, go_handle)
      local there = require "desist"
      there.from_handle(go_handle):wait(10)
      there.from_handle(handle):cancel("from there")
    end, source:handle(), go:token():handle())
    async.run(function()
      async.await(function(resume)
        source:token():register(function(reason)
          calls.note(reason)
          resume()
        end)
        go:cancel()
      end)
      calls.note "task"
    end)
    thread.join()
    assert.equal("from there task", calls:order())
  end)

  it("cuts a timeout at its time, not before", function()
    local took, err = timed(failure, async.run, async.timeout, 0.03,
      async.sleep, 60)
    assert.is_true(desist.is_timeout(err))
    assert.equal(0.03, err.seconds)
    assert.is_true(took >= 0.03 and took < 5)
  end)

  it("is on the real clock: tokens and deadlines are, too", function()
    async.run(function()
      async.scope({ deadline = desist.now() + 100 }, function()
        local left = async.token():remaining()
        assert.is_true(left > 90 and left <= 100)
        local link = desist.linked(async.token())
        assert.is_true(link:token():remaining() <= 100)
      end)
      local result, err = async.scope({ deadline = desist.now() + 0.02 },
        function() async.sleep(60) end)
      assert.is_nil(result)
      assert.equal("deadline", err.kind)
    end)
  end)

  it("has deadlines that turn tokens while Lua is busy", function()
    async.run(function()
      async.move_on_after(0.02, function()
        local token = async.token()
        assert.is_true(helper.becomes_true(function()
          return token:is_cancelled()
        end))
        assert.is_true(desist.is_cancelled(failure(async.sleep, 60)))
      end)
    end)
  end)

  it("lets a sleep that is over win over its deadline", function()
    local result = async.run(async.move_on_after, 0.5, function()
      async.sleep(0.1)
      return "woke"
    end)
    assert.equal("woke", result)
  end)

  it("takes a deadline of the core on an outside token", function()
    local took, result, err = timed(async.run, async.scope,
      { token = desist.after(0.02):token() },
      function() async.sleep(60) end)
    assert.is_nil(result)
    assert.equal("deadline", err.kind)
    assert.is_true(took < 5)
  end)

  it("lets others run at checkpoints", function()
    async.run(function()
      async.spawn(function()
        for i = 1, 3 do
          calls.note("a" .. i)
          async.checkpoint()
        end
      end)
      async.spawn(function()
        for i = 1, 3 do
          calls.note("b" .. i)
          async.checkpoint()
        end
      end)
    end)
    assert.equal("a1 b1 a2 b2 a3 b3", calls:order())
  end)

  it("serves timers and the outside though a task never rests", function()
    local source = desist.source()
    local thread = helper.thread(function(handle)
      require "desist".from_handle(handle):cancel()
    end, source:handle())
    async.run(function()
      async.spawn(function()
        async.sleep(0.01)
        calls.note "timer"
      end)
      async.scope({ token = source:token() }, function()
        local limit = desist.now() + 5
        repeat async.checkpoint() until desist.now() > limit
      end)
      calls.note "outside"
    end)
    thread.join()
    assert.equal(2, calls.n)
  end)

  it("serves checkpoints though a callback cancels meanwhile", function()
    async.run(function()
      local source = desist.source()
      async.spawn(function()
        async.checkpoint()
        source:cancel_async("queued")
      end)
      local result, err = async.scope({ token = source:token() },
        function() async.sleep(60) end)
      assert.is_nil(result)
      assert.equal("queued", err.reason)
    end)
  end)

  it("tests the predicate of wait_until soon", function()
    local go = false
    local tests = 0
    local took = timed(async.run, function()
      async.spawn(function()
        async.sleep(0.05)
        go = true
      end)
      async.wait_until(function()
        tests = tests + 1
        return go
      end)
    end)
    assert.is_true(took >= 0.05 and took < 5)
    assert.is_true(tests >= 2 and tests < 200)
  end)

  it("does not end before its tasks when it fails", function()
    local err = failure(async.run, function()
      async.spawn(function()
        pcall(async.sleep, 60)
        async.shield(async.sleep, 0.02)
        calls.note "cleaned up"
      end)
      async.checkpoint()
      error("failed", 0)
    end)
    assert.equal("failed", err)
    assert.equal("cleaned up", calls:order())
  end)

  it("inside a task is an error", function()
    async.run(function()
      helper.raises(function() async.run(print) end,
        "async_run_spec.lua:%d+:", "inside a task")
    end)
    local loop = async.loop()
    loop:spawn(function()
      helper.raises(function() async.run(print) end, "inside a task")
    end)
    loop:step(0)
  end)

  it("may be called again and again", function()
    for i = 1, 100 do
      assert.equal(i, async.run(function()
        async.checkpoint()
        return i
      end))
    end
  end)

  it("outside of a coroutine and in one is the same", function()
    assert.equal("result", coroutine.wrap(function()
      return async.run(function()
        async.sleep(0.001)
        return "result"
      end)
    end)())
  end)

  it("leaves nothing when the main task raises itself a cancellation",
  function()
    local other = desist.cancelled("why")
    local err = failure(async.run, other.throw_if_cancelled, other)
    assert.equal(other:error(), err)
  end)

  it("does not report the error that it raises", function()
    assert.equal("failed", failure(async.run, error, "failed", 0))
    assert.equal(0, helper.handled_errors().n)
  end)

  it("drives only its own loop", function()
    local loop = async.loop()
    local task = loop:spawn(async.sleep, 0)
    async.run(async.sleep, 0.01)
    assert.equal("waiting", task:status())
    loop:close()
  end)

  it("lets its tasks step another loop", function()
    local loop = async.loop()
    async.run(function()
      local task = loop:spawn(function()
        async.sleep(1)
        return "stepped"
      end)
      for _ = 1, 4 do
        loop:step(0.25)
        async.sleep(0.001)
      end
      assert.same({ true, "stepped" }, { task:result() })
    end)
  end)
end)

describe("a script with async.run", function()
  local function output_of(script, ...)
    return helper.child('local async = require "desist.async"\n'
      .. 'local desist = require "desist"\n' .. script, ...)
  end

  it("can be ended by a signal that cancels a scope", function()
    local output, how, code = output_of(helper.send .. [[
      local source = desist.signal("INT")
      print(async.run(async.scope, { token = source:token() }, function()
        async.spawn(function()
          async.sleep(0.01)
          send "INT"
        end)
        async.sleep(60)
      end))
    ]])
    assert.equal("exit", how)
    assert.equal(0, code)
    assert.matches("SIGINT", output)
  end)

  it("ends with the traceback of its error", function()
    local output, how, code = output_of [[
      async.run(function() error("wrong") end)
    ]]
    assert.equal("exit", how)
    assert.equal(1, code)
    assert.matches("wrong", output)
  end)

  it("may exit inside a task", function()
    local _, how, code = output_of [[
      async.run(function()
        async.spawn(async.sleep, 60)
        async.checkpoint()
        os.exit(7, true)
      end)
    ]]
    assert.equal("exit", how)
    assert.equal(7, code)
  end)
end)
