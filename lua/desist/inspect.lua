--- What is going on: desist.inspect, desist.trace, desist.late, desist.on_late.
-- Loaded when one of them is called first.

local arguments = require "desist.async.arguments"
local late = require "desist.inspect.late"
local sources = require "desist.inspect.source"
local text = require "desist.inspect.text"
local trace = require "desist.inspect.trace"
local inside = require "desist.core"._inside

local bad, check_seconds = arguments.bad, arguments.check_seconds

--- desist.inspect(value): a text of several lines.
local function inspect(value)
  local lines = text.lines()
  local seen = inside.look(value, nil, text.LINES)
  if seen then
    sources.write(lines, seen)
  elseif not (inside.loops -- else there are no tasks yet
    and require "desist.inspect.tasks".write(lines, value)) then
    bad(1, "inspect", "source, token, scope, task or loop expected, got "
      .. type(value))
  end
  return lines:text()
end

--- desist.trace(on): what it was before.
local function switch_trace(on)
  if type(on) ~= "boolean" then
    bad(1, "trace", "boolean expected, got " .. type(on))
  end
  return trace.trace(on)
end

--- desist.late([seconds])
local function late_work(seconds)
  if seconds ~= nil then check_seconds(seconds, 1, "late") end
  return late.late(seconds or 0)
end

--- desist.on_late(seconds, handler), desist.on_late(nil)
local function on_late(seconds, handler)
  if seconds ~= nil or handler ~= nil then
    check_seconds(seconds, 1, "on_late")
    if handler ~= nil then arguments.check_callable(handler, 2, "on_late") end
  end
  return late.on_late(seconds, handler)
end

return {
  inspect = inspect,
  late = late_work,
  on_late = on_late,
  trace = switch_trace,
}
