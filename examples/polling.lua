--- Polling: a long computation that asks, now and then, whether to go on.
--
-- Code that computes has nothing to be called back for: it looks at the token
-- at a place where stopping leaves nothing half done. Here that is the end of
-- each row of a Mandelbrot picture. Looking costs one atomic load, and the
-- answer is true from the moment of the request, also when the deadline ran
-- out while Lua was busy.
--
-- There are two ways to ask. `token:is_cancelled()` is for code that has
-- something to give back although it stopped; `token:throw_if_cancelled()`
-- leaves by an error that the caller can tell from all others.
--
-- Neighbour of "How to: Listen for Cancellation Requests by Polling" in the
-- .NET documentation, which polls in the outer of two nested loops.
--
-- Run:  lua5.4 examples/polling.lua

local desist = require "desist"

local SHADES = " .:-=+*#%@"

--- How many steps, up to `depth`, until the point is known to run away.
local function steps(re, im, depth)
  local x, y = 0.0, 0.0
  for step = 0, depth - 1 do
    local xx, yy = x * x, y * y
    if xx + yy > 4 then
      return step
    end
    x, y = xx - yy + re, 2 * x * y + im
  end
  return depth
end

local function render_row(row, width, height, depth)
  local im = (row - 0.5) / height * 2.4 - 1.2
  local cells = {}
  for column = 1, width do
    local re = (column - 0.5) / width * 3.2 - 2.3
    local shade = steps(re, im, depth) * (#SHADES - 1) // depth
    cells[column] = SHADES:sub(shade + 1, shade + 1)
  end
  return table.concat(cells)
end

--- As many rows as could be made until the token was cancelled.
local function render_some(token, width, height, depth)
  local rows = {}
  while #rows < height and not token:is_cancelled() do
    rows[#rows + 1] = render_row(#rows + 1, width, height, depth)
  end
  return rows
end

--- All the rows, or the token's error.
local function render_all(token, width, height, depth)
  local rows = {}
  for row = 1, height do
    token:throw_if_cancelled()
    rows[row] = render_row(row, width, height, depth)
  end
  return rows
end

local WIDTH, HEIGHT = 72, 20
local HUGE = 200000 -- rows; they would take many seconds
local DEPTH = 60 -- steps for a point

-- 1. Enough time: the token is polled, and nothing comes of it.
do
  local source <close> = desist.after(60)
  local rows = render_all(source:token(), WIDTH, HEIGHT, DEPTH)
  print(table.concat(rows, "\n"))
  print(("All %d rows, with %.0f seconds to spare."):format(
    #rows, source:token():remaining()))
  assert(#rows == HEIGHT, "the small picture should have been complete")
end

-- 2. Too little time, and what there is will do.
do
  local source <close> = desist.after(0.3)
  local started = desist.now()
  local rows = render_some(source:token(), WIDTH, HUGE, DEPTH)
  print(("A picture of %d rows, 0.3 seconds for it: %d rows in %.1f s."):format(
    HUGE, #rows, desist.now() - started))
  assert(#rows > 0 and #rows < HUGE, "the deadline did not stop it")
end

-- 3. Too little time, and only the whole is of use. An error in the picture
-- itself would not pass for a cancellation: is_cancelled looks closely.
do
  local source <close> = desist.after(0.3)
  local token = source:token()
  local ok, err = pcall(render_all, token, WIDTH, HUGE, DEPTH)
  assert(not ok and desist.is_cancelled(err, token), err)
  print(("The same, all or nothing: nothing (%s, kind %q)."):format(
    err.reason, err.kind))
end
