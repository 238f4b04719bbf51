local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"
local sync = require "desist.sync"

local in_task = helper.in_task

local function nothing() end

-- The error that fn(...) raises.
local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "no error raised")
  return err
end

-- Every function that is a checkpoint, ready to be called: name -> function.
-- Those that need not wait do not: what they ask for is there.
local function checkpoints()
  local ended
  local event, semaphore = sync.event(), sync.semaphore(5)
  local mutex, queue = sync.mutex(), sync.queue()
  ended = async.spawn(nothing)
  async.checkpoint()
  event:set()
  return {
    ["async.sleep"] = function() async.sleep(1) end,
    ["async.sleep(0)"] = function() async.sleep(0) end,
    ["async.checkpoint"] = function() async.checkpoint() end,
    ["async.next_step"] = function() async.next_step() end,
    ["async.wait_until"] = function()
      async.wait_until(function() return true end)
    end,
    ["async.await"] = function()
      async.await(function(resume) resume() end)
    end,
    ["async.all"] = function() async.all {} end,
    ["async.race"] = function() async.race { nothing } end,
    ["async.any"] = function() async.any { nothing } end,
    ["task:join"] = function() ended:join() end,
    ["event:wait"] = function() event:wait() end,
    ["semaphore:acquire"] = function() semaphore:acquire() end,
    ["semaphore:with"] = function() semaphore:with(nothing) end,
    ["mutex:lock"] = function()
      mutex:lock()
      mutex:unlock()
    end,
    ["mutex:with"] = function() mutex:with(nothing) end,
    ["queue:put"] = function() queue:put("value") end,
    ["queue:get"] = function()
      queue:try_put("value")
      queue:get()
    end,
  }
end

describe("a checkpoint", function()
  helper.leave_nothing(before_each, after_each)

  it("raises in a cancelled scope, again and again", in_task(function()
    local all = checkpoints()
    local _, err = async.scope(function(scope)
      scope:cancel "stop"
      local first = failure(async.checkpoint)
      assert.equal("stop", first.reason)
      for _ = 1, 3 do
        for name, checkpoint in pairs(all) do
          assert.equal(first, failure(checkpoint), name)
        end
      end
      error(first, 0)
    end)
    assert.equal("stop", err.reason)
  end))

  it("returns when the scope has been left", in_task(function()
    async.scope(function(scope)
      scope:cancel()
      async.checkpoint()
    end)
    for _, checkpoint in pairs(checkpoints()) do checkpoint() end
  end))

  it("raises in the task's own coroutine", in_task(function()
    local task = async.spawn(function()
      local co = coroutine.running()
      local there
      pcall(function()
        local _ <close> = setmetatable({}, {
          __close = function() there = coroutine.running() end,
        })
        async.sleep(10)
      end)
      return co == there
    end)
    async.checkpoint()
    task:cancel()
    assert.is_true(task:join())
  end))

  it("raises in cleanup, too, until the scope is left", in_task(function()
    local calls = helper.recorder()
    async.scope(function(scope)
      local _ <close> = setmetatable({}, {
        __close = function()
          calls.note(failure(async.sleep, 1).reason)
        end,
      })
      async.spawn(scope.cancel, scope, "stop")
      async.sleep(10)
    end)
    assert.equal("stop", calls:order())
  end))

  it("raises the error of the outermost cancelled scope", in_task(function()
    local _, outer_err = async.scope(function(outer)
      local _, inner_err = async.scope(function(inner)
        inner:cancel "inner"
        assert.equal("inner", failure(async.checkpoint).reason)
        outer:cancel "outer"
        assert.equal("outer", failure(async.checkpoint).reason)
        async.checkpoint()
      end)
      return inner_err
    end)
    assert.equal("outer", outer_err.reason)
  end))

  it("raises the error of the task cancelled around scopes", in_task(
  function()
    local task = async.spawn(function()
      async.scope(function(scope)
        scope:cancel "scope"
        pcall(async.checkpoint)
        async.shield(async.sleep, 2)
        async.checkpoint()
      end)
    end)
    async.sleep(1)
    task:cancel "task"
    async.sleep(2)
    assert.equal("task", select(2, task:result()).reason)
  end))

  it("raises nothing when cancelled and reached in no scope of it", in_task(
  function()
    async.scope(function(scope)
      async.scope(function(inner) inner:cancel() end)
      assert.is_false(scope:is_cancelled())
      async.checkpoint()
    end)
  end))

  it("that a shield hides something from does not raise", in_task(
  function()
    local all = checkpoints()
    async.scope(function(scope)
      scope:cancel()
      async.shield(function()
        for _, checkpoint in pairs(all) do checkpoint() end
      end)
    end)
  end))

  it("outside of tasks is an error that names it", function()
    local places = {
      ["async.sleep"] = function() async.sleep(1) end,
      ["async.checkpoint"] = function() async.checkpoint() end,
      ["async.next_step"] = function() async.next_step() end,
      ["async.wait_until"] = function() async.wait_until(nothing) end,
      ["async.await"] = function() async.await(nothing) end,
      ["async.all"] = function() async.all {} end,
      ["async.race"] = function() async.race { nothing } end,
      ["async.any"] = function() async.any { nothing } end,
      ["async.scope"] = function() async.scope(nothing) end,
      ["async.timeout"] = function() async.timeout(1, nothing) end,
      ["async.move_on_after"] = function()
        async.move_on_after(1, nothing)
      end,
      ["async.shield"] = function() async.shield(nothing) end,
      ["async.spawn"] = function() async.spawn(nothing) end,
      ["event:wait"] = function() sync.event():wait() end,
      ["semaphore:acquire"] = function() sync.semaphore(1):acquire() end,
      ["semaphore:with"] = function() sync.semaphore(1):with(nothing) end,
      ["mutex:lock"] = function() sync.mutex():lock() end,
      ["mutex:with"] = function() sync.mutex():with(nothing) end,
      ["queue:put"] = function() sync.queue():put(1) end,
      ["queue:get"] = function() sync.queue():get() end,
    }
    for name, call in pairs(places) do
      assert.matches("async_checkpoint_spec.lua:%d+: " .. name
        .. " outside a task", failure(call))
    end
  end)

  it("inside a coroutine that the task made is an error", in_task(function()
    for name, checkpoint in pairs(checkpoints()) do
      local co = coroutine.create(checkpoint)
      local ok, err = coroutine.resume(co)
      assert.is_false(ok)
      assert.matches("async_checkpoint_spec.lua:%d+: "
        .. name:gsub("%(0%)", "") .. ": not in a task's own coroutine",
        err)
    end
    async.checkpoint()
  end))

  it("where Lua cannot yield is Lua's error, and leaves nothing", in_task(
  function(loop)
    for _, waiting in ipairs {
      function() async.sleep(5) end,
      function() async.sleep(0) end,
      function() async.checkpoint() end,
      function() async.next_step() end,
      function() sync.event():wait() end,
      function() sync.queue():get() end,
      function() sync.semaphore(0):acquire() end,
      function() async.await(nothing) end,
    } do
      assert.matches("attempt to yield across a C%-call boundary",
        tostring(failure(string.gsub, "x", "x", waiting)))
    end
    async.sleep(1)
    assert.is_nil(loop:next_time())
    async.sleep(20)
    assert.equal(21, loop:now())
  end))

  it("where Lua cannot yield takes nothing", in_task(function()
    local queue, semaphore = sync.queue(), sync.semaphore(0)
    pcall(string.gsub, "x", "x", function() queue:get() end)
    pcall(string.gsub, "x", "x", function() semaphore:acquire() end)
    queue:put("value")
    semaphore:release()
    assert.equal(1, queue:size())
    assert.is_true(semaphore:try_acquire())
  end))
end)

describe("async.sleep", function()
  helper.leave_nothing(before_each, after_each)
  local calls

  before_each(function() calls = helper.recorder() end)

  it("ends at its time, and returns nothing", in_task(function(loop)
    assert.equal(0, select("#", async.sleep(1.5)))
    assert.equal(1.5, loop:now())
  end))

  it("does not end before", function()
    local loop = async.loop()
    loop:spawn(function()
      async.sleep(2)
      calls.note "woke"
    end)
    loop:step(0)
    loop:step(1.5)
    assert.equal(0, calls.n)
    loop:step(0.5)
    assert.equal(1, calls.n)
  end)

  it("wakes those due at one moment in arming order", in_task(function()
    for i = 1, 20 do
      async.spawn(function()
        async.sleep(i % 2)
        async.sleep(3 - i % 2)
        calls.note(i)
      end)
    end
    async.sleep(5)
    local odd, even = {}, {}
    for i = 1, 20 do
      table.insert(calls:arguments(i)[1] % 2 == 1 and odd or even,
        calls:arguments(i)[1])
    end
    for i = 1, 10 do
      assert.equal(2 * i - 1, odd[i])
      assert.equal(2 * i, even[i])
    end
  end))

  it("wakes sleepers in the order of their times", in_task(function()
    local seconds = { 5, 1, 4, 2, 3, 0.5, 4.5, 2.5 }
    for _, each in ipairs(seconds) do
      async.spawn(function()
        async.sleep(each)
        calls.note(each)
      end)
    end
    async.sleep(10)
    table.sort(seconds)
    for i, each in ipairs(seconds) do
      assert.equal(each, calls:arguments(i)[1])
    end
  end))

  it("of 0 lets others run and goes on in the next step", function()
    local loop = async.loop()
    loop:spawn(function()
      async.sleep(0)
      calls.note "a"
    end)
    loop:spawn(calls.note, "b")
    loop:step(5)
    assert.equal("b", calls:order())
    assert.equal(-math.huge, loop:next_time())
    loop:step(0)
    assert.equal("b a", calls:order())
  end)

  it("of less than the clock can tell is as of 0", function()
    local loop = async.loop { start = 1e9 }
    loop:spawn(function()
      for _ = 1, 3 do
        async.sleep(1e-12)
        calls.note "woke"
      end
    end)
    loop:step(0)
    for i = 1, 3 do
      assert.equal(i - 1, calls.n)
      loop:step(1)
    end
    assert.equal(3, calls.n)
  end)

  it("of math.huge or 1e308 ends only by cancellation", function()
    for _, seconds in ipairs { math.huge, 1e308 } do
      local loop = async.loop()
      local task = loop:spawn(async.sleep, seconds)
      loop:step(1e9)
      assert.equal("suspended", task:status())
      task:cancel()
      loop:step(0)
      assert.equal("cancelled", task:status())
      assert.is_nil(loop:next_time())
    end
  end)

  it("that was cut short leaves no timer", function()
    local loop = async.loop()
    local task = loop:spawn(async.sleep, 10)
    loop:spawn(async.sleep, 20)
    loop:step(0)
    assert.equal(10, loop:next_time())
    task:cancel()
    loop:step(0)
    assert.equal(20, loop:next_time())
    helper.finish(loop)
  end)

  it("may be cut short and begun again", in_task(function(loop)
    for _ = 1, 5 do async.move_on_after(1, async.sleep, 3) end
    assert.equal(5, loop:now())
    async.sleep(3)
    assert.equal(8, loop:now())
  end))

  it("costs nothing while many sleep", function()
    local loop = async.loop()
    for i = 1, helper.many(10000) do loop:spawn(async.sleep, 1e6 + i) end
    loop:step(0)
    local start = os.clock()
    for _ = 1, 1000 do loop:step(1) end
    assert.is_true(os.clock() - start < 0.2 * helper.slower)
    loop:close()
  end)
end)

describe("async.checkpoint", function()
  helper.leave_nothing(before_each, after_each)

  it("lets all run that are ready", in_task(function()
    local calls = helper.recorder()
    for i = 1, 3 do async.spawn(calls.note, i) end
    assert.equal(0, select("#", async.checkpoint()))
    assert.equal("1 2 3", calls:order())
  end))

  it("goes on in the next step, in the order in which it was called",
  function()
    local calls, loop = helper.recorder(), async.loop()
    for i = 1, 3 do
      loop:spawn(function()
        calls.note(i)
        async.checkpoint()
        calls.note(i + 3)
      end)
    end
    loop:step(0)
    assert.equal("1 2 3", calls:order())
    loop:step(0)
    assert.equal("1 2 3 4 5 6", calls:order())
  end)

  it("lets a step end though tasks call it for ever", function()
    local loop, count = async.loop(), 0
    loop:spawn(function()
      while true do
        count = count + 1
        async.checkpoint()
      end
    end)
    for _ = 1, 10 do loop:step(1) end
    assert.equal(10, count)
    loop:close()
  end)
end)

describe("async.next_step", function()
  helper.leave_nothing(before_each, after_each)

  it("goes on in the next step, whatever its length", function()
    local loop, times = async.loop(), {}
    loop:spawn(function()
      for i = 1, 4 do
        times[i] = loop:now()
        async.next_step()
      end
    end)
    for _, dt in ipairs { 0, 0, 2, 0.5, 0 } do loop:step(dt) end
    assert.same({ 0, 0, 0, 2 }, times)
    assert.is_true(loop:is_idle())
  end)

  it("comes before what is due in that step", function()
    local loop, calls = async.loop(), helper.recorder()
    loop:spawn(function()
      async.sleep(1)
      calls.note "sleeper"
    end)
    loop:spawn(function()
      async.next_step()
      calls.note "next"
    end)
    loop:step(0)
    loop:step(1)
    assert.equal("next sleeper", calls:order())
  end)

  it("called at a due time goes on in the next step, not in this",
  function()
    local loop, calls = async.loop(), helper.recorder()
    loop:spawn(function()
      async.sleep(1)
      async.next_step()
      calls.note(loop:now())
    end)
    loop:step(0)
    loop:step(5)
    assert.equal(0, calls.n)
    loop:step(1)
    assert.equal("5", tostring(calls:arguments(1)[1]):sub(1, 1))
  end)

  it("is ended by a cancellation", function()
    local loop = async.loop()
    local task = loop:spawn(async.next_step)
    loop:step(0)
    task:cancel()
    loop:step(0)
    assert.equal("cancelled", task:status())
    assert.is_nil(loop:next_time())
  end)

  it("cut short leaves nothing to do", function()
    local loop = async.loop()
    loop:spawn(function()
      local task = async.spawn(async.next_step)
      async.sleep(1)
      task:cancel()
    end)
    loop:step(0)
    loop:step(1)
    assert.is_true(loop:is_idle())
    assert.is_nil(loop:next_time())
  end)
end)

describe("async.wait_until", function()
  helper.leave_nothing(before_each, after_each)

  it("tests its predicate at the call and then once per step", function()
    local loop, tests = async.loop(), 0
    local task = loop:spawn(async.wait_until, function()
      tests = tests + 1
      return tests == 4
    end)
    loop:step(0)
    for i = 1, 3 do
      assert.equal(i, tests)
      assert.equal("suspended", task:status())
      loop:step(0.5)
    end
    assert.equal("returned", task:status())
    loop:step(1)
    assert.equal(4, tests)
  end)

  it("tests once in a step, however much happens in it", function()
    local loop, tests = async.loop(), 0
    loop:spawn(async.wait_until, function()
      tests = tests + 1
      return false
    end)
    loop:spawn(function() for _ = 1, 100 do async.sleep(0.01) end end)
    loop:step(0)
    loop:step(2)
    assert.equal(2, tests)
    loop:close()
  end)

  it("whose predicate holds lets nobody run", in_task(function()
    local calls = helper.recorder()
    async.spawn(calls.note)
    async.wait_until(function() return "any true value" end)
    assert.equal(0, calls.n)
  end))

  it("raises the error of its predicate", in_task(function()
    local value = {}
    local tests = 0
    assert.equal(value, failure(async.wait_until, function()
      error(value)
    end))
    assert.equal(value, failure(async.wait_until, function()
      tests = tests + 1
      if tests == 3 then error(value) end
    end))
  end))

  it("in a cancelled scope does not test", in_task(function()
    local tests = 0
    async.scope(function(scope)
      scope:cancel()
      async.wait_until(function()
        tests = tests + 1
        return true
      end)
    end)
    assert.equal(0, tests)
  end))

  it("is ended by a cancellation, without another test", in_task(
  function()
    local tests = 0
    local result = async.move_on_after(1, async.wait_until, function()
      tests = tests + 1
      return tests > 2
    end)
    assert.is_nil(result)
    local before = tests
    async.sleep(1)
    assert.equal(before, tests)
  end))

  it("takes any callable", in_task(function()
    async.wait_until(setmetatable({}, {
      __call = function() return true end,
    }))
  end))
end)

describe("an endless loop of checkpoints in a cancelled scope", function()
  helper.leave_nothing(before_each, after_each)

  it("that swallows all is on its own: the step does not end by it",
  function()
    local loop = async.loop()
    local turns = 0
    local task = loop:spawn(function()
      while turns < 1000 do
        turns = turns + 1
        pcall(async.sleep, 1)
      end
    end)
    loop:step(0)
    task:cancel()
    loop:step(0)
    assert.equal(1000, turns)
    assert.equal("returned", task:status())
  end)
end)

describe("a token of somebody else", function()
  helper.leave_nothing(before_each, after_each)

  it("is not looked at by checkpoints", in_task(function()
    local other = desist.cancelled()
    assert.is_true(other:is_cancelled())
    async.checkpoint()
  end))
end)
