--- The door to a host's event loop: all that desist.async asks of one.
--
-- Who wants tasks on an event loop of his own gives `hosted` a table, a door:
--
--   soon(fn)            calls fn() from the event loop, soon, never inside
--                       this call; gives a handle
--   later(seconds, fn)  the same when the time is over (a day at most)
--   watch(fd, fn)       calls fn() whenever the descriptor is readable (nil:
--                       there is none here; now and then); gives a handle
--   forget(handle)      fn will not be called (again)
--
-- One of soon and later is pending at most, and is not forgotten once fn was
-- called. From the first task until none is left the descriptor is watched: a
-- host that ends when it waits for nothing lives as long as the tasks.
-- Time is desist.now(). docs/loops.md shows how to write one.

local desist = require "desist"
local loops = require "desist.async.loop"

local DAY, huge = 86400, math.huge

local function dispatch() desist.dispatch() end

--- A loop that turns on the host's event loop. It has spawn, now, is_idle,
-- next_time, cancel and close, like a stepped one.
local function hosted(door, name)
  local loop = loops.new { real = true, name = name }
  local watched, pending, due -- two handles; the time of the second

  local function turn()
    pending = nil
    loop:_turn(desist.now())
  end

  --- Asks the host for the next turn; with no task left, for nothing.
  local function rest()
    if not loop:is_idle() and not watched then
      watched = door.watch(desist.wakeup_fd(), dispatch)
    end
    local time = loop:next_time() or huge
    if pending and time < due or loop:is_idle() then
      if pending then door.forget(pending) end
      pending = nil
    end
    if not pending and time < huge then
      local left = time - desist.now()
      due = left > 0 and time or -huge
      pending = left > 0 and door.later(math.min(left, DAY), turn)
        or door.soon(turn)
    end
    if loop:is_idle() and watched then watched = door.forget(watched) end
  end

  function loop:close()
    loops.Loop.close(self)
    rest()
  end
  loop.on_rest, loop.resting = rest, true
  return loop
end

return { hosted = hosted }
