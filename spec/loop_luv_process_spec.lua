-- luv.spawn: programs that end by themselves, and those that must.

local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"
local helper_luv = require "spec.helper_luv"
local luv = require "desist.loop.luv"
local uv = require "luv"

-- A shell that says its number when it has set its traps, and then does what it
-- is told.
local function shell(script, options)
  local pipe = uv.new_pipe(false)
  options = options or {}
  local traps, rest = script:match "^(trap '.-' TERM; )(.*)"
  options.args = { "-c", (traps or "") .. "echo $$; " .. (rest or script) }
  options.stdio = { nil, pipe }
  return pipe, options
end

local function is_there(pid)
  return uv.kill(pid, 0) == 0
end

-- Runs the shell until it has said its number, then cancels. Gives the number
-- and how long the end took.
local function cancelled_shell(script, grace)
  local pipe, options = shell(script, { grace = grace })
  local pid, took
  luv.run(function()
    async.scope(function(scope)
      local running = scope:spawn(luv.spawn, "/bin/sh", options)
      async.checkpoint()
      pid = tonumber(luv.read(pipe))
      assert.is_true(is_there(pid))
      local start = desist.now()
      running:cancel()
      helper.raises(function() running:join() end, "cancelled")
      took = desist.now() - start
      assert.is_false(is_there(pid))
    end)
    luv.close(pipe)
  end)
  return pid, took
end

describe("luv.spawn", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  it("gives the exit code and the signal", function()
    luv.run(function()
      assert.same({ 0, 0 }, { luv.spawn "/bin/true" })
      assert.same({ 3, 0 }, { luv.spawn("/bin/sh",
        { args = { "-c", "exit 3" } }) })
      assert.same({ 0, 9 }, { luv.spawn("/bin/sh",
        { args = { "-c", "kill -9 $$" } }) })
    end)
  end)

  it("gives nil, message, name for what cannot be started", function()
    luv.run(function()
      assert.same({ n = 3, nil, "ENOENT: no such file or directory",
        "ENOENT" }, table.pack(luv.spawn "/nowhere"))
    end)
  end)

  it("leaves the pipes to who made them", function()
    luv.run(function()
      local pipe, options = shell "echo hello"
      async.scope(function(scope)
        local output = ""
        scope:spawn(function()
          for chunk in luv.read, pipe do output = output .. chunk end
          assert.is_truthy(output:find "^%d+\nhello\n$")
        end)
        luv.spawn("/bin/sh", options)
      end)
      assert.is_false(pipe:is_closing())
      luv.close(pipe)
    end)
  end)

  it("cancelled, sends TERM and waits for the end", function()
    local _, took = cancelled_shell("exec sleep 60", 60)
    assert.is_true(took < 5)
  end)

  it("lets the program clean up within the grace", function()
    local path = os.tmpname()
    cancelled_shell(("trap 'sleep 0.1; echo cleaned >%s; exit' TERM; "
      .. "while :; do sleep 0.01; done"):format(path), 60)
    local file = io.open(path)
    assert.equal("cleaned", file:read "a":match "%a+")
    file:close()
    os.remove(path)
  end)

  it("sends KILL when the grace is over", function()
    local _, took = cancelled_shell(
      "trap '' TERM; while :; do sleep 0.01; done", 0.1)
    assert.is_true(took >= 0.1 and took < 5, took)
  end)

  it("is not hurried by a second cancellation", function()
    local path = os.tmpname()
    local pipe, options = shell(("trap 'sleep 0.1; echo cleaned >%s; exit' "
      .. "TERM; while :; do sleep 0.01; done"):format(path))
    luv.run(function()
      async.move_on_after(5, function()
        async.scope(function(scope)
          local running = scope:spawn(luv.spawn, "/bin/sh", options)
          async.checkpoint()
          luv.read(pipe)
          running:cancel()
          async.sleep(0.02)
          scope:cancel()
        end)
      end)
      luv.close(pipe)
    end)
    local file = io.open(path)
    assert.equal("cleaned", file:read "a":match "%a+")
    file:close()
    os.remove(path)
  end)

  it("starts nothing in a cancelled block", function()
    luv.run(function()
      local path = os.tmpname()
      os.remove(path)
      async.scope(function(scope)
        scope:cancel()
        luv.spawn("/usr/bin/touch", { args = { path } })
      end)
      assert.is_nil(io.open(path))
    end)
  end)

  it("ends the program, too, when the loop is closed", function()
    local pipe, options = shell(
      "trap '' TERM; while :; do sleep 0.01; done", { grace = 0.05 })
    local loop = luv.loop()
    loop:spawn(luv.spawn, "/bin/sh", options)
    local reading = loop:spawn(luv.read, pipe)
    while not reading:result() do uv.run "once" end
    local pid = tonumber(select(2, reading:result()))
    luv.close(pipe)
    loop:close()
    uv.run()
    assert.is_false(is_there(pid))
  end)

  it("may have a grace without end", function()
    local _, took = cancelled_shell("exec sleep 60", math.huge)
    assert.is_true(took < 5)
  end)

  it("takes a grace in seconds", function()
    luv.run(function()
      helper.argument_error(2, "spawn", "0 or more seconds expected",
        function() luv.spawn("/bin/true", { grace = -1 }) end)
    end)
  end)
end)
