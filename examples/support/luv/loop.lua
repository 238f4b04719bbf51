--- luv's event loop, with errors that come out of `run`.
--
-- luv ends the process when a callback raises, with no cleanup: a terminal in
-- raw mode would stay raw. So every callback of the examples goes through
-- `protect`, which stops the loop and lets `run` raise what went wrong.
--
-- Made to be closed: `local loop <close> = require "support.luv.loop"`.

local uv = require "luv"

local failure

local function protect(callback)
  return function(...)
    local ok, message = xpcall(callback, debug.traceback, ...)
    if not ok then
      failure = failure or { message = message }
      uv.stop()
    end
  end
end

--- Runs until nothing is left to wait for.
local function run()
  uv.run()
  if failure then
    local message = failure.message
    failure = nil
    error(message, 0)
  end
end

--- Closing a handle twice is an error in luv; here it does nothing.
local function close(handle)
  if handle and not handle:is_closing() then
    handle:close()
  end
end

local function start_timer(first, every, callback)
  local timer = uv.new_timer()
  uv.update_time() -- the loop's idea of now is as old as its last turn
  timer:start(math.ceil(first * 1000), math.ceil(every * 1000),
    protect(callback))
  return { stop = function() close(timer) end }
end

--- Calls back once, `seconds` from now, unless `:stop()` comes before.
local function after(seconds, callback)
  local timer
  timer = start_timer(seconds, 0, function()
    timer.stop() -- a timer that fired still holds the loop
    callback()
  end)
  return timer
end

--- Calls back every `seconds`, until `:stop()`.
local function every(seconds, callback)
  return start_timer(seconds, seconds, callback)
end

--- Closes what an error has left open, and sees the closing through: luv
-- 1.44 crashes in lua_close if a handle is in the middle of it.
local function shut_down()
  failure = nil
  uv.walk(close)
  uv.run()
end

return setmetatable({
  protect = protect,
  run = run,
  close = close,
  after = after,
  every = every,
}, { __close = shut_down })
