local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"

local late_records = require "desist.inspect.late"

-- A loop with a task that goes on for `seconds` after its cancellation.
local function stubborn(seconds, name)
  local loop = async.loop { name = "game" }
  local task = loop:spawn({ name = name or "saver" }, function()
    async.shield(async.sleep, seconds)
  end)
  loop:step(0)
  return loop, task
end

-- What on_late tells, from now on.
local function listen(seconds)
  local told = { n = 0 }
  desist.on_late(seconds, function(record)
    told.n = told.n + 1
    told[told.n] = record
  end)
  return told
end

local function leave_nothing()
  helper.leave_nothing(before_each, after_each)
  after_each(function()
    desist.trace(false)
    desist.on_late(nil)
    helper.full_gc() -- loops of this test are no other's business
  end)
end

describe("desist.late", function()
  leave_nothing()

  it("is empty while nothing is cancelled", function()
    local loop = stubborn(1)
    assert.same({ n = 0 }, desist.late())
    helper.finish(loop)
  end)

  it("lists tasks that were cancelled and live", function()
    desist.trace(true)
    local loop, task = stubborn(5)
    task:cancel "enough"
    loop:step(2)
    local list = desist.late()
    assert.equal(1, list.n)
    local record = list[1]
    assert.equal("task 1 'saver'", record.what)
    assert.equal(task, record.task)
    assert.equal(2, record.since)
    assert.equal("enough", record.reason)
    assert.is_true(record.shielded)
    assert.is_truthy(record.traceback:find "^stack traceback:\n")
    assert.is_truthy(record.traceback:find("desist/async/wait.lua:", 1, true))
    assert.is_truthy(tostring(record)
      :find("^task 1 'saver' still runs 2 s after its cancellation "
        .. "%(\"enough\"%), in a shield\nstack traceback:"))
    assert.equal(1, desist.late(2).n)
    assert.equal(0, desist.late(2.5).n)
    loop:step(3)
    assert.equal(0, desist.late().n)
  end)

  it("lists what was cancelled at an unknown time in any case", function()
    local loop, task = stubborn(5)
    task:cancel()
    local list = desist.late(1000)
    assert.equal(1, list.n)
    assert.is_nil(list[1].since)
    assert.is_truthy(tostring(list[1])
      :find "^task 1 'saver' still runs after its cancellation %(\"cancelled\"")
    helper.finish(loop)
  end)

  it("leaves out who only waits for the late", function()
    local loop, scope = async.loop(), nil
    loop:spawn({ name = "main" }, function()
      async.scope({ name = "level" }, function(self)
        scope = self
        self:spawn(function()
          async.all { function() async.shield(async.sleep, 3) end }
        end)
      end)
    end)
    loop:step(0)
    scope:cancel()
    loop:step(0)
    local list = desist.late()
    assert.equal(1, list.n)
    assert.equal("task 3 in scope 'level'", list[1].what)
    helper.finish(loop)
  end)

  it("names scopes by their tasks, and what cancelled first", function()
    desist.trace(true)
    local loop, outer, inner = async.loop(), nil, nil
    loop:spawn({ name = "main" }, function()
      async.scope({ name = "outer" }, function(self)
        outer = self
        async.scope(function(scope)
          inner = scope
          scope:spawn(function() async.shield(async.sleep, 9) end)
        end)
      end)
    end)
    loop:step(0)
    inner:cancel "first"
    loop:step(1)
    assert.equal("task 2 in scope of task 1 'main'", desist.late()[1].what)
    outer:cancel "second"
    loop:step(1)
    local record = desist.late()[1]
    assert.same({ 2, "first" }, { record.since, record.reason })
    helper.finish(loop)
  end)

  it("knows of deadlines, outside tokens and loops", function()
    desist.trace(true)
    local outside, loop = desist.source(), async.loop()
    loop:spawn(function()
      async.move_on_after(1, async.shield, async.sleep, 5)
    end)
    loop:spawn(function()
      async.scope({ token = outside:token() }, function()
        async.shield(async.sleep, 5)
      end)
    end)
    loop:spawn(async.shield, async.sleep, 5)
    loop:step(2)
    outside:cancel "outside"
    local list = desist.late()
    assert.same({ n = 2, 2, "deadline exceeded", "outside", 1, 0 },
      { n = list.n, list.n, list[1].reason, list[2].reason, list[1].since,
        list[2].since })
    loop:cancel "over"
    assert.equal("task 3 in loop", desist.late()[3].what)
    helper.finish(loop)
  end)

  it("shows what has not started", function()
    local loop = async.loop()
    loop:spawn(print):cancel()
    assert.equal("stack traceback: it has not started",
      desist.late()[1].traceback)
    loop:step(0)
    assert.equal(0, desist.late().n)
  end)

  it("checks its argument", function()
    helper.argument_error(1, "late", "number expected, got string", function()
      desist.late "1"
    end)
    helper.argument_error(1, "late", "0 or more seconds", function()
      desist.late(-1)
    end)
  end)

  it("makes records of any coroutine for others", function()
    local loop, task = stubborn(1)
    local record = late_records.record_of(task.co, 3, "why")
    assert.same({ "task 1 'saver'", 3, "why" },
      { record.what, record.since, record.reason })
    helper.finish(loop)
    local co = coroutine.create(function() coroutine.yield() end)
    coroutine.resume(co)
    record = late_records.record_of(co, 0.25)
    assert.is_truthy(tostring(record):find("^code under a guard still runs "
      .. "0.25 s after its cancellation\nstack traceback:\n"))
  end)
end)

describe("desist.on_late", function()
  leave_nothing()

  it("tells of each piece of late work once", function()
    local told = listen(1)
    local loop, task = stubborn(5)
    task:cancel "enough"
    loop:step(0.5)
    assert.equal(0, told.n)
    loop:step(0.5)
    assert.equal(1, told.n)
    assert.same({ "task 1 'saver'", 1, "enough" },
      { told[1].what, told[1].since, told[1].reason })
    loop:step(2)
    assert.equal(1, told.n)
    helper.finish(loop)
  end)

  it("says nothing of what ends in time, and arms nothing for it", function()
    local told = listen(1)
    local loop, task = stubborn(0.5)
    task:cancel()
    assert.equal(-math.huge, async.loop():spawn(print).parent.loop:next_time())
    assert.equal(0.5, loop:next_time())
    helper.finish(loop)
    assert.is_nil(loop:next_time())
    loop:step(10)
    assert.equal(0, told.n)
  end)

  it("has the loop turn in time", function()
    listen(1)
    local loop, task = stubborn(60)
    assert.equal(60, loop:next_time())
    task:cancel()
    assert.equal(1, loop:next_time())
    loop:step(1)
    assert.equal(60, loop:next_time())
    loop:close()
  end)

  it("works on the built-in loop", function()
    local told = listen(0.02)
    async.run(function()
      async.scope(function(scope)
        scope:spawn({ name = "slow" }, async.shield, function()
          while told.n == 0 do async.sleep(0.01) end
        end)
        async.checkpoint()
        scope:cancel()
      end)
    end)
    assert.equal(1, told.n)
    assert.equal("task 2 'slow' in scope of task 1", told[1].what)
    assert.is_true(told[1].since >= 0.02 and told[1].since < 5)
  end)

  it("tells again of another cancellation", function()
    local told = listen(1)
    local loop = async.loop()
    local task = loop:spawn(function()
      for _ = 1, 2 do
        async.move_on_after(1, async.shield, async.sleep, 3)
      end
    end)
    loop:step(0)
    helper.finish(loop)
    assert.equal(2, told.n)
    assert.equal(task, told[2].task)
  end)

  it("tells of one that is cancelled twice once", function()
    local told = listen(1)
    local loop, scope = async.loop(), nil
    loop:spawn(function()
      async.scope(function(self)
        scope = self
        async.shield(async.sleep, 9)
      end)
    end)
    loop:step(0)
    scope:cancel()
    loop:step(0.5)
    loop:cancel()
    helper.finish(loop)
    assert.equal(1, told.n)
  end)

  it("gives back the handler before, and is switched off by nil", function()
    local function handler() error "not to be called" end
    assert.is_nil(desist.on_late(1, handler))
    local loop, task = stubborn(5)
    task:cancel()
    assert.equal(handler, desist.on_late(nil))
    helper.finish(loop)
    assert.is_nil(desist.on_late(1, handler))
    loop:step(10)
    assert.equal(handler, desist.on_late(2, nil))
  end)

  it("hands errors of the handler to on_error", function()
    desist.on_late(1, function() error "odd" end)
    local loop, task = stubborn(5)
    task:cancel()
    loop:step(3)
    assert.is_truthy(tostring(helper.handled_errors()[1]):find "odd")
    helper.finish(loop)
  end)

  it("lets the handler do what it likes", function()
    local loop, task = stubborn(5)
    desist.on_late(1, function(record)
      record.task:cancel()
      desist.on_late(nil)
      loop:spawn(function() end)
    end)
    task:cancel()
    loop:spawn({ name = "second" }, async.shield, async.sleep, 5):cancel()
    loop:step(3)
    helper.finish(loop)
  end)

  it("checks its arguments", function()
    helper.argument_error(1, "on_late", "number expected, got nil", function()
      desist.on_late(nil, print)
    end)
    helper.argument_error(1, "on_late", "0 or more seconds", function()
      desist.on_late(-1, print)
    end)
    helper.argument_error(2, "on_late", "function expected", function()
      desist.on_late(1, 1)
    end)
  end)

  it("keeps no loop and no task", function()
    listen(1)
    local gone = helper.survivors(function()
      local loop, task = stubborn(5)
      task:cancel()
      loop:step(3)
      return loop, task
    end)
    desist.on_late(1, function() end)
    helper.full_gc()
    gone = gone and #gone
    assert.equal(0, gone)
  end)
end)

describe("desist.on_late under a guard", function()
  helper.leave_nothing(before_each, after_each)
  after_each(function() desist.on_late(nil) end)

  local SOON = helper.soon

  -- Runs code whose token is cancelled, which catches the error and goes on
  -- until there is enough, or the grace is over.
  local function go_on(enough, grace)
    local source = desist.source()
    local guarded = { token = source:token(), grace = grace or math.huge }
    return desist.guard(guarded, function()
      pcall(helper.until_cancelled(source))
      while not enough() do end -- the late line
    end)
  end

  -- Enough is a while after it has begun.
  local function a_while(begun)
    local ends
    return function()
      if not ends and begun() then ends = desist.now() + 10 * SOON end
      return ends and desist.now() > ends
    end
  end

  local records
  before_each(function() records = {} end)
  local function record_it(record) records[#records + 1] = record end
  local function recorded() return records[1] end
  local function at_once() return true end

  it("tells once what still runs, and where it is", function()
    desist.on_late(5 * SOON, record_it)
    assert.is_true(go_on(a_while(recorded)))
    assert.equal(1, #records)
    local record = records[1]
    assert.equal("code under a guard", record.what)
    assert.equal("deadline exceeded", record.reason)
    assert.is_true(record.since >= 5 * SOON)
    local first = record.traceback:match "\n%s*(.-)\n"
    assert.is_truthy(first:find("late_spec.lua", 1, true), record.traceback)
  end)

  it("is silent about what ends in time, or after it was switched off",
    function()
      desist.on_late(1000, record_it)
      go_on(a_while(at_once))
      desist.on_late(SOON, record_it)
      desist.on_late(nil)
      go_on(a_while(at_once))
      assert.same({}, records)
    end)

  it("names the task", function()
    local loop = async.loop()
    desist.on_late(SOON, record_it)
    loop:spawn({ name = "troll" }, go_on, a_while(recorded))
    loop:step(0)
    loop:close()
    assert.equal(1, #records)
    assert.equal("task 1 'troll'", records[1].what)
  end)

  it("reports errors of the handler, and goes on", function()
    desist.on_late(SOON, function(record)
      record_it(record)
      error("oops", 0)
    end)
    assert.is_false((go_on(function() return false end, 0.5)))
    assert.equal("oops", helper.handled_errors()[1])
  end)
end)
