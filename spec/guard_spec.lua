local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"

local SOON = helper.soon

local function forever()
  while true do end -- luacheck: ignore 542
end

-- Runs Lua code for so many seconds.
local function busy(seconds)
  local ends = desist.now() + seconds
  while desist.now() < ends do end -- luacheck: ignore 542
end

local function closing(fn)
  return setmetatable({}, { __close = fn })
end

describe("desist.guard", function()
  helper.leave_nothing(before_each, after_each)

  local live
  before_each(function() live = desist.source() end)

  describe("that does not fire", function()
    it("gives true and all results", function()
      local results = table.pack(desist.guard(live:token(), function(...)
        return select("#", ...), ...
      end, nil, 2, nil))
      assert.same({ true, 3, nil, 2, nil, n = 5 }, results)
    end)

    it("gives false and the error, unchanged", function()
      local value = {}
      local ok, err = desist.guard(live:token(), error, value)
      assert.is_false(ok)
      assert.equal(value, err)
      assert.same({ false, n = 2 },
        table.pack(desist.guard(live:token(), error, nil)))
    end)

    it("calls what can be called", function()
      local callable = setmetatable({}, {
        __call = function(_, a) return a + 1 end,
      })
      assert.same({ true, 8 }, { desist.guard(live:token(), callable, 7) })
      assert.same({ true, "x" }, { desist.guard(live:token(), tostring, "x") })
    end)

    it("works with desist.none and with closed sources", function()
      assert.same({ true, 1 }, { desist.guard(desist.none, select, 1, 1) })
      live:close()
      assert.same({ true, 1 }, { desist.guard(live:token(), select, 1, 1) })
    end)

    it("leaves no callback on the token", function()
      desist.guard(live:token(), function() end)
      assert.is_true(live:try_reset())
      live:cancel()
      busy(0.001)
    end)

    it("lets many results through", function()
      local function many() return table.unpack({}, 1, 50000) end
      assert.equal(50001, select("#", desist.guard(live:token(), many)))
      coroutine.wrap(function()
        assert.equal(50001, select("#", desist.guard(live:token(), many)))
      end)()
    end)
  end)

  describe("that fires", function()
    it("raises the token's error, once", function()
      local source, errors = desist.source(), {}
      local guarded = { token = source:token(), grace = 5 }
      local ok, result = desist.guard(guarded, function()
        for i, wait in ipairs { helper.until_cancelled(source), busy, busy } do
          local _, err = pcall(wait, 0.004)
          errors[i] = err or "none"
        end
        return "done"
      end)
      assert.same({ true, "done" }, { ok, result })
      assert.equal(source:token():error(), errors[1])
      assert.same({ "none", "none" }, { errors[2], errors[3] })
    end)

    it("does so wherever it was cancelled from", function()
      local source = desist.source()
      local ok, err = desist.guard(source:token(), function()
        source:cancel "now"
        forever()
      end)
      assert.is_false(ok)
      assert.equal("now", err.reason)
      source = desist.source()
      local link = desist.linked(live:token(), source:token())
      ok, err = desist.guard(link:token(), function()
        source:cancel_after(SOON)
        forever()
      end)
      assert.is_false(ok)
      assert.equal("deadline", err.kind)
      assert.equal(source:token(), err.origin)
    end)

    it("does not call fn if the token is cancelled already", function()
      live:cancel "before"
      local called = false
      local ok, err = desist.guard(live:token(), function() called = true end)
      assert.is_false(ok)
      assert.equal(live:token():error(), err)
      assert.is_false(called)
    end)

    it("lets <close> handlers finish inside the grace", function()
      local order = {}
      local source = desist.source()
      local ok = desist.guard({ token = source:token(), grace = 5 }, function()
        local _ <close> = closing(function()
          busy(0.01)
          order[#order + 1] = "outer"
        end)
        local _ <close> = closing(function()
          busy(0.01)
          order[#order + 1] = "inner"
        end)
        helper.until_cancelled(source)()
      end)
      assert.is_false(ok)
      assert.same({ "inner", "outer" }, order)
    end)

    it("stops cleanup that outlasts the grace", function()
      local finished = false
      local source, started = desist.source(), desist.now()
      local guarded = { token = source:token(), grace = 0.005 }
      local ok = desist.guard(guarded, function()
        local _ <close> = closing(function()
          busy(10)
          finished = true
        end)
        helper.until_cancelled(source)()
      end)
      assert.is_false(ok)
      assert.is_false(finished)
      assert.is_true(desist.now() - started < 5)
    end)

    it("gives 0.1 s of grace if nothing is said", function()
      local source, started = desist.source(), desist.now()
      desist.guard(source:token(), function()
        pcall(helper.until_cancelled(source))
        forever()
      end)
      local grace = desist.now() - started - SOON
      assert.is_true(grace > 0.099, tostring(grace))
    end)

    it("never ends a grace without limit", function()
      local source = desist.source()
      local guarded = { token = source:token(), grace = math.huge }
      local ok, result = desist.guard(guarded, function()
        pcall(helper.until_cancelled(source))
        busy(0.15)
        return "cleaned"
      end)
      assert.same({ true, "cleaned" }, { ok, result })
    end)

    it("lets results through that were there in time", function()
      local source = desist.source()
      assert.same({ true, "result" }, {
        desist.guard(source:token(), (function()
          return pcall(function() source:cancel() end) and "result"
            or "result"
        end)),
      })
    end)

    it("is heard by the guarded code when callbacks run just then", function()
      local source, finished = desist.source(), false
      source:token():register(function()
        busy(0.005)
        finished = true
      end)
      local ok, err = desist.guard({ token = source:token(), grace = 60 },
        function()
          source:cancel "enough"
          forever()
        end)
      assert.is_true(finished)
      assert.is_false(ok)
      assert.equal(source:token():error(), err)
    end)

    it("is heard when it comes in a dispatch", function()
      local source, finished = desist.after(SOON), 0
      source:token():register(function()
        busy(0.005)
        finished = finished + 1
      end)
      local ok, err = desist.guard({ token = source:token(), grace = 60 },
        function() while true do desist.dispatch() end end)
      assert.is_true(helper.becomes_true(function()
        desist.dispatch()
        return finished > 0
      end))
      assert.equal(1, finished)
      assert.is_false(ok)
      assert.equal(source:token():error(), err)
    end)

    it("interrupts guards that callbacks call at once", function()
      local source, inner = desist.source(), desist.after(SOON)
      local started, result = desist.now(), nil
      source:token():register(function()
        result = table.pack(desist.guard({
          token = inner:token(), grace = 60,
        }, forever))
      end)
      source:cancel()
      assert.is_false(result[1])
      assert.is_true(desist.now() - started < 30)
    end)

    it("leaves nothing behind when it is over", function()
      local source = desist.after(SOON)
      desist.guard({ token = source:token(), grace = 0 }, forever)
      assert.is_nil((debug.gethook()))
      busy(0.01)
      assert.is_true(pcall(busy, 0.001))
      assert.is_true((coroutine.resume(coroutine.create(busy), 0.001)))
    end)
  end)

  describe("inside another", function()
    it("lets the outer one's error pass", function()
      local outer = desist.after(SOON)
      local reached = false
      local ok, err = desist.guard(outer:token(), function()
        desist.guard(live:token(), forever)
        reached = true
      end)
      assert.is_false(ok)
      assert.is_false(reached)
      assert.equal(outer:token():error(), err)
    end)

    it("keeps its own", function()
      local inner = desist.after(SOON)
      local ok, inner_ok, err = desist.guard(live:token(), function()
        return desist.guard(inner:token(), forever)
      end)
      assert.is_true(ok)
      assert.is_false(inner_ok)
      assert.equal(inner:token():error(), err)
    end)

    it("yields to the outer one when both are cancelled", function()
      local source = desist.source()
      local inner = desist.linked(source:token())
      local ok, err = desist.guard(source:token(), function()
        return desist.guard(inner:token(), helper.until_cancelled(source))
      end)
      assert.is_false(ok)
      assert.equal(source:token():error(), err)
    end)

    it("goes on in the outer one's time", function()
      local outer, inner, first = desist.after(1000), desist.after(SOON), nil
      local ok, err = desist.guard(outer:token(), function()
        first = select(2, desist.guard(inner:token(), forever))
        helper.until_cancelled(outer)()
      end)
      assert.is_false(ok)
      assert.equal(inner:token():error(), first)
      assert.equal(outer:token():error(), err)
    end)
  end)

  describe("in a coroutine", function()
    it("may yield", function()
      local co = coroutine.wrap(function()
        return "end", desist.guard(live:token(), function(a)
          local b = coroutine.yield(a + 1)
          local c = coroutine.yield(b + 1)
          return c + 1
        end, 1)
      end)
      assert.equal(2, co())
      assert.equal(11, co(10))
      assert.same({ "end", true, 21 }, { co(20) })
    end)

    it("leaves what others do alone while it is suspended", function()
      local source = desist.source()
      local co = coroutine.create(function()
        return desist.guard(source:token(), function()
          coroutine.yield()
          forever()
        end)
      end)
      assert.is_true(coroutine.resume(co))
      source:cancel()
      busy(0.01)
      assert.is_true(desist.guard(live:token(), busy, 0.01))
      local alive, ok, err = coroutine.resume(co)
      assert.is_true(alive)
      assert.is_false(ok)
      assert.equal(source:token():error(), err)
    end)

    it("is stopped by a cancellation during its later turns", function()
      local source = desist.source()
      local co = coroutine.create(function()
        return desist.guard(source:token(), function()
          for _ = 1, 3 do coroutine.yield() end
          source:cancel_after(SOON)
          forever()
        end)
      end)
      for _ = 1, 3 do assert.is_true(coroutine.resume(co)) end
      local alive, ok = coroutine.resume(co)
      assert.is_true(alive)
      assert.is_false(ok)
    end)

    it("keeps apart those of several", function()
      local sources, ended = {}, {}
      local threads = {}
      for i = 1, 5 do
        sources[i] = desist.source()
        threads[i] = coroutine.create(function()
          ended[i] = table.pack(desist.guard(sources[i]:token(), function()
            while true do coroutine.yield() end
          end))
        end)
      end
      local function turn()
        for i = 1, 5 do
          if coroutine.status(threads[i]) ~= "dead" then
            assert.is_true(coroutine.resume(threads[i]))
          end
        end
      end
      turn()
      for _, i in ipairs { 3, 1, 5, 2, 4 } do
        assert.is_nil(ended[i])
        sources[i]:cancel(i)
        turn()
        assert.equal(i, ended[i][2].reason)
      end
    end)

    it("ends with it when it is closed or collected", function()
      local source = desist.source()
      local function start()
        local co = coroutine.create(function()
          desist.guard(source:token(), coroutine.yield)
        end)
        assert.is_true(coroutine.resume(co))
        return co
      end
      assert.is_true(coroutine.close(start()))
      start()
      helper.full_gc()
      assert.is_true(source:try_reset())
      source:cancel()
      busy(0.005)
    end)

    it("closes as without", function()
      local order = {}
      local co = coroutine.create(function()
        local _ <close> = closing(function() order[#order + 1] = "out" end)
        desist.guard(live:token(), function()
          local _ <close> = closing(function() order[#order + 1] = "in" end)
          coroutine.yield()
        end)
      end)
      coroutine.resume(co)
      assert.is_true(coroutine.close(co))
      assert.same({ "in", "out" }, order)
    end)

    it("leaves cleanup alone when it is closed, in another guard too",
      function()
        local source, log = desist.source(), {}
        local function close()
          local co = coroutine.create(function()
            desist.guard({ token = source:token(), grace = 0 }, function()
              local _ <close> = closing(function()
                busy(0.002)
                log[#log + 1] = "closed"
              end)
              coroutine.yield()
            end)
          end)
          coroutine.resume(co)
          source:cancel()
          assert.is_true(coroutine.close(co))
          source = desist.source()
        end
        close()
        assert(desist.guard(live:token(), close))
        assert.same({ "closed", "closed" }, log)
      end)
  end)

  describe("in a task", function()
    it("may wait", helper.in_task(function()
      assert.same({ true, "woke" }, {
        desist.guard(live:token(), function()
          async.sleep(1)
          return "woke"
        end),
      })
    end))

    it("belongs to that task alone", helper.in_task(function(loop)
      local source = desist.source()
      local guarded = loop:spawn(function()
        return desist.guard(source:token(), function()
          async.sleep(1)
          forever()
        end)
      end)
      local other = loop:spawn(function()
        async.sleep(0.5)
        source:cancel "both"
        busy(0.01)
        return "untouched"
      end)
      assert.equal("untouched", other:join())
      local ok, err = guarded:join()
      assert.is_false(ok)
      assert.equal("both", err.reason)
    end))

    it("raises the task's own cancellation for what it is",
      helper.in_task(function()
        local ok, err = async.scope(function(scope)
          scope:cancel_after(1)
          local inner = scope:token()
          desist.guard(inner, function()
            async.next_step()
            scope:cancel "enough"
            forever()
          end)
          async.checkpoint()
        end)
        assert.is_nil(ok)
        assert.equal("enough", err.reason)
      end))

    it("cancels the tasks of an idle async.run, which clean up", function()
      local source, cleaned = desist.source(), {}
      local ok, err = desist.guard({ token = source:token(), grace = 60 },
        async.run, function()
          async.spawn(function()
            source:cancel_after(SOON)
            local _, reason = pcall(async.sleep, 1000)
            async.shield(async.sleep, 0.001)
            cleaned[1] = tostring(reason)
          end)
          async.sleep(1000)
        end)
      assert.is_false(ok)
      assert.equal(source:token():error(), err)
      assert.same({ "cancelled: deadline exceeded" }, cleaned)
    end)

    it("lets async.run give results that came in time", function()
      local source = desist.source()
      assert.same({ true, "done" }, {
        desist.guard({ token = source:token(), grace = 60 }, async.run,
          function()
            source:cancel_after(SOON)
            pcall(async.sleep, 1000)
            return "done"
          end),
      })
    end)

    it("ends an idle async.run when the grace is over", function()
      local source = desist.after(SOON)
      local ok, err = desist.guard(
        { token = source:token(), grace = 2 * SOON }, async.run,
        function()
          while true do pcall(async.shield, async.sleep, 1000) end
        end)
      assert.is_false(ok)
      assert.equal(source:token():error(), err)
    end)

    it("leaves the loop whole", function()
      for _, grace in ipairs { 0, 0.002 } do
        local loop = async.loop()
        for _ = 1, 20 do
          loop:spawn(pcall, function()
            while true do
              async.scope(function(scope)
                scope:spawn(busy, 0.0002)
                async.move_on_after(1, async.next_step)
                scope:cancel()
              end)
            end
          end)
        end
        desist.guard({ token = desist.after(SOON):token(), grace = grace },
          function() while true do loop:step(0.1) end end)
        local task = loop:spawn(function()
          async.sleep(1)
          return "slept"
        end)
        loop:step(1)
        loop:step(1)
        assert.same({ true, "slept" }, { task:result() })
        loop:cancel()
        helper.finish(loop)
        loop:close()
        helper.handled_errors()
      end
    end)
  end)

  describe("called wrongly", function()
    it("names the argument", function()
      local fn = function() end
      local token = live:token()
      helper.argument_error(1, "guard", "desist.token expected, got no value",
        function() desist.guard() end)
      helper.argument_error(1, "guard",
        "desist.token expected, got desist.source",
        function() desist.guard(live, fn) end)
      helper.argument_error(1, "guard",
        "'token': desist.token expected, got nil",
        function() desist.guard({}, fn) end)
      helper.argument_error(2, "guard", "function expected, got nil",
        function() desist.guard(token, nil) end)
      helper.argument_error(2, "guard", "function expected, got table",
        function() desist.guard(token, {}) end)
      for _, grace in ipairs { -1, 0 / 0, "1", {} } do
        helper.argument_error(1, "guard", "'grace': 0 or more seconds",
          function() desist.guard({ token = token, grace = grace }, fn) end)
      end
    end)
  end)

  it("works in the state's last moments", function()
    local output, how, status = helper.child [[
      local desist = require "desist"
      desist.guard(desist.after(100):token(), function()
        os.exit(3, true)
      end)
    ]]
    assert.same({ "", "exit", 3 }, { output, how, status })
  end)
end)

describe("desist.can_interrupt", function()
  it("says whether and how", function()
    local can, how = desist.can_interrupt()
    assert.is_true(can)
    assert.is_truthy(how == "signal" or how == "hook")
  end)
end)
