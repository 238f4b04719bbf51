--- Awaiting child processes.
--
-- The pipes to a program belong to who made them. Tasks that read them are
-- spawned before luv.spawn is called: they run when it waits, and so when the
-- pipes are there.

local uv = require "luv"
local arguments = require "desist.async.arguments"
local scope = require "desist.async.scope"
local await = require "desist.async.wait".await
local milliseconds = require "desist.loop.luv.turns".milliseconds

local GRACE = 5 -- seconds between TERM and KILL

--- Asks the process to end; when the grace is over, ends it. The timer is in
-- luv, so that this also works when the loop is closed with its tasks.
local function stop(child, grace)
  child.timer = uv.new_timer()
  child.timer:start(milliseconds(grace), 0, function()
    child.handle:kill "sigkill"
  end)
  child.handle:kill "sigterm"
end

--- Starts it; `child.exited` is called at its end, when all is closed.
local function start(child, path, options)
  local pid, name
  child.handle, pid, name = uv.spawn(path, options, function(code, signal)
    child.handle:close()
    if child.timer then child.timer:close() end
    child.code, child.signal = code, signal
    child.exited(code, signal)
  end)
  if not child.handle then child.exited(nil, pid, name) end
end

local function wait_for_exit(child)
  if child.code then return end
  await(function(resume) child.exited = resume end)
end

--- luv.spawn(path [, options]): runs a program; its exit code and the number
-- of the signal that ended it, or nil, message, name. Options are those of
-- uv.spawn, and { grace = seconds }: cancelled, the program is sent TERM at
-- once, KILL when the grace is over, and its end is awaited.
local function spawn(path, options)
  local given, grace = {}, GRACE
  for key, value in pairs(options or {}) do given[key] = value end
  if given.grace ~= nil then
    arguments.check_seconds(given.grace, 2, "spawn", "option 'grace': ")
    grace, given.grace = given.grace, nil
  end
  local child = {}
  local function run(resume)
    child.exited = resume
    start(child, path, given)
    return child.handle and function() stop(child, grace) end
  end
  local function ended(ok, ...)
    if ok then return ... end
    if child.handle then scope.shield(wait_for_exit, child) end
    error((...), 0)
  end
  return ended(pcall(await, run))
end

return { spawn = spawn }
