--- The door to a host's event loop: all that desist.async asks of one.
--
-- Who wants tasks on an event loop of his own writes a table of three
-- functions, a door, and gives it to `hosted`:
--
--   door.soon(fn)            call fn() from the event loop, soon, never from
--                            inside this call; several calls may become one
--   door.later(seconds, fn)  call fn() from the event loop when that time is
--                            over, not earlier; gives a handle
--   door.forget(handle)      fn will not be called. Only for a handle whose fn
--                            has not been called yet
--
-- and, where tasks are to see callbacks from other threads at once,
--
--   door.watch(fd, fn)       call fn() whenever the descriptor is readable
--
-- Time is desist.now(). Nothing else is asked: no thread, no polling; at most
-- one `later` is pending. See desist/loop/luv.lua for a whole adapter.

local desist = require "desist"
local loops = require "desist.async.loop"

--- A loop that turns on the host's event loop. It has spawn, now, is_idle,
-- next_time, cancel and close, like a stepped one.
local function hosted(door, name)
  local loop = loops.new { real = true, name = name }
  local alarm, alarm_time, coming

  local function turn()
    coming = false
    if alarm then
      door.forget(alarm)
      alarm = nil
    end
    if not loop.closed then loop:_turn(desist.now()) end
  end

  local function rest()
    local time = loop:next_time()
    if coming or time == nil then return end
    if time <= desist.now() then
      coming = true
      return door.soon(turn)
    end
    if alarm and time < alarm_time then
      door.forget(alarm)
      alarm = nil
    end
    if alarm == nil then
      alarm_time = time
      alarm = door.later(time - desist.now(), function()
        alarm = nil
        turn()
      end)
    end
  end

  loop.on_rest, loop.resting = rest, true
  if door.watch then door.watch(desist.wakeup_fd(), desist.dispatch) end
  return loop
end

return { hosted = hosted }
