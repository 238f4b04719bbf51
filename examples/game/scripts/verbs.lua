--- The words that scripts are written in: what waits, made of what the host
-- does (bindings.c) and of what desist.async waits for.

local async = require "desist.async"
local host = require "host"
local sync = require "desist.sync"

local Entity = host.Entity
local level = {}

--- Calls fn(...) at the end of a block: local _ <close> = finally(fn, ...)
local function finally(fn, ...)
  local arguments = table.pack(...)
  return setmetatable({}, { __close = function()
    fn(table.unpack(arguments, 1, arguments.n))
  end })
end

-- --- Entities ----------------------------------------------------------------

--- Walks there, `speed` tiles a second, frame by frame.
function Entity:move_to(x, y, speed)
  self:does(("walks to %.0f,%.0f"):format(x, y))
  repeat
    async.next_step()
  until self:step_to(x, y, speed or 2)
end

function Entity:wait(seconds)
  self:does(("waits %.1f s"):format(seconds))
  async.sleep(seconds)
end

--- Says something, for as long as it takes to read; the text is gone however
-- that ends.
function Entity:say(text)
  local _ <close> = finally(self.speak, self)
  self:speak(text)
  self:does "speaks"
  async.sleep(0.8 + #text * 0.04)
end

function Entity:distance_to(other)
  local x, y = self:position()
  local other_x, other_y = other:position()
  return math.sqrt((x - other_x) ^ 2 + (y - other_y) ^ 2)
end

--- Waits until the other one is as near as that.
function Entity:wait_for(other, distance)
  self:does("waits for " .. other:name())
  async.wait_until(function() return self:distance_to(other) <= distance end)
end

--- Carries a thing; it is left where the block ends.
function Entity:carry(look)
  return finally(function() self:drop(look) end)
end

-- --- Questions ---------------------------------------------------------------

-- One question at a time; the others wait for their turn.
local attention = sync.mutex()

local function answer_to(self, choices)
  return async.await(function(resume)
    host.ask(self, choices, resume)
    return host.withdraw
  end)
end

--- Asks the player; gives the number of the choice, or nil when the time is up.
function Entity:choose(text, choices, seconds)
  return attention:with(function()
    local _ <close> = finally(self.speak, self)
    self:speak(text)
    self:does "asks"
    return (async.move_on_after(seconds or math.huge, answer_to, self, choices))
  end)
end

-- --- Levels ------------------------------------------------------------------

--- Has the map loaded on the loader's thread, and waits until it is there.
function level.load(path, options)
  local ended = host.order_map(path, options.seed, options.dark)
  local result = async.await(function(resume)
    local registration = ended:register(resume)
    return function() registration:unregister() end
  end)
  -- The loader may tell that it was stopped before this task is told that the
  -- level was left; then that is what the next checkpoint raises.
  if result == "stopped" then async.checkpoint() end
  if result ~= "loaded" then error(path .. ": " .. result, 0) end
end

--- Lets an entity in. Fields: name, look, flies; at, a letter of the map, or x
-- and y; script, mod (true: under guard), and whatever the script wants.
function level.enter(options)
  if options.at then options.x, options.y = host.mark(options.at) end
  return host.create(options)
end

level.find, level.play, level.leads_to = host.find, host.play, host.leads_to
level.open_gates, level.tell = host.open_gates, host.tell

-- --- What scripts see besides their own globals ------------------------------

local globals = setmetatable({
  async = async, finally = finally, level = level,
}, { __index = _G })

--- What mods see: nothing that reaches the files, or that no guard can stop.
-- async.spawn would leave the guard; finalizers (setmetatable) and the message
-- handlers of xpcall run with hooks off.
local mod_globals = {
  wait = async.sleep,
  level = { find = level.find, tell = level.tell },
}
for _, name in ipairs { "assert", "error", "ipairs", "next", "pairs", "pcall",
  "select", "tonumber", "tostring", "type" } do
  mod_globals[name] = _G[name]
end
for _, name in ipairs { "math", "string", "table" } do
  mod_globals[name] = {}
  for key, value in pairs(_G[name]) do mod_globals[name][key] = value end
end

return {
  finally = finally,
  globals = globals,
  level = level,
  mod_globals = mod_globals,
}
