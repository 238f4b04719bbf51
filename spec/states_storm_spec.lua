local desist = require "desist"
local helper = require "spec.helper"

-- The functions given to helper.thread run in a lua_State of their own: they
-- have no upvalues and require what they need.

describe("many states at once", function()
  helper.leave_nothing(before_each, after_each)

  it("cancel each source once, and its callbacks run once", function()
    local sources, handles, runs = {}, {}, {}
    local go = desist.source()
    for i = 1, 200 do
      sources[i] = desist.source()
      sources[i]:token():register(function()
        runs[i] = (runs[i] or 0) + 1
      end)
      handles[i] = sources[i]:handle()
    end
    local threads = {}
    for i = 1, 4 do
      threads[i] = helper.thread(function(list, go_handle)
        local there = require "desist"
        local found, wins = {}, 0
        for handle in list:gmatch "[^\n]+" do
          found[#found + 1] = there.from_handle(handle)
        end
        there.from_handle(go_handle):wait(10)
        for _, source in ipairs(found) do
          if source:cancel() then wins = wins + 1 end
        end
        return wins
      end, table.concat(handles, "\n"), go:token():handle())
    end
    go:cancel()
    local wins = 0
    for i = 1, 4 do wins = wins + threads[i].join() end
    assert.equal(200, wins)
    assert.equal(200, desist.dispatch())
    for i = 1, 200 do assert.equal(1, runs[i]) end
  end)

  it("run each callback once while links are made and cancelled", function()
    local source, ready = desist.source(), {}
    local threads = {}
    for i = 1, 3 do
      ready[i] = desist.source()
      threads[i] = helper.thread(function(handle, ready_handle)
        local there = require "desist"
        local token, n = there.from_handle(handle), 0
        for j = 1, 500 do
          local link = there.linked(token)
          link:token():register(function() n = n + 1 end)
          token:register(function() n = n + 1 end)
          if j == 50 then there.from_handle(ready_handle):cancel() end
        end
        assert(token:wait(10))
        local limit = there.now() + 5
        repeat there.dispatch() until n >= 1000 or there.now() > limit
        there.none:wait(0.01)
        return n
      end, source:token():handle(), ready[i]:handle())
    end
    for i = 1, 3 do ready[i]:token():wait(10) end
    source:cancel()
    for i = 1, 3 do assert.equal(1000, threads[i].join()) end
  end)

  it("may unregister while another cancels: it ran or it did not", function()
    for _ = 1, 20 do
      local source, ready = desist.source(), desist.source()
      local ran, stopped, registrations = 0, 0, {}
      for i = 1, 100 do
        registrations[i] = source:token():register(function()
          ran = ran + 1
        end)
      end
      local thread = helper.thread(function(handle, ready_handle)
        local there = require "desist"
        local same = there.from_handle(handle)
        there.from_handle(ready_handle):cancel()
        same:cancel()
      end, source:handle(), ready:handle())
      ready:token():wait(10)
      for i = 1, 100, 2 do
        if registrations[i]:unregister() then stopped = stopped + 1 end
        if i % 10 == 1 then desist.dispatch() end
      end
      assert.is_true(thread.join())
      desist.dispatch()
      assert.equal(100, ran + stopped)
    end
  end)

  it("may be closed in the middle of everything", function()
    for round = 1, 30 do
      local source, calls = desist.source(), helper.recorder()
      source:token():register(calls.note)
      local thread = helper.thread(function(handle)
        local there = require "desist"
        local shared = there.from_handle(handle)
        for i = 1, 20 do
          shared:register(type)
          local link = there.linked(shared)
          link:token():register(type)
          link:cancel_after(0.0005 * i)
          there.after(0.0005 * i):token():register(type)
          local queued = there.source()
          queued:token():register(type)
          if not shared:is_cancelled() then queued:cancel_async({}) end
        end
        there.wakeup_fd()
        shared:fd()
      end, source:token():handle())
      if round % 3 == 0 then assert.is_true(thread.join()) end
      for _ = 1, round * 100 do source:is_cancelled() end
      source:cancel({})
      assert.equal(1, calls.n)
      if round % 3 ~= 0 then assert.is_true(thread.join()) end
    end
  end)

  it("may each load the module at the same time", function()
    local threads = {}
    for i = 1, 8 do
      threads[i] = helper.thread(function()
        local there = require "desist"
        local source, n = there.source(), 0
        source:token():register(function() n = n + 1 end)
        source:cancel()
        return n
      end)
    end
    for i = 1, 8 do assert.equal(1, threads[i].join()) end
  end)

  it("have an on_error handler each", function()
    local thread = helper.thread(function()
      local there = require "desist"
      local got = {}
      there.on_error(function(value) got[#got + 1] = value end)
      local source = there.source()
      source:token():register(function(value) error(value, 0) end)
      source:cancel_async("theirs")
      there.dispatch()
      return table.concat(got, " ")
    end)
    assert.equal("theirs", thread.join())
    assert.equal(0, helper.handled_errors().n)
  end)

  it("have a queue each", function()
    local source, calls = desist.source(), helper.recorder()
    source:token():register(calls.note)
    source:cancel_async()
    local thread = helper.thread(function()
      return require "desist".dispatch()
    end)
    assert.equal(0, thread.join())
    assert.equal(0, calls.n)
    assert.equal(1, desist.dispatch())
  end)
end)
