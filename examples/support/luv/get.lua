--- An HTTP GET in a task: it waits where a client with callbacks would be
-- called back, and a cancellation ends it wherever it waits.

local uv = require "luv"
local luv = require "desist.loop.luv"
local finally = require "support.finally"
local http = require "support.http"

--- The head of the answer, with the beginning of the body in `rest`.
local function read_head(socket)
  local reader = http.response_reader()
  while true do
    local bytes, message = luv.read(socket)
    if not bytes then
      return nil, message or "the server hung up"
    end
    local head
    head, message = reader:feed(bytes)
    if head or message then
      return head, message
    end
  end
end

local function read_body(socket, head)
  local pieces = { head.rest }
  local missing = tonumber(head.fields["content-length"]) - #head.rest
  while missing > 0 do
    local bytes, message = luv.read(socket)
    if not bytes then
      return nil, message or "the connection ended before the body did"
    end
    pieces[#pieces + 1] = bytes
    missing = missing - #bytes
  end
  return table.concat(pieces)
end

--- The answer: a table with `status`, `text`, `fields` and `body`; or nil and a
-- message if there was none. A status like 404 is an answer, too.
local function get(url)
  local host, port, target = http.split_url(url)
  local socket = uv.new_tcp()
  local _ <close> = finally(luv.close, socket)

  local ok, message = luv.connect(socket, host, port)
  if not ok then
    return nil, message
  end
  local request = http.request_head(host .. ":" .. port, target)
  ok, message = luv.write(socket, request)
  if not ok then
    return nil, message
  end
  local head
  head, message = read_head(socket)
  if not head then
    return nil, message
  end
  head.body, message = read_body(socket, head)
  return head.body and head, message
end

return get
