--- The tree of a loop, a task or a scope: blocks, the tasks in them, where
-- these wait, and what is registered on the blocks' tokens.

local blocks = require "desist.inspect.blocks"
local sources = require "desist.inspect.source"
local text = require "desist.inspect.text"
local look = require "desist.core"._inside.look

local LINES, seconds = text.LINES, text.seconds
local is_task, loop_of, name_of = blocks.is_task, blocks.loop_of,
  blocks.name_of

-- --- One line ---------------------------------------------------------------

local function cancellation(block)
  local reason, kind = blocks.reason_of(block)
  local is_text = type(reason) == "string"
  reason = is_text and reason or text.of_value(reason)
  return sources.cancelled(kind, blocks.since(block), reason, is_text)
end

--- Its own cancellation, or that of what is around it.
local function state_of(block)
  if block.cause then return cancellation(block) end
  if block.doom then return "cancelled with " .. name_of(block.doom) end
  return nil
end

local function outcome_of(task)
  if task.ended ~= "failed" then return task.ended end
  return "failed: " .. text.of_value(task.failure.error)
end

local function add_notes(parts, block, how)
  local now, made = loop_of(block):now(), block.made
  if block.supervise then parts[#parts + 1] = "supervised" end
  if made then
    parts[#parts + 1] = seconds(math.max(now - made.time, 0)) .. " old"
  end
  if block.due and not block.doom and not block.ended then
    parts[#parts + 1] = "deadline in " .. seconds(math.max(block.due - now, 0))
  end
  if made and made.place then
    parts[#parts + 1] = how .. " at " .. made.place
  end
  return table.concat(parts, ", ")
end

local function line_of_task(task)
  local words = name_of(task) .. " "
  if task.background then words = words .. "in the background, " end
  if task.ended then return add_notes({ words .. outcome_of(task) }, task) end
  local parts = { words .. blocks.whereabouts(task) }
  parts[2] = state_of(task)
  return add_notes(parts, task, "spawned")
end

local function line_of_block(block)
  local state = state_of(block) or block.ended and "ended" or "live"
  return add_notes({ name_of(block) .. " " .. state }, block, "opened")
end

local function line_of_loop(loop)
  local live = #blocks.live_below(loop.root)
  local name = loop.name and " " .. text.quote(loop.name) or ""
  local parts = { ("loop%s %s"):format(name, loop.closed and "closed"
    or loop.root.cause and cancellation(loop.root) or "live") }
  parts[2] = text.count(live, "task")
  if not loop.real then parts[3] = "at " .. seconds(loop:now()) end
  return table.concat(parts, ", ")
end

-- --- Trees ------------------------------------------------------------------

--- The core's addresses of the sources that blocks of the loop have: links
-- between them are what the tree of blocks shows anyhow.
local function known_sources(loop)
  local known = {}
  local function note(block)
    if block.source then known[look(block.source, nil, 0).id] = true end
    if block.timed then known[look(block.timed, nil, 0).id] = true end
  end
  local function note_all(block)
    note(block)
    local path = blocks.inner_blocks(block)
    for i = 1, #path do note(path[i]) end
  end
  note(loop.root)
  local live = blocks.live_below(loop.root)
  for i = 1, #live do note_all(live[i]) end
  return known
end

--- What hangs on its token, and the token it follows.
local function write_tokens(lines, block, depth, known)
  if block.outside and not block.ended then
    local seen = look(block.outside, nil, 0)
    lines:add(depth, "follows " .. sources.line_of("token", seen, 0))
  end
  local seen = block.source and look(block.source, nil, LINES)
  if seen and sources.has_list(seen, known)
    and lines:add(depth, sources.line_of("token", seen, 0)) then
    sources.write_list(lines, seen, depth + 1, known)
  end
end

local write_task

--- What stands in a block.
local function write_inside(lines, block, depth, known)
  write_tokens(lines, block, depth, known)
  local task = block.first
  while task do
    write_task(lines, task, depth, known)
    task = task.next
  end
end

--- The blocks that a task has open inside `block`, one in the other.
local function write_path(lines, block, depth, known)
  local path = blocks.inner_blocks(block)
  for i = 1, #path do
    local is_tree = getmetatable(path[i]) ~= blocks.Scope
    if not is_tree then
      if not lines:add(depth, line_of_block(path[i])) then return end
      depth = depth + 1
    end
    write_inside(lines, path[i], depth, known)
  end
end

function write_task(lines, task, depth, known)
  if not lines:add(depth, line_of_task(task)) then return end
  write_tokens(lines, task, depth + 1, known)
  return write_path(lines, task, depth + 1, known)
end

local function write_loop(lines, loop)
  local known = known_sources(loop)
  lines:add(0, line_of_loop(loop))
  write_inside(lines, loop.root, 1, known)
end

local function write_scope(lines, scope)
  local known = known_sources(scope.loop)
  local line = line_of_block(scope)
  if not scope.ended then
    line = ("%s, of %s %s"):format(line, name_of(scope.task),
      blocks.whereabouts(scope.task))
  end
  lines:add(0, line)
  write_inside(lines, scope, 1, known)
  write_path(lines, scope, 1, known)
end

--- False: it is none of these.
local function write(lines, value)
  if type(value) ~= "table" then return false end
  if type(value.root) == "table" and value.root.loop == value then
    write_loop(lines, value)
  elseif getmetatable(value) == blocks.Scope and value.task then
    write_scope(lines, value)
  elseif is_task(value) and value.parent then
    write_task(lines, value, 0, known_sources(loop_of(value)))
  else
    return false
  end
  return true
end

return { write = write }
