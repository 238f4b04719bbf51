--- The operations of the Lua rows, written once. `new_source` and the objects
-- it makes are desist's or plain.lua's: both run the same bytecode here.

local timed = require("rounds").timed

local function bump(counter)
  return function()
    counter.ran = counter.ran + 1
  end
end

local function expect_ran(counter, expected)
  if counter.ran ~= expected then
    error(("%d callbacks ran, expected %d"):format(counter.ran, expected), 0)
  end
end

-- Ten polls a turn, so that the loop itself weighs little.
local function poll(token, count)
  for _ = 1, count, 10 do
    token:is_cancelled() token:is_cancelled()
    token:is_cancelled() token:is_cancelled()
    token:is_cancelled() token:is_cancelled()
    token:is_cancelled() token:is_cancelled()
    token:is_cancelled() token:is_cancelled()
  end
end

local function register_and_unregister(token, callback, count)
  for _ = 1, count do
    token:register(callback):unregister()
  end
end

local function whole_lives(new_source, callback, count)
  for _ = 1, count do
    local source = new_source()
    source:token():register(callback)
    source:cancel()
  end
end

local operations = {}

function operations.poll(new_source)
  return function(count)
    -- The source is held: a token whose source is collected would not be
    -- what is polled in practice.
    local source = new_source()
    local seconds = timed(poll, source:token(), count)
    assert(not source:is_cancelled())
    return seconds
  end
end

function operations.register(new_source)
  return function(count)
    local counter = { ran = 0 }
    local source = new_source()
    local seconds =
      timed(register_and_unregister, source:token(), bump(counter), count)
    source:cancel()
    expect_ran(counter, 0)
    return seconds
  end
end

-- Only the cancelling is timed; the handles of the registrations are dropped,
-- as they mostly are. `count` is rounded up to whole sources.
function operations.cancel(new_source)
  return function(count)
    local counter, seconds, run = { ran = 0 }, 0, 0
    local callback = bump(counter)
    while run < count do
      local source = new_source()
      local token = source:token()
      for _ = 1, 1000 do
        token:register(callback)
      end
      seconds = seconds + timed(source.cancel, source)
      run = run + 1000
    end
    expect_ran(counter, run)
    return seconds * count / run
  end
end

function operations.life(new_source)
  return function(count)
    local counter = { ran = 0 }
    local seconds = timed(whole_lives, new_source, bump(counter), count)
    expect_ran(counter, count)
    return seconds
  end
end

return operations
