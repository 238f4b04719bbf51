-- luv.once and luv.close: what a handle is started for.

local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"
local helper_luv = require "spec.helper_luv"
local luv = require "desist.loop.luv"
local uv = require "luv"

local function udp()
  local socket = uv.new_udp()
  assert(socket:bind("127.0.0.1", 0))
  return socket, socket:getsockname().port
end

local function receive(socket)
  return luv.once(uv.udp_recv_start, uv.udp_recv_stop, socket)
end

describe("luv.once", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  it("gives what the first callback is given, and stops the handle",
    function()
      luv.run(function()
        local socket, port = udp()
        local other = udp()
        assert(luv.request(uv.udp_send, other, "hello", "127.0.0.1", port)
          == nil)
        local data, address = receive(socket)
        assert.equal("hello", data)
        assert.equal("127.0.0.1", address.ip)
        assert.is_false(socket:is_active())
        luv.close(socket)
        luv.close(other)
      end)
    end)

  it("stops the handle when cancelled; it can be awaited again", function()
    luv.run(function()
      local socket, port = udp()
      async.scope(function(scope)
        scope:spawn(function()
          async.checkpoint()
          assert.is_true(socket:is_active())
          scope:cancel()
          assert.is_false(socket:is_active())
        end)
        receive(socket)
      end)
      socket:send("again", "127.0.0.1", port, function() end)
      assert.equal("again", (receive(socket)))
      luv.close(socket)
    end)
  end)

  it("waits for files that change", function()
    luv.run(function()
      local path = os.tmpname()
      local watch = uv.new_fs_event()
      async.scope(function(scope)
        scope:spawn(function()
          async.sleep(0.01)
          local file = io.open(path, "w")
          file:write "x"
          file:close()
        end)
        local _, events = luv.once(uv.fs_event_start, uv.fs_event_stop, watch,
          path, {})
        assert.is_true(events.change)
      end)
      luv.close(watch)
      os.remove(path)
    end)
  end)

  it("gives nil, message, name when the handle cannot be started", function()
    luv.run(function()
      local watch = uv.new_fs_event()
      local ok, message, name = luv.once(uv.fs_event_start, uv.fs_event_stop,
        watch, "/nowhere", {})
      assert.is_nil(ok)
      assert.equal("ENOENT", name)
      assert.is_truthy(message:find "^ENOENT: ")
      luv.close(watch)
    end)
  end)

  it("leaves a handle alone that luv itself has closed", function()
    luv.run(function()
      local source = desist.source()
      local poll = uv.new_poll(source:token():fd())
      async.scope(function(scope)
        scope:spawn(luv.once, uv.poll_start, uv.poll_stop, poll, "r")
        async.checkpoint()
        poll:close() -- to stop it now would end the process
        scope:cancel()
      end)
    end)
  end)

  it("lets one task at a time wait for a handle", function()
    luv.run(function()
      local source = desist.source()
      local poll = uv.new_poll(source:token():fd())
      local function readable()
        return luv.once(uv.poll_start, uv.poll_stop, poll, "r")
      end
      async.scope(function(scope)
        local first = scope:spawn(readable)
        async.checkpoint()
        assert.equal("EALREADY", select(3, readable()))
        source:cancel()
        assert.equal("r", first:join())
      end)
      luv.close(poll)
    end)
  end)
end)

describe("luv.close", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  it("closes a handle, any number of times", function()
    local socket = udp()
    luv.close(socket)
    assert.is_true(socket:is_closing())
    luv.close(socket)
    uv.run()
    luv.close(socket)
  end)

  it("wakes the task that waits for the handle", function()
    luv.run(function()
      local socket = udp()
      async.scope(function(scope)
        local task = scope:spawn(receive, socket)
        async.checkpoint()
        luv.close(socket)
        assert.same({ n = 3, nil,
          "ECANCELED: operation canceled", "ECANCELED" },
          table.pack(task:join()))
      end)
    end)
  end)

  it("is no checkpoint", function()
    luv.run(function()
      local socket = udp()
      async.scope(function(scope)
        scope:cancel()
        luv.close(socket)
        assert.is_true(socket:is_closing())
      end)
    end)
  end)
end)

describe("luv.with", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  it("gives what the function returns, and closes the handle", function()
    luv.run(function()
      local socket = udp()
      assert.same({ n = 3, true, nil, 2 }, table.pack(luv.with(socket,
        function(given, ...) return given == socket, ... end, nil, 2)))
      assert.is_true(socket:is_closing())
    end)
  end)

  it("closes it when the function fails", function()
    luv.run(function()
      local socket = udp()
      local problem = {}
      assert.equal(problem, helper.raises(function()
        luv.with(socket, function() error(problem) end)
      end))
      assert.is_true(socket:is_closing())
    end)
  end)

  it("closes it when the task is cancelled", function()
    luv.run(function()
      local socket = udp()
      local _, err = async.move_on_after(0.01, luv.with, socket, receive)
      assert.equal("deadline", err.kind)
      assert.is_true(socket:is_closing())
    end)
  end)

  it("closes it when the loop is closed", function()
    local loop, socket = luv.loop(), udp()
    loop:spawn(luv.with, socket, function() async.sleep(60) end)
    uv.run "nowait"
    loop:close()
    assert.is_true(socket:is_closing())
    uv.run()
  end)

  it("wants a task and a function", function()
    helper.raises(function() luv.with(nil, print) end,
      "luv.with outside a task")
    luv.run(function()
      helper.argument_error(2, "with", "function expected, got nil",
        function() luv.with(nil) end)
    end)
  end)
end)
