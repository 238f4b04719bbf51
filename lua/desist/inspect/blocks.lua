--- What is known of tasks and blocks, and where a task waits. It looks at their
-- fields (desist/async/block.lua, task.lua) and changes nothing.

local scopes = require "desist.async.scope"
local tasks = require "desist.async.task"
local text = require "desist.inspect.text"
local inside = require "desist.core"._inside

local Scope, Task = scopes.Scope, tasks.Task
local quote, seconds = text.quote, text.seconds

-- --- Names ------------------------------------------------------------------

local function loop_of(block)
  return block.loop or block.parent.loop
end

local function is_task(block)
  return getmetatable(block) == Task
end

--- "task 3 'loader'", "scope 'level'", "loop".
local function name_of(block)
  local word = "scope"
  if is_task(block) then
    word = ("task %d"):format(block.number)
  elseif block.task == false then
    word = "loop"
  elseif block.on_failure then
    word = "group"
  elseif block.shield then
    word = "shield"
  elseif block.seconds then
    word = "timeout of " .. seconds(block.seconds)
  end
  return word .. (block.name and " " .. quote(block.name) or "")
end

-- --- Cancellation -----------------------------------------------------------

--- How long ago a block was cancelled; nil: that was not noted.
local function since(block)
  return block.cancelled_at and loop_of(block):now() - block.cancelled_at
end

--- Why, as a value, and its kind.
local function reason_of(block)
  local cause = block.cause
  if cause == "deadline" then return "deadline exceeded", "deadline" end
  if cause == "token" then
    return block.outside:reason(), block.outside:error().kind
  end
  if block.value == nil and cause == "cancelled" then
    return "cancelled", cause
  end
  return block.value, cause
end

-- --- Places -----------------------------------------------------------------

--- What people call our functions, by the function.
local public

local function add_names(prefix, from)
  for name, value in pairs(from) do
    if type(value) == "function" and not name:find "^_" then
      public[value] = prefix .. name
    end
  end
end

local function name_of_call(called, name)
  if public == nil then
    public = {}
    add_names("async.", require "desist.async")
    add_names("task:", Task)
    add_names("scope:", Scope)
  end
  if called == nil then return name end
  local known = public[called.func]
  if known then return known end
  local file = called.source:match "(%w+)%.lua$"
    or called.source:match "%.(%w+)%)$"
  if file == "wait" then return "async.checkpoint" end -- by a tail call
  return name and file and file .. ":" .. name or file
end

--- What a suspended task waits in, "async.sleep", and where. Each may be nil:
-- it is not to be told.
local function place_of(task)
  local co = task.co
  if not co then return nil, nil end
  local place, called, name = text.find_place(co)
  local call = coroutine.status(co) == "suspended"
    and name_of_call(called, name) or nil
  return call, place
end

--- Whether it only waits for the tasks below it.
local function is_parent(task)
  local block, gathering = task.block, task.gathering
  return block.awaiting ~= nil or gathering ~= nil and gathering.parked == true
end

--- "suspended in async.sleep at patrol.lua:9"
local function whereabouts(task)
  local status = task:status()
  if status == "waiting" then
    local place = text.definition(task.wait)
    return "not started" .. (place and ", function at " .. place or "")
  end
  local call, place = place_of(task)
  if is_parent(task) then
    status = "waits for its tasks"
  elseif call then
    status = status .. " in " .. call
  end
  return status .. (place and " at " .. place or "")
end

-- --- Walks ------------------------------------------------------------------

--- Whether nothing of it runs any more.
local function is_over(block)
  if block.task == false then return block.first == nil end
  return (block.ended or false) ~= false
end

--- The blocks that the task of `block` has open inside it, the outermost first.
local function inner_blocks(block)
  local task = is_task(block) and block or block.task
  local path, inner = {}, task and task.block
  while inner and inner ~= block do
    table.insert(path, 1, inner)
    inner = inner ~= task and inner.parent or nil
  end
  return inner and path or {}
end

--- All live tasks below `block`, and its own, as they were started.
local function live_below(block)
  local list, at, all = {}, 0, { block }
  local own = is_task(block) and block or block.task
  if own and not own.ended then list[1] = own end
  repeat
    at = at + 1
    local here, path = all[at], inner_blocks(all[at])
    for i = 0, #path do
      local task = (path[i] or here).first
      while task do
        list[#list + 1], all[#all + 1] = task, task
        task = task.next
      end
    end
  until all[at + 1] == nil
  table.sort(list, function(a, b) return a.number < b.number end)
  return list
end

--- The live loops of this state, as they were made.
local function live_loops()
  local list = {}
  for loop in pairs(inside.loops or {}) do list[#list + 1] = loop end
  table.sort(list, function(a, b)
    return inside.loops[a] < inside.loops[b]
  end)
  return list
end

return {
  Scope = Scope,
  Task = Task,
  inner_blocks = inner_blocks,
  is_over = is_over,
  is_parent = is_parent,
  is_task = is_task,
  live_below = live_below,
  live_loops = live_loops,
  loop_of = loop_of,
  name_of = name_of,
  reason_of = reason_of,
  since = since,
  whereabouts = whereabouts,
}
