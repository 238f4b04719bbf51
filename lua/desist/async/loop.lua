--- The loop: tasks that are ready, timers, and the order of both. See
-- docs/tasks.md, 3.
--
-- A loop runs nothing by itself. Who drives it calls `_turn(time)`: the stepped
-- loop (stepped.lua), the built-in one (run.lua), or a host (hosted.lua).
--
--   time       what its clock says; `now` may be a function for a real clock
--   timers     sleeping tasks, and blocks with a deadline
--   put_off    those that go on in the next turn, of a stepped loop
--   root       the block around all tasks; unjoined: failures of first tasks
--   tasks      how many there ever were
--   on_rest    of a hosted loop: called when there may be something to wait
--              for; resting: between its turns
--   manual     its clock in the core, of a stepped loop; made when first asked
--   aside      tasks that overran the budget of a step, or false; overdue: the
--              last step had no time for them
--   held       deadline -> how many blocks have it armed on that clock

local desist = require "desist"
local blocks = require "desist.async.block"
local hooks = require "desist.hooks"
local running = require "desist.async.running"
local tasks = require "desist.async.task"
local work = require "desist.async.work"
local inside = desist._inside

local cancel = blocks.cancel
local here, ready, wake = running.here, running.ready, running.wake
local run_aside = work.run_aside
local run_ready, run_task = work.run_ready, work.run_task
local dispatch, timers = desist.dispatch, inside.timers
local first_timer, push_timer = timers.first, timers.push
local take_due, take_same = timers.take, timers.take_same
local huge, max = math.huge, math.max
local close_coroutine = inside.close or coroutine.close

local Loop = {}
Loop.__index = Loop

--- How often a turn of a loop on real time goes round before it looks outside.
local ROUNDS = 16

-- --- Time -------------------------------------------------------------------

function Loop:now()
  return self.time
end

--- The clock of its sources; nil: the real one.
function Loop:_clock()
  if self.real then return nil end
  if not self.manual then self.manual = desist.manual_clock(self.time) end
  return self.manual
end

--- Deadlines come behind all sleepers of their moment.
function Loop:_add_deadline(block)
  block.at = push_timer(self.timers, block, block.due, true)
  if self.resting then self:on_rest() end
end

--- Arms the deadline of a block with a source there as well, for tokens.
function Loop:_arm(block)
  self:_disarm(block)
  block.timed:cancel_at(block.due or huge)
  if self.manual and block.due then
    block.held = block.due
    self.held[block.due] = (self.held[block.due] or 0) + 1
  end
end

function Loop:_disarm(block)
  local due = block.held
  if due then
    local count = self.held[due] - 1
    self.held[due] = count > 0 and count or nil
    block.held = nil
  end
end

--- Moves the core's clock, if there is one. At a moment when a deadline is due
-- it stays a little behind until the sleepers of that moment have run: moving
-- it cancels.
local function move_clock(self, time, behind)
  local clock = self.manual
  if behind and self.held[time] then
    time = time - 1e-9 - math.abs(time) * 2 ^ -52
  end
  clock:set(max(time, clock:now()))
end

--- Wakes the sleepers of a moment, `task` first.
local function wake_sleepers(self, task, time)
  repeat
    task.at = nil
    wake(task)
    task = take_same(self.timers, time, false)
  until task == nil
end

--- Cancels the blocks that have their deadline at that moment.
local function cancel_blocks(self, block, time)
  repeat
    block.at = nil
    cancel(block, "deadline")
    block = take_same(self.timers, time, true)
  until block == nil
  if self.manual then move_clock(self, time) end
end

--- Does what is due until `target`, moment by moment.
local run_due

function run_due(self, target)
  local heap, real = self.timers, self.real
  local item, time, is_deadline, more = take_due(heap, target)
  while item do
    if not real then
      self.time = time
      if self.manual then move_clock(self, time, true) end
    end
    if is_deadline then
      cancel_blocks(self, item, time)
    elseif more or self.ready_count > 0 or self.rounds == 0 then
      wake_sleepers(self, item, time)
    else
      item.at, item.wait = nil, nil
      run_task(self, item)
    end
    if self.ready_count > 0 then run_ready(self) end
    item, time, is_deadline, more = take_due(heap, target)
  end
  if not real then
    self.time = target
    if self.manual then move_clock(self, target) end
    -- by a deadline that only the core knew
    if self.ready_count > 0 and self.rounds > 0 then
      run_ready(self)
      return run_due(self, target)
    end
  end
end

-- --- Turns ------------------------------------------------------------------

local function leave_put_off(task)
  local loop = task.parent.loop
  local list, count = loop.put_off, loop.put_off_count
  list[task.at] = false
  while list[count] == false do
    list[count] = nil
    count = count - 1
  end
  loop.put_off_count = count
end

--- Lets a task go on in the next turn; on real time, behind all that is ready.
-- The caller yields, and then looks for a cancellation.
function Loop:_put_off(task)
  if self.real then return ready(task) end
  local count = self.put_off_count + 1
  self.put_off_count = count
  self.put_off[count] = task
  task.at, task.wait = count, leave_put_off
end

--- They go on before what is ready already.
local function take_put_off(self)
  local list, others, count = self.put_off, self.ready, 0
  for i = 1, self.put_off_count do
    local task = list[i]
    list[i] = nil
    if task then
      count = count + 1
      list[count], task.wait = task, nil
    end
  end
  for i = 1, self.ready_count do
    list[count + i], others[i] = others[i], nil
  end
  self.ready, self.ready_count = list, count + self.ready_count
  self.put_off, self.put_off_count = others, 0
end

--- Errors of first tasks that nobody has joined.
local function report_unjoined(self)
  local list = self.unjoined
  self.unjoined = {}
  for i = 1, #list do
    local failure = list[i]
    if not failure.handled and not failure.reported then
      failure.reported = true
      inside.report(failure.error, failure.traceback)
    end
  end
end

--- What was set aside comes last, but not for ever: where the last step had no
-- time for it, it comes first.
local function turn(self, target)
  local aside = self.aside and #self.aside or 0
  self.before, self.rounds = here.task, self.real and ROUNDS or huge
  dispatch()
  if self.overdue then
    run_aside(self, aside)
    aside, self.overdue = 0, false
  end
  if self.put_off_count > 0 then take_put_off(self) end
  run_ready(self)
  run_due(self, target)
  if aside > 0 then self.overdue = not run_aside(self, aside) end
  if self.unjoined[1] then report_unjoined(self) end
end

local plainly_turn = turn
hooks.offer("turned", function(listener)
  turn = listener and function(self, target)
    plainly_turn(self, target)
    listener(self)
  end or plainly_turn
end)

--- Runs what is ready, and what gets due until `target`.
function Loop:_turn(target)
  if self.closed then error("the loop is closed", 2) end
  if self.turning then error("a step of a loop inside itself", 2) end
  self.turning, self.resting = true, false
  local ok, err = pcall(turn, self, target)
  if not ok then pcall(work.recover, self, err) end -- memory may be wanting
  self.turning, self.before = false, false
  if self.on_rest then
    self.resting = true
    self:on_rest()
  end
  if not ok then error(err, 0) end
end

-- --- All of it -------------------------------------------------------------

--- All blocks, and all live tasks, the last started first.
local function everything(root)
  local all, live, at = { root }, {}, 1
  while all[at] do
    local block = all[at]
    local task = block.first
    while task do
      live[#live + 1] = task
      all[#all + 1] = task
      local inner = task.block
      while inner and inner ~= task do
        all[#all + 1] = inner
        inner = inner.parent
      end
      task = task.next
    end
    at = at + 1
  end
  table.sort(live, function(a, b) return a.number > b.number end)
  return all, live
end

local function count_tasks(self)
  local _, live = everything(self.root)
  return #live == 1 and "1 task" or ("%d tasks"):format(#live)
end

-- --- What callers see -------------------------------------------------------

--- A task that starts a tree of its own.
function Loop:spawn(...)
  if self.closed then error("the loop is closed", 2) end
  return tasks.spawn(self.root, false, ...)
end

function Loop:is_idle()
  return self.root.first == nil
end

function Loop:next_time()
  if self.ready_count > 0 or self.put_off_count > 0 or self.aside
    or self.queue[self.at + 1] ~= nil then
    return -huge
  end
  return (first_timer(self.timers))
end

local plain_next_time = Loop.next_time
hooks.offer("next time", function(listener)
  Loop.next_time = listener and function(self)
    local time, other = plain_next_time(self), listener(self)
    return other and (time == nil or other < time) and other or time
  end or plain_next_time
end)

function Loop:cancel(reason)
  return cancel(self.root, "cancelled", reason)
end

function Loop:__tostring()
  return ("desist.loop%s (%s)"):format(
    self.name and (" '%s'"):format(self.name) or "",
    self.closed and "closed" or count_tasks(self))
end

-- --- The end ----------------------------------------------------------------

local function abort_wait(task)
  local abort = task.co and task.wait
  if abort then
    task.wait = nil
    abort(task, task.on)
  end
end

--- Closes the coroutine: its <close> variables are closed, and cannot wait.
local function end_task(task)
  local before, co = here.task, task.co
  task.ended, task.raised = "cancelled", blocks.error_of(task.doom)
  if co and close_coroutine then
    here.task = task
    local ok, err = close_coroutine(co)
    here.task = before
    if not ok then inside.report(err) end
  end
  task.co = nil
  for i = 1, task.joiners and #task.joiners or 0 do
    task.joiners[i]:joined(task)
  end
end

--- The failures that the end of a block would have raised.
local function report_failures(block)
  local list = {}
  for failure in pairs(block.failures or {}) do
    if not failure.handled then list[#list + 1] = failure end
  end
  table.sort(list, function(a, b)
    return block.failures[a] < block.failures[b]
  end)
  for i = 1, #list do inside.report(list[i].error, list[i].traceback) end
end

--- Ends what is alive by coroutine.close, the last started first.
function Loop:close()
  if self.closed then return end
  if self.turning then error("a loop closed inside a step of it", 2) end
  self.closed = true
  blocks.cancel_quietly(self.root, "cancelled", "the loop was closed")
  local all, live = everything(self.root)
  for i = 1, #all do
    local block = all[i]
    block.doom = self.root
    if block.task ~= nil or block.guard then blocks.close(block) end
    report_failures(block)
  end
  for i = 1, #live do abort_wait(live[i]) end
  for i = 1, #live do end_task(live[i]) end
  self.root.first, self.root.last = nil, nil
  self.ready_count, self.ready = 0, {}
  self.queue, self.at, self.workers, self.timers = {}, 0, {}, timers.new()
  self.put_off_count, self.put_off, self.aside = 0, {}, false
  report_unjoined(self)
end

local function note_unjoined(root, failure)
  local list = root.loop.unjoined
  list[#list + 1] = failure
end

--- All that live, numbered, for who looks for them.
local known, count = setmetatable({}, { __mode = "k" }), 0
inside.loops = known

--- `real`: on desist.now, which then is `now`.
local function new(fields)
  local self = setmetatable(fields, Loop)
  count = count + 1
  known[self] = count
  self.real, self.manual = self.real or false, false
  self.time = self.time or 0
  self.tasks = 0
  self.timers = timers.new()
  self.ready, self.ready_count = {}, 0
  self.queue, self.at, self.workers, self.starting = {}, 0, {}, false
  self.put_off, self.put_off_count = {}, 0
  self.aside, self.overdue = false, false
  self.unjoined, self.held = {}, {}
  self.root = {
    loop = self, task = false, trees = true, name = self.name,
    on_failure = note_unjoined,
  }
  if self.real then self.now = desist.now end
  return self
end

return { Loop = Loop, new = new }
