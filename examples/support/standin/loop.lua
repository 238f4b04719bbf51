--- A loop of timers, for hosts without an event library.
--
-- It sleeps in `desist.none:wait(seconds)`: a wait on the token that is never
-- cancelled is a sleep during which desist delivers what other threads, such
-- as the one of the deadlines, have cancelled.

local desist = require "desist"

local timers = {} -- the nearest last

--- Calls back once, `seconds` from now, unless `:stop()` comes before.
local function after(seconds, callback)
  local timer = { due = desist.now() + seconds, callback = callback }
  function timer.stop()
    timer.callback = nil
  end
  local at = #timers + 1
  while at > 1 and timers[at - 1].due <= timer.due do
    at = at - 1
  end
  table.insert(timers, at, timer)
  return timer
end

local function drop_stopped()
  while #timers > 0 and not timers[#timers].callback do
    table.remove(timers)
  end
end

--- Runs until nothing is left to wait for.
local function run()
  drop_stopped()
  while #timers > 0 do
    local nearest = timers[#timers]
    local left = nearest.due - desist.now()
    if left > 0 then
      desist.none:wait(left) -- a callback delivered here may change the list
    else
      table.remove(timers)
      nearest.callback()
    end
    drop_stopped()
  end
end

-- `local loop <close>` as on luv; there is nothing here that must be closed.
return setmetatable({ after = after, run = run }, { __close = function() end })
