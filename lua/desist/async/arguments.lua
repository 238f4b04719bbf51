--- Arguments: what is wrong with one is said in the manner of luaL_argerror.

local huge = math.huge

--- Raises, where the public function was called. `name` is "sleep" or
-- "queue:put"; `level` counts from the function that calls this one.
local function bad(index, name, message, level)
  error(("bad argument #%d to '%s' (%s)"):format(index, name, message),
    (level or 1) + 2)
end

local function is_callable(value)
  if type(value) == "function" then return true end
  local meta = getmetatable(value)
  return type(meta) == "table" and meta.__call ~= nil
end

local function check_callable(value, index, name)
  if type(value) ~= "function" and not is_callable(value) then
    bad(index, name, "function expected, got " .. type(value), 2)
  end
end

--- A duration: 0 or more, not NaN; math.huge is for ever. `what` begins the
-- message about an option.
local function check_seconds(value, index, name, what)
  local level = what and 4 or 2
  if type(value) ~= "number" then
    bad(index, name, (what or "") .. "number expected, got " .. type(value),
      level)
  elseif value ~= value or value < 0 then
    bad(index, name, (what or "") .. "0 or more seconds expected, got "
      .. tostring(value), level)
  end
end

--- A moment, as an option: any number but NaN.
local function check_time(value, index, name, what)
  if type(value) ~= "number" then
    bad(index, name, what .. "number expected, got " .. type(value), 4)
  elseif value ~= value then
    bad(index, name, what .. "a time in seconds expected, got nan", 4)
  end
end

--- A whole number of at least `least`; math.huge passes.
local function check_count(value, index, name, least)
  if type(value) ~= "number" then
    bad(index, name, "number expected, got " .. type(value), 2)
  elseif value ~= value or value < least
    or (value ~= huge and value ~= math.floor(value)) then
    bad(index, name, ("whole number of %d or more expected, got %s")
      :format(least, tostring(value)), 2)
  end
end

local function check_option(value, wanted, index, name, what)
  if wanted == "seconds" then
    check_seconds(value, index, name, what)
  elseif wanted == "time" then
    check_time(value, index, name, what)
  elseif wanted == "token" then
    if getmetatable(value) ~= "desist.token" then
      bad(index, name, what .. "token expected, got " .. type(value), 3)
    end
  elseif type(value) ~= wanted then
    bad(index, name, ("%s%s expected, got %s")
      :format(what, wanted, type(value)), 3)
  end
end

--- A table of options, with the types that `known` has for their names. Others
-- are ignored, as everywhere in desist.
local function check_options(options, index, name, known)
  for key, wanted in pairs(known) do
    local value = options[key]
    if value ~= nil then
      check_option(value, wanted, index, name, ("option '%s': "):format(key))
    end
  end
end

return {
  bad = bad,
  is_callable = is_callable,
  check_callable = check_callable,
  check_count = check_count,
  check_options = check_options,
  check_seconds = check_seconds,
}
