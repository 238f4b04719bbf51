--- Tasks on the event loop of luv. docs/loops.md shows them at work.
--
-- `run` runs the event loop itself, `loop` gives a loop that turns whenever
-- the user runs it. The bridges await what luv calls back for; they work in
-- the tasks of every loop of this thread while luv's event loop runs.
--
-- While tasks live the loop has three handles in luv, and keeps it running;
-- with the last task they are closed.

local uv = require "luv"
local arguments = require "desist.async.arguments"
local door = require "desist.async.door"
local handle = require "desist.loop.luv.handle"
local process = require "desist.loop.luv.process"
local request = require "desist.loop.luv.request"
local run_on = require "desist.async.run".run_on
local running = require "desist.async.running"
local stream = require "desist.loop.luv.stream"
local turns = require "desist.loop.luv.turns"

--- luv.loop([options]): options are { name = }.
local function loop(options)
  if options ~= nil then
    if type(options) ~= "table" then
      arguments.bad(1, "loop", "table expected, got " .. type(options))
    end
    arguments.check_options(options, 1, "loop", { name = "string" })
  end
  return door.hosted(turns.door(), options and options.name)
end

--- Luv gives up when nothing is left that could wake a task.
local function drive(main)
  while not main.ended do
    if not uv.run "once" and not main.ended then
      error("tasks are left, and nothing that could wake them", 0)
    end
  end
end

--- luv.run(fn, ...): runs fn as a task, and luv's event loop until it has
-- ended; its results, or its error. Luv's last turn is for the handles that
-- the loop has closed.
local function run(fn, ...)
  arguments.check_callable(fn, 1, "run")
  if running.here.task then error("luv.run inside a task", 2) end
  local own = loop()
  local close = own.close
  function own:close()
    close(self)
    uv.run "nowait"
  end
  return run_on(own, drive, fn, ...)
end

return {
  run = run,
  loop = loop,

  -- any request, any handle
  request = request.request,
  once = handle.once,
  close = handle.close,
  with = handle.with,

  -- names, sockets, pipes, processes
  getaddrinfo = request.getaddrinfo,
  connect = stream.connect,
  listen = stream.listen,
  accept = stream.accept,
  read = stream.read,
  write = stream.write,
  spawn = process.spawn,
}
