local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"

local function nothing() end

local function sleeper(seconds, ...)
  async.sleep(seconds)
  return ...
end

local function closing(fn)
  return setmetatable({}, { __close = fn })
end

describe("async.loop", function()
  helper.leave_nothing(before_each, after_each)
  local calls, loop

  before_each(function()
    calls, loop = helper.recorder(), async.loop()
  end)

  describe("its clock", function()
    it("begins with 0, or with the option start", function()
      assert.equal(0, loop:now())
      assert.equal(100, async.loop({ start = 100 }):now())
      assert.equal(-5.5, async.loop({ start = -5.5 }):now())
    end)

    it("is moved by step alone", function()
      loop:step(1)
      loop:step(0.5)
      loop:step(0)
      assert.equal(1.5, loop:now())
    end)

    it("stands at the due time of what runs", function()
      local times = {}
      loop:spawn(function()
        for _, seconds in ipairs { 0.5, 0.25, 2 } do
          async.sleep(seconds)
          times[#times + 1] = loop:now()
        end
      end)
      loop:step(10)
      assert.same({ 0.5, 0.75, 2.75 }, times)
      assert.equal(10, loop:now())
    end)

    it("starts somewhere: sleeps and deadlines count from there",
    function()
      local late = async.loop { start = 1000 }
      late:spawn(function()
        async.scope({ deadline = 1003 }, function()
          assert.equal(3, async.token():remaining())
          assert.equal(1003, async.token():deadline())
          async.sleep(10)
        end)
        calls.note(late:now())
      end)
      late:step(10)
      assert.equal(1003, calls:arguments(1)[1])
    end)

    -- A task on a loop that starts at `start`, cut short after 4 seconds.
    local function cut_short_at(start)
      local far = async.loop { start = start }
      local task = far:spawn(function()
        return async.scope({ timeout = 4 }, function()
          async.sleep(8)
        end)
      end)
      far:step(16)
      assert.equal("returned", task:status())
      assert.equal("deadline", select(3, task:result()).kind)
    end

    it("may start before 0, and where dates are", function()
      cut_short_at(-1e6)
      cut_short_at(os.time())
      cut_short_at(9e9)
    end)

    it("may not start or go where clocks of the core end", function()
      for _, start in ipairs { 1e10, -1e10, math.huge, -math.huge } do
        local ok, err = pcall(async.loop, { start = start })
        assert.is_false(ok)
        assert.matches("a time that clocks can hold expected", err)
      end
      local far = async.loop { start = 9.1e9 }
      local ok, err = pcall(far.step, far, 1e9)
      assert.is_false(ok)
      assert.matches("bad argument #1 to 'step'", err)
      assert.equal(9.1e9, far:now())
    end)
  end)

  describe("step", function()
    it("returns nothing", function()
      assert.equal(0, select("#", loop:step(1)))
    end)

    it("runs what becomes ready, until nothing is", function()
      loop:spawn(function()
        calls.note "a"
        async.spawn(function()
          calls.note "b"
          async.spawn(calls.note, "c")
        end)
      end)
      loop:step(0)
      assert.equal("a b c", calls:order())
    end)

    it("runs what is armed inside it and due inside it", function()
      loop:spawn(function()
        async.sleep(1)
        async.spawn(function()
          async.sleep(1)
          calls.note(loop:now())
        end)
      end)
      loop:step(2)
      assert.equal(2, calls:arguments(1)[1])
    end)

    it("runs what is due at its end, and nothing later", function()
      loop:spawn(sleeper, 1)
      local late = loop:spawn(sleeper, 1.0000001)
      loop:step(1)
      assert.equal("suspended", late:status())
      assert.equal(1, loop.alive or 1)
      loop:step(1)
      assert.equal("returned", late:status())
    end)

    it("runs put-off tasks first, then ready ones, then due ones",
    function()
      loop:spawn(function()
        async.sleep(1)
        calls.note "due"
      end)
      loop:spawn(function()
        async.next_step()
        calls.note "put off"
      end)
      loop:step(0)
      loop:spawn(calls.note, "ready")
      loop:step(1)
      assert.equal("put off ready due", calls:order())
    end)

    it("runs put-off tasks in their order, without those cancelled",
    function()
      local tasks = {}
      for i = 1, 6 do
        tasks[i] = loop:spawn(function()
          async.next_step()
          calls.note(i)
          async.next_step()
          calls.note(i)
        end)
      end
      loop:step(0)
      tasks[2]:cancel()
      tasks[5]:cancel()
      tasks[6]:cancel()
      loop:step(0)
      assert.equal("1 3 4", calls:order())
      tasks[1]:cancel()
      loop:step(0)
      assert.equal("1 3 4 3 4", calls:order())
      assert.is_true(loop:is_idle())
      assert.is_nil(loop:next_time())
    end)

    it("wakes tasks in the order in which they became ready", function()
      local resumes = {}
      for i = 1, 5 do
        loop:spawn(function()
          async.await(function(resume) resumes[i] = resume end)
          calls.note(i)
        end)
      end
      loop:step(0)
      for _, i in ipairs { 3, 1, 5, 2, 4 } do resumes[i]() end
      loop:step(0)
      assert.equal("3 1 5 2 4", calls:order())
    end)

    it("goes through due times in order, sleepers before deadlines",
    function()
      local function note_at(seconds, name)
        loop:spawn(function()
          async.sleep(seconds)
          calls.note(name)
        end)
      end
      loop:spawn(function()
        async.move_on_after(2, async.sleep, 100)
        calls.note "deadline 2"
      end)
      note_at(3, "sleeper 3")
      note_at(2, "sleeper 2")
      note_at(1, "sleeper 1")
      loop:step(5)
      assert.equal("sleeper 1 sleeper 2 deadline 2 sleeper 3",
        calls:order())
    end)

    it("first dispatches what other threads and states queued", function()
      local source = desist.source()
      source:token():register(calls.note, "callback")
      loop:spawn(calls.note, "task")
      source:cancel_async()
      loop:step(0)
      assert.equal("callback task", calls:order())
    end)

    it("inside itself is an error", function()
      local task = loop:spawn(function()
        helper.raises(function() loop:step(0) end,
          "async_loop_spec.lua:%d+:", "step")
        calls.note "went on"
      end)
      loop:step(0)
      assert.equal("returned", task:status())
      assert.equal(1, calls.n)
    end)

    it("of another loop is possible inside a task", function()
      local inner = async.loop()
      local token
      inner:spawn(function()
        token = async.token()
        async.sleep(1)
        calls.note "inner"
      end)
      loop:spawn(function()
        local mine = async.token()
        inner:step(0)
        assert.equal(mine, async.token())
        async.sleep(1)
        inner:step(1)
        assert.equal(mine, async.token())
        assert.not_equal(mine, token)
        calls.note "outer"
      end)
      helper.finish(loop)
      assert.equal("inner outer", calls:order())
      assert.is_true(inner:is_idle())
    end)

    it("never raises a task's error", function()
      loop:spawn(error, "first", 0)
      loop:spawn(calls.note, "second")
      loop:step(0)
      assert.equal(1, calls.n)
      assert.same({ n = 1, "first" }, helper.handled_errors())
    end)

    it("ends though everybody sleeps for 0 seconds", function()
      for _ = 1, 3 do
        loop:spawn(function()
          for _ = 1, 100 do async.sleep(0) end
          calls.note "done"
        end)
      end
      for _ = 1, 100 do loop:step(0.01) end
      assert.equal(0, calls.n)
      loop:step(0)
      assert.equal(3, calls.n)
    end)

    it("is the same every time", function()
      local function trace()
        local again, lines = async.loop(), {}
        for i = 1, 20 do
          again:spawn(function()
            for j = 1, 5 do
              async.sleep((i * j * 7 % 5) / 4)
              lines[#lines + 1] = ("%d %d %g"):format(i, j, again:now())
              if (i + j) % 3 == 0 then async.checkpoint() end
            end
          end)
        end
        for _ = 1, 40 do again:step(0.3) end
        return table.concat(lines, "\n")
      end
      local first = trace()
      assert.equal(first, trace())
      assert.is_true(#first > 100)
    end)
  end)

  describe("is_idle", function()
    it("is true while no task is alive", function()
      assert.is_true(loop:is_idle())
      loop:spawn(sleeper, 1)
      assert.is_false(loop:is_idle())
      loop:step(0)
      assert.is_false(loop:is_idle())
      loop:step(1)
      assert.is_true(loop:is_idle())
    end)

    it("counts tasks that were cancelled before their start until the "
      .. "next step", function()
      loop:spawn(nothing):cancel()
      loop:step(0)
      assert.is_true(loop:is_idle())
    end)
  end)

  describe("next_time", function()
    it("is nil if only the outside can wake it", function()
      assert.is_nil(loop:next_time())
      loop:spawn(async.await, nothing)
      loop:step(0)
      assert.is_nil(loop:next_time())
      loop:close()
    end)

    it("is -math.huge if something is ready", function()
      loop:spawn(async.checkpoint)
      assert.equal(-math.huge, loop:next_time())
      loop:step(0)
      assert.equal(-math.huge, loop:next_time())
      loop:step(0)
      assert.is_nil(loop:next_time())
      local task = loop:spawn(async.sleep, 5)
      loop:step(0)
      task:cancel()
      assert.equal(-math.huge, loop:next_time())
      loop:step(0)
      assert.is_nil(loop:next_time())
    end)

    it("is the time of the nearest sleeper or deadline", function()
      loop:spawn(sleeper, 5)
      loop:step(1)
      assert.equal(5, loop:next_time())
      loop:spawn(async.move_on_after, 2, async.sleep, 10)
      loop:step(0)
      assert.equal(3, loop:next_time())
      loop:step(2)
      assert.equal(5, loop:next_time())
      loop:step(2)
      assert.is_nil(loop:next_time())
    end)

    it("is nil when a task put off was cancelled and has ended",
    function()
      local task = loop:spawn(async.checkpoint)
      loop:step(0)
      loop:spawn(function() task:cancel() end)
      loop:step(0)
      loop:step(0)
      assert.is_true(loop:is_idle())
      assert.is_nil(loop:next_time())
    end)

    it("is nil when a task put off was cancelled by a deadline",
    function()
      loop:spawn(function()
        async.scope({ timeout = 1 }, function()
          async.sleep(1)
          async.checkpoint()
        end)
      end)
      loop:step(0)
      loop:step(1)
      assert.is_true(loop:is_idle())
      assert.is_nil(loop:next_time())
    end)
  end)

  describe("spawn", function()
    it("starts a tree of its own each time", function()
      local a = loop:spawn(function()
        async.sleep(1)
        error("failed", 0)
      end)
      local b = loop:spawn(sleeper, 2, "result")
      loop:step(5)
      assert.equal("failed", a:status())
      assert.same({ true, "result" }, { b:result() })
      assert.equal(1, helper.handled_errors().n)
    end)

    it("inside a task starts one, too", function()
      local inner
      local outer = loop:spawn(function()
        inner = loop:spawn(sleeper, 2, "inner")
        async.sleep(1)
      end)
      loop:step(0)
      loop:step(1)
      assert.equal("returned", outer:status())
      assert.equal("suspended", inner:status())
      loop:step(1)
      assert.same({ true, "inner" }, { inner:result() })
    end)

    it("inside a scope is not reached by its cancellation", function()
      local inner
      loop:spawn(async.move_on_after, 1, function()
        inner = loop:spawn(sleeper, 2)
        async.sleep(100)
      end)
      loop:step(5)
      assert.equal("returned", inner:status())
    end)
  end)

  describe("the error of a first task", function()
    local reports

    before_each(function()
      reports = helper.recorder()
      desist.on_error(reports.note)
    end)

    local function raise_here() error("failed", 0) end
    local place = "async_loop_spec.lua:"
      .. debug.getinfo(raise_here, "S").linedefined

    it("goes to on_error with its traceback at the end of the step",
    function()
      loop:spawn(raise_here)
      loop:spawn(function() calls.note(reports.n) end)
      loop:step(0)
      assert.equal("0", calls:order())
      assert.equal(1, reports.n)
      assert.equal("failed", reports:arguments(1)[1])
      assert.matches(place, reports:arguments(1)[2])
    end)

    it("goes there in the step in which the task ends, unchanged",
    function()
      local value = {}
      loop:spawn(function()
        async.sleep(1)
        error(value)
      end)
      loop:step(0.5)
      assert.equal(0, reports.n)
      loop:step(0.5)
      assert.equal(1, reports.n)
      assert.equal(value, reports:arguments(1)[1])
      loop:step(1)
      assert.equal(1, reports.n)
    end)

    it("that is nil goes there, too", function()
      loop:spawn(function() error(nil) end)
      loop:step(0)
      assert.equal(1, reports.n)
      assert.is_nil(reports:arguments(1)[1])
    end)

    it("does not when somebody waits for it", function()
      local task = loop:spawn(function()
        async.sleep(1)
        error("joined", 0)
      end)
      loop:spawn(pcall, task.join, task)
      loop:step(5)
      assert.equal(0, reports.n)
    end)

    it("does not when somebody joins it by the end of that step",
    function()
      local task
      loop:spawn(function()
        async.sleep(1)
        async.await(function(resume) resume() end)
        pcall(task.join, task)
      end)
      task = loop:spawn(function()
        async.sleep(0.5)
        error("joined", 0)
      end)
      loop:step(5)
      assert.equal("failed", task:status())
      assert.equal(0, reports.n)
    end)

    it("goes there when somebody joins it later", function()
      local task = loop:spawn(raise_here)
      loop:step(0)
      assert.equal(1, reports.n)
      loop:spawn(pcall, task.join, task)
      loop:step(0)
      assert.equal(1, reports.n)
    end)

    it("goes there once for a chain of first tasks", function()
      local a = loop:spawn(raise_here)
      loop:spawn(a.join, a)
      loop:step(0)
      assert.equal(1, reports.n)
      assert.equal("failed", reports:arguments(1)[1])
    end)

    it("does not for a cancelled task", function()
      local task = loop:spawn(async.sleep, 5)
      loop:step(0)
      task:cancel()
      loop:step(0)
      assert.equal(0, reports.n)
    end)

    it("goes there for a cancellation error of somebody else", function()
      local other = desist.cancelled()
      loop:spawn(other.throw_if_cancelled, other)
      loop:step(0)
      assert.equal(1, reports.n)
      assert.equal(other:error(), reports:arguments(1)[1])
    end)

    it("does not stop the loop when the handler fails, too", function()
      desist.on_error(function() error("in the handler") end)
      local old = warn
      loop:spawn(raise_here)
      loop:spawn(calls.note)
      loop:step(0)
      assert.equal(1, calls.n)
      assert.equal(old, warn)
    end)
  end)

  describe("cancel", function()
    it("cancels all tasks of all trees", function()
      local tasks = {}
      for i = 1, 5 do
        tasks[i] = loop:spawn(function()
          async.scope(function(scope)
            scope:spawn(async.sleep, 100)
            async.sleep(100)
          end)
        end)
      end
      loop:step(0)
      assert.is_true(loop:cancel "why")
      loop:step(0)
      for i = 1, 5 do
        assert.equal("cancelled", tasks[i]:status())
        assert.equal("why", select(2, tasks[i]:result()).reason)
      end
      assert.is_true(loop:is_idle())
    end)

    it("is true the first time only", function()
      assert.is_true(loop:cancel())
      assert.is_false(loop:cancel())
    end)

    it("lets what is spawned later never run", function()
      loop:cancel "before"
      local task = loop:spawn(calls.note)
      loop:step(0)
      assert.equal(0, calls.n)
      assert.equal("cancelled", task:status())
      assert.equal("before", select(2, task:result()).reason)
    end)

    it("is possible inside a task of it", function()
      local other = loop:spawn(async.sleep, 100)
      local task = loop:spawn(function()
        loop:cancel "inside"
        calls.note "still here"
        async.checkpoint()
        calls.note "never"
      end)
      loop:step(0)
      assert.equal("still here", calls:order())
      assert.equal("cancelled", task:status())
      assert.equal("cancelled", other:status())
    end)

    it("lets cleanup under a shield end", function()
      loop:spawn(function()
        local _ <close> = closing(function()
          async.shield(async.sleep, 2)
          calls.note "cleaned up"
        end)
        async.sleep(100)
      end)
      loop:step(0)
      loop:cancel()
      loop:step(1)
      assert.equal(0, calls.n)
      loop:step(1)
      assert.equal("cleaned up", calls:order())
      assert.is_true(loop:is_idle())
    end)

    it("leaves other loops alone", function()
      local other = async.loop()
      local task = other:spawn(sleeper, 1, "result")
      loop:cancel()
      helper.finish(other)
      assert.same({ true, "result" }, { task:result() })
    end)
  end)

  describe("close", function()
    it("closes what live tasks have to close, the last started first",
    function()
      for i = 1, 3 do
        loop:spawn(function()
          local _ <close> = closing(function() calls.note(i) end)
          async.sleep(100)
        end)
      end
      loop:step(0)
      loop:close()
      assert.equal("3 2 1", calls:order())
      assert.is_true(loop:is_idle())
      assert.is_nil(loop:next_time())
    end)

    it("closes a task's children before the task", function()
      loop:spawn(function()
        async.scope(function(scope)
          scope:spawn(function()
            local _ <close> = closing(calls:as "child")
            async.sleep(100)
          end)
          local _ <close> = closing(calls:as "parent")
          async.sleep(100)
        end)
      end)
      loop:step(0)
      loop:close()
      assert.equal("child parent", calls:order())
    end)

    it("gives its tasks the status 'cancelled'", function()
      local waiting, asleep
      asleep = loop:spawn(async.sleep, 100)
      loop:step(0)
      waiting = loop:spawn(calls.note)
      loop:close()
      for _, task in ipairs { asleep, waiting } do
        assert.equal("cancelled", task:status())
        local ok, err = task:result()
        assert.is_false(ok)
        assert.is_true(desist.is_cancelled(err))
      end
      assert.equal(0, calls.n)
    end)

    it("lets no cleanup wait: checkpoints raise", function()
      loop:spawn(function()
        local _ <close> = closing(function()
          for _, wait in ipairs {
            function() async.sleep(1) end,
            function() async.shield(async.sleep, 1) end,
            function() async.checkpoint() end,
          } do
            calls.note((pcall(wait)))
          end
        end)
        async.sleep(100)
      end)
      loop:step(0)
      loop:close()
      assert.equal("false false false", calls:order())
    end)

    it("does not give the error to a pcall: the task does not go on",
    function()
      loop:spawn(function()
        pcall(async.sleep, 100)
        calls.note "never"
      end)
      loop:step(0)
      loop:close()
      assert.equal(0, calls.n)
    end)

    it("calls abort functions", function()
      loop:spawn(async.await, function()
        return calls:as "aborted"
      end)
      loop:step(0)
      loop:close()
      assert.equal("aborted", calls:order())
    end)

    it("cancels the tokens of its tasks", function()
      local token
      loop:spawn(function()
        token = async.token()
        token:register(calls.note, "callback")
        async.sleep(100)
      end)
      loop:step(0)
      loop:close()
      assert.is_true(token:is_cancelled())
      assert.equal("callback", calls:order())
    end)

    it("closes tasks in a shield, too", function()
      loop:spawn(async.shield, function()
        local _ <close> = closing(calls:as "closed")
        async.sleep(100)
      end)
      loop:step(0)
      loop:close()
      assert.equal("closed", calls:order())
    end)

    it("closes a task that waits for its scope", function()
      local task = loop:spawn(function()
        local _ <close> = closing(calls:as "outer")
        async.scope(function(scope) scope:spawn(async.sleep, 100) end)
      end)
      loop:step(0)
      loop:close()
      assert.equal("outer", calls:order())
      assert.equal("cancelled", task:status())
    end)

    it("closes a first task that waits for what it spawned", function()
      local task = loop:spawn(function()
        async.spawn(function()
          local _ <close> = closing(calls:as "child")
          async.sleep(100)
        end)
      end)
      loop:step(0)
      loop:close()
      assert.equal("child", calls:order())
      assert.equal("cancelled", task:status())
    end)

    it("gives errors of __close to on_error, and closes the rest",
    function()
      for i = 1, 3 do
        loop:spawn(function()
          local _ <close> = closing(function()
            calls.note(i)
            if i == 2 then error("cannot close", 0) end
          end)
          async.sleep(100)
        end)
      end
      loop:step(0)
      loop:close()
      assert.equal("3 2 1", calls:order())
      assert.same({ n = 1, "cannot close" }, helper.handled_errors())
    end)

    it("is idempotent", function()
      loop:close()
      loop:close()
    end)

    it("makes step and spawn raise", function()
      loop:close()
      helper.raises(function() loop:step(0) end,
        "async_loop_spec.lua:%d+:", "closed")
      helper.raises(function() loop:spawn(nothing) end,
        "async_loop_spec.lua:%d+:", "closed")
      assert.is_true(loop:is_idle())
      assert.is_nil(loop:next_time())
    end)

    it("inside a step of it is an error", function()
      loop:spawn(function()
        helper.raises(function() loop:close() end,
          "async_loop_spec.lua:%d+:")
      end)
      loop:step(0)
      loop:step(0)
    end)

    it("inside a task of another loop is fine", function()
      local other = async.loop()
      other:spawn(function()
        local _ <close> = closing(calls:as "closed")
        async.sleep(100)
      end)
      other:step(0)
      loop:spawn(function()
        local mine = async.token()
        other:close()
        assert.equal(mine, async.token())
      end)
      helper.finish(loop)
      assert.equal("closed", calls:order())
    end)

    it("ends joins from other loops", function()
      local other = async.loop()
      local task = other:spawn(async.sleep, 100)
      other:step(0)
      local joiner = loop:spawn(function()
        return pcall(task.join, task)
      end)
      loop:step(0)
      other:close()
      loop:step(0)
      local _, ok, err = joiner:result()
      assert.is_false(ok)
      assert.is_true(desist.is_cancelled(err))
    end)

    it("leaves outside tokens", function()
      local source = desist.source()
      loop:spawn(async.scope, { token = source:token() }, function(scope)
        local _ = scope:token()
        async.sleep(100)
      end)
      loop:step(0)
      loop:close()
      assert.is_true(source:try_reset())
      source:cancel()
    end)

    it("leaves sync objects: a release goes to somebody who lives",
    function()
      local sync = require "desist.sync"
      local queue, other = sync.queue(), async.loop()
      other:spawn(function() queue:get() end)
      other:step(0)
      local task = loop:spawn(function() return queue:get() end)
      loop:step(0)
      other:close()
      queue:try_put("value")
      loop:step(0)
      assert.same({ true, "value" }, { task:result() })
    end)
  end)

  it("shows its name and how many tasks it has", function()
    local named = async.loop { name = "game" }
    assert.matches("game", tostring(named))
    named:spawn(async.sleep, 1)
    assert.matches("1", tostring(named))
    named:close()
    assert.matches("closed", tostring(named))
  end)

  it("does not disturb another one", function()
    local other = async.loop { start = 50 }
    local queue = require "desist.sync".queue()
    loop:spawn(function()
      async.sleep(1)
      queue:put("from one to the other")
      calls.note "put"
    end)
    local task = other:spawn(function() return queue:get(), other:now() end)
    other:step(5)
    loop:step(1)
    assert.equal("put", calls:order())
    assert.equal(-math.huge, other:next_time())
    assert.equal(1, loop:now())
    assert.equal(55, other:now())
    other:step(1)
    assert.same({ true, "from one to the other", 55 }, { task:result() })
  end)

  it("lets tasks of two loops join each other", function()
    local other = async.loop()
    local task = other:spawn(sleeper, 1, "there")
    local joiner = loop:spawn(task.join, task)
    loop:step(5)
    assert.equal("suspended", joiner:status())
    other:step(5)
    loop:step(0)
    assert.same({ true, "there" }, { joiner:result() })
  end)

  it("lets a scope be cancelled by a task of another loop", function()
    local other, scope = async.loop(), nil
    local task = loop:spawn(async.scope, function(this)
      scope = this
      async.sleep(100)
    end)
    loop:step(0)
    other:spawn(function() scope:cancel "from there" end)
    other:step(0)
    loop:step(0)
    assert.equal("from there", select(3, task:result()).reason)
  end)
end)

describe("the memory of a loop", function()
  helper.leave_nothing(before_each, after_each)

  it("that is dropped is collected, with its tasks and scopes", function()
    local weak = helper.survivors(function()
      local loop, held = async.loop(), {}
      local task = loop:spawn(function()
        async.scope({ timeout = 50 }, function(scope)
          held.scope, held.token = scope, scope:token()
          held.child = scope:spawn(async.sleep, 100)
          async.await(function(resume) held.resume = resume end)
        end)
      end)
      loop:spawn(async.checkpoint)
      loop:step(0)
      return loop, task, held.scope, held.child, held.token, held.resume
    end)
    for i = 1, 6 do assert.is_nil(weak[i], i) end
  end)

  it("that is dropped is collected though an outside token lives", function()
    local source = desist.source()
    local weak = helper.survivors(function()
      local loop = async.loop()
      local task = loop:spawn(function()
        async.scope({ token = source:token() }, function(scope)
          local _ = scope:token()
          async.sleep(100)
        end)
      end)
      loop:step(0)
      return loop, task
    end)
    assert.is_nil(weak[1])
    assert.is_nil(weak[2])
    assert.is_true(source:try_reset())
  end)

  it("that is dropped is collected though it waits for a queue that is "
    .. "dropped with it", function()
    local sync = require "desist.sync"
    local weak = helper.survivors(function()
      local loop, queue = async.loop(), sync.queue()
      loop:spawn(function() queue:get() end)
      loop:step(0)
      return loop, queue
    end)
    assert.is_nil(weak[1])
    assert.is_nil(weak[2])
  end)

  it("does not run cleanup when it is collected", function()
    local ran = false
    do
      local loop = async.loop()
      loop:spawn(function()
        local _ <close> = closing(function() ran = true end)
        async.sleep(100)
      end)
      loop:step(0)
    end
    helper.full_gc()
    assert.is_false(ran)
  end)

  it("keeps no ended task, and what it captured", function()
    local loop = async.loop()
    local weak = helper.survivors(function()
      local captured = {}
      local task = loop:spawn(function(argument)
        async.sleep(1)
        return captured, argument
      end, { captured })
      loop:step(1)
      loop:step(0)
      return captured, task
    end)
    loop:step(0)
    helper.full_gc()
    assert.is_nil(weak[1])
    assert.is_nil(weak[2])
  end)

  it("does not grow by 100000 tasks after 100000 tasks", function()
    local loop, many = async.loop(), helper.many(100000)
    local count = 0
    local function task()
      async.sleep(1)
      count = count + 1
    end
    local function kilobytes_after()
      for _ = 1, many do loop:spawn(task) end
      loop:step(1)
      assert.is_true(loop:is_idle())
      loop:step(0)
      return helper.kilobytes()
    end
    local before = kilobytes_after()
    local grown = kilobytes_after() - before
    assert.equal(2 * many, count)
    assert.is_true(grown < 64, ("grew by %.0f KB"):format(grown))
  end)

  it("is as small as before after a million scopes", function()
    local loop = async.loop()
    local grown
    loop:spawn(function()
      for _ = 1, 1000 do async.scope(nothing) end
      local before = helper.kilobytes()
      for i = 1, helper.many(1000000) do
        async.scope(nothing)
        if i % 100000 == 0 then async.checkpoint() end
      end
      grown = helper.kilobytes() - before
    end)
    helper.finish(loop)
    assert.is_true(grown < 64, ("grew by %.0f KB"):format(grown))
  end)

  it("is as small as before after many tasks in one scope", function()
    local loop = async.loop()
    local grown
    loop:spawn(async.scope, function(scope)
      local function turn()
        scope:spawn(async.timeout, 5, async.checkpoint)
        scope:spawn(nothing):cancel()
        local _ = async.spawn(async.token):join()
        async.checkpoint()
        async.checkpoint()
      end
      for _ = 1, 100 do turn() end
      local before = helper.kilobytes()
      for _ = 1, helper.many(10000) do turn() end
      grown = helper.kilobytes() - before
    end)
    for _ = 1, 100000 do
      if loop:is_idle() then break end
      loop:step(0.01)
    end
    assert.is_true(grown < 64, ("grew by %.0f KB"):format(grown))
  end)
end)
