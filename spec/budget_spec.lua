local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"

local resume = coroutine.resume -- not tracked

local function forever()
  while true do end -- luacheck: ignore 542
end

-- Runs for so many seconds of processor time.
local function busy(seconds)
  local ends = os.clock() + seconds
  while os.clock() < ends do end -- luacheck: ignore 542
end

local BUDGET = 0.003 * math.min(helper.slower, 10)
local STEP = { budget = BUDGET }

describe("a step with a budget", function()
  helper.leave_nothing(before_each, after_each)

  local loop
  before_each(function() loop = async.loop() end)
  after_each(function()
    loop:close()
    assert.is_nil((debug.gethook()), "a hook is left")
  end)

  -- Steps until the condition holds; how often. One step may come to nothing:
  -- where the machine is busy the budget is spent before the first instruction.
  local function step_until(condition)
    local limit, steps = desist.now() + 60, 0
    while not condition() do
      if desist.now() > limit then error("it never came", 2) end
      loop:step(0.1, STEP)
      steps = steps + 1
    end
    return steps
  end

  it("is an ordinary step where nobody overruns it", function()
    local log = {}
    for i = 1, 3 do
      loop:spawn(function()
        async.sleep(i)
        log[#log + 1] = loop:now()
      end)
    end
    loop:step(3, { budget = 60 })
    assert.same({ 1, 2, 3 }, log)
    assert.equal(3, loop:now())
    assert.is_true(loop:is_idle())
  end)

  it("sets a task aside in the middle of its Lua code", function()
    local turns = 0
    local task = loop:spawn(function()
      while true do turns = turns + 1 end
    end)
    local steps = step_until(function() return turns > 0 end)
    local first = turns
    assert.equal("suspended", task:status())
    assert.is_nil(task:result())
    assert.equal(-math.huge, loop:next_time())
    assert.is_false(loop:is_idle())
    steps = steps + step_until(function() return turns > first end)
    assert.near(steps * 0.1, loop:now(), 1e-9)
  end)

  it("lets it go on exactly where it was", function()
    local results = {}
    for i = 1, 4 do
      loop:spawn(function()
        local sum, text, list = 0, {}, {}
        for k = 1, helper.many(200000) do
          sum = sum + k % 7
          if k % 1000 == 0 then text[#text + 1] = ("%d"):format(k) end
          list[k % 10 + 1] = { k }
          assert(list[k % 10 + 1][1] == k)
          local a, b = (function(...) return select("#", ...), ... end)(k, i)
          assert(a == 2 and b == k)
        end
        results[i] = sum .. table.concat(text)
      end)
    end
    step_until(function() return loop:is_idle() end)
    assert.equal(4, #results)
    for i = 2, 4 do assert.equal(results[1], results[i]) end
  end)

  local PLACES = {
    ["in pcall"] = function(work) assert(pcall(work)) end,
    ["in a metamethod"] = function(work)
      local t = setmetatable({}, { __index = function() return work() end })
      return t.x
    end,
    ["in an iterator"] = function(work)
      for _ in function(_, i) if not i then work() return 1 end end do
        assert(true)
      end
    end,
    ["in __close"] = function(work)
      local _ <close> = setmetatable({}, { __close = work })
    end,
    ["in a coroutine"] = function(work)
      local co = coroutine.create(function(a)
        work()
        return a, coroutine.yield(a + 1)
      end)
      local ok, b = coroutine.resume(co, 1)
      assert(ok and b == 2)
      local last = table.pack(coroutine.resume(co, "x"))
      assert(last[2] == 1 and last[3] == "x")
    end,
    ["in a wrap iterator"] = function(work)
      local sum = 0
      for i in coroutine.wrap(function()
        for i = 1, 3 do
          if i == 2 then work() end
          coroutine.yield(i)
        end
      end) do
        sum = sum + i
      end
      assert(sum == 6)
    end,
    ["in a coroutine inside a coroutine"] = function(work)
      local result = coroutine.wrap(function()
        return coroutine.wrap(function()
          work()
          return "deep"
        end)()
      end)()
      assert(result == "deep")
    end,
    ["in a scope"] = function(work)
      assert(async.scope(function()
        work()
        return true
      end))
    end,
    ["in a guard"] = function(work)
      assert(desist.guard(desist.source():token(), work))
    end,
    ["in a guard in a coroutine"] = function(work)
      local source = desist.source()
      coroutine.wrap(function()
        assert(desist.guard(source:token(), work))
      end)()
    end,
    ["after it has waited"] = function(work)
      async.sleep(0.01)
      work()
    end,
  }
  local names = {}
  for name in pairs(PLACES) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    it("does so " .. name, function()
      local finished, steps = false, 0
      local task = loop:spawn(function()
        PLACES[name](function() busy(5 * BUDGET) end)
        finished = true
      end)
      while not finished and task:status() ~= "failed" do
        loop:step(0.1, STEP)
        steps = steps + 1
        assert.is_true(steps < 1000)
      end
      assert.same({ true }, { task:result() })
      assert.is_true(steps >= 3, steps .. " steps")
    end)
  end

  it("keeps its time, and that of good tasks, beside a runaway", function()
    local turns, over = 0, {}
    for _ = 1, 100 do
      loop:spawn(function()
        while true do
          turns = turns + 1
          async.sleep(0.1)
        end
      end)
    end
    loop:spawn(forever)
    -- A busy machine takes its part of the time: the best quarter counts.
    for i = 1, 21 do
      local started = desist.now()
      loop:step(0.1, STEP)
      over[i] = desist.now() - started - BUDGET
    end
    table.sort(over)
    assert.is_true(turns >= 2000, turns .. " turns")
    assert.is_true(over[6] < 0.002 * helper.slower,
      ("over by %.1f ms"):format(over[6] * 1000))
  end)

  it("is fair to several that overrun it", function()
    local turns = { 0, 0, 0 }
    for i = 1, 3 do
      loop:spawn(function()
        while true do turns[i] = turns[i] + 1 end
      end)
    end
    for _ = 1, 12 do loop:step(0.1, STEP) end
    table.sort(turns)
    assert.is_true(turns[1] > 0)
    assert.is_true(turns[3] < 20 * turns[1], table.concat(turns, " "))
  end)

  it("comes to those set aside though good tasks take all its time",
    function()
      local turns = 0
      loop:spawn(function()
        while true do turns = turns + 1 end
      end)
      loop:step(0.1, STEP)
      loop:spawn(function()
        while true do
          busy(2 * BUDGET)
          async.next_step()
        end
      end)
      local before = turns
      for _ = 1, 20 do loop:step(0.1, STEP) end
      assert.is_true(turns > before)
    end)

  it("lets what had no turn go first in the next step", function()
    local log = {}
    loop:spawn(function()
      busy(20 * BUDGET)
      log[#log + 1] = "long"
    end)
    for i = 1, 3 do
      loop:spawn(function() log[#log + 1] = i end)
    end
    loop:step(0.1, STEP)
    assert.same({}, log)
    step_until(function() return loop:is_idle() end)
    assert.same({ 1, 2, 3, "long" }, log)
  end)

  it("wakes sleepers in their order, late", function()
    local log = {}
    for i = 3, 1, -1 do
      loop:spawn(function()
        async.sleep(i / 100)
        log[#log + 1] = i
      end)
    end
    loop:step(0)
    loop:spawn(function() busy(3 * BUDGET) end)
    step_until(function() return loop:is_idle() end)
    assert.same({ 1, 2, 3 }, log)
  end)

  it("cancels what is set aside at its next checkpoint", function()
    local begun, closed = false, false
    local task = loop:spawn(function()
      local _ <close> = setmetatable({}, {
        __close = function() closed = true end,
      })
      begun = true
      busy(3 * BUDGET)
      async.checkpoint()
    end)
    step_until(function() return begun end)
    assert.is_true(task:cancel "enough")
    assert.equal("suspended", task:status())
    step_until(function() return task:result() ~= nil end)
    assert.equal("cancelled", task:status())
    assert.is_true(closed)
  end)

  it("ends with the loop, cleanup included", function()
    local begun, closed = false, false
    loop:spawn(function()
      local _ <close> = setmetatable({}, {
        __close = function() closed = true end,
      })
      begun = true
      forever()
    end)
    step_until(function() return begun end)
    loop:close()
    assert.is_true(closed)
  end)

  it("ends with the loop in all coroutines it is in, the innermost first",
    function()
      local log = {}
      local function closing(name)
        return setmetatable({}, {
          __close = function() log[#log + 1] = name end,
        })
      end
      loop:spawn(function()
        local _ <close> = closing "task"
        coroutine.resume(coroutine.create(function()
          local _ <close> = closing "outer"
          coroutine.wrap(function()
            local _ <close> = closing "inner"
            forever()
          end)()
        end))
      end)
      for _ = 1, 3 do loop:step(0.1, STEP) end
      loop:close()
      assert.same({ "inner", "outer", "task" }, log)
    end)

  it("has a guard stop what is set aside", function()
    local source = desist.source()
    local task = loop:spawn(function()
      return desist.guard({ token = source:token(), grace = 0 }, forever)
    end)
    loop:step(0.1, STEP)
    source:cancel "gone"
    step_until(function() return task:result() ~= nil end)
    local _, ok, err = task:result()
    assert.is_false(ok)
    assert.equal("gone", err.reason)
  end)

  it("takes no more memory each time a guard is set aside", function()
    local source = desist.source()
    loop:spawn(function() desist.guard(source:token(), forever) end)
    local function step(times)
      for _ = 1, times do loop:step(0, { budget = 0 }) end
      helper.full_gc()
      return collectgarbage "count"
    end
    local before = step(100)
    assert.is_true(step(helper.many(3000)) - before < 5)
  end)

  it("has a guard stop what cannot be set aside", function()
    local source = desist.after(10 * BUDGET)
    local task = loop:spawn(function()
      return desist.guard({ token = source:token(), grace = 0.001 },
        function()
          while true do pcall(table.sort, { 3, 2, 1 }, forever) end
        end)
    end)
    loop:step(0, STEP)
    step_until(function() return task:result() ~= nil end)
    assert.is_false((select(2, task:result())))
  end)

  it("ends when the cancelling task overruns it too", function()
    local tasks = {}
    for i = 1, 5 do
      tasks[i] = loop:spawn(function()
        async.scope(function(scope)
          scope:spawn(function()
            busy(2 * BUDGET)
            scope:cancel()
          end)
          async.sleep(1000)
        end)
        return i
      end)
    end
    step_until(function() return loop:is_idle() end)
    for i = 1, 5 do assert.same({ true, i }, { tasks[i]:result() }) end
  end)

  it("of 0 seconds sets each aside, and all come on", function()
    local counts = { 0, 0, 0 } -- one each: anything may come in between
    for i = 1, 3 do
      loop:spawn(function()
        for _ = 1, 20 do counts[i] = counts[i] + 1 end
      end)
    end
    local steps = 0
    while not loop:is_idle() do
      loop:step(0.1, { budget = 0 })
      steps = steps + 1
      assert.is_true(steps < 10000)
    end
    assert.same({ 20, 20, 20 }, counts)
    assert.is_true(steps > 3)
  end)

  it("without limit is one without a budget", function()
    loop:spawn(busy, 0.005)
    loop:step(0.1, { budget = math.huge })
    assert.is_true(loop:is_idle())
    loop:step(0.1, {})
  end)

  it("cannot set aside what may not yield, and does so after it", function()
    local sorted = false
    loop:spawn(function()
      table.sort({ 2, 1 }, function(a, b)
        busy(3 * BUDGET)
        return a < b
      end)
      sorted = true
      forever()
    end)
    step_until(function() return sorted end)
  end)

  it("cannot set aside a coroutine that is resumed unseen", function()
    local finished = false
    loop:spawn(function()
      resume(coroutine.create(function()
        busy(3 * BUDGET)
        finished = true
      end))
      forever()
    end)
    step_until(function() return finished end)
  end)

  it("of a loop inside a task of another", function()
    local inner, turns = async.loop(), 0
    inner:spawn(function()
      while true do turns = turns + 1 end
    end)
    local task = loop:spawn(function()
      for _ = 1, 3 do
        inner:step(0.1, STEP)
        async.next_step()
      end
      inner:close()
      return turns
    end)
    for _ = 1, 5 do loop:step(0.1) end
    local ok, count = task:result()
    assert.is_true(ok)
    assert.is_true(count > 0)
  end)

  it("is given as a table with seconds", function()
    helper.argument_error(2, "step", "table expected, got number",
      function() loop:step(0.1, 0.5) end)
    for _, budget in ipairs { -1, 0 / 0, "1" } do
      helper.argument_error(2, "step", "budget",
        function() loop:step(0.1, { budget = budget }) end)
    end
  end)
end)
