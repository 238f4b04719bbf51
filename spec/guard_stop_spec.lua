local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"

-- From the cancellation, or from the end of the grace where the code catches
-- it, to the end of the guard.
local LIMIT = 0.05 * helper.slower

-- Made before the guard tracks coroutines, and the functions are the old ones.
local resume, wrap = coroutine.resume, coroutine.wrap

local function forever()
  while true do end -- luacheck: ignore 542
end

local old_coroutines, old_iterators, old_pairs = {}, {}, {}
for i = 1, 20 do
  local inner = coroutine.create(forever)
  old_coroutines[i], old_iterators[i] = coroutine.create(forever), wrap(forever)
  old_pairs[i] = coroutine.create(function() return resume(inner) end)
end

local function endless(event, use)
  return function()
    return use(setmetatable({}, { [event] = forever }))
  end
end

-- The first error that a resume gives is raised.
local function raise_of(ok, ...)
  if not ok then error((...), 0) end
  return ...
end

local CASES = {
  ["an empty loop"] = forever,
  ["a loop of calls"] = function()
    local function f() end
    while true do f() end
  end,
  ["an endless recursion of tail calls"] = function()
    local function f() return f() end
    return f()
  end,
  ["a loop in a coroutine"] = function()
    raise_of(coroutine.resume(coroutine.create(forever)))
  end,
  ["a loop in a coroutine made before the guard"] = function()
    raise_of(coroutine.resume(table.remove(old_coroutines)))
  end,
  ["a loop in an iterator made before the guard"] = function()
    for _ in table.remove(old_iterators) do end -- luacheck: ignore 542
  end,
  ["a loop below two resumes that are not tracked"] = function()
    raise_of(select(2, resume(table.remove(old_pairs))))
  end,
  ["a wrap iterator that never ends"] = function()
    local iterator = coroutine.wrap(function()
      while true do coroutine.yield(1) end
    end)
    for _ in iterator do end -- luacheck: ignore 542
  end,
  ["a loop in a wrap iterator"] = function()
    for _ in coroutine.wrap(forever) do end -- luacheck: ignore 542
  end,
  ["a loop in a coroutine inside a coroutine"] = function()
    coroutine.wrap(function() coroutine.wrap(forever)() end)()
  end,
  ["a loop in a task"] = function()
    async.run(forever)
  end,
  ["a loop in a coroutine in a task"] = function()
    async.run(function() coroutine.wrap(forever)() end)
  end,
  ["a loop in a task of a stepped loop"] = function()
    local loop = async.loop()
    local task = loop:spawn(forever)
    loop:spawn(pcall, task.join, task)
    loop:step(1)
    raise_of(task:result())
  end,
  ["an endless __index"] = endless("__index", function(t) return t.x end),
  ["an endless __newindex"] = endless("__newindex", function(t) t.x = 1 end),
  ["an endless __add"] = endless("__add", function(t) return t + 1 end),
  ["an endless __eq"] = function()
    local meta = { __eq = forever }
    return setmetatable({}, meta) == setmetatable({}, meta)
  end,
  ["an endless __tostring"] = endless("__tostring", tostring),
  ["an endless __pairs"] = endless("__pairs", pairs),
  ["an endless comparison of table.sort"] = function()
    table.sort({ 3, 1, 2, 4 }, forever)
  end,
  ["an endless replacement of string.gsub"] = function()
    return (("x"):gsub("x", forever))
  end,
  ["an endless piece of load"] = function()
    return error(select(2, load(forever)), 0)
  end,
  ["an endless chunk"] = load "while true do end",
  ["an endless __close at the end of a block"] = function()
    local _ <close> = setmetatable({}, { __close = forever })
  end,
  ["an endless callback of a token"] = function()
    local source = desist.source()
    source:token():register(forever)
    local _, err = pcall(source.cancel, source)
    error(err.errors[1].value, 0)
  end,
  ["a wait that nobody ends"] = function()
    local source = desist.source()
    source:token():wait()
  end,
  ["a loop that sleeps"] = function()
    async.run(async.sleep, 1000)
  end,
  ["a host's loop that is busy with nothing"] = function()
    local loop = async.loop()
    loop:spawn(function() while true do async.next_step() end end)
    while true do loop:step(1) end
  end,
}

-- These catch the first error and go on.
local STUBBORN = {
  ["a loop of pcall"] = function()
    while true do pcall(forever) end
  end,
  ["a loop of pcall of nothing"] = function()
    while true do pcall(function() end) end
  end,
  ["a loop of xpcall"] = function()
    while true do xpcall(forever, function(err) return err end) end
  end,
  ["a loop that catches and retries"] = function()
    local ok
    repeat ok = pcall(function()
      for _ = 1, 1e6 do end -- luacheck: ignore 542
      error "again"
    end) until ok
  end,
  ["pcall inside of pcall"] = function()
    local function f()
      while true do pcall(pcall, forever) end
    end
    while true do pcall(pcall, f) end
  end,
  ["a loop of new coroutines"] = function()
    while true do coroutine.resume(coroutine.create(forever)) end
  end,
  ["a loop of new coroutines, resumed unseen"] = function()
    while true do resume(coroutine.create(forever)) end
  end,
  ["a loop of tasks"] = function()
    while true do pcall(async.run, forever) end
  end,
  ["an endless __close of what is interrupted"] = function()
    local _ <close> = setmetatable({}, { __close = forever })
    forever()
  end,
  ["an endless __close of a wrap iterator that is interrupted"] = function()
    coroutine.wrap(function()
      local _ <close> = setmetatable({}, { __close = forever })
      forever()
    end)()
  end,
  ["closing what was interrupted, with two endless __close"] = function()
    local co = coroutine.create(function()
      local _ <close> = setmetatable({}, { __close = forever })
      local _ <close> = setmetatable({}, { __close = forever })
      forever()
    end)
    coroutine.resume(co)
    coroutine.close(co)
    forever()
  end,
  ["three endless __close"] = function()
    local _ <close> = setmetatable({}, { __close = forever })
    local _ <close> = setmetatable({}, { __close = forever })
    local _ <close> = setmetatable({}, { __close = forever })
    forever()
  end,
  ["an endless __gc"] = function()
    setmetatable({}, { __gc = forever })
    collectgarbage()
    forever()
  end,
  ["endless finalizers, again and again"] = function()
    while true do
      setmetatable({}, { __gc = forever })
      pcall(collectgarbage)
    end
  end,
  ["a wait that is waited for again"] = function()
    local source = desist.source()
    while true do pcall(source.token(source).wait, source:token()) end
  end,
}

-- How long a guard whose token is cancelled after 5 ms lasts beyond that.
local function overtime(grace, fn)
  local source = desist.after(0.005)
  local token = source:token()
  local ok, err = desist.guard({ token = token, grace = grace }, fn)
  local ended = desist.now()
  assert.is_false(ok)
  assert.is_true(desist.is_cancelled(err), tostring(err))
  assert.equal(token, err.token)
  assert.is_nil((debug.gethook()), "a hook is left")
  return ended
end

-- Machines have their moments: one of five tries is in time.
local function stops(fn, grace)
  local took
  for _ = 1, 5 do
    local started = desist.now()
    took = overtime(grace, fn) - started - 0.005 - grace
    if took <= LIMIT then return end
  end
  error(("stopped %.1f ms after the cancellation"):format(took * 1000))
end

local function sorted(cases)
  local names = {}
  for name in pairs(cases) do names[#names + 1] = name end
  table.sort(names)
  return ipairs(names)
end

-- A count hook is not found in coroutines that somebody resumes unseen, and is
-- gone when a hook is set.
local _, how = desist.can_interrupt()
if how == "hook" then
  CASES["a loop below two resumes that are not tracked"] = nil
  CASES["a loop in an iterator made before the guard"] = nil
end

describe("desist.guard stops", function()
  local handler
  before_each(function() handler = desist.on_error(function() end) end)
  after_each(function() desist.on_error(handler) end)

  for _, name in sorted(CASES) do
    it(name, function() stops(CASES[name], 0) end)
    it(name .. ", inside a coroutine", function()
      coroutine.wrap(function() stops(CASES[name], 0.002) end)()
    end)
  end

  for _, name in sorted(STUBBORN) do
    it(name .. ", after the grace", function()
      stops(STUBBORN[name], 0.01)
    end)
    it(name .. ", without grace", function() stops(STUBBORN[name], 0) end)
  end
end)
