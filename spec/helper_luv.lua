-- What the specs of luv share: what is left in it, servers, work for its thread
-- pool.

local assert = require "luassert"
local desist = require "desist"
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

-- Work -------------------------------------------------------------------

-- Runs in a state of luv's thread pool, which is never closed: the next work
-- on that thread finds it as this one has left it.
local function work_main(path, cpath, code, ...)
  package.path, package.cpath = path, cpath
  local ok, value = pcall(load(code, "=work", "b"), ...)
  if not ok then return "error: " .. tostring(value) end
  return value
end

-- How many threads the pool has.
helper_luv.pool = tonumber(os.getenv "UV_THREADPOOL_SIZE") or 4

-- Queues fn(...) to luv's thread pool, under the rules of helper.thread. The
-- object's `token` is cancelled with what fn returned, from luv; `finish` runs
-- luv until then and gives it. An error of fn is raised there.
function helper_luv.work(fn, ...)
  local report = desist.source()
  local job = { token = report:token() }
  local work = uv.new_work(work_main, function(value)
    report:cancel(value == nil or value)
  end)
  assert(work:queue(package.path, package.cpath, string.dump(fn), ...))
  function job.finish()
    while not report:is_cancelled() do uv.run "once" end
    local value = job.token:reason()
    if type(value) == "string" and value:find "^error: " then
      error(value, 2)
    end
    return value
  end
  return job
end

return helper_luv
