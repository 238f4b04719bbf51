--- A "server" without sockets: a generator of the bytes that would come.

local checksum = require "support.checksum"
local http = require "support.http"

local CHUNKS = 150 -- a body is sent in so many pieces

local servers = {} -- by URL, since there is no network to find them

local Server = {}
Server.__index = Server

local function response(self)
  return coroutine.wrap(function()
    local body = self._body
    coroutine.yield(http.download_head(#body, self.adler32))
    for chunk = 1, CHUNKS do
      local from = #body * (chunk - 1) // CHUNKS
      self.sent = #body * chunk // CHUNKS
      coroutine.yield(body:sub(from + 1, self.sent))
    end
  end)
end

function Server.start(body, seconds)
  local self = setmetatable({
    url = "standin:/body",
    adler32 = checksum.adler32(body),
    sent = 0,
    pause = seconds / CHUNKS, -- between two pieces
    _body = body,
  }, Server)
  servers[self.url] = self
  return self
end

--- Gives the function that answers the next piece at each call and nil at the
-- end, and the pause between two pieces. Or nil and a message.
function Server.connect(url)
  local server = servers[url]
  if not server then
    return nil, "nobody listens at " .. url
  end
  return response(server), server.pause
end

function Server:close()
  servers[self.url] = nil
end

return Server
