--- Workers: the coroutines in which tasks run.
--
-- A worker calls the functions of new tasks, one after the other, without any
-- switch between them. When one of them waits, the worker is that task's
-- coroutine until its function has ended; another worker goes on. So a task
-- that never waits costs no coroutine, and others are used again.
--
--   loop.ready, ready_count   what runs in the next round
--   loop.queue, at            this round, and how far it has come
--   loop.rounds               how many more there may be in this turn
--   loop.worker               the one that takes new tasks now
--   loop.starting             the new task it is about to take, or false
--   loop.workers              those that are idle
--   loop.before               the task (of another loop) that runs this one
--   loop.aside                tasks that overran the budget of a step

local inside = require "desist"._inside
local block = require "desist.async.block"
local outcome = require "desist.async.outcome"
local running = require "desist.async.running"
local tasks = require "desist.async.task"

local SUSPEND, here, ready = running.SUSPEND, running.here, running.ready
local error_of, unpack = block.error_of, outcome.unpack
local on_error, settle = tasks.on_error, tasks.settle
local note_function, settle_tree = outcome.note_function, tasks.settle_tree
local create, status = coroutine.create, coroutine.status
local resume = inside.resume or coroutine.resume
local running_coroutine, yield = coroutine.running, coroutine.yield
local select, xpcall = select, xpcall

local IDLE = {} -- what a worker yields when it has nothing to do
local ASIDE = inside.aside or {} -- what resume gives at the end of a budget

local KEPT = 64 -- so many idle workers
local LONG = 1024 -- a longer queue is thrown away when it is empty

-- --- A task's function ------------------------------------------------------

local function begin(task, loop)
  local fn = task.wait
  task.wait = nil
  task.co = loop.worker
  loop.starting = false
  here.task = task
  return fn
end

local function arguments_of(task)
  local args = task.args
  task.args = nil
  return unpack(args, 1, args.n)
end

--- The function of the running task has ended.
local function finish(ok, ...)
  local task = here.task
  local tree = task.block
  here.task = task.parent.loop.before
  task.co = nil
  if tree == task then return settle(task, ok, ...) end
  if not ok then note_function(tree, (...)) end
  task.pending = { n = select("#", ...) + 1, ok, ... }
  if tree.first then
    tree.awaiting = "tasks"
  else
    return settle_tree(task)
  end
end

--- The budget of the step is over, in the middle of the task's Lua code. It
-- goes on in the next step, behind all others; what is ready and has not had
-- its turn does so before.
local function set_aside(loop, task)
  local queue, at, late, count = loop.queue, loop.at + 1, {}, 0
  while queue[at] ~= nil do
    count = count + 1
    late[count], queue[at] = queue[at], nil
    at = at + 1
  end
  for i = 1, loop.ready_count do late[count + i] = loop.ready[i] end
  loop.ready, loop.ready_count = late, count + loop.ready_count
  loop.rounds = 0
  loop.aside = loop.aside or {}
  loop.aside[#loop.aside + 1] = task
end

--- A yield that is not ours: raises an error where it was called, by a hook;
-- one that is there already comes back.
local function refuse_yield(loop, task, state)
  if state == ASIDE then return set_aside(loop, task) end
  if debug and debug.sethook then
    local hook, mask, count = debug.gethook(task.co)
    debug.sethook(task.co, function()
      debug.sethook(hook, mask, count)
      error("coroutine.yield in a task (async.checkpoint lets others run)", 2)
    end, "", 1)
  end
  return ready(task)
end

-- --- Rounds -----------------------------------------------------------------

local function next_round(loop)
  local rounds = loop.rounds
  if loop.at > LONG then loop.queue = {} end
  loop.at = 0
  if loop.ready_count == 0 or rounds == 0 then return false end
  loop.rounds = rounds - 1
  loop.queue, loop.ready = loop.ready, loop.queue
  loop.ready_count = 0
  return true
end

local function keep(loop, worker)
  local workers = loop.workers
  if #workers < KEPT then workers[#workers + 1] = worker end
end

--- A task's coroutine has yielded, but not to wait.
local function resumed(loop, task, co, alive, state)
  if state == IDLE then return keep(loop, co) end
  if not alive then error(state, 0) end
  here.task = loop.before
  return refuse_yield(loop, task, state)
end

--- Resumes what is ready, until it is the turn of a new task: that one. Nil:
-- nothing is ready.
local function go_on(loop)
  while true do
    local at = loop.at + 1
    local queue = loop.queue
    local task = queue[at]
    if task == nil then
      if not next_round(loop) then break end
    else
      queue[at] = nil
      loop.at = at
      local co = task.co
      if co then
        here.task = task
        local alive, state = resume(co)
        if state ~= SUSPEND then resumed(loop, task, co, alive, state) end
      elseif task.doom then
        task.wait, task.args = nil, nil
        settle(task, false, error_of(task.doom))
      else
        here.task = loop.before
        loop.starting = task
        return task
      end
    end
  end
  here.task = loop.before
end

-- --- Workers ----------------------------------------------------------------

--- What a worker does. Few locals: with them begins the stack of each task.
local function work(loop, task)
  while true do
    if task.args then
      finish(xpcall(begin(task, loop), on_error, arguments_of(task)))
    else
      finish(xpcall(begin(task, loop), on_error))
    end
    if loop.worker == running_coroutine() then
      task = go_on(loop)
    else
      task = nil -- it was resumed by another one, which goes on
    end
    if task == nil then
      loop = nil -- luacheck: ignore 311 (an idle worker keeps no loop alive)
      loop, task = yield(IDLE)
    end
  end
end

local function take_worker(loop)
  local workers = loop.workers
  local count = #workers
  local worker = workers[count]
  workers[count] = nil
  return worker or create(work)
end

--- Runs all that is ready, and what gets ready by that.
local function run_ready(loop)
  local before = loop.before
  local task = go_on(loop)
  while task do
    local worker = take_worker(loop)
    loop.worker = worker
    local alive, state = resume(worker, loop, task)
    local last = here.task
    here.task, loop.worker = before, nil
    if state == IDLE then return keep(loop, worker) end
    if not alive then
      here.task = last
      error(state, 0)
    end
    if state ~= SUSPEND then refuse_yield(loop, last, state) end
    task = go_on(loop)
  end
end

--- The first `count` of those set aside go on, one after the other, until this
-- step's budget is over too. Whether there was time for any.
local function run_aside(loop, count)
  local list = loop.aside
  for i = 1, count do
    if loop.rounds == 0 then return i > 1 end
    ready(list[1])
    table.remove(list, 1)
    run_ready(loop)
  end
  if list[1] == nil then loop.aside = false end
  return true
end

--- The task taken last goes back to its place, which takes no memory.
local function put_back(loop, task)
  local at = loop.at
  if at == 0 then return ready(task) end
  loop.queue[at], loop.at = task, at - 1
end

--- A turn was broken off by an error, which is not a task's: there were too
-- many C calls below it, or no memory. The task that was to run does so in the
-- next turn; one whose coroutine is lost has failed with that error.
local function recover(loop, err)
  local task, starting = here.task, loop.starting
  here.task, loop.worker, loop.starting = loop.before, nil, false
  if starting then return put_back(loop, starting) end
  if not task or task == loop.before or not task.co or task.wait then return end
  if status(task.co) == "suspended" then return put_back(loop, task) end
  here.task = task
  return finish(false, err)
end

--- Resumes one task that has waited.
local function run_task(loop, task)
  local co = task.co
  here.task = task
  local alive, state = resume(co)
  if state ~= SUSPEND then resumed(loop, task, co, alive, state) end
  here.task = loop.before
end

return {
  recover = recover,
  run_aside = run_aside,
  run_ready = run_ready,
  run_task = run_task,
}
