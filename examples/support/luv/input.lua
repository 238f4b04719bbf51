--- What a user can do to stop the demo: press c, press Ctrl-C, send a signal.
--
-- Keys come one by one only if the terminal is in raw mode, where it neither
-- echoes nor turns Ctrl-C into a signal. It has to be put back in every case,
-- so the object is made to be closed: `local input <close> = Input.open(...)`.

local uv = require "luv"
local loop = require "support.luv.loop"

local RAW, NORMAL = 1, 0 -- modes of a terminal, as libuv counts them
local CTRL_C = "\3"

local Input = {}
Input.__index = Input

local function read_keys(self, on_stop)
  local terminal = uv.new_tty(0, true)
  if not terminal then
    return
  end
  self._terminal = terminal
  if terminal:set_mode(RAW) ~= 0 then
    return
  end
  self.has_keys = true
  terminal:read_start(loop.protect(function(_, keys)
    if not keys then
      terminal:read_stop() -- the terminal is gone; signals still come
    elseif keys:find("[cC]") then
      on_stop("the user pressed c")
    elseif keys:find(CTRL_C, 1, true) then
      on_stop("Ctrl-C")
    end
  end))
end

local function watch_signals(self, on_stop)
  for _, name in ipairs({ "sigint", "sigterm", "sighup" }) do
    local watcher = uv.new_signal()
    watcher:start(name, loop.protect(function()
      on_stop(name:upper())
    end))
    self._watchers[#self._watchers + 1] = watcher
  end
end

--- Calls `on_stop(why)` at each of them. Keys are read if that is wanted and
-- standard input is a terminal; `has_keys` tells.
function Input.open(on_stop, want_keys)
  local self = setmetatable({ has_keys = false, _watchers = {} }, Input)
  watch_signals(self, on_stop)
  if want_keys and uv.guess_handle(0) == "tty" then
    read_keys(self, on_stop)
  end
  return self
end

--- Puts the terminal and the signals back. Twice is fine.
function Input:close()
  local terminal = self._terminal
  if terminal and not terminal:is_closing() then
    terminal:set_mode(NORMAL)
    terminal:close()
  end
  for _, watcher in ipairs(self._watchers) do
    loop.close(watcher)
  end
end

Input.__close = Input.close

return Input
