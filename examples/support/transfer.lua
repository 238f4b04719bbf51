--- One response on its way into a file: the half of a download that does not
-- care where the bytes come from.
--
-- The body is written to FILE.part and gets its name when it is complete, so
-- that FILE is never half a file. A download that is aborted or fails removes
-- the partial file: this server cannot resume, so nobody could use it.
--
-- A transfer is "running" and then for ever "complete", "aborted" or "failed".
-- It ends once, and tells so once: `on_done(outcome)` with the fields
--   status    the word
--   reason    aborted: the reason given; failed: a message
--   received  bytes of the body that arrived
--   size      bytes that were announced; nil if the head never came
--   adler32   the announced checksum, or nil

local http = require "support.http"

local Transfer = {}
Transfer.__index = Transfer

--- `on_progress(received, size)` is called after each piece of the body.
function Transfer.start(path, on_progress, on_done)
  local self = setmetatable({
    status = "running",
    received = 0,
    _path = path,
    _partial = path .. ".part",
    _head_reader = http.response_reader(),
    _on_progress = on_progress,
    _on_done = on_done,
  }, Transfer)
  local message
  self._file, message = io.open(self._partial, "wb")
  if not self._file then
    self:finish("failed", message)
  end
  return self
end

--- Ends the transfer; false if it has ended before.
function Transfer:finish(status, reason)
  if self.status ~= "running" then
    return false
  end
  if self._file then
    -- Closing writes out what is buffered; the disk may be full only now.
    local closed, message = self._file:close()
    if status == "complete" and not closed then
      status, reason = "failed", message
    end
  end
  if status == "complete" then
    local renamed, message = os.rename(self._partial, self._path)
    if not renamed then
      status, reason = "failed", message
    end
  end
  if status ~= "complete" then
    os.remove(self._partial)
  end
  self.status = status
  self._on_done({
    status = status,
    reason = reason,
    received = self.received,
    size = self.size,
    adler32 = self.adler32,
  })
  return true
end

local function read_head(self, head)
  if head.status ~= 200 then
    return nil, ("the server answered %d %s"):format(head.status, head.text)
  end
  self.size = tonumber((head.fields["content-length"] or ""):match("^%d+$"))
  if not self.size then
    return nil, "the server did not say how long the body is"
  end
  self.adler32 = (head.fields.digest or ""):lower():match("adler32=(%x+)")
  return true
end

local function write_body(self, bytes)
  self.received = self.received + #bytes
  if self.received > self.size then
    return nil, "the server sent more than it had announced"
  end
  return self._file:write(bytes)
end

--- Takes the next bytes of the response, head or body.
function Transfer:feed(bytes)
  if self.status ~= "running" then
    return -- it was aborted while these were on their way
  end
  local done, message
  if not self.size then
    local head
    head, message = self._head_reader:feed(bytes)
    if not head then
      return message and self:finish("failed", message)
    end
    done, message = read_head(self, head)
    if not done then
      return self:finish("failed", message)
    end
    bytes = head.rest
  end
  done, message = write_body(self, bytes)
  if not done then
    return self:finish("failed", message)
  end
  self._on_progress(self.received, self.size)
  if self.received == self.size then
    self:finish("complete")
  end
end

--- The sender has ended; too early, if the transfer is still running.
function Transfer:eof()
  self:finish("failed", "the connection ended before the body did")
end

return Transfer
