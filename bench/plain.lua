--- Cancellation in plain Lua: what one would write without a library.
-- It keeps as many of desist's promises as a table can: the newest callback
-- runs first, each protected; callbacks are taken one at a time, so that one
-- which has not started can be unregistered from another; `unregister` is true
-- exactly if the callback will therefore never run; a late registration runs
-- at once; errors come out together when all have run; what ran or was
-- unregistered is released. It knows no threads, other states, deadlines,
-- links or signals.
--
-- The token carries the state, which makes polling one table access. Its array
-- part holds the registrations, oldest first; one that left early leaves
-- `false` behind, and when most places are such holes they are closed up. (A
-- doubly linked list was tried: half as fast again to register and cancel.)

local error, getmetatable, pcall = error, getmetatable, pcall
local select, setmetatable, type = select, setmetatable, type
local pack, unpack = table.pack, table.unpack

local Source = {}
Source.__index = Source

local Token = {}
Token.__index = Token

local Registration = {}
Registration.__index = Registration

local Failure = {}
Failure.__index = Failure

function Failure:__tostring()
  local lines = { "errors in callbacks:" }
  for i = 1, self.errors.n do
    lines[i + 1] = tostring(self.errors[i].value)
  end
  return table.concat(lines, "\n")
end

local function is_callable(value)
  if type(value) == "function" then
    return true
  end
  local metatable = getmetatable(value)
  return type(metatable) == "table" and metatable.__call ~= nil
end

-- With arguments: one is kept as it is, several in a table.
local function call(callback, count, argument, reason)
  if count == 1 then
    return pcall(callback, argument, reason)
  end
  argument[count + 1] = reason
  return pcall(callback, unpack(argument, 1, count + 1))
end

local function close_up(token)
  local kept = 0
  for i = 1, token._count do
    local registration = token[i]
    token[i] = nil
    if registration then
      kept = kept + 1
      token[kept] = registration
      registration._place = kept
    end
  end
  token._count, token._holes = kept, 0
end

--- Source ------------------------------------------------------------------

function Source:token()
  return self._token
end

function Source:is_cancelled()
  return self._token._cancelled
end

function Source:cancel(reason)
  local token = self._token
  if token._cancelled or token._closed then
    return false
  end
  if reason == nil then
    reason = "cancelled"
  end
  token._cancelled, token._reason = true, reason
  local errors
  -- The count is read anew each time: callbacks unregister others.
  local place = token._count
  while place > 0 do
    local registration = token[place]
    token[place], token._count = nil, place - 1
    if registration then
      local callback = registration._callback
      local ok, value
      registration._callback = false
      if registration._arguments == 0 then
        ok, value = pcall(callback, reason)
      else
        local argument = registration._argument
        registration._argument = nil
        ok, value = call(callback, registration._arguments, argument, reason)
      end
      if not ok then
        errors = errors or { n = 0 }
        errors.n = errors.n + 1
        errors[errors.n] = { value = value }
      end
    end
    place = token._count
  end
  if errors then
    error(setmetatable({ kind = "callbacks", errors = errors }, Failure), 0)
  end
  return true
end

-- Drops what has not run. Inside cancel it ends the walk.
function Source:close()
  local token = self._token
  token._closed = true
  for place = token._count, 1, -1 do
    local registration = token[place]
    if registration then
      registration._callback, registration._argument = false, nil
    end
    token[place] = nil
  end
  token._count, token._holes = 0, 0
end

--- Token -------------------------------------------------------------------

function Token:is_cancelled()
  return self._cancelled
end

function Token:can_be_cancelled()
  return self._cancelled or not self._closed
end

function Token:reason()
  return self._reason
end

-- Cancelled or closed already: the registration is born inactive.
local function register_late(token, callback, count, ...)
  if token._cancelled then
    if count == 0 then
      callback(token._reason)
    else
      local arguments = pack(...)
      arguments[count + 1] = token._reason
      callback(unpack(arguments, 1, count + 1))
    end
  end
  return setmetatable({ _token = token, _callback = false }, Registration)
end

function Token:register(callback, ...)
  if type(callback) ~= "function" and not is_callable(callback) then
    error("bad argument #1 to 'register' (function expected)", 2)
  end
  local arguments = select("#", ...)
  if self._cancelled or self._closed then
    return register_late(self, callback, arguments, ...)
  end
  local place = self._count + 1
  local registration = setmetatable({
    _token = self,
    _callback = callback,
    _place = place,
    _arguments = arguments,
  }, Registration)
  if arguments == 1 then
    registration._argument = ...
  elseif arguments > 1 then
    registration._argument = pack(...)
  end
  self[place], self._count = registration, place
  return registration
end

--- Registration ------------------------------------------------------------

function Registration:unregister()
  if not self._callback then
    return false
  end
  self._callback, self._argument = false, nil
  local token, place = self._token, self._place
  if place == token._count then
    token[place], token._count = nil, place - 1
    return true
  end
  token[place] = false
  token._holes = token._holes + 1
  if token._holes > 32 and token._holes * 2 > token._count then
    close_up(token)
  end
  return true
end

Registration.close = Registration.unregister

function Registration:is_active()
  return self._callback ~= false
end

function Registration:token()
  return self._token
end

return {
  source = function()
    local token = setmetatable({
      _cancelled = false,
      _closed = false,
      _count = 0,
      _holes = 0,
    }, Token)
    return setmetatable({ _token = token }, Source)
  end,
}
