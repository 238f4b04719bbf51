--- The tree of a source: what it hangs on above, and what hangs on it below.
--
-- The core is asked for one source at a time; what is below may have changed
-- meanwhile. What stands below several inputs is shown once.

local text = require "desist.inspect.text"
local inside = require "desist.core"._inside

local look = inside.look
local LINES, count, quote, seconds = text.LINES, text.count, text.quote,
  text.seconds

-- --- One line ---------------------------------------------------------------

--- "cancelled by a failure 0.4 s ago: "killed"".
local function cancelled(kind, since, reason, is_text)
  local words = { "cancelled" }
  if kind ~= "cancelled" then words[2] = "by a " .. kind end
  if since then words[#words + 1] = seconds(since) .. " ago" end
  local line = table.concat(words, " ")
  if reason == nil or kind == "deadline" then return line end
  reason = quote(reason, '"')
  if not is_text then reason = reason:sub(2, -2) end
  return ("%s: %s"):format(line, reason)
end

local function state_of(seen)
  if seen.never then return "never cancelled" end
  if seen.gone then return "finalized" end
  if not seen.cancelled then return seen.closed and "closed" or "live" end
  local line = cancelled(seen.kind, seen.since, seen.reason, seen.quoted)
  if seen.origin then line = line .. " from " .. quote(seen.origin) end
  return line
end

--- How many of its items are inputs; they come first.
local function count_inputs(seen)
  local inputs = 0
  while seen[inputs + 1] and seen[inputs + 1].sort == "input" do
    inputs = inputs + 1
  end
  return inputs
end

local function form_of(seen, inputs)
  if seen.cancelled or seen.closed then return nil end
  if seen.form == "all" then
    return seen.wanted > 0
      and ("waits for %d of %s"):format(seen.wanted, count(inputs, "input"))
      or "its inputs cannot cancel it"
  elseif seen.form == "any" and inputs > 1 then
    return ("any of %d inputs"):format(inputs)
  end
end

--- "source 'level' live".
local function short_line_of(word, seen)
  local name = seen.name and " " .. quote(seen.name) or ""
  return ("%s%s %s"):format(word, name, state_of(seen))
end

--- "source 'level' live, 3.2 s old, deadline in 1.8 s".
local function line_of(word, seen, inputs)
  local parts = { short_line_of(word, seen) }
  parts[#parts + 1] = form_of(seen, inputs)
  if seen.age then parts[#parts + 1] = seconds(seen.age) .. " old" end
  if seen.left then
    parts[#parts + 1] = "deadline in " .. seconds(seen.left)
  end
  if seen.place then parts[#parts + 1] = "made at " .. seen.place end
  return table.concat(parts, ", ")
end

local function line_of_registration(item)
  local of = item.defined or "a callable object"
  if of == "C" then
    of = "a C function"
  elseif text.is_own_place(of) then
    of = "desist.async"
  end
  local parts = { "registration of " .. of }
  if item.age then parts[2] = seconds(item.age) .. " old" end
  if item.place and item.place ~= "" then
    parts[#parts + 1] = "made at " .. item.place
  end
  return table.concat(parts, ", ")
end

local function line_of_item(item)
  if item.sort == "registration" then
    return line_of_registration(item)
  elseif item.sort == "waiting" then
    return count(item.count, "waiting thread")
  end
  return count(item.count, "registration") .. (item.sort == "of C" and " of C"
    or " of other states")
end

-- --- Trees ------------------------------------------------------------------

--- What is above an item that was seen, up to what has no inputs. How many
-- inputs there are.
local function write_inputs(lines, seen, depth, known)
  local inputs = count_inputs(seen)
  for i = 1, inputs do
    local id = seen[i].id
    local above = look(seen.view, i, LINES)
    if known[id] then
      lines:add(depth, short_line_of("input", above) .. " (as above)")
    elseif lines:add(depth,
      line_of("input", above, count_inputs(above))) then
      known[id] = true
      write_inputs(lines, above, depth + 1, known)
    end
  end
  return inputs
end

--- What stands in its list, but for links that are known.
local function write_list(lines, seen, depth, known)
  local first = count_inputs(seen) + 1
  for i = first, #seen do
    local item = seen[i]
    if item.sort ~= "link" then
      lines:add(depth, line_of_item(item))
    elseif not known[item.id] then
      local below = look(seen.view, i, LINES)
      known[item.id] = "shown"
      if lines:add(depth, line_of("link", below, count_inputs(below))) then
        write_list(lines, below, depth + 1, known)
      end
    elseif known[item.id] == "shown" then
      lines:add(depth, short_line_of("link", look(seen.view, i, 0))
        .. " (as above)")
    end
  end
  lines:leave(seen.total - #seen)
  if seen.queued and seen.queued > 0 then
    lines:add(depth, count(seen.queued, "callback") .. " to be dispatched")
  end
end

--- Whether write_list has something to show.
local function has_list(seen, known)
  for i = count_inputs(seen) + 1, #seen do
    if seen[i].sort ~= "link" or not known[seen[i].id] then return true end
  end
  return (seen.queued or 0) > 0
end

local function write(lines, seen)
  local known = { [seen.id or false] = true }
  lines:add(0, line_of(seen.token and "token" or "source", seen,
    count_inputs(seen)))
  write_inputs(lines, seen, 1, known)
  write_list(lines, seen, 1, known)
end

return {
  cancelled = cancelled,
  has_list = has_list,
  line_of = line_of,
  write = write,
  write_list = write_list,
}
