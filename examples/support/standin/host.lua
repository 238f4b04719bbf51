--- What the demo runs on where luv is missing: the same story on a loop of
-- timers, in plain Lua. support/luv/host.lua has the same fields.

-- Plain Lua cannot read single keys, so there is no key to press; and Ctrl-C
-- raises an error here (the lua program does that), which cleans up too.
local Input = {}

function Input.open()
  return setmetatable({ has_keys = false }, Input)
end

function Input.close() end

Input.__index = Input
Input.__close = Input.close

return {
  loop = require "support.standin.loop",
  Server = require "support.standin.server",
  Client = require "support.standin.client",
  Input = Input,
  -- Plain Lua cannot tell, so nothing is redrawn.
  is_terminal = function()
    return false
  end,
}
