--- As much HTTP/1.1 as one GET and its answer need.
--
-- A head (start line and header fields) arrives in pieces that end anywhere,
-- also in the middle of a line break, so it is read incrementally: feed the
-- reader what came, and it tells when the head is complete.

local HEAD_LIMIT = 16 * 1024 -- bytes; a longer head is a mistake or an attack

local function parse_fields(lines)
  local fields = {}
  for name, value in lines:gmatch("([^:\r\n]+):[ \t]*([^\r\n]-)[ \t]*\r\n") do
    fields[name:lower()] = value
  end
  return fields
end

local Reader = {}
Reader.__index = Reader

--- Takes the next bytes. Gives nothing while the head is incomplete; then the
-- head, whose `rest` are the bytes after it; or nil and a message.
function Reader:feed(bytes)
  self._buffer = self._buffer .. bytes
  local last = self._buffer:find("\r\n\r\n", 1, true)
  if not last then
    if #self._buffer > HEAD_LIMIT then
      return nil, "the head is longer than " .. HEAD_LIMIT .. " bytes"
    end
    return nil
  end

  local start, lines = self._buffer:sub(1, last + 1):match("^(.-\r\n)(.*)$")
  local head, message = self._parse_start(start)
  if not head then
    return nil, message
  end
  head.fields = parse_fields(lines)
  head.rest = self._buffer:sub(last + 4)
  return head
end

local function new_reader(parse_start)
  return setmetatable({ _buffer = "", _parse_start = parse_start }, Reader)
end

--- A reader for heads with `status` (a number) and `text`.
local function response_reader()
  return new_reader(function(line)
    local status, text = line:match("^HTTP/1%.[01] (%d%d%d) ?([^\r\n]*)\r\n$")
    if not status then
      return nil, "this is not an HTTP/1.1 response: " .. line:sub(1, 40)
    end
    return { status = tonumber(status), text = text }
  end)
end

--- A reader for heads with `method` and `target`.
local function request_reader()
  return new_reader(function(line)
    local method, target = line:match("^(%u+) (%S+) HTTP/1%.[01]\r\n$")
    if not method then
      return nil, "this is not an HTTP/1.1 request: " .. line:sub(1, 40)
    end
    return { method = method, target = target }
  end)
end

--- The head of a GET request.
local function request_head(authority, target)
  return ("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"):format(
    target, authority)
end

--- The head of a response whose body has `size` bytes; `fields` is a list of
-- further lines, "Name: value".
local function response_head(status, size, fields)
  return table.concat({
    "HTTP/1.1 " .. status,
    "Content-Length: " .. size,
    table.concat(fields, "\r\n"),
    "Connection: close",
    "\r\n",
  }, "\r\n")
end

--- The head of a download with this Adler-32.
local function download_head(size, adler32)
  return response_head("200 OK", size, {
    "Content-Type: application/octet-stream",
    "Digest: adler32=" .. adler32,
  })
end

--- Host, port and target of a URL like http://127.0.0.1:8080/path.
local function split_url(url)
  local host, port, target = url:match("^http://([%d.]+):(%d+)(/.*)$")
  assert(host, "the URL must look like http://127.0.0.1:8080/path")
  return host, tonumber(port), target
end

return {
  request_reader = request_reader,
  response_reader = response_reader,
  request_head = request_head,
  response_head = response_head,
  download_head = download_head,
  split_url = split_url,
}
