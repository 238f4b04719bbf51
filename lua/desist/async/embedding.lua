--- Loops for hosts that embed Lua: what the functions of desist_lua.h call.

local arguments = require "desist.async.arguments"
local stepped = require "desist.async.stepped"

local Stepped = stepped.Stepped

local function check(loop, name)
  if getmetatable(loop) ~= Stepped then
    arguments.bad(1, name, "loop expected, got " .. type(loop), 2)
  end
end

local function create(name, start)
  return stepped.loop { name = name, start = start }
end

local function spawn(loop, name, token, fn, ...)
  check(loop, "spawn")
  if name == nil and token == nil then return loop:spawn(fn, ...) end
  return loop:spawn({ name = name, token = token }, fn, ...)
end

local function step(loop, seconds, budget)
  check(loop, "step")
  if budget == nil then return loop:step(seconds) end
  return loop:step(seconds, { budget = budget })
end

local function cancel(loop, ...)
  check(loop, "cancel")
  return loop:cancel(...)
end

local function close(loop)
  check(loop, "close")
  return loop:close()
end

local function is_idle(loop)
  check(loop, "is_idle")
  return loop:is_idle()
end

local function next_time(loop)
  check(loop, "next_time")
  return loop:next_time()
end

return {
  create = create,
  spawn = spawn,
  step = step,
  cancel = cancel,
  close = close,
  is_idle = is_idle,
  next_time = next_time,
}
