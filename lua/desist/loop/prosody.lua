--- Tasks on the event loop of Prosody, for its modules. docs/loops.md shows
-- one that answers HTTP requests.
--
-- Works with each network backend of Prosody that can watch descriptors:
-- epoll, its default, and select.

local logger = require "util.logger"
local errors = require "util.error"
local promise = require "util.promise"
local server = require "net.server"
local timer = require "util.timer"
local arguments = require "desist.async.arguments"
local hosted = require "desist.async.door".hosted
local tasks = require "desist.async.task"
local await = require "desist.async.wait".await

local log = logger.init "desist"

--- Where desist has no descriptor, how often it is looked after (seconds).
local LOOK = 0.02

-- --- The door ---------------------------------------------------------------

--- Its handles are functions that forget.
local door = {}

function door.later(seconds, fn)
  local id = timer.add_task(seconds, function() fn() end)
  return function() timer.stop(id) end
end

function door.soon(fn)
  return door.later(0, fn)
end

local function look_often(fn)
  local id = timer.add_task(LOOK, function()
    fn()
    return LOOK
  end)
  return function() timer.stop(id) end
end

function door.watch(fd, fn)
  if fd == nil then return look_often(fn) end
  local watched = server.watchfd(fd, function() fn() end)
  return function() watched:close() end
end

function door.forget(handle)
  handle()
end

--- prosody.loop([options]): options are { name = }.
local function loop(options)
  if options ~= nil then
    if type(options) ~= "table" then
      arguments.bad(1, "loop", "table expected, got " .. type(options))
    end
    arguments.check_options(options, 1, "loop", { name = "string" })
  end
  return hosted(door, options and options.name)
end

-- --- HTTP -------------------------------------------------------------------

--- What is told the client when a task has ended. A failure is logged, and is
-- nothing but a 500 for the client; an error of util.error speaks for itself.
local function result_of(task)
  local _, result = task:result()
  if task:status() == "cancelled" then return 503 end
  if task:status() == "returned" then return result end
  task.failure.handled = true
  if errors.is_err(result) then return result end
  log("error", "%s\n%s", tostring(result), task:traceback())
  return 500
end

--- Joins a task for the promise of its answer, which Prosody makes later, at
-- its next tick; the task may have ended by then.
local function answer(task, response)
  local ended, result, resolve
  local function try()
    if ended and resolve and not response.finished then resolve(result) end
  end
  tasks.add_joiner(task, {
    joined = function()
      ended, result = true, result_of(task)
      try()
    end,
  })
  return promise.new(function(fn)
    resolve = fn
    try()
  end)
end

--- prosody.handler(loop, fn): a handler for a route of mod_http. It runs
-- fn(event, ...) as a task of the loop; what that returns is the response, as
-- for any handler. When the client leaves, the task is cancelled. Who still
-- waits when the loop is closed, or comes later, is told 503.
local function handler(on, fn)
  arguments.check_callable(fn, 2, "handler")
  return function(event, ...)
    if on.closed then return 503 end
    local task, response = on:spawn(fn, event, ...), event.response
    response.on_destroy = function() task:cancel "the client has left" end
    return answer(task, response)
  end
end

-- --- Promises ---------------------------------------------------------------

--- prosody.await(promise): its value; its error is raised. Cancelled, it goes
-- on for itself: promises cannot be cancelled.
local function await_promise(awaited)
  local ok, value = await(function(resume)
    awaited:next(function(result) resume(true, result) end,
      function(err) resume(false, err) end)
  end)
  if not ok then error(value, 0) end
  return value
end

return { await = await_promise, handler = handler, loop = loop }
