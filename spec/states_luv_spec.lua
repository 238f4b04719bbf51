local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"
local helper_luv = require "spec.helper_luv"
local luv = require "desist.loop.luv"
local uv = require "luv"

-- The states that luv makes for its threads and its thread pool. The functions
-- given to helper.thread and helper_luv.work run there: they have no upvalues
-- and require what they need.

local work = helper_luv.work

-- A task's wait for a token.
local function cancelled(token)
  return async.await(function(resume)
    local registration = token:register(resume)
    return function() registration:unregister() end
  end)
end

-- Runs luv until a callback of the token's has run, dispatching when the wakeup
-- descriptor is readable, as a program without tasks does.
local function run_with_poll(token)
  local ran = false
  token:register(function() ran = true end)
  local poll = assert(uv.new_poll(desist.wakeup_fd()))
  poll:start("r", function() desist.dispatch() end)
  while not ran do uv.run "once" end
  poll:stop()
  poll:close()
  uv.run "nowait"
end

describe("work in luv's thread pool", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  it("that polls a token stops when it is cancelled here", function()
    local stop, begun = desist.source(), desist.source()
    local job = work(function(handle, begun_handle)
      local there = require "desist"
      local token = there.from_handle(handle)
      there.from_handle(begun_handle):cancel()
      local limit = there.now() + 20
      while not token:is_cancelled() and there.now() < limit do end
      return token:reason()
    end, stop:token():handle(), begun:handle())
    begun:token():register(function() stop:cancel("enough") end)
    run_with_poll(stop:token())
    assert.equal("enough", job.finish())
  end)

  it("that waits is woken by a task here", function()
    assert.equal("woken", luv.run(function()
      local stop, begun = desist.source(), desist.source()
      local job = work(function(handle, begun_handle)
        local there = require "desist"
        local token = there.from_handle(handle)
        there.from_handle(begun_handle):cancel()
        assert(token:wait(20))
        return token:reason()
      end, stop:token():handle(), begun:handle())
      cancelled(begun:token())
      stop:cancel("woken")
      return cancelled(job.token)
    end))
  end)

  it("has its callbacks run in its own waits", function()
    local stop, begun = desist.source(), desist.source()
    local job = work(function(handle, begun_handle)
      local there = require "desist"
      local both, seen = there.source(), {}
      there.from_handle(handle):register(function(reason)
        seen[#seen + 1] = reason
        both:cancel()
      end)
      there.from_handle(begun_handle):cancel()
      assert(both:token():wait(20))
      return table.concat(seen, " ")
    end, stop:token():handle(), begun:handle())
    assert.is_true(begun:token():wait(20))
    stop:cancel("once")
    assert.equal("once", job.finish())
  end)

  it("may cancel what is to be stopped by a deadline here", function()
    local source, calls = desist.source(), helper.recorder()
    source:token():register(calls.note)
    source:cancel_after(3600)
    local job = work(function(handle)
      return require "desist".from_handle(handle):cancel("first")
    end, source:handle())
    run_with_poll(source:token())
    assert.is_true(job.finish())
    desist.dispatch()
    assert.same({ "first", n = 1 }, calls:arguments(1))
    assert.equal(1, calls.n)
    assert.is_nil(source:token():deadline())
  end)

  -- One work on each thread of the pool at the same time; they begin together.
  local function on_all_threads(fn, ...)
    local here, jobs = {}, {}
    local go = desist.source()
    for i = 1, helper_luv.pool do
      here[i] = desist.source()
      jobs[i] = work(function(here_handle, go_handle, code, ...)
        local there = require "desist"
        there.from_handle(here_handle):cancel()
        assert(there.from_handle(go_handle):wait(20))
        return load(code, "=work", "b")(...)
      end, here[i]:handle(), go:token():handle(), string.dump(fn), ...)
    end
    local all_here = {}
    for i, source in ipairs(here) do all_here[i] = source:token() end
    run_with_poll(desist.linked_all(table.unpack(all_here)):token())
    go:cancel()
    local values = {}
    for i, job in ipairs(jobs) do values[i] = job.finish() end
    return values
  end

  it("leaves callbacks that run in later work of the same state", function()
    local source = desist.source()
    on_all_threads(function(handle)
      local there = require "desist"
      local kept = { runs = 0, timed = there.after(0.0001) }
      for _ = 1, 10 do
        there.from_handle(handle):register(function()
          kept.runs = kept.runs + 1
        end)
      end
      kept.timed:token():register(function() kept.runs = kept.runs + 100 end)
      package.loaded.kept = kept
    end, source:token():handle())
    source:cancel()
    local runs = on_all_threads(function()
      local there = require "desist"
      local kept = require "kept"
      package.loaded.kept = nil
      assert(kept.timed:token():wait(20))
      there.dispatch()
      return kept.runs
    end)
    for i = 1, helper_luv.pool do assert.equal(110, runs[i]) end
  end)

  it("shares sources among all its states", function()
    local sources, handles, calls = {}, {}, helper.recorder()
    for i = 1, 100 do
      sources[i] = desist.source()
      sources[i]:token():register(calls.note)
      handles[i] = sources[i]:handle()
    end
    local wins = on_all_threads(function(list)
      local there = require "desist"
      local ran, won, tokens = 0, 0, {}
      for handle in list:gmatch "%S+" do
        local source = there.from_handle(handle)
        tokens[#tokens + 1] = source:token()
        source:token():register(function() ran = ran + 1 end)
        if source:cancel() then won = won + 1 end
      end
      for _, token in ipairs(tokens) do token:wait() end
      local limit = there.now() + 20 -- for threads that are held up
      while ran < #tokens and there.now() < limit do there.dispatch() end
      assert(ran == #tokens, "not all callbacks ran")
      return won
    end, table.concat(handles, " "))
    local sum = 0
    for _, won in ipairs(wins) do sum = sum + won end
    assert.equal(100, sum)
    assert.equal(100, calls.n + desist.dispatch())
  end)
end)

describe("a cancel on a thread of luv's", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  -- A thread that cancels the source while this state sleeps.
  local function cancel_from_there(source)
    return helper.thread(function(handle)
      local there = require "desist"
      there.none:wait(0.01)
      return there.from_handle(handle):cancel("from there")
    end, source:handle())
  end

  -- How this state sleeps until the token is cancelled.
  local sleeps = {
    ["async.run"] = function(token) async.run(cancelled, token) end,
    ["luv.run"] = function(token) luv.run(cancelled, token) end,
    ["uv.run with a poll"] = run_with_poll,
  }

  for name, sleep in pairs(sleeps) do
    it("runs the callbacks in " .. name, function()
      local source, calls = desist.source(), helper.recorder()
      local link = desist.linked(source:token())
      source:token():register(calls:as "source")
      link:token():register(calls:as "link")
      local last = desist.source()
      source:token():register(function() last:cancel() end)
      local thread = cancel_from_there(source)
      sleep(last:token())
      assert.is_true(thread.join())
      desist.dispatch()
      assert.equal("source link", calls:order())
      assert.equal("from there", calls:arguments(2)[2])
    end)
  end
end)

describe("two states with a loop each", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  -- Each cancels what the other waits for, in turn. `run` names a function of
  -- a module: "desist.async run".
  local function play(ours, theirs)
    local ping, pong, ping_handles, pong_handles = {}, {}, {}, {}
    for i = 1, 50 do
      ping[i], pong[i] = desist.source(), desist.source()
      ping_handles[i] = ping[i]:token():handle()
      pong_handles[i] = pong[i]:handle()
    end
    local thread = helper.thread(function(module, pings, pongs)
      local there = require "desist"
      local await = require "desist.async".await
      local listed = pongs:gmatch "%S+"
      return require(module).run(function()
        local n = 0
        for handle in pings:gmatch "%S+" do
          local answer = there.from_handle((listed()))
          local token = there.from_handle(handle)
          assert(await(function(resume) token:register(resume) end) == n)
          assert(answer:cancel(n))
          n = n + 1
        end
        return n
      end)
    end, theirs, table.concat(ping_handles, " "),
      table.concat(pong_handles, " "))
    require(ours).run(function()
      for i = 1, 50 do
        ping[i]:cancel(i - 1)
        assert.equal(i - 1, cancelled(pong[i]:token()))
      end
    end)
    assert.equal(50, thread.join())
  end

  local built_in, on_luv = "desist.async", "desist.loop.luv"

  it("wake each other, both built-in", function() play(built_in, built_in) end)
  it("wake each other, both on luv", function() play(on_luv, on_luv) end)
  it("wake each other, one of each", function()
    play(built_in, on_luv)
    play(on_luv, built_in)
  end)
end)

describe("deadlines", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  it("that two states arm on each other's sources all come, once", function()
    local count = helper.many(200)
    local sources, handles, calls = {}, {}, helper.recorder()
    local all = {}
    for i = 1, count do
      sources[i] = desist.source()
      sources[i]:token():register(calls.note)
      handles[i] = sources[i]:handle()
      all[i] = sources[i]:token()
    end
    local thread = helper.thread(function(list)
      local there = require "desist"
      local n, tokens = 0, {}
      for handle in list:gmatch "%S+" do
        local source = there.from_handle(handle)
        tokens[#tokens + 1] = source:token()
        source:token():register(function(reason)
          assert(reason == "deadline exceeded")
          n = n + 1
        end)
        source:cancel_after(#tokens % 20 * 0.0005)
      end
      for _, token in ipairs(tokens) do assert(token:wait(20)) end
      local limit = there.now() + 20 -- for threads that are held up
      while n < #tokens and there.now() < limit do there.dispatch() end
      return n
    end, table.concat(handles, " "))
    for i, source in ipairs(sources) do source:cancel_after(i % 30 * 0.0005) end
    luv.run(cancelled, desist.linked_all(table.unpack(all)):token())
    assert.equal(count, thread.join())
    assert.is_true(helper.becomes_true(function()
      desist.dispatch()
      return calls.n >= count
    end))
    assert.equal(count, calls.n)
  end)

  it("armed by a state that has ended reach a loop here", function()
    for _, run in ipairs { async.run, luv.run } do
      local source = desist.source()
      local token = source:token()
      helper.thread(function(handle)
        require "desist".from_handle(handle):cancel_after(0.02)
      end, source:handle()).join()
      assert.equal("deadline exceeded", run(cancelled, token))
    end
  end)
end)

describe("a storm of cancels", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  -- A state that fills up with what hangs on the token, and ends with it.
  local function live_and_end(handle, ready_handle)
    local there = require "desist"
    local token = there.from_handle(handle)
    for i = 1, 20 do
      token:register(type)
      local link = there.linked(token, there.after(0.0002 * i):token())
      link:token():register(type)
      link:cancel_after(0.0003 * i)
      there.after(3600):token():register(type)
    end
    there.linked(token):token():fd()
    there.from_handle(ready_handle):cancel()
    for _ = 1, 20 do token:register(type) end
  end

  it("leaves states alone that end with everything alive", function()
    for _ = 1, helper.many(10) do
      luv.run(function()
        async.scope(function(scope)
          for i = 1, 4 do
            local source, ready = desist.source(), desist.source()
            local thread = helper.thread(live_and_end,
              source:token():handle(), ready:handle())
            scope:spawn(function()
              local calls = helper.recorder()
              source:token():register(calls.note)
              cancelled(ready:token())
              if i % 2 == 0 then async.checkpoint() end
              source:cancel({})
              assert.equal(1, calls.n)
              thread.join()
            end)
          end
        end)
      end)
    end
  end)

  it("from many works at once gets through to luv.run", function()
    local count = helper.many(400)
    local calls = helper.recorder()
    luv.run(async.scope, function(scope)
      for i = 1, count do
        scope:spawn(function()
          local source = desist.source()
          local job = work(function(handle, n)
            require "desist".from_handle(handle):cancel(n)
          end, source:handle(), i)
          calls.note(cancelled(source:token()))
          cancelled(job.token)
        end)
      end
    end)
    assert.equal(count, calls.n)
    local sum = 0
    for i = 1, count do sum = sum + calls:arguments(i)[1] end
    assert.equal(count * (count + 1) // 2, sum)
  end)
end)
