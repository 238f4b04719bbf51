--- An HTTP client for one download, over luv.
--
-- It knows nothing of desist. It has a method that aborts, as such objects do,
-- and that is all that a token needs: token:register(client.abort, client).

local uv = require "luv"
local http = require "support.http"
local loop = require "support.luv.loop"
local Transfer = require "support.transfer"

local Client = {}
Client.__index = Client

function Client.new()
  return setmetatable({}, Client)
end

--- Downloads `url` into the file `path`. See support/transfer.lua for the two
-- callbacks, and for what becomes of a part of the file.
function Client:download(url, path, on_progress, on_done)
  local host, port, target = http.split_url(url)
  assert(not self._transfer, "a client downloads once")

  local socket = uv.new_tcp()
  local transfer = Transfer.start(path, on_progress, function(outcome)
    loop.close(socket) -- no callback of the socket brings data after this
    on_done(outcome)
  end)
  self._transfer = transfer
  if self._aborted then
    transfer:finish("aborted", self._aborted.reason)
  end
  if transfer.status ~= "running" then
    return
  end

  local function receive(err, bytes)
    if err then
      transfer:finish("failed", err)
    elseif bytes then
      transfer:feed(bytes)
    else
      transfer:eof()
    end
  end

  socket:connect(host, port, loop.protect(function(err)
    if transfer.status ~= "running" then
      return -- aborted while connecting
    elseif err then
      transfer:finish("failed", "could not connect: " .. err)
      return
    end
    socket:read_start(loop.protect(receive))
    socket:write(http.request_head(host .. ":" .. port, target))
  end))
end

--- Ends the download now: closes the socket, removes the partial file and
-- reports "aborted" with this reason before it returns. A download that has
-- ended already stays as it ended; one that has not begun never will.
function Client:abort(reason)
  self._aborted = self._aborted or { reason = reason }
  if self._transfer then
    self._transfer:finish("aborted", reason)
  end
end

return Client
