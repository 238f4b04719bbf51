--- What can be listened to, switched on at run time.
--
-- A module that has something to tell offers a function which puts a listener
-- into its way, or takes it out. So what nobody listens to costs nothing, and
-- it does not matter which of the two is loaded first.

local switches, listeners = {}, {}

--- `set(listener)`; nil: nobody listens.
local function offer(what, set)
  switches[what] = set
  if listeners[what] then set(listeners[what]) end
end

local function listen(what, listener)
  listeners[what] = listener
  if switches[what] then switches[what](listener) end
end

return { offer = offer, listen = listen }
