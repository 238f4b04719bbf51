--- The real thing: sockets, timers and keys by luv.
-- support/standin/host.lua has the same fields.

local uv = require "luv"

return {
  loop = require "support.luv.loop",
  Server = require "support.luv.server",
  Client = require "support.luv.client",
  Input = require "support.luv.input",
  --- Whether a descriptor of the process (0 input, 1 output) is a terminal.
  is_terminal = function(descriptor)
    return uv.guess_handle(descriptor) == "tty"
  end,
}
