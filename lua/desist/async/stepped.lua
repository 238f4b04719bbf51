--- Loops that the host drives: a game from its frames, a test by hand.

local desist = require "desist"
local arguments = require "desist.async.arguments"
local loops = require "desist.async.loop"

local Loop = loops.Loop
local budget = desist._inside.budget

--- What clocks of the core can hold, almost: 292 years.
local LIMIT = 9.2e9

local Stepped = { __tostring = Loop.__tostring }
Stepped.__index = setmetatable(Stepped, { __index = Loop })

local step_options = { budget = "seconds" }

--- Advances its clock by `dt`, and runs what is ready on the way. With
-- `options.budget`, in seconds of real time, tasks that overrun it are set
-- aside in the middle of their Lua code, and go on in the next step.
function Stepped:step(dt, options)
  arguments.check_seconds(dt, 1, "step")
  if self.time + dt > LIMIT then
    arguments.bad(1, "step",
      ("fewer seconds expected than end the time of clocks, got %s")
        :format(tostring(dt)))
  end
  if options == nil then return self:_turn(self.time + dt) end
  if type(options) ~= "table" then
    arguments.bad(2, "step", "table expected, got " .. type(options))
  end
  arguments.check_options(options, 2, "step", step_options)
  if options.budget == nil then return self:_turn(self.time + dt) end
  return budget(options.budget, self._turn, self, self.time + dt)
end

--- async.loop([options])
local function loop(options)
  local start, name = 0, nil
  if options ~= nil then
    if type(options) ~= "table" then
      arguments.bad(1, "loop", "table expected, got " .. type(options))
    end
    arguments.check_options(options, 1, "loop",
      { start = "time", name = "string" })
    start, name = options.start or 0, options.name
    if start > LIMIT or start < -LIMIT then
      arguments.bad(1, "loop",
        ("option 'start': a time that clocks can hold expected, got %s")
          :format(tostring(start)))
    end
  end
  return setmetatable(loops.new { time = start, name = name }, Stepped)
end

return { Stepped = Stepped, loop = loop }
