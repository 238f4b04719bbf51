-- Tasks on luv's event loop: who runs it, what keeps it alive, who wakes it.

local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"
local helper_luv = require "spec.helper_luv"
local luv = require "desist.loop.luv"
local sync = require "desist.sync"
local turns = require "desist.loop.luv.turns"
local uv = require "luv"

local handles = helper_luv.handles

local function sleep_long() return async.sleep(60) end

local function wait_for_ever() return async.sleep(math.huge) end

-- How long fn takes; for bounds that are generous.
local function seconds(fn, ...)
  local start = desist.now()
  fn(...)
  return desist.now() - start
end

describe("luv.run", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  it("gives what the function returns", function()
    local results = table.pack(luv.run(function(...)
      async.sleep(0.001)
      return ...
    end, 1, nil, "x", nil))
    assert.same({ n = 4, 1, nil, "x", nil }, results)
  end)

  it("raises what the function raises, unchanged", function()
    local problem = {}
    local value = helper.raises(function()
      luv.run(function()
        async.sleep(0.001)
        error(problem)
      end)
    end)
    assert.equal(problem, value)
  end)

  it("leaves no handle in luv, however it ends", function()
    local before = handles()
    luv.run(function() end)
    assert.equal(before, handles())
    luv.run(async.sleep, 0.001)
    assert.equal(before, handles())
    pcall(luv.run, error, "x")
    assert.equal(before, handles())
  end)

  it("waits for all that was spawned", function()
    local done = 0
    luv.run(function()
      for i = 1, 10 do
        async.spawn(function()
          async.sleep(i / 1000)
          done = done + 1
        end)
      end
    end)
    assert.equal(10, done)
  end)

  it("turns the user's own handles meanwhile, and leaves them", function()
    local ticks = 0
    local timer = uv.new_timer()
    timer:start(1, 1, function() ticks = ticks + 1 end)
    luv.run(async.timeout, 10, async.wait_until, function()
      return ticks > 3
    end)
    assert.is_true(timer:is_active())
    timer:close()
    uv.run()
  end)

  it("goes on after uv.stop", function()
    helper_luv.after(1, uv.stop)
    assert.equal("all", luv.run(function()
      async.sleep(0.01)
      return "all"
    end))
  end)

  it("is an error inside a task", function()
    luv.run(function()
      helper.raises(function() luv.run(print) end, "luv.run inside a task")
    end)
    async.run(function()
      helper.raises(function() luv.run(print) end, "luv.run inside a task")
    end)
  end)

  it("takes a function", function()
    helper.argument_error(1, "run", "function expected, got nil",
      function() luv.run() end)
  end)
end)

describe("luv.loop", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  it("turns when the user runs luv", function()
    local loop, order = luv.loop(), helper.recorder()
    loop:spawn(function()
      order.note "task"
      helper_luv.after(100, order:as "timer")
      async.sleep(0.5)
      order.note "slept"
    end)
    order.note "spawned"
    uv.run()
    assert.equal("spawned task timer slept", order:order())
    assert.is_true(loop:is_idle())
  end)

  it("never runs a task inside spawn, set or cancel", function()
    local loop, event, order = luv.loop(), sync.event(), helper.recorder()
    local task = loop:spawn(function()
      order.note "task"
      event:wait()
      order.note "woken"
      async.sleep(60)
    end)
    uv.run "nowait"
    order.note "set"
    event:set()
    order.note "was set"
    uv.run "nowait"
    task:cancel()
    order.note "cancelled"
    assert.is_nil(task:result())
    uv.run()
    assert.equal("task set was set woken cancelled", order:order())
    assert.equal("cancelled", task:status())
  end)

  it("has no handle and keeps nothing alive without tasks", function()
    local before = handles()
    local loop = luv.loop()
    assert.equal(before, handles())
    loop:spawn(async.sleep, 0.001)
    assert.is_true(handles() > before)
    uv.run()
    assert.equal(before, handles())
    assert.is_false(uv.loop_alive())
    loop:spawn(async.sleep, 0.001)
    uv.run()
    assert.equal(before, handles())
  end)

  it("keeps luv alive while a task waits for a timer", function()
    local loop = luv.loop()
    local task = loop:spawn(async.sleep, 0.02)
    assert.is_true(seconds(uv.run) >= 0.02)
    assert.equal("returned", task:status())
  end)

  it("keeps luv alive while a task waits for another thread", function()
    local source = desist.source()
    local loop = luv.loop()
    local task = loop:spawn(function()
      return async.scope({ token = source:token() }, wait_for_ever)
    end)
    local thread = helper.thread(function(handle)
      local there = require "desist"
      there.after(0.05):token():wait()
      there.from_handle(handle):cancel "from outside"
    end, source:handle())
    uv.run()
    assert.equal("returned", task:status())
    thread.join()
    desist.dispatch()
  end)

  it("has one timer in luv, however many tasks sleep", function()
    local loop = luv.loop()
    local before = handles()
    loop:spawn(async.sleep, 0.001)
    local with_one = handles()
    for i = 1, 1000 do loop:spawn(async.sleep, i / 1e5) end
    uv.run "nowait"
    assert.equal(with_one, handles())
    assert.is_true(with_one - before <= 3)
    uv.run()
  end)

  it("lets go of the timer of a cancelled wait", function()
    local loop = luv.loop()
    local task = loop:spawn(async.sleep, 60)
    local other = loop:spawn(async.timeout, 60, async.sleep, 60)
    uv.run "nowait"
    task:cancel()
    other:cancel()
    assert.is_true(seconds(uv.run) < 5)
  end)

  it("does not wake before time, and not much later", function()
    luv.run(function()
      for i = 1, 20 do
        local due = i / 3000
        local took = seconds(async.sleep, due)
        assert.is_true(took >= due, took)
        assert.is_true(took < due + 0.5, took)
      end
    end)
  end)

  it("takes one turn of luv's timer for a sleep", function()
    local door = turns.door()
    local watch = door.watch(desist.wakeup_fd(), print)
    for i = 1, 30 do
      local start, woken = desist.now(), nil
      repeat until desist.now() > start + i / 30000
      start = desist.now()
      door.later(0.0013, function() woken = desist.now() end)
      repeat uv.run "nowait" until woken -- "once" may wait after the timer
      assert.is_true(woken - start >= 0.0013)
    end
    door.forget(watch)
    uv.run()
  end)

  it("measures time from now, not from luv's last look at the clock",
    function()
      luv.run(function()
        local start = desist.now()
        repeat until desist.now() > start + 0.03
        assert.is_true(seconds(async.sleep, 0.01) >= 0.01)
      end)
    end)

  it("takes sleeps that luv's timers cannot hold", function()
    for _, long in ipairs { 1e7, 1e300, math.huge } do
      local loop = luv.loop()
      local task = loop:spawn(async.sleep, long)
      uv.run "nowait"
      assert.equal("suspended", task:status())
      task:cancel()
      uv.run()
    end
  end)

  it("lets luv look at its sockets while tasks never rest", function()
    local loop, fired = luv.loop(), false
    uv.fs_stat("/", function() fired = true end)
    local task = loop:spawn(function()
      local limit = desist.now() + 5
      while not fired and desist.now() < limit do async.checkpoint() end
      return fired
    end)
    uv.run()
    assert.same({ true, true }, { task:result() })
  end)

  it("runs beside others on the same luv", function()
    local one, two = luv.loop { name = "one" }, luv.loop { name = "two" }
    local order = helper.recorder()
    local task = two:spawn(function()
      async.sleep(0.02)
      order.note "two"
      async.sleep(60)
    end)
    one:spawn(function()
      async.sleep(0.2)
      order.note "one"
      task:cancel()
    end)
    uv.run()
    assert.equal("two one", order:order())
    assert.equal("desist.loop 'one' (0 tasks)", tostring(one))
  end)

  it("fires deadlines of scopes", function()
    local _, err = luv.run(function()
      return async.scope({ timeout = 0.01 }, sleep_long)
    end)
    assert.equal("deadline", err.kind)
    local value = helper.raises(function()
      luv.run(async.timeout, 0.01, async.sleep, 60)
    end)
    assert.is_true(desist.is_timeout(value))
  end)

  it("gives errors of its tasks to on_error", function()
    local loop = luv.loop()
    loop:spawn(error, "lost")
    uv.run()
    assert.equal("lost", helper.handled_errors()[1])
  end)

  it("closes with its tasks, and leaves nothing to luv", function()
    local loop, event = luv.loop(), sync.event()
    local one = loop:spawn(async.sleep, 60)
    local two = loop:spawn(event.wait, event)
    uv.run "nowait"
    local three = loop:spawn(async.sleep, 60)
    loop:close()
    assert.equal("cancelled cancelled cancelled", table.concat(
      { one:status(), two:status(), three:status() }, " "))
    assert.is_true(seconds(uv.run) < 5)
    event:set()
    helper.raises(function() loop:spawn(print) end, "the loop is closed")
    loop:close()
  end)

  it("may be closed at the end of the program", function()
    for _, before in ipairs { "", "uv.run 'nowait'", "uv.run 'once'" } do
      local output, how, code = helper.child([[
        local async, uv = require "desist.async", require "luv"
        local loop = require "desist.loop.luv".loop()
        loop:spawn(async.sleep, 60)
        ]] .. before .. [[

        loop:close()
        print "closed"
      ]])
      assert.same({ "closed\n", "exit", 0 }, { output, how, code })
    end
  end)

  it("may be used anew when its last handles are still to be closed",
    function()
      local one, two = luv.loop(), luv.loop()
      one:spawn(async.sleep, 60)
      one:close()
      local task = two:spawn(async.sleep, 0.001)
      uv.run()
      assert.equal("returned", task:status())
    end)

  it("is collected when it has no tasks", function()
    local left = helper.survivors(function()
      local loop = luv.loop()
      loop:spawn(async.sleep, 0.001)
      uv.run()
      return loop
    end)
    assert.is_nil(left[1])
  end)

  it("goes on with its tasks when the user has dropped it", function()
    local done = false
    luv.loop():spawn(function()
      async.sleep(0.005)
      done = true
    end)
    helper.full_gc()
    uv.run()
    assert.is_true(done)
  end)

  it("takes options", function()
    helper.argument_error(1, "loop", "table expected, got number",
      function() luv.loop(1) end)
    helper.argument_error(1, "loop", "option 'name': string expected",
      function() luv.loop { name = 1 } end)
  end)
end)

describe("a loop on luv is woken at once", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  it("by a cancel on another thread", function()
    local source = desist.source()
    local thread
    local _, err = luv.run(function()
      return async.scope({ token = source:token() }, function()
        thread = helper.thread(function(handle)
          local there = require "desist"
          there.after(0.02):token():wait()
          there.from_handle(handle):cancel "from outside"
        end, source:handle())
        async.sleep(60)
      end)
    end)
    thread.join()
    assert.equal("from outside", err.reason)
    desist.dispatch()
  end)

  it("by a signal", function()
    local output, how, code = helper.child(helper.send .. [[
      local async, desist = require "desist.async", require "desist"
      local luv = require "desist.loop.luv"
      local source = desist.signal "INT"
      luv.run(function()
        local _, err = async.scope({ token = source:token() }, function()
          send "INT"
          async.sleep(60)
        end)
        print(err.reason)
      end)
      require "luv".walk(print)
    ]])
    assert.same({ "SIGINT\n", "exit", 0 }, { output, how, code })
  end)

  it("by the deadline of a source", function()
    local start = desist.now()
    local _, err = luv.run(function()
      return async.scope({ token = desist.after(0.02):token() },
        sleep_long)
    end)
    assert.equal("deadline", err.kind)
    assert.is_true(desist.now() - start < 5)
  end)

  it("by a callback of the user's", function()
    local loop = luv.loop()
    local task = loop:spawn(async.sleep, 60)
    helper_luv.after(5, function() loop:cancel "enough" end)
    assert.is_true(seconds(uv.run) < 5)
    assert.equal("enough", select(2, task:result()).reason)
  end)

  it("where desist has no descriptor, too", function()
    local wakeup_fd = desist.wakeup_fd
    desist.wakeup_fd = function() end
    local source = desist.source()
    local loop = luv.loop()
    local task = loop:spawn(function()
      return async.scope({ token = source:token() }, wait_for_ever)
    end)
    helper_luv.after(5, function() source:cancel_async() end)
    uv.run()
    desist.wakeup_fd = wakeup_fd
    assert.equal("returned", task:status())
  end)
end)
