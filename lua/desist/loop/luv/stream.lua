--- Awaiting streams of luv: TCP, pipes, terminals.
--
-- A stream belongs to who made it, who closes it with luv.close. These close
-- it themselves: a connect that does not succeed, and a write cut short, after
-- which nobody could know what the other side has got.

local uv = require "luv"
local handles = require "desist.loop.luv.handle"
local request = require "desist.loop.luv.request"
local queue = require "desist.sync.queue"
local await = require "desist.async.wait".await

local close, failure = handles.close, request.failure
local pcall, select = pcall, select
local unpack = table.unpack or unpack

-- --- Reading and writing ----------------------------------------------------

--- luv.read(stream): the next chunk; nil at the end; nil, message, name.
-- Cancelled, it takes nothing: what arrives stays for the next one.
local function read(stream)
  local chunk, message, name =
    handles.once(uv.read_start, uv.read_stop, stream)
  if name then return nil, message, name end
  return chunk
end

--- luv.write(stream, data): true when all of it is with the system, or nil,
-- message, name. Cancelled before that, it closes the stream.
local function write(stream, data)
  return await(function(resume)
    local ok, message, name = uv.write(stream, data, function(err)
      if err then return resume(failure(err)) end
      resume(true)
    end)
    if not ok then return resume(nil, message, name) end
    return function()
      if uv.stream_get_write_queue_size(stream) > 0 then close(stream) end
    end
  end)
end

-- --- Connecting -------------------------------------------------------------

local function connected(stream, ok, ...)
  if not ok then
    close(stream)
    error((...), 0)
  elseif not (...) then
    close(stream)
  end
  return ...
end

--- luv.connect(stream, ...): stream:connect(..., callback), for TCP an address
-- and a port, for a pipe its name. Gives the stream, or nil, message, name.
-- Cancelled or failed, it has closed the stream.
local function connect(stream, ...)
  local args = { n = select("#", ...) + 1, ... }
  return connected(stream, pcall(await, function(resume)
    args[args.n] = function(err)
      if err then return resume(failure(err)) end
      resume(stream)
    end
    local ok, message, name = stream:connect(unpack(args, 1, args.n))
    if not ok then return resume(nil, message, name) end
    return function() close(stream) end
  end))
end

-- --- Listening --------------------------------------------------------------

--- server -> a queue with "" for a connection that can be accepted, or the
-- name of an error. Luv looks for no other one meanwhile.
local arrivals = setmetatable({}, { __mode = "k" })

--- luv.listen(server [, backlog]): true, or nil, message, name.
local function listen(server, backlog)
  local arrived = queue()
  local ok, message, name = server:listen(backlog or 128, function(err)
    arrived:try_put(err or "")
  end)
  if not ok then return nil, message, name end
  arrivals[server] = arrived
  handles.on_close(server, function() arrived:close() end)
  return true
end

local function new_like(server)
  if uv.handle_get_type(server) == "tcp" then return uv.new_tcp() end
  return uv.new_pipe(false)
end

--- luv.accept(server): the stream of the next connection, or nil, message,
-- name. Cancelled, it takes none.
local function accept(server)
  local arrived = arrivals[server]
  if arrived == nil then error("luv.accept before luv.listen", 2) end
  local err = arrived:get()
  if err == nil or uv.is_closing(server) then return failure "ECANCELED" end
  if err ~= "" then return failure(err) end
  local stream = new_like(server)
  local ok, message, name = server:accept(stream)
  if ok then return stream end
  close(stream)
  return nil, message, name
end

return {
  accept = accept,
  connect = connect,
  listen = listen,
  read = read,
  write = write,
}
