--- The door of a loop on luv: its timer, its idle handle, and a share in the
-- poll of what other threads queue. See desist/async/door.lua.

local uv = require "luv"

-- --- The poll ---------------------------------------------------------------

--- Where there is no descriptor, a timer that looks so often (milliseconds).
local LOOK = 20

local poll -- one for all loops: luv has no second one on a descriptor
local sharers = 0

local function share(fd, fn)
  if sharers == 0 and fd then
    poll = assert(uv.new_poll(fd))
    poll:start("r", function() fn() end)
  elseif sharers == 0 then
    poll = uv.new_timer()
    poll:start(LOOK, LOOK, fn)
  end
  sharers = sharers + 1
end

--- Stops the poll, if nobody shares it any more; that one is to be closed.
local function unshare()
  sharers = sharers - 1
  if sharers > 0 then return nil end
  local unused = poll
  poll = nil
  unused:stop()
  return unused
end

-- --- The door ---------------------------------------------------------------

--- Milliseconds of luv's clock, which stands still between its turns, until
-- `seconds` from now, not less; some years at most.
local function milliseconds(seconds)
  seconds = math.min(seconds, 2 ^ 31)
  return math.ceil(uv.hrtime() / 1e6 + seconds * 1e3) - uv.now()
end

--- The handles are there as long as something is watched. An idle handle and
-- not a timer of 0 ms: that would keep luv from looking at its sockets.
local function door()
  local idle, timer
  local self = {}

  function self.watch(fd, fn)
    share(fd, fn)
    idle, timer = uv.new_idle(), uv.new_timer()
    return self
  end

  function self.soon(fn)
    local handle = idle
    handle:start(function()
      handle:stop()
      fn()
    end)
    return handle
  end

  function self.later(seconds, fn)
    timer:start(milliseconds(seconds), 0, function() fn() end)
    return timer
  end

  --- Closing takes a turn of luv. If none ever came luv would crash at the end
  -- of the state; so it begins in that turn, too.
  local function close()
    local handle, other, unused = idle, timer, unshare()
    handle:start(function()
      handle:close()
      other:close()
      if unused then unused:close() end
    end)
  end

  function self.forget(handle)
    if handle == self then return close() end
    handle:stop()
  end

  return self
end

return { door = door, milliseconds = milliseconds }
