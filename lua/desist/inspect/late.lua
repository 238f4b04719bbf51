--- Late work: tasks that were cancelled and have not ended, and code under a
-- guard that has not.
--
-- While somebody listens, a block that is cancelled notes when: `cancelled_at`,
-- on its loop's clock. With a handler it is queued in `loop.late` as well, and
-- looked at when its time is over, at the end of a turn. Nothing is armed and
-- nothing ticks: what has ended in time is passed over.

local hooks = require "desist.hooks"
local text = require "desist.inspect.text"
local inside = require "desist.core"._inside

local running, seconds = coroutine.running, text.seconds

local listening = { trace = false, handler = nil, seconds = nil }

-- --- Records ----------------------------------------------------------------

local Record = {}
Record.__index = Record

--- "task 3 'loader' in scope 'level' still runs 1.2 s after its cancellation".
function Record:__tostring()
  local line = self.what .. " still runs"
  if self.since then
    line = ("%s %s after its cancellation"):format(line, seconds(self.since))
  else
    line = line .. " after its cancellation"
  end
  if self.reason ~= nil then
    line = ("%s (%s)"):format(line, text.of_value(self.reason))
  end
  if self.shielded then line = line .. ", in a shield" end
  return line .. "\n" .. self.traceback
end

local function blocks()
  return inside.loops and require "desist.inspect.blocks"
end

--- The task that runs in a coroutine, or nil.
local function task_in(co)
  local known = blocks()
  local loops = known and known.live_loops() or {}
  for i = 1, #loops do
    local live = known.live_below(loops[i].root)
    for j = 1, #live do
      if live[j].co == co then return live[j] end
    end
  end
end

--- Of a coroutine that was told to stop `since` seconds ago: for what never
-- gets back to its loop. `level` as for debug.traceback.
local function record_of(co, since, reason, level)
  local task = task_in(co)
  return setmetatable({
    what = task and blocks().name_of(task) or "code under a guard",
    task = task, since = since, reason = reason, shielded = false,
    traceback = text.traceback(co, level),
  }, Record)
end

--- Of a task that `block`, around or in it, has cancelled.
local function record_of_task(task, block)
  local known = blocks()
  local what, co = known.name_of(task), task.co
  if block ~= task then
    what = what .. " in " .. known.name_of(block)
    if block.task and block.task ~= task and not block.name then
      what = what .. " of " .. known.name_of(block.task)
    end
  end
  return setmetatable({
    what = what, task = task, since = known.since(block),
    reason = (known.reason_of(block)), shielded = task.block.doom == nil,
    traceback = co and text.traceback(co)
      or "stack traceback: it has not started",
  }, Record)
end

-- --- Now --------------------------------------------------------------------

--- The block that has cancelled a task first, of those around it and in it.
local function cancelled_by(task)
  local block, found = task.block, nil
  while block do
    if block.cause and (found == nil or block.cancelled_at == nil
      or found.cancelled_at ~= nil
      and block.cancelled_at <= found.cancelled_at) then
      found = block
    end
    block = block.parent
  end
  return found
end

--- desist.late([seconds]): what was cancelled so long ago, as far as that was
-- noted, and lives.
local function late(least)
  local list, known = { n = 0 }, blocks()
  local loops = known and known.live_loops() or {}
  for i = 1, #loops do
    local live = known.live_below(loops[i].root)
    for j = 1, #live do
      local block = not known.is_parent(live[j]) and cancelled_by(live[j])
      local since = block and known.since(block)
      if block and (since == nil or since >= least) then
        list.n = list.n + 1
        list[list.n] = record_of_task(live[j], block)
      end
    end
  end
  return list
end

-- --- As it happens ----------------------------------------------------------

local function note_cancelled(block)
  local loop = block.loop or block.parent.loop
  block.cancelled_at = loop:now()
  if listening.handler then
    local queue = loop.late
    if queue == nil then
      queue = { first = 1, last = 0 }
      loop.late = queue
    end
    queue[queue.last + 1] = block
    queue.last = queue.last + 1 -- now that there was memory for it
    if loop.resting then loop:on_rest() end
  end
end

--- The first of the queue that has not ended, and when it is late.
local function first_in(queue)
  local is_over = blocks().is_over
  while queue.first <= queue.last do
    local block = queue[queue.first]
    if not is_over(block) then
      return block, block.cancelled_at + listening.seconds
    end
    queue[queue.first] = nil
    queue.first = queue.first + 1
  end
end

local function report(block)
  local known = blocks()
  local live = known.live_below(block)
  for i = 1, #live do
    local task = live[i]
    local told = task.told -- for which cancellation it was reported
    if listening.handler and not task.ended and not known.is_parent(task)
      and (told == nil or known.is_over(told)) then
      task.told = block
      local ok, err = pcall(listening.handler, record_of_task(task, block))
      if not ok then inside.report(err) end
    end
  end
end

--- At the end of a turn.
local function look_around(loop)
  local queue = loop.late
  while queue and listening.handler do
    local block, due = first_in(queue)
    if block == nil or due > loop:now() then return end
    queue[queue.first] = nil
    queue.first = queue.first + 1
    report(block)
  end
end

--- When the loop should turn for that.
local function next_look(loop)
  if loop.late == nil or not listening.handler then return nil end
  local _, due = first_in(loop.late)
  return due
end

local function switch()
  local handler = listening.handler
  hooks.listen("cancelled",
    (listening.trace or handler) and note_cancelled or nil)
  hooks.listen("turned", handler and look_around or nil)
  hooks.listen("next time", handler and next_look or nil)
end

--- A guard's code goes on though its token is cancelled. Called by a hook, in
-- the coroutine that runs.
local function tell_of_guard(since, token)
  listening.handler(record_of(running(), since, token:reason(), 4))
end

--- desist.on_late(seconds, handler); the handler there was before.
local function on_late(least, handler)
  local before = listening.handler
  listening.seconds, listening.handler = least, handler
  switch()
  inside.watch_guards(handler and least, handler and tell_of_guard)
  if not handler and inside.loops then
    for loop in pairs(inside.loops) do loop.late = nil end
  end
  return before
end

--- Whether moments are noted without a handler, too.
local function trace(on)
  listening.trace = on
  switch()
end

return { late = late, on_late = on_late, record_of = record_of, trace = trace }
