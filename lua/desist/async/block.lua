--- Blocks: the tree of what can be cancelled. See docs/tasks.md, 5.
--
-- Scopes, timeouts, shields and tasks are blocks, and so is the root of a
-- loop. What all of them have:
--
--   parent   the block around it; nil for a root
--   task     whose block it is; nil for a task itself; false for a root
--   loop
--   first, last, and in tasks next, previous: the tasks that stand in it
--   doom     the cancelled block whose error a checkpoint raises here: the
--            outermost in sight; nil: none
--   cause    why it was cancelled itself: "cancelled", "deadline", "failure"
--            or "token"; `value` is the reason. It was not doomed before
--   due, at  its deadline, and the place of that among the loop's timers (a
--            task has no deadline: its `at` is the place of its own sleep)
--   outside  the token that cancels it too
--   trees    each task in it is the first of a tree
--   shield   what is outside of it is not seen inside
--   ended    nothing of it runs any more
--   source, timed, error: made when somebody asks; `timed` has the deadline
--   mixed    an outside token reaches its source, on whatever clock that is
--   special  there is more to close than a deadline
--
-- `doom` makes a checkpoint cost one look. A source of the core costs more
-- than a scope, so there is one only where a token was asked for or an error
-- is raised.

local desist = require "desist"
local hooks = require "desist.hooks"
local running = require "desist.async.running"
local inside = desist._inside

local remove_timer = inside.timers.remove
local cut = running.cut

-- --- Tokens and errors ------------------------------------------------------

local function new_source(block)
  local source = desist.source {
    clock = (block.loop or block.parent.loop):_clock(),
  }
  if block.name then inside.name(source, block.name) end
  return source
end

local function linked(block, ...)
  local source = desist.linked(...)
  if block.name then inside.name(source, block.name) end
  return source
end

--- Does to the source what was done to the block.
local function strike(block)
  local source, cause = block.source, block.cause
  if cause == "cancelled" then
    source:cancel(block.value)
  elseif cause == "failure" then
    inside.fail(source, block.value)
  elseif cause == "deadline" then
    block.timed:cancel_after(0)
  end
end

local token_of

--- The source of a block that is not cancelled itself. One that is mixed has
-- two: so that its deadline is on the clock of its loop.
local function make_source(block)
  local parent = not block.shield and block.parent
  local above = parent and parent.source:token() or nil
  local source
  block.special = true
  block.mixed = block.outside ~= nil or parent and parent.mixed
  if block.mixed then
    block.timed = new_source(block)
    source = linked(block, above, block.timed:token(), block.outside)
  else
    source = above and linked(block, above) or new_source(block)
    block.timed = source
  end
  block.source = source
  if block.due then block.loop:_arm(block) end
end

--- The same, and before that those it is to be linked to, however many.
local function make_sources(block)
  local chain, count = {}, 0
  repeat
    count = count + 1
    chain[count] = block
    block = not block.shield and block.parent
  until not block or block.source
  for i = count, 1, -1 do
    if chain[i].cause then token_of(chain[i]) else make_source(chain[i]) end
  end
end

function token_of(block)
  if block.source == nil then
    if block.cause == "token" then
      block.source = linked(block, block.outside)
      block.timed = block.source
    elseif block.cause then
      block.source = new_source(block)
      block.timed = block.source
      strike(block)
    elseif block.ended then
      return desist.none
    else
      make_sources(block)
    end
  end
  return block.source:token()
end

--- The error of a cancelled block, the same at every call.
local function error_of(block)
  local err = block.error
  if err == nil then
    err = token_of(block):error()
    block.error = err
  end
  return err
end

--- Raises what a checkpoint in this block must raise.
local function throw(block)
  error(error_of(block.doom), 0)
end

local cancel

--- The core's flags turn at once, in real time and from other threads. What it
-- has cancelled already is cancelled here, the outermost first.
local function notice(block)
  local chain, count = {}, 0
  while block do
    count = count + 1
    chain[count] = block
    block = block.parent
  end
  for i = count, 1, -1 do
    block = chain[i]
    if block.doom == nil and block.outside and block.outside:is_cancelled() then
      cancel(block, "token")
    elseif block.doom == nil and block.due and block.timed
      and block.timed:is_cancelled() then
      cancel(block, "deadline")
    end
  end
end

--- The block around (or at) `block` that a cancellation error belongs to, or
-- nil: it is somebody else's, or none. Of several the outermost in sight.
local function owner_of(block, err)
  local doom, owner = block.doom, nil
  if doom and doom.error ~= nil and rawequal(doom.error, err) then
    return doom
  end
  if not desist.is_cancelled(err) then return nil end
  notice(block)
  local origin = err.origin
  while block do
    -- without a source nobody has had its error, but for an outside token's
    if block.cause and (block.source or block.cause == "token")
      and error_of(block).origin == origin then
      owner = block
    end
    if owner and block.shield then break end
    block = block.parent
  end
  return owner
end

-- --- Cancelling -------------------------------------------------------------

--- Lets `doom` be seen by what stands in `block`: puts its tasks on the stack.
local function reach(block, doom, stack, top)
  local task = block.first
  block.doom = doom
  while task do
    top = top + 1
    stack[top] = task
    task = task.next
  end
  return top
end

--- Dooms everything that sees `doom`; gives the tasks whose waits end by it: a
-- task before those in its blocks, of these the newest first.
local function doom_below(doom)
  local tasks, count = {}, 0
  local stack, top = { doom }, 1
  while top > 0 do
    local block = stack[top]
    stack[top] = nil
    top = top - 1
    local task = block.task
    if task == nil then task = block end
    local path, length = {}, 0
    local inner = task and task.block or block
    while inner ~= block do
      length = length + 1
      path[length] = inner
      inner = inner.parent
    end
    top = reach(block, doom, stack, top)
    while length > 0 and not path[length].shield do
      top = reach(path[length], doom, stack, top)
      length = length - 1
    end
    if length == 0 and task and task.co and task.wait then
      count = count + 1
      tasks[count] = task
    end
  end
  return tasks, count
end

local plainly_doom_below = doom_below
hooks.offer("cancelled", function(listener)
  doom_below = listener and function(block)
    local tasks, count = plainly_doom_below(block)
    pcall(listener, block) -- must not stop what has begun
    return tasks, count
  end or plainly_doom_below
end)

local function abort_waits(tasks, count)
  for i = 1, count do
    local task = tasks[i]
    local abort = task.block.doom and task.wait -- it may have left meanwhile
    if abort then
      task.wait = nil
      cut(task)
      abort(task, task.on)
    end
  end
end

local function disarm(block)
  local at = block.at
  if at then
    block.at = nil
    remove_timer(block.loop.timers, at)
  end
end

--- Cancels a block. False if it was, or is doomed or ended. What callbacks on
-- its token raise is raised when all is done.
function cancel(block, cause, value)
  if block.doom or block.ended then return false end
  if cause ~= "token" and block.outside and block.outside:is_cancelled() then
    cancel(block, "token") -- before its callback could tell
    return false
  end
  block.cause, block.value = cause, value
  if block.due then disarm(block) end
  local tasks, count = doom_below(block)
  local ok, err = true, nil
  if block.source then ok, err = pcall(strike, block) end
  abort_waits(tasks, count)
  if not ok then error(err, 0) end
  return true
end

--- The same where nobody calls for the errors of callbacks.
local function cancel_quietly(block, cause, value)
  local ok, result = pcall(cancel, block, cause, value)
  if ok then return result end
  inside.report(result)
  return true
end

--- Arms, re-arms or (math.huge) disarms its deadline.
local function set_deadline(block, due)
  local loop = block.loop
  if block.due then disarm(block) end
  block.due = due < math.huge and due or nil
  if block.due then loop:_add_deadline(block) end
  if block.timed then loop:_arm(block) end
end

-- --- Opening and closing ----------------------------------------------------

--- Callbacks of an outside token hold their block weakly: a loop that is
-- dropped is collected though the token lives on.
local weak = { __mode = "v" }

local function on_outside(holder)
  local block = holder.block
  if block then cancel(block, "token") end
end

--- Ends the registration of a block that was dropped with its loop.
local guard = {
  __gc = function(self) self.registration:unregister() end,
}

local function follow(block, token)
  local holder = setmetatable({ block = block }, weak)
  block.outside = token
  if token:is_cancelled() then
    cancel(block, "token")
  else
    block.special = true
    block.guard = setmetatable(
      { registration = token:register(on_outside, holder) }, guard)
  end
end

--- The block has ended: leaves nothing behind.
local function close(block)
  block.ended = block.ended or true
  if block.due then disarm(block) end
  if not block.special then return end
  if block.guard then
    block.guard.registration:unregister()
    block.guard = nil
  end
  local source = block.source
  if source then
    if block.timed ~= source then block.timed:close() end
    source:close()
    if block.held then block.loop:_disarm(block) end
  end
end

return {
  cancel = cancel,
  cancel_quietly = cancel_quietly,
  close = close,
  error_of = error_of,
  follow = follow,
  owner_of = owner_of,
  set_deadline = set_deadline,
  throw = throw,
  token_of = token_of,
}
