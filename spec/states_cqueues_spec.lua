local async = require "desist.async"
local cqueues = require "cqueues"
local desist = require "desist"
local helper = require "spec.helper"
local threads = require "cqueues.thread"

-- Threads of cqueues: a state each, all signals blocked, closed by the thread
-- itself when its function is done. Functions given to `thread` run there: they
-- have no upvalues and require what they need.

-- What join may give for a thread that has just ended.
local OWNER_DEAD = require "cqueues.errno".EOWNERDEAD

local function thread_main(_, path, cpath, report, code, ...)
  package.path, package.cpath = path, cpath
  local there = require "desist"
  local ok, value = pcall(load(code, "=thread", "b"), ...)
  if not ok then value = "error: " .. tostring(value) end
  there.from_handle(report):cancel(value == nil or value)
end

-- Like helper.thread: join waits for the end of the state, and gives what fn
-- returned or raises its error.
local function thread(fn, ...)
  local report = desist.source()
  local started = threads.start(thread_main, package.path, package.cpath,
    report:handle(), string.dump(fn), ...)
  return {
    join = function()
      local _, why = started:join()
      assert.is_true(why == nil or why == OWNER_DEAD)
      local value = report:token():reason()
      assert.not_nil(value, "the thread did not report")
      if type(value) == "string" and value:find "^error: " then
        error(value, 2)
      end
      return value
    end,
  }
end

-- For cqueues.poll, which sleeps until it is readable.
local function readable(fd)
  return { pollfd = fd, events = "r" }
end

-- Runs fn(...) as a coroutine of cqueues until all have ended.
local function run(fn, ...)
  local controller = cqueues.new()
  controller:wrap(fn, ...)
  assert(controller:loop())
  controller:close()
end

describe("a thread of cqueues", function()
  helper.leave_nothing(before_each, after_each)

  it("that polls a token stops when a coroutine cancels it", function()
    local stop, begun = desist.source(), desist.source()
    local polling = thread(function(handle, begun_handle)
      local there = require "desist"
      local token = there.from_handle(handle)
      there.from_handle(begun_handle):cancel()
      local limit = there.now() + 20
      while not token:is_cancelled() and there.now() < limit do end
      return token:reason()
    end, stop:token():handle(), begun:handle())
    run(function()
      cqueues.poll(readable(begun:token():fd()))
      stop:cancel "enough"
    end)
    assert.equal("enough", polling.join())
  end)

  it("that waits is woken, and its callbacks have run", function()
    local stop, begun = desist.source(), desist.source()
    local waiting = thread(function(handle, begun_handle)
      local there = require "desist"
      local token, seen = there.from_handle(handle), "nothing"
      local link = there.linked(token)
      link:token():register(function(reason) seen = reason end)
      there.from_handle(begun_handle):cancel()
      assert(link:token():wait(20))
      return seen
    end, stop:token():handle(), begun:handle())
    assert.is_true(begun:token():wait(20))
    stop:cancel "woken"
    assert.equal("woken", waiting.join())
  end)

  it("wakes a coroutine that polls a token's descriptor", function()
    local source = desist.source()
    local cancelling = thread(function(handle)
      local there = require "desist"
      there.none:wait(0.01)
      there.from_handle(handle):cancel "there"
    end, source:handle())
    run(function() cqueues.poll(readable(source:token():fd())) end)
    assert.equal("there", source:token():reason())
    assert.is_true(cancelling.join())
  end)

  it("has callbacks run by a coroutine that polls the wakeup", function()
    local source, calls = desist.source(), helper.recorder()
    source:token():register(calls.note)
    local cancelling = thread(function(handle)
      require "desist".from_handle(handle):cancel "there"
    end, source:handle())
    run(function()
      while calls.n == 0 do
        cqueues.poll(readable(desist.wakeup_fd()))
        desist.dispatch()
      end
    end)
    assert.same({ "there", n = 1 }, calls:arguments(1))
    assert.is_true(cancelling.join())
  end)

  it("wakes the built-in loop", function()
    local source = desist.source()
    local cancelling = thread(function(handle)
      local there = require "desist"
      there.none:wait(0.01)
      there.from_handle(handle):cancel "there"
    end, source:handle())
    async.run(function()
      local _, err = async.scope({ token = source:token() }, function()
        async.sleep(math.huge)
      end)
      assert.equal("there", err.reason)
    end)
    assert.is_true(cancelling.join())
  end)

  it("runs tasks of its own, cancelled from here", function()
    local stop, begun = desist.source(), desist.source()
    local running = thread(function(handle, begun_handle)
      local there = require "desist"
      local tasks = require "desist.async"
      local token = there.from_handle(handle)
      return tasks.run(function()
        local ended = 0
        local _, err = tasks.scope({ token = token }, function(scope)
          for _ = 1, 100 do
            scope:spawn(function()
              local _, problem = pcall(tasks.sleep, 60)
              ended = ended + 1
              error(problem, 0)
            end)
          end
          tasks.sleep(0)
          there.from_handle(begun_handle):cancel()
          tasks.sleep(math.huge)
        end)
        assert(err.reason == "all of you")
        return ended
      end)
    end, stop:token():handle(), begun:handle())
    assert.is_true(begun:token():wait(20))
    stop:cancel "all of you"
    assert.equal(100, running.join())
  end)

  it("may arm the first deadline of the process", function()
    local output, how = helper.child [[
      local threads = require "cqueues.thread"
      local started = threads.start(function(_, path, cpath)
        package.path, package.cpath = path, cpath
        local desist = require "desist"
        local token, n = desist.after(0.005):token(), 0
        token:register(function() n = n + 1 end)
        assert(token:wait(20) and n == 1)
      end, package.path, package.cpath)
      started:join()
      print "done"
    ]]
    assert.equal("done\n", output)
    assert.equal("exit", how)
  end)

  it("waits for a signal that it blocks itself", function()
    local output, how = helper.child(helper.send .. [[
      local threads = require "cqueues.thread"
      local started, pipe = threads.start(function(pipe, path, cpath)
        package.path, package.cpath = path, cpath
        local desist = require "desist"
        local source = desist.signal("USR1")
        pipe:write("ready\n")
        pipe:flush()
        assert(source:token():wait(20))
        pipe:write(source:token():reason(), "\n")
        pipe:flush()
      end, package.path, package.cpath)
      assert(pipe:read() == "ready")
      send "USR1"
      print(pipe:read())
      started:join()
    ]])
    assert.equal("SIGUSR1\n", output)
    assert.equal("exit", how)
  end)
end)

describe("a storm of cancels over threads of cqueues", function()
  helper.leave_nothing(before_each, after_each)

  it("leaves states alone that end with everything alive", function()
    for round = 1, helper.many(20) do
      local source, ready = desist.source(), desist.source()
      local calls, ending = helper.recorder(), {}
      source:token():register(calls.note)
      for i = 1, 3 do
        ending[i] = thread(function(handle, ready_handle)
          local there = require "desist"
          local token = there.from_handle(handle)
          for k = 1, 20 do
            token:register(type)
            local link = there.linked(token, there.after(0.0002 * k):token())
            link:token():register(type)
            there.after(3600):token():register(type)
          end
          token:fd()
          there.wakeup_fd()
          there.from_handle(ready_handle):cancel()
          for _ = 1, 20 do token:register(type) end
        end, source:token():handle(), ready:handle())
      end
      assert.is_true(ready:token():wait(20))
      for _ = 1, round * 50 do source:is_cancelled() end
      source:cancel {}
      assert.equal(1, calls.n)
      for i = 1, 3 do ending[i].join() end
    end
  end)

  it("that cross gives each state its callbacks, once", function()
    local sources, handles, runs, all = {}, {}, helper.recorder(), {}
    for i = 1, 200 do
      sources[i] = desist.source()
      sources[i]:token():register(runs.note)
      handles[i], all[i] = sources[i]:handle(), sources[i]:token()
    end
    local crossing = thread(function(list)
      local there = require "desist"
      local n, found = 0, {}
      for handle in list:gmatch "%S+" do
        found[#found + 1] = there.from_handle(handle)
        found[#found]:token():register(function() n = n + 1 end)
      end
      for i, source in ipairs(found) do
        local wait = i % 3 == 0 and i * 1e-5 or 0
        source:cancel_after(wait)
      end
      for _, source in ipairs(found) do assert(source:token():wait(20)) end
      local limit = there.now() + 20 -- for threads that are held up
      while n < #found and there.now() < limit do there.dispatch() end
      return n
    end, table.concat(handles, " "))
    for i = 200, 1, -1 do sources[i]:cancel_after(i % 7 * 1e-4) end
    assert.is_true(desist.linked_all(table.unpack(all)):token():wait(20))
    assert.equal(200, crossing.join())
    assert.is_true(helper.becomes_true(function()
      desist.dispatch()
      return runs.n >= 200
    end))
    assert.equal(200, runs.n)
  end)
end)

-- Which library is loaded first and unloaded last, and by whose thread.
describe("a process with threads of cqueues", function()
  local function assert_ends(script)
    local output, how, code = helper.child(script)
    assert.equal("done\n", output)
    assert.equal("exit", how)
    assert.equal(0, code)
  end

  -- In it `start(name)` starts a thread: one that arms deadlines and ends, or
  -- waits for ever, or leaves when its token is cancelled.
  local prelude = [[
    local threads = require "cqueues.thread"
    local function start(what, handle)
      return threads.start(function(pipe, path, cpath, what, handle)
        package.path, package.cpath = path, cpath
        local desist = require "desist"
        desist.after(0.002):token():register(type)
        kept = desist.after(1000)
        pipe:write("ready\n")
        pipe:flush()
        if what == "wait" then desist.after(1000):token():wait() end
        if what == "leave" then desist.from_handle(handle):wait(20) end
      end, package.path, package.cpath, what, handle)
    end
  ]]

  it("loads and unloads the library with each of them", function()
    assert_ends(prelude .. [[
      for _ = 1, 10 do
        start("end"):join()
      end
      require "cqueues".sleep(0.01)
      print "done"
    ]])
  end)

  it("ends while they wait, the library loaded by them alone", function()
    assert_ends(prelude .. [[
      local thread, pipe = start "wait"
      assert(pipe:read() == "ready")
      print "done"
    ]])
  end)

  it("ends while they wait, the library loaded before and after", function()
    for _, before in ipairs { "require 'desist'", "" } do
      assert_ends(before .. prelude .. [[
        local thread, pipe = start "wait"
        assert(pipe:read() == "ready")
        local desist = require "desist"
        local armed = desist.after(0.001)
        armed:token():register(type)
        print "done"
      ]])
    end
  end)

  it("ends while they end", function()
    for _ = 1, 5 do
      assert_ends(prelude .. [[
        local desist = require "desist"
        local source, kept = desist.source(), {}
        for i = 1, 4 do
          local thread, pipe = start("leave", source:token():handle())
          kept[i] = { thread, pipe }
          assert(pipe:read() == "ready")
        end
        source:cancel()
        print "done"
      ]])
    end
  end)
end)
