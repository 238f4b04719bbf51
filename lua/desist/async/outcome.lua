--- How a block ends: what went wrong in it, and what comes of that. See
-- docs/tasks.md, 6.
--
-- A failure is a table: `error`, `traceback`, `handled` (some join raised it),
-- `block` (where it stands, in `block.failures`: failure -> number, as raised).
-- The same error let out of a join is the same failure: a task remembers in
-- `task.heard` the last ones that were raised in it.
--
-- `block.cut`: its own cancellation ended its function or a task of it;
-- `block.cut_outside`: the error of an outer one that did. `block.marked`: any
-- of all this.

local block_module = require "desist.async.block"
local inside = require "desist"._inside

local cancel, error_of = block_module.cancel, block_module.error_of
local owner_of = block_module.owner_of
local unpack = table.unpack or unpack
local traceback = debug and debug.traceback or function()
  return "stack traceback: not available" -- a host may leave debug out
end

local HEARD = 16 -- how many a task remembers

-- --- Failures ---------------------------------------------------------------

--- Some join has raised it. A supervised block need not keep it then.
local function handle(failure)
  local block = failure.block
  failure.handled = true
  if block and block.supervise and failure ~= block.own_failure then
    block.failures[failure] = nil
  end
end

--- Raises a failure in `task`, as it is.
local function raise(task, failure)
  local heard = task.heard
  if heard == nil then
    heard = { at = 0 }
    task.heard = heard
  end
  heard.at = heard.at % HEARD + 1
  heard[heard.at] = failure
  handle(failure)
  task.rethrown = failure
  error(failure.error, 0)
end

--- The failure with this error that was raised in `task` before, or a new one.
local function failure_of(task, err)
  local heard = task.heard
  for i = 0, heard and math.min(#heard, HEARD) - 1 or -1 do
    local failure = heard[(heard.at - 1 - i) % HEARD + 1]
    if failure and rawequal(failure.error, err) then
      failure.handled, failure.reported = false, false
      return failure
    end
  end
  return { error = err, traceback = task.trace, handled = false }
end

--- The message handler of all that runs in blocks: keeps the traceback of the
-- place where the error was raised first.
local function keep_traceback(task, err)
  local failure = task.rethrown
  if failure and rawequal(failure.error, err) then
    task.trace = failure.traceback
  elseif owner_of(task.block, err) then
    task.trace = nil
  else
    task.trace = traceback("", 3):gsub("^\n", "")
  end
  task.rethrown = nil
  return err
end

local function add(block, failure)
  local failures = block.failures
  if failures == nil then
    failures = {}
    block.failures, block.failure_count, block.marked = failures, 0, true
  end
  failure.block = block
  if not failures[failure] then
    block.failure_count = block.failure_count + 1
    failures[failure] = block.failure_count
  end
end

--- The cancellation of `owner` has ended `inner`: the block's function, or a
-- task of it.
local function note_cut(block, owner, inner, err)
  block.marked = true
  if owner == block then
    block.cut = true
  elseif owner ~= inner then
    block.cut_outside = err
  end
end

--- The function of `block` raised `err`.
local function note_function(block, err)
  local owner = owner_of(block, err)
  if owner then
    note_cut(block, owner, nil, err)
  else
    local failure = failure_of(block.task, err)
    add(block, failure)
    block.own_failure = failure
    if block.first or block.source then
      cancel(block, "failure", err)
    end
  end
end

--- A task of `block` has failed.
local function note_task(block, failure)
  if block.on_failure then
    block:on_failure(failure)
  else
    add(block, failure)
    if not block.supervise then cancel(block, "failure", failure.error) end
  end
end

-- --- The end ----------------------------------------------------------------

--- What is raised for several failures.
local function several(list)
  local errors = { n = #list }
  for i = 1, #list do errors[i] = { value = list[i].error } end
  return inside.error("failure", { errors = errors })
end

--- One failure for those of the list.
local function gathered(list)
  if #list == 1 then return list[1] end
  for i = 1, #list do handle(list[i]) end
  return { error = several(list), traceback = list[1].traceback }
end

--- The failures that are to be raised, as one; or nil.
local function failure_at_end(block)
  local list = {}
  for failure in pairs(block.failures) do
    if not (block.supervise and failure.handled)
      or failure == block.own_failure then
      list[#list + 1] = failure
    end
  end
  if #list == 0 then return nil end
  local order = block.failures
  table.sort(list, function(a, b) return order[a] < order[b] end)
  return gathered(list)
end

--- All has ended. Gives the function's results; or false and the failure, or
-- false, nil and the error to be raised.
local function conclude(block, ok, ...)
  local failure = block.failures and failure_at_end(block)
  if failure then
    return false, failure
  elseif block.cut_outside then
    return false, nil, block.cut_outside
  elseif block.cut then
    if block.on_cut then return block:on_cut() end
    return true, nil, error_of(block)
  end
  return ok, ...
end

return {
  conclude = conclude,
  failure_of = failure_of,
  handle = handle,
  gathered = gathered,
  keep_traceback = keep_traceback,
  note_cut = note_cut,
  note_function = note_function,
  note_task = note_task,
  raise = raise,
  several = several,
  unpack = unpack,
}
