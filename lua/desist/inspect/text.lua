--- Text for people: names in quotes, seconds, places in the code, lines.

local LINES, DEPTH = 1000, 100 -- so much is shown
local LONG = 200 -- bytes of a reason

local inside = require "desist.core"._inside
local debug = debug or {} -- a host may keep it from its scripts
local getinfo = debug.getinfo

-- --- Words ------------------------------------------------------------------

local named = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(char)
  return named[char]
    or (char:find "%c" and ("\\%03d"):format(char:byte()) or "\\" .. char)
end

--- With control characters made visible, so that it stays one line.
local function quote(text, mark)
  mark = mark or "'"
  if #text > LONG then text = text:sub(1, LONG) .. "..." end
  return mark .. text:gsub("[%c\\" .. mark .. "]", escape) .. mark
end

--- Three digits are enough.
local function seconds(value)
  if value < 0.0005 then return "0 s" end
  if value >= 100 and value < 1e15 then return ("%.0f s"):format(value) end
  return ("%.3g s"):format(value)
end

local function count(number, one, many)
  return ("%d %s"):format(number, number == 1 and one or many or one .. "s")
end

--- Any value in one line, whatever its __tostring does.
local function of_value(value)
  if type(value) == "string" then return quote(value, '"') end
  local ok, text = pcall(tostring, value)
  if not ok or type(text) ~= "string" then text = "a " .. type(value) end
  return (quote(text):sub(2, -2))
end

-- --- Places in the code -----------------------------------------------------

--- What the names of our own chunks begin with, and their short ones.
local own, own_short = inside.own, nil
if getinfo then
  local info = getinfo(1, "S")
  own_short = own and info.short_src:match "^(.*)inspect[/\\.]text"
end

local function is_own(source)
  return own ~= nil and source:sub(1, #own) == own
end

--- The same for "file:line".
local function is_own_place(place)
  return own_short ~= nil and place:sub(1, #own_short) == own_short
end

--- Where the script is, in the coroutine `co` or (nil) here: "file:line" (nil:
-- there is none); of a coroutine also what it called there: our function's
-- info, or the name of another.
local function find_place(co)
  if not getinfo then return nil end
  local called, name
  for level = co and 0 or 2, 1e6 do
    local info
    if co then info = getinfo(co, level, "Slnf")
    else info = getinfo(level, "Sl") end
    if info == nil then return nil, called, name end
    if is_own(info.source) then
      if not info.source:find "work[^/\\]*$" then -- workers call scripts
        called, name = info, info.name
      end
    elseif info.what ~= "C" then
      return ("%s:%d"):format(info.short_src, info.currentline), called, name
    elseif not called then
      name = info.name
    end
  end
end

--- Where a function was defined.
local function definition(fn)
  local info = getinfo and type(fn) == "function" and getinfo(fn, "S")
  if info and info.what ~= "C" then
    return ("%s:%d"):format(info.short_src, info.linedefined)
  end
end

local function traceback(co, level)
  local text = debug.traceback and debug.traceback(co, nil, level)
  return text or "stack traceback: not available"
end

-- --- Lines ------------------------------------------------------------------

local Lines = {}
Lines.__index = Lines

local function lines()
  return setmetatable({ n = 0, left = 0 }, Lines)
end

--- Whether there is still room; else it is counted.
function Lines:add(depth, text)
  if self.n >= LINES or depth >= DEPTH then
    self.left = self.left + 1
    return false
  end
  self.n = self.n + 1
  self[self.n] = ("  "):rep(depth) .. text
  return true
end

--- So many more are not shown.
function Lines:leave(number)
  self.left = self.left + number
end

function Lines:text()
  if self.left > 0 then
    self[self.n + 1] = ("... and %d more at least"):format(self.left)
  end
  return table.concat(self, "\n")
end

return {
  LINES = LINES,
  count = count,
  definition = definition,
  find_place = find_place,
  is_own_place = is_own_place,
  lines = lines,
  of_value = of_value,
  quote = quote,
  seconds = seconds,
  traceback = traceback,
}
