--- Tasks: a function in a coroutine of its own.
--
-- A task is a block (block.lua). Besides that it has:
--
--   co             its coroutine; nil once that has ended
--   fn, args       what to call, until it starts
--   number         tasks of a loop are counted
--   block          the innermost block it opened; nil: none
--   wait, on, cut  see running.lua
--   joiners        tasks that wait for its end
--   ended          "returned", "failed" or "cancelled"; then
--   results, failure or raised: what it ended with
--
-- The first task of a tree may have a block under all others, its tree: the
-- scope of what is spawned in no other. When the task's function has ended it
-- waits for that without a coroutine; `pending` is what the function gave.

local blocks = require "desist.async.block"
local outcome = require "desist.async.outcome"
local running = require "desist.async.running"
local arguments = require "desist.async.arguments"

local cancel, close, error_of = blocks.cancel, blocks.close, blocks.error_of
local owner_of, throw = blocks.owner_of, blocks.throw
local conclude, failure_of = outcome.conclude, outcome.failure_of
local note_function, note_task = outcome.note_function, outcome.note_task
local raise, unpack = outcome.raise, outcome.unpack
local SUSPEND, here, ready = running.SUSPEND, running.here, running.ready
local current, suspend = running.current, running.suspend
local create, resume, status = coroutine.create, coroutine.resume,
  coroutine.status
local select, xpcall = select, xpcall

local Task = {}
Task.__index = Task

-- --- Spawning ---------------------------------------------------------------

--- Puts a task into `block`.
local function spawn(block, background, fn, ...)
  local loop = block.loop
  local number, last = loop.tasks + 1, block.last
  loop.tasks = number
  local task = setmetatable({
    parent = block, co = create(xpcall), fn = fn, number = number,
    previous = last,
  }, Task)
  local count = select("#", ...)
  if count > 0 then task.args = { n = count, ... } end
  if last then last.next = task else block.first = task end
  block.last = task
  if background then
    task.background = true
  else
    block.live = block.live + 1
  end
  loop.alive = loop.alive + 1
  task.doom = block.doom
  ready(task)
  return task
end

--- The block that async.spawn puts tasks into.
local function spawn_block(task)
  local block = task.block or task.parent
  if block.trees then
    block = {
      parent = task, task = task, loop = block.loop, doom = task.doom,
      live = 0,
    }
    task.block = block
  end
  return block
end

-- --- The end ----------------------------------------------------------------

local function unlink(task, block)
  local next, previous = task.next, task.previous
  if next then next.previous = previous else block.last = previous end
  if previous then previous.next = next else block.first = next end
  task.next, task.previous = nil, nil
end

local settle

--- The function of the tree's first task has ended, and all spawned in it.
local function settle_tree(task)
  local pending, tree = task.pending, task.block
  task.pending, task.block = nil, nil
  close(tree)
  local function settled(ok, ...)
    if ok then return settle(task, true, ...) end
    local failure, err = ...
    if failure then
      task.rethrown = nil
      task.heard = { at = 1, failure }
      err = failure.error
    end
    return settle(task, false, err)
  end
  return settled(conclude(tree, unpack(pending, 1, pending.n)))
end

--- A task of `block` has ended; perhaps the last that is waited for.
local function left(block)
  local awaiting = block.awaiting
  if awaiting == nil then return end
  if block.first == nil or (awaiting == "tasks" and block.live == 0) then
    block.awaiting = nil
    local task = block.task
    if task.co then return ready(task) end
    return settle_tree(task)
  end
end

local function note_end(task, ok, ...)
  local block = task.parent
  if ok then
    local count = select("#", ...)
    task.ended = "returned"
    if count > 0 then task.results = { n = count, ... } end
    return
  end
  local err = ...
  local owner = owner_of(task, err)
  if owner then
    task.ended, task.raised = "cancelled", err
    if not task.background then
      if owner == block then
        block.cut = true
      elseif owner ~= task then
        block.cut_outside = err
      end
    end
  else
    local failure = failure_of(task, err)
    task.ended, task.failure = "failed", failure
    note_task(block, failure)
  end
end

--- The task has ended, with results or an error.
function settle(task, ok, ...)
  local block, loop = task.parent, task.parent.loop
  loop.alive = loop.alive - 1
  if not task.background then block.live = block.live - 1 end
  unlink(task, block)
  note_end(task, ok, ...)
  task.co = nil
  if task.source then close(task) end
  local joiners = task.joiners
  if joiners then
    task.joiners = nil
    for i = 1, #joiners do joiners[i]:joined(task) end
  end
  return left(block)
end

--- The task's function has ended.
local function finish(task, ok, ...)
  local tree = task.block
  if tree == nil then return settle(task, ok, ...) end
  if not ok then note_function(tree, (...)) end
  task.co = nil
  task.pending = { n = select("#", ...) + 1, ok, ... }
  if tree.first then
    tree.awaiting = "tasks"
  else
    return settle_tree(task)
  end
end

-- --- Running ----------------------------------------------------------------

local function on_error(err)
  return outcome.keep_traceback(here.task, err)
end

local function raise_foreign_yield()
  debug.sethook()
  error("coroutine.yield in a task (async.checkpoint lets others run)", 2)
end

--- A yield that is not ours: raises an error where it was called.
local function refuse_yield(task)
  if debug and debug.sethook then
    debug.sethook(task.co, raise_foreign_yield, "", 1)
  end
  return ready(task)
end

local function resumed(task, before, alive, state, ...)
  here.task = before
  if state == SUSPEND then return end
  if not alive then return finish(task, false, state) end
  if status(task.co) == "suspended" then return refuse_yield(task) end
  return finish(task, state, ...)
end

--- Runs a task until it waits or ends.
local function run(task)
  local fn, before = task.fn, here.task
  if fn == nil then
    here.task = task
    return resumed(task, before, resume(task.co))
  end
  local args = task.args
  task.fn, task.args = nil, nil
  if task.doom then
    return settle(task, false, error_of(task.doom))
  end
  here.task = task
  if args == nil then
    return resumed(task, before, resume(task.co, fn, on_error))
  end
  return resumed(task, before,
    resume(task.co, fn, on_error, unpack(args, 1, args.n)))
end

-- --- What callers see -------------------------------------------------------

--- Something with a method `joined`, which is called once at the end.
local function add_joiner(joined, joiner)
  local joiners = joined.joiners
  if joiners == nil then
    joiners = {}
    joined.joiners = joiners
  end
  joiners[#joiners + 1] = joiner
end

local function unjoin(joiner, joined)
  local joiners = joined.joiners
  for i = 1, #joiners do
    if joiners[i] == joiner then return table.remove(joiners, i) end
  end
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

local function check_join(joined, task, level)
  if joined == task then error("join of the running task", level + 1) end
  local block = task.parent
  while block do
    if block.task == joined then
      error("join of a task that waits for the running one", level + 1)
    end
    block = block.parent
  end
end

--- What a task that was joined calls at its end.
function Task:joined()
  return running.wake(self)
end

function Task:join()
  local task = current("task:join")
  check_join(self, task, 2)
  local block = task.block or task
  if block.doom then return throw(block) end
  if not self.ended then
    add_joiner(self, task)
    if not suspend(task, unjoin, self) then return throw(block) end
  end
  return give(self, task)
end

function Task:cancel(reason)
  return cancel(self, "cancelled", reason)
end

function Task:result()
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
  if self.ended then return self.ended end
  if self.fn ~= nil then return "waiting" end
  if self.co and status(self.co) ~= "suspended" then return "running" end
  return "suspended"
end

function Task:traceback()
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

--- spawn([options,] fn, ...): options are { name = }.
local function spawn_named(block, background, fn, ...)
  if block.ended then error("spawn into a scope that has ended", 2) end
  if type(fn) ~= "table" or arguments.is_callable(fn) then
    arguments.check_callable(fn, 1, "spawn")
    return spawn(block, background, fn, ...)
  end
  arguments.check_options(fn, 1, "spawn", { name = "string" })
  arguments.check_callable((...), 2, "spawn")
  local task = spawn(block, background, ...)
  task.name = fn.name
  return task
end

return {
  Task = Task,
  add_joiner = add_joiner,
  check_join = check_join,
  describe = describe,
  give = give,
  on_error = on_error,
  run = run,
  settle = settle,
  spawn = spawn_named,
  spawn_block = spawn_block,
}
