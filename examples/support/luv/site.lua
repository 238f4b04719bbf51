--- A small web site on 127.0.0.1, served by tasks: one that takes what comes,
-- and one for each visitor.

local uv = require "luv"
local luv = require "desist.loop.luv"
local finally = require "support.finally"
local http = require "support.http"

local HOST = "127.0.0.1" -- loopback only: nothing leaves the machine

local Site = {}
Site.__index = Site

--- The target that the visitor asks for; nil if it does not ask for one.
local function read_target(visitor)
  local reader = http.request_reader()
  while true do
    local bytes = luv.read(visitor)
    if not bytes then
      return nil
    end
    local request, message = reader:feed(bytes)
    if request or message then
      return request and request.target
    end
  end
end

local function serve(self, visitor)
  local _ <close> = finally(luv.close, visitor)
  local target = read_target(visitor)
  if not target then
    return
  end
  self.served = self.served + 1
  local status, body = self._answer(target)
  if status then
    -- Whether the visitor is still there is its own affair.
    luv.write(visitor, http.response_head(status, #body,
      { "Content-Type: text/html; charset=utf-8" }) .. body)
  end
end

--- Opens a site that lives as long as the scope does, in its background.
-- `answer(target)` gives the status, like "200 OK", and the body; it may take
-- its time; if it gives nothing, the site hangs up. `site:url(target)` gives
-- addresses, `site.served` is the number of requests.
function Site.open(scope, answer)
  local listener = uv.new_tcp()
  assert(listener:bind(HOST, 0)) -- a port that the system chooses
  assert(luv.listen(listener))
  local self = setmetatable({
    served = 0,
    _answer = answer,
    _port = listener:getsockname().port,
  }, Site)
  scope:background(function()
    local _ <close> = finally(luv.close, listener)
    while true do
      local visitor = assert(luv.accept(listener))
      scope:background(serve, self, visitor)
    end
  end)
  return self
end

function Site:url(target)
  return ("http://%s:%d%s"):format(HOST, self._port, target)
end

return Site
