--- Cooperative cancellation: sources that may cancel, tokens that observe.
--
-- Sources, tokens, registrations, clocks and errors are made in C, in
-- `desist.core`; docs/lua-api.md describes them all. What is written in Lua
-- stands beside this file and is required by its own name; but for what shows
-- what is going on, which is loaded when it is first called.

local desist = require "desist.core"

-- So that what is ours is known: a guard raises nothing inside of these files.
desist._inside.own = desist._inside.find_own()

local function put_off(name)
  desist[name] = function(...)
    return require "desist.inspect"[name](...)
  end
end

put_off "inspect"
put_off "late"
put_off "on_late"
put_off "trace"

return desist
