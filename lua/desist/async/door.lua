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
-- One of soon and later is pending at most; it is not forgotten once fn was
-- called. The descriptor is watched while there are tasks, so that a host which
-- ends when it waits for nothing lives as long. docs/loops.md writes a door.

local desist = require "desist"
local loops = require "desist.async.loop"

local DAY, huge = 86400, math.huge

local function dispatch() desist.dispatch() end

--- A loop that turns on the host's event loop; else like a stepped one.
local function hosted(door, name)
  local loop = loops.new { real = true, name = name }
  local watched, pending, due -- two handles; the time of the second

  local function turn()
    pending = nil
    loop:_turn(desist.now())
  end

  local function forget(handle) if handle then door.forget(handle) end end

  --- Asks the host for the next turn; with no task left, for nothing.
  local function rest()
    local idle, time = loop:is_idle(), loop:next_time() or huge
    if not idle and not watched then
      watched = door.watch(desist.wakeup_fd(), dispatch)
    end
    if idle or pending and time < due then pending = forget(pending) end
    if not pending and time < huge then
      local left = time - desist.now()
      due = left > 0 and time or -huge
      pending = left > 0 and door.later(math.min(left, DAY), turn)
        or door.soon(turn)
    end
    if idle then watched = forget(watched) end
  end

  function loop:close()
    loops.Loop.close(self)
    rest()
  end
  loop.on_rest, loop.resting = rest, true
  return loop
end

return { hosted = hosted }
