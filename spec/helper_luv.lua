-- What the specs of desist.loop.luv share: what is left in luv, and servers.

local assert = require "luassert"
local uv = require "luv"

local helper_luv = {}

-- How many handles luv has, those that are being closed, too.
function helper_luv.handles()
  local count = 0
  uv.walk(function() count = count + 1 end)
  return count
end

-- A test that leaves a handle in luv, or a request that keeps it alive, fails.
function helper_luv.leave_nothing(before_each, after_each)
  local before, known
  before_each(function()
    uv.run "nowait"
    before, known = helper_luv.handles(), {}
    uv.walk(function(handle) known[handle] = true end)
  end)
  after_each(function()
    local after, alive = helper_luv.handles(), uv.loop_alive()
    uv.walk(function(handle)
      if not known[handle] and not handle:is_closing() then handle:close() end
    end)
    uv.run "nowait"
    assert.equal(before, after, "handles left in luv")
    assert.is_false(alive, "something keeps luv alive")
  end)
end

-- Calls fn from luv in so many milliseconds.
function helper_luv.after(milliseconds, fn)
  local timer = uv.new_timer()
  timer:start(milliseconds, 0, function()
    timer:close()
    fn()
  end)
end

-- A TCP socket on a free port of 127.0.0.1, and the port.
function helper_luv.bound()
  local socket = uv.new_tcp()
  assert(socket:bind("127.0.0.1", 0))
  return socket, socket:getsockname().port
end

return helper_luv
