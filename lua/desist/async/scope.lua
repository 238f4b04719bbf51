--- Scopes, timeouts, shields: blocks that a task opens. See docs/tasks.md, 6.

local desist = require "desist"
local arguments = require "desist.async.arguments"
local blocks = require "desist.async.block"
local hooks = require "desist.hooks"
local outcome = require "desist.async.outcome"
local running = require "desist.async.running"
local tasks = require "desist.async.task"

local cancel, close = blocks.cancel, blocks.close
local cancel_quietly = blocks.cancel_quietly
local check_seconds = arguments.check_seconds
local can_wait, refuse = desist._inside.can_wait, running.refuse
local push_timer, push_after = desist._inside.timers.push,
  desist._inside.timers.push_after
local real_now = desist.now
local set_deadline, token_of = blocks.set_deadline, blocks.token_of
local conclude, note_function = outcome.conclude, outcome.note_function
local raise, unpack = outcome.raise, outcome.unpack
local current, here, park = running.current, running.here, running.park
local on_error = tasks.on_error
local huge, select, setmetatable = math.huge, select, setmetatable
local type, xpcall = type, xpcall

local Scope = {}
Scope.__index = Scope

-- --- Opening and leaving ----------------------------------------------------

--- Waits for the tasks of a block; for those in the background when no other
-- is left.
local function await_tasks(block)
  while block.first do
    if tasks.has_ordinary(block) then
      block.awaiting = "tasks"
    else
      block.awaiting = "all"
      local task = block.first
      while task do
        local next = task.next
        cancel_quietly(task, "cancelled", "the scope has ended")
        task = next
      end
    end
    park()
  end
end

--- Raises what `conclude` says, or returns it.
local function give(task, ok, ...)
  if ok then return ... end
  local failure, err = ...
  if failure then return raise(task, failure) end
  error(err, 0)
end

--- All of it has ended.
local function pop(task, block, ...)
  task.block = block.parent
  close(block)
  return give(task, conclude(block, ...))
end

local function leave_slowly(task, block, ok, ...)
  if not ok then note_function(block, (...)) end
  if block.first == nil then return pop(task, block, ok, ...) end
  local results = { n = select("#", ...), ... }
  await_tasks(block)
  return pop(task, block, ok, unpack(results, 1, results.n))
end

--- The function of the task's innermost block has ended.
local function leave(task, block, ok, ...)
  if not ok or block.first or block.marked then
    return leave_slowly(task, block, ok, ...)
  end
  task.block = block.parent
  close(block)
  return ...
end

--- A block around what the task does next.
local function open(task, shield)
  local parent = task.block
  local block = setmetatable({
    parent = parent, task = task, loop = task.parent.loop, ended = false,
    first = nil, last = nil, doom = nil, due = nil,
  }, Scope)
  if shield then
    block.shield = true
  elseif parent.doom then
    block.doom = parent.doom
  end
  task.block = block
  return block
end

--- With a deadline, which may be over.
local function limit(block, due, now)
  if due == huge then return end
  block.due = due
  if due <= now then
    cancel(block, "deadline")
  else
    block.at = push_timer(block.loop.timers, block, due, true)
  end
end

--- A block that is cancelled in so many seconds; nil: that is no duration.
local function open_for(task, seconds)
  local block = open(task)
  local loop = block.loop
  local now = loop.real and real_now() or loop.time
  local at = push_after(loop.timers, block, now, seconds, true)
  if at == nil then
    task.block = block.parent
    return nil
  elseif at == false then
    block.due = now
    cancel(block, "deadline")
  elseif at ~= true then
    block.due, block.at = now + seconds, at
  end
  return block
end

-- --- async.scope and its neighbours -----------------------------------------

local scope_options = {
  timeout = "seconds", deadline = "time", token = "token",
  shield = "boolean", supervise = "boolean", name = "string",
}

local function open_with(task, options)
  local block = open(task, options.shield or nil)
  local due = options.deadline or huge
  block.supervise, block.name = options.supervise, options.name
  if options.timeout then
    due = math.min(due, block.loop:now() + options.timeout)
  end
  if options.token then blocks.follow(block, options.token) end
  limit(block, due, block.loop:now())
  return block
end

--- async.scope([options,] fn, ...)
local function scope(fn, ...)
  local task = current("async.scope")
  if type(fn) == "table" and not arguments.is_callable(fn) then
    arguments.check_options(fn, 1, "scope", scope_options)
    arguments.check_callable((...), 2, "scope")
    local block = open_with(task, fn)
    return leave(task, block,
      xpcall((...), on_error, block, select(2, ...)))
  end
  arguments.check_callable(fn, 1, "scope")
  local block = open(task)
  return leave(task, block, xpcall(fn, on_error, block, ...))
end

--- "scope 'login'", or the task's name: what stands around the block.
local function where(block)
  while block and not block.name do block = block.parent end
  if block == nil or block.task == false then return nil end
  if getmetatable(block) == Scope then
    return ("scope '%s'"):format(block.name)
  end
  return tasks.describe(block)
end

local function raise_timeout(block)
  if block.cause ~= "deadline" then
    return true, nil, blocks.error_of(block)
  end
  local message = ("timeout of %.14g s"):format(block.seconds)
  return false, nil, desist._inside.error("timeout", {
    seconds = block.seconds,
    message = message .. " in " .. (where(block) or tasks.describe(block.task)),
  })
end

--- async.timeout(seconds, fn, ...)
local function timeout(seconds, fn, ...)
  local task = here.task
  if not task or not can_wait(task.co) then refuse("async.timeout", 2) end
  if type(fn) ~= "function" then
    check_seconds(seconds, 1, "timeout")
    arguments.check_callable(fn, 2, "timeout")
  end
  local block = open_for(task, seconds)
  if block == nil then check_seconds(seconds, 1, "timeout") end
  block.seconds, block.on_cut = seconds, raise_timeout
  return leave(task, block, xpcall(fn, on_error, ...))
end

--- async.move_on_after(seconds, fn, ...)
local function move_on_after(seconds, fn, ...)
  local task = current("async.move_on_after")
  check_seconds(seconds, 1, "move_on_after")
  arguments.check_callable(fn, 2, "move_on_after")
  local block = open_for(task, seconds)
  return leave(task, block, xpcall(fn, on_error, ...))
end

local shield_options = {
  timeout = "seconds", deadline = "time", name = "string",
  token = "token", supervise = "boolean",
}

--- async.shield([options,] fn, ...)
local function shield(fn, ...)
  local task = current("async.shield")
  if type(fn) == "table" and not arguments.is_callable(fn) then
    local options = { shield = true }
    arguments.check_options(fn, 1, "shield", shield_options)
    arguments.check_callable((...), 2, "shield")
    for key, value in pairs(fn) do options[key] = value end
    return leave(task, open_with(task, options),
      xpcall((...), on_error, select(2, ...)))
  end
  arguments.check_callable(fn, 1, "shield")
  return leave(task, open(task, true), xpcall(fn, on_error, ...))
end

-- --- Scope objects ----------------------------------------------------------

local function check(self, name)
  if getmetatable(self) ~= Scope then
    arguments.bad(1, name, "scope expected, got " .. type(self), 2)
  end
end

function Scope:spawn(fn, ...)
  if type(fn) == "function" and self.ended == false then
    return tasks.spawn_function(self, false, fn, ...)
  end
  check(self, "spawn")
  return tasks.spawn(self, false, fn, ...)
end

function Scope:background(...)
  check(self, "background")
  return tasks.spawn(self, true, ...)
end

function Scope:cancel(reason)
  check(self, "cancel")
  return cancel(self, "cancelled", reason)
end

function Scope:cancel_after(seconds)
  check(self, "cancel_after")
  arguments.check_seconds(seconds, 1, "cancel_after")
  if self.ended or self.doom then return false end
  if seconds == 0 then
    cancel(self, "deadline")
  else
    set_deadline(self, self.loop:now() + seconds)
  end
  return true
end

function Scope:token()
  check(self, "token")
  return token_of(self)
end

function Scope:is_cancelled()
  check(self, "is_cancelled")
  return self.doom ~= nil
    or self.source ~= nil and self.source:is_cancelled()
    or self.outside ~= nil and not self.ended and self.outside:is_cancelled()
end

function Scope:__tostring()
  local state = self:is_cancelled() and "cancelled"
    or self.ended and "ended" or "live"
  return ("desist.scope%s (%s)"):format(
    self.name and (" '%s'"):format(self.name) or "", state)
end

-- --- In the running task ----------------------------------------------------

--- async.spawn(fn, ...): in the innermost scope.
local function spawn(...)
  local task = here.task
  if not task then error("async.spawn outside a task", 2) end
  return tasks.spawn(tasks.spawn_block(task), false, ...)
end

--- async.token(): of the innermost block; desist.none outside tasks.
local function token()
  local task = here.task
  if not task then return desist.none end
  return token_of(task.block)
end

local module = {
  Scope = Scope,
  leave = leave,
  move_on_after = move_on_after,
  open = open,
  scope = scope,
  shield = shield,
  spawn = spawn,
  timeout = timeout,
  token = token,
}

local plainly_open = open
hooks.offer("opened", function(listener)
  open = listener and function(...)
    local block = plainly_open(...)
    listener(block)
    return block
  end or plainly_open
  module.open = open
end)

return module
