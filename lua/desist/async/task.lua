--- Tasks: functions that run on a loop.
--
-- A task is a block (block.lua). Besides that it has:
--
--   wait, args     until it starts: what to call
--   co             its coroutine, from then until its function has ended
--   wait, on, cut  from then: see running.lua
--   number         the tasks of a loop are counted
--   block          the innermost block it opened, or itself
--   joiners        what waits for its end
--   special        has joiners or a source, or runs in the background
--   ended          "returned", "failed" or "cancelled"; then
--   results, failure or raised: what it ended with
--
-- The first task of a tree may have a block under all others, its tree: the
-- scope of what is spawned in no other. When the task's function has ended it
-- waits for that without a coroutine; `pending` is what the function gave.

local arguments = require "desist.async.arguments"
local blocks = require "desist.async.block"
local hooks = require "desist.hooks"
local outcome = require "desist.async.outcome"
local running = require "desist.async.running"

local cancel_quietly, close = blocks.cancel_quietly, blocks.close
local follow = blocks.follow
local owner_of = blocks.owner_of
local throw = blocks.throw
local conclude, failure_of = outcome.conclude, outcome.failure_of
local raise, unpack = outcome.raise, outcome.unpack
local here, ready, wake = running.here, running.ready, running.wake
local current, suspend = running.current, running.suspend
local select, setmetatable, status = select, setmetatable, coroutine.status

local Task = {}
Task.__index = Task

-- --- Spawning ---------------------------------------------------------------

--- Those in the background stand before all others.
local function link_first(task, block)
  local first = block.first
  task.background, task.special, task.next = true, true, first
  if first then first.previous = task else block.last = task end
  block.first = task
end

--- Puts a task into `block`. The fields it has while it sleeps are there from
-- the beginning, so that the table never grows.
local function spawn(block, background, fn, ...)
  local loop, count = block.loop, select("#", ...)
  local task = setmetatable({
    parent = block, wait = fn, number = 0, previous = nil,
    next = nil, block = nil, co = nil, at = nil,
  }, Task)
  task.block = task
  if count > 0 then task.args = { n = count, ... } end
  -- no allocation from here on: a finalizer may spawn, too
  count = loop.tasks + 1
  task.number, loop.tasks = count, count
  if background then
    link_first(task, block)
  else
    local last = block.last
    task.previous = last
    if last then last.next = task else block.first = task end
    block.last = task
  end
  if block.doom then task.doom = block.doom end
  count = loop.ready_count + 1
  loop.ready_count = count
  loop.ready[count] = task
  if loop.resting then loop:on_rest() end
  return task
end

--- The block that async.spawn puts tasks into.
local function spawn_block(task)
  local block = task.block
  if block == task then block = task.parent end
  if block.trees then
    block = {
      parent = task, task = task, loop = block.loop, doom = task.doom,
    }
    task.block = block
  end
  return block
end

-- --- The end ----------------------------------------------------------------

local settle

local function settle_concluded(task, ok, ...)
  if ok then return settle(task, true, ...) end
  local failure, err = ...
  if failure then
    task.heard = { at = 1, failure }
    err = failure.error
  end
  return settle(task, false, err)
end

--- The function of the tree's first task has ended, and all spawned in it.
local function settle_tree(task)
  local pending, tree = task.pending, task.block
  task.pending, task.block = nil, task
  close(tree)
  return settle_concluded(task,
    conclude(tree, unpack(pending, 1, pending.n)))
end

--- Whether a task of the block lives that is not in the background.
local function has_ordinary(block)
  local last = block.last
  return last ~= nil and not last.background
end

--- A task of `block` has ended; perhaps the last that is waited for.
local function left(block)
  if block.first == nil
    or (block.awaiting == "tasks" and not has_ordinary(block)) then
    local task = block.task
    block.awaiting = nil
    if task.co then return ready(task) end
    return settle_tree(task)
  end
end

local function call_joiners(task)
  local joiners = task.joiners
  task.joiners = nil
  for i = 1, #joiners do joiners[i]:joined(task) end
end

--- It ended with an error.
local function note_error(task, err)
  local block = task.parent
  local owner = owner_of(task, err)
  if owner then
    task.ended, task.raised = "cancelled", err
    if not task.background then outcome.note_cut(block, owner, task, err) end
  else
    local failure = failure_of(task, err)
    task.ended, task.failure = "failed", failure
    if task.joiners then call_joiners(task) end -- before they are cancelled
    outcome.note_task(block, failure)
  end
end


--- The task has ended, with results or an error.
function settle(task, ok, ...)
  local block = task.parent
  local next, previous = task.next, task.previous
  if next then next.previous = previous else block.last = previous end
  if previous then previous.next = next else block.first = next end
  if task.special and (task.source or task.guard) then close(task) end
  if ok then
    task.ended = "returned"
    local count = select("#", ...)
    if count > 0 then task.results = { n = count, ... } end
  else
    note_error(task, (...))
  end
  if task.special and task.joiners then call_joiners(task) end
  if block.awaiting then return left(block) end
end

--- The message handler of all functions that run in blocks.
local function on_error(err)
  return outcome.keep_traceback(here.task, err)
end

-- --- What callers see -------------------------------------------------------

--- `joiner:joined(task)` is called once, at the end.
local function add_joiner(task, joiner)
  local joiners = task.joiners
  if joiners == nil then
    joiners = {}
    task.joiners, task.special = joiners, true
  end
  joiners[#joiners + 1] = joiner
end

local function unjoin(joiner, task)
  local joiners = task.joiners
  for i = joiners and #joiners or 0, 1, -1 do
    if joiners[i] == joiner then return table.remove(joiners, i) end
  end
end

--- A task it waits for has ended.
function Task:joined()
  return wake(self)
end

--- What an ended task gave, in the task that joined it.
local function give(joined, task)
  if joined.ended == "returned" then
    local results = joined.results
    if results then return unpack(results, 1, results.n) end
    return
  elseif joined.ended == "failed" then
    return raise(task, joined.failure)
  end
  error(joined.raised, 0)
end

--- Whether a task waits for the end of `task`, by joining it or by what it has
-- gathered, and so on.
local function waits_for(waiting, task)
  local stack, top, seen = { waiting }, 1, {}
  while top > 0 do
    local other = stack[top]
    top = top - 1
    if other == task then return true end
    if not seen[other] then
      seen[other] = true
      local members = other.gathering and other.gathering.members or {}
      for i = 1, #members do
        top = top + 1
        stack[top] = members[i]
      end
      if other.wait == unjoin and other.on then
        top = top + 1
        stack[top] = other.on
      end
    end
  end
  return false
end

local function check_join(joined, task, level)
  if joined == task then error("join of the running task", level + 1) end
  if waits_for(joined, task) then
    error("join of a task that waits for the running one", level + 1)
  end
  local block = task.parent
  while block do
    if block.task == joined then
      error("join of a task that waits for the running one", level + 1)
    end
    block = block.parent
  end
end

local function check(self, name)
  if getmetatable(self) ~= Task then
    arguments.bad(1, name, "task expected, got " .. type(self), 2)
  end
end

function Task:join()
  check(self, "join")
  local task = current("task:join")
  check_join(self, task, 2)
  local block = task.block
  if block.doom then return throw(block) end
  if not self.ended then
    add_joiner(self, task)
    if not suspend(task, unjoin, self) then return throw(block) end
  end
  return give(self, task)
end

function Task:cancel(reason)
  check(self, "cancel")
  return cancel_quietly(self, "cancelled", reason)
end

function Task:result()
  check(self, "result")
  local results = self.results
  if self.ended == "returned" then
    if results then return true, unpack(results, 1, results.n) end
    return true
  elseif self.ended == "failed" then
    return false, self.failure.error
  elseif self.ended then
    return false, self.raised
  end
end

function Task:status()
  check(self, "status")
  if self.ended then return self.ended end
  if self.co == nil and self.pending == nil then return "waiting" end
  if self.co and status(self.co) ~= "suspended" then return "running" end
  return "suspended"
end

function Task:traceback()
  check(self, "traceback")
  if self.ended == "failed" then
    return self.failure.traceback or "stack traceback: not available"
  end
end

--- For messages.
local function describe(task)
  if task.name then return ("task '%s'"):format(task.name) end
  return ("task %d"):format(task.number)
end

function Task:__tostring()
  return ("desist.%s: %s"):format(describe(self), self:status())
end

local spawn_options = { name = "string", token = "token" }

local function nothing() end

local function furnish(task, options)
  task.name = options.name
  if options.token then follow(task, options.token) end
end

--- spawn([options,] fn, ...)
local function spawn_named(block, background, fn, ...)
  if block.ended then error("spawn into a scope that has ended", 2) end
  if type(fn) == "function" or arguments.is_callable(fn) then
    return spawn(block, background, fn, ...)
  end
  local name = background and "background" or "spawn"
  if type(fn) ~= "table" then arguments.check_callable(fn, 1, name) end
  arguments.check_options(fn, 1, name, spawn_options)
  arguments.check_callable((...), 2, name)
  local task = spawn(block, background, ...)
  local ok, err = pcall(furnish, task, fn)
  if not ok then -- no memory: then it must not run as another one
    task.wait = nothing
    error(err, 0)
  end
  return task
end

local module = {
  Task = Task,
  add_joiner = add_joiner,
  check_join = check_join,
  describe = describe,
  give = give,
  has_ordinary = has_ordinary,
  on_error = on_error,
  settle = settle,
  settle_tree = settle_tree,
  spawn = spawn_named,
  spawn_block = spawn_block,
  spawn_function = spawn,
}

local plainly_spawn = spawn
hooks.offer("spawned", function(listener)
  spawn = listener and function(...)
    local task = plainly_spawn(...)
    listener(task)
    return task
  end or plainly_spawn
  module.spawn_function = spawn
end)

return module
