--- Awaiting requests of luv: all that takes a callback as its last argument
-- and calls it once, with an error first.

local uv = require "luv"
local texts = require "desist.loop.luv.errors"
local await = require "desist.async.wait".await

local pcall, select = pcall, select
local unpack = table.unpack or unpack

-- --- Errors -----------------------------------------------------------------

--- What luv's functions return for an error that a callback was given:
-- "ENOENT: no such file or directory: PATH", or the name alone.
local function failure(err)
  local name = err:match "^[%u%d_]+"
  if err == name and texts[name] then err = name .. ": " .. texts[name] end
  return nil, err, name or err
end

-- --- Requests ---------------------------------------------------------------

local function ignore() end

local function close_file(file)
  uv.fs_close(file, ignore)
end

--- What is to be done with a result that nobody waits for any more.
local dispose = {
  [uv.fs_open] = close_file,
  [uv.fs_mkstemp] = close_file,
  [uv.fs_opendir] = function(dir) uv.fs_closedir(dir, ignore) end,
}

--- luv.request(fn, ...): calls fn(..., callback); what the callback is given,
-- or nil, message, name. Cancelled, the request is, too, if it has not begun;
-- else it goes on, and its result is dropped: files it opens are closed.
local function request(fn, ...)
  local args = { n = select("#", ...) + 1, ... }
  return await(function(resume)
    local cancelled = false
    args[args.n] = function(err, ...)
      if cancelled then
        if not err and dispose[fn] then dispose[fn](...) end
      elseif err then
        resume(failure(err))
      else
        resume(...)
      end
    end
    local handle, message, name = fn(unpack(args, 1, args.n))
    if not handle then return resume(nil, message, name) end
    return function()
      cancelled = true
      pcall(uv.cancel, handle) -- not all of them are requests to luv
    end
  end)
end

--- luv.getaddrinfo(host [, service [, hints]]): a list of addresses.
local function getaddrinfo(host, service, hints)
  return request(uv.getaddrinfo, host, service, hints)
end

return { failure = failure, getaddrinfo = getaddrinfo, request = request }
