--- A progress bar: one line redrawn on a terminal, a few lines elsewhere.

local text = require "support.text"

local WIDTH = 32 -- columns of the bar itself
local STEP = 20 -- per cent between two lines where nothing can be redrawn

local Progress = {}
Progress.__index = Progress

--- Draws on `file`, which the caller knows to be a terminal or not.
function Progress.new(file, is_terminal)
  return setmetatable({
    _file = file,
    _is_terminal = is_terminal,
    _shown = 0, -- per cent
    _line_open = false,
  }, Progress)
end

local function redraw(self, percent, received, size)
  local filled = WIDTH * percent // 100
  self._file:write(("\r[%s%s] %3d %%  %s of %s "):format(
    ("#"):rep(filled), ("."):rep(WIDTH - filled), percent,
    text.mebibytes(received, true), text.mebibytes(size)))
  self._file:flush()
  self._line_open = true
end

local function add_line(self, percent, received, size)
  self._file:write(("  %3d %%  %s of %s\n"):format(
    percent, text.mebibytes(received, true), text.mebibytes(size)))
  self._file:flush()
end

function Progress:update(received, size)
  local percent = size == 0 and 100 or received * 100 // size
  if self._is_terminal then
    -- Most updates change nothing that can be seen.
    if percent > self._shown or not self._line_open then
      self._shown = percent
      redraw(self, percent, received, size)
    end
  elseif percent >= self._shown + STEP then
    self._shown = percent - percent % STEP
    add_line(self, percent, received, size)
  end
end

--- Leaves the line of the bar, so that other output starts on its own.
function Progress:finish()
  if self._line_open then
    self._line_open = false
    self._file:write("\n")
  end
end

return Progress
