--- An HTTP server on 127.0.0.1 that has one body and sends it slowly.

local uv = require "luv"
local checksum = require "support.checksum"
local http = require "support.http"
local loop = require "support.luv.loop"

local HOST = "127.0.0.1" -- loopback only: nothing leaves the machine
local PATH = "/body"
local BACKLOG = 8
local TICK = 0.02 -- seconds between two chunks
local QUEUE_LIMIT = 1024 * 1024 -- bytes; a slower client is not sent more

local Server = {}
Server.__index = Server

local function send_and_close(client, bytes)
  client:write(bytes, loop.protect(function()
    loop.close(client)
  end))
end

--- Sends what is due by now, so that the whole body takes `_seconds`.
local function stream(self, client)
  local body = self._body
  local started, sent = uv.hrtime(), 0
  local ticks

  local function leave()
    ticks:stop()
    loop.close(client)
  end

  ticks = loop.every(TICK, function()
    if client:is_closing() then
      return ticks:stop() -- the client has left
    end
    if client:get_write_queue_size() > QUEUE_LIMIT then
      return
    end
    local share = (uv.hrtime() - started) / (self._seconds * 1e9)
    local due = math.floor(#body * math.min(share, 1))
    local chunk = body:sub(sent + 1, due)
    sent = due
    self.sent = sent
    if sent == #body then
      ticks:stop()
      return send_and_close(client, chunk)
    end
    client:write(chunk, loop.protect(function(err)
      if err then
        leave()
      end
    end))
  end)
end

local function answer(self, client, request)
  if request.method ~= "GET" or request.target ~= PATH then
    send_and_close(client, http.response_head("404 Not Found", 0,
      { "Content-Type: text/plain" }))
    return
  end
  client:write(http.download_head(#self._body, self.adler32))
  stream(self, client)
end

local function accept(self)
  local client = uv.new_tcp()
  self._listener:accept(client)
  local reader = http.request_reader()
  client:read_start(loop.protect(function(err, bytes)
    if err or not bytes then
      loop.close(client) -- it went away, or has nothing more to ask
    elseif reader then
      local request, message = reader:feed(bytes)
      if request then
        reader = nil
        answer(self, client, request)
      elseif message then
        loop.close(client)
      end
    end
  end))
end

--- Listens on a port that the system chooses; `url` says where.
function Server.start(body, seconds)
  local listener = uv.new_tcp()
  local self = setmetatable({
    adler32 = checksum.adler32(body),
    sent = 0, -- bytes of the body, as far as the server knows
    _body = body,
    _seconds = seconds,
    _listener = listener,
  }, Server)
  assert(listener:bind(HOST, 0))
  assert(listener:listen(BACKLOG, loop.protect(function(err)
    assert(not err, err)
    accept(self)
  end)))
  local port = listener:getsockname().port
  self.url = ("http://%s:%d%s"):format(HOST, port, PATH)
  return self
end

--- Takes no more clients. One that is being served is served to its end, or
-- until it leaves.
function Server:close()
  loop.close(self._listener)
end

return Server
