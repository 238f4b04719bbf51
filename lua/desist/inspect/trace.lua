--- desist.trace: notes where and when things are made. Sources and
-- registrations are noted in C (lua_inspect.c); tasks and blocks here, in
-- `made`, on the clock of their loop.

local hooks = require "desist.hooks"
local late = require "desist.inspect.late"
local text = require "desist.inspect.text"
local inside = require "desist.core"._inside

local function note(block)
  local loop = block.loop or block.parent.loop
  block.made = { time = loop:now(), place = (text.find_place()) }
end

--- What it was before.
local function trace(on)
  hooks.listen("spawned", on and note or nil)
  hooks.listen("opened", on and note or nil)
  late.trace(on)
  return inside.trace(on)
end

return { trace = trace }
