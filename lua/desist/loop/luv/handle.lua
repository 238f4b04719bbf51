--- Awaiting handles of luv: what one is started for, and closing it.

local uv = require "luv"
local arguments = require "desist.async.arguments"
local hold = require "desist.sync.holding"
local request = require "desist.loop.luv.request"
local running = require "desist.async.running"
local await = require "desist.async.wait".await

local failure = request.failure
local unpack = table.unpack or unpack

--- handle -> what ends the wait for it with an error, given its name.
local waits = setmetatable({}, { __mode = "k" })

--- Notes that `fn` is to be called, with "ECANCELED", when luv.close closes
-- the handle; nil: no more. Luv itself tells those who wait nothing.
local function on_close(handle, fn)
  waits[handle] = fn
end

--- luv.once(start, stop, handle, ...): calls start(handle, ..., callback) for
-- the first call of the callback, then stop(handle): uv.poll_start,
-- uv.udp_recv_start, uv.fs_event_start. What the callback was given, or nil,
-- message, name. Cancelled, it is stopped, too.
local function once(start, stop, handle, ...)
  local args = { n = select("#", ...) + 1, ... }
  return await(function(resume)
    if waits[handle] then return resume(failure "EALREADY") end
    local function finish()
      waits[handle] = nil
      if not uv.is_closing(handle) then stop(handle) end
    end
    local function callback(err, ...)
      finish()
      if err then return resume(failure(err)) end
      return resume(...)
    end
    args[args.n] = callback
    local ok, message, name = start(handle, unpack(args, 1, args.n))
    if not ok then return resume(nil, message, name) end
    waits[handle] = callback
    return finish
  end)
end

--- luv.close(handle): closes it, if it is not closed. A task that waits for it
-- is given nil, message, "ECANCELED". No checkpoint: also for cleaning up.
local function close(handle)
  local wait = waits[handle]
  if wait then wait "ECANCELED" end
  if not uv.is_closing(handle) then handle:close() end
end

--- luv.with(handle, fn, ...): fn(handle, ...)'s results or its error, after
-- the handle is closed; it is closed, too, with the task when its loop is.
local function with(handle, fn, ...)
  local task = running.current "luv.with"
  arguments.check_callable(fn, 2, "with")
  return hold(close, handle, task, fn, handle, ...)
end

return { close = close, on_close = on_close, once = once, with = with }
