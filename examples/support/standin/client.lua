--- The client of support/luv/client.lua without sockets: it pulls the pieces
-- of the answer out of a generator, one at each turn of the loop.

local Server = require "support.standin.server"
local Transfer = require "support.transfer"
local loop = require "support.standin.loop"

local Client = {}
Client.__index = Client

function Client.new()
  return setmetatable({}, Client)
end

--- See support/luv/client.lua.
function Client:download(url, path, on_progress, on_done)
  assert(not self._transfer, "a client downloads once")
  local turn
  local transfer = Transfer.start(path, on_progress, function(outcome)
    if turn then
      turn.stop()
    end
    on_done(outcome)
  end)
  self._transfer = transfer
  if self._aborted then
    transfer:finish("aborted", self._aborted.reason)
  end
  if transfer.status ~= "running" then
    return
  end

  local next_piece, pause = Server.connect(url)
  if not next_piece then
    transfer:finish("failed", pause)
    return
  end
  local function receive()
    local bytes = next_piece()
    if not bytes then
      transfer:eof()
      return
    end
    transfer:feed(bytes)
    if transfer.status == "running" then
      turn = loop.after(pause, receive)
    end
  end
  turn = loop.after(0, receive)
end

--- See support/luv/client.lua.
function Client:abort(reason)
  self._aborted = self._aborted or { reason = reason }
  if self._transfer then
    self._transfer:finish("aborted", reason)
  end
end

return Client
