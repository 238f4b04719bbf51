-- What the specs share: a recorder of callbacks, checks for argument errors,
-- collections, tasks on a stepped loop, child processes and threads.
--
-- Every spec file calls `helper.leave_nothing(before_each, after_each)`: a
-- test that leaves callbacks queued, or errors that no test asked for, fails.

local assert = require "luassert"
local desist = require "desist"
local luv = require "luv"

local helper = {}

-- Recorder ---------------------------------------------------------------

local Recorder = {}
Recorder.__index = Recorder

-- An object whose `note` can be registered as it is: it keeps each call.
function helper.recorder()
  local recorder = setmetatable({ n = 0, calls = {} }, Recorder)
  recorder.note = function(...)
    recorder.n = recorder.n + 1
    recorder.calls[recorder.n] = table.pack(...)
  end
  return recorder
end

-- A callback that notes `name` and then runs `action`, if there is one.
function Recorder:as(name, action)
  return function(...)
    self.note(name, ...)
    if action then action(...) end
  end
end

-- The arguments of call i, as table.pack gives them.
function Recorder:arguments(i)
  return self.calls[i]
end

-- The first arguments of all calls in one string: "c b a".
function Recorder:order()
  local names = {}
  for i = 1, self.n do names[i] = tostring(self.calls[i][1]) end
  return table.concat(names, " ")
end

-- Errors and leftovers ---------------------------------------------------

local stray = {}

-- The values that desist.on_error was given in this test so far; claimed by
-- the test that asks.
function helper.handled_errors()
  local list = stray
  stray = { n = 0 }
  return list
end

function helper.leave_nothing(before_each, after_each)
  local old
  before_each(function()
    stray = { n = 0 }
    old = desist.on_error(function(value)
      stray.n = stray.n + 1
      stray[stray.n] = value
    end)
  end)
  after_each(function()
    local ran = desist.dispatch()
    desist.on_error(old)
    assert.equal(0, ran, "callbacks left in the queue")
    assert.equal(0, stray.n, "unexpected: " .. tostring(stray[1]))
  end)
end

-- A callback that fails with what it is given, unchanged.
function helper.fail(value)
  error(value, 0)
end

-- Calls fn, which must raise; each pattern must match the message. Returns
-- the error value.
function helper.raises(fn, ...)
  local ok, value = pcall(fn)
  assert.is_false(ok, "no error raised")
  for _, pattern in ipairs { ... } do
    assert.is_truthy(tostring(value):find(pattern),
      ("%q does not match %q"):format(tostring(value), pattern))
  end
  return value
end

-- Calls fn, in which `name` must raise an argument error in the manner of
-- luaL_argerror: position, function, and in brackets what was expected.
function helper.argument_error(position, name, expected, fn)
  local value = helper.raises(fn)
  assert.is_string(value)
  local form = ("bad argument #%d to '[%%w_.:]*%s' %%((.+)%%)")
    :format(position, name)
  local detail = value:match(form)
  assert.is_truthy(detail, ("%q is not an argument error of %s, #%d")
    :format(value, name, position))
  assert.is_truthy(detail:find(expected),
    ("%q does not say %q"):format(value, expected))
end

-- Tasks ------------------------------------------------------------------

-- Steps a loop from one moment at which something happens to the next, until
-- no task is alive. Nothing may be left in it then.
function helper.finish(loop)
  for _ = 1, 1000 do
    local time = loop:next_time()
    if loop:is_idle() or time == nil then break end
    loop:step(math.max(time - loop:now(), 0))
  end
  assert.is_true(loop:is_idle(), "a task does not end")
  assert.is_nil(loop:next_time(), "a timer is left")
end

-- A function for `it` that runs body(loop) as a task on a stepped loop until
-- all has ended. It gives the results of the body, or raises its error.
function helper.in_task(body)
  local function results(ok, ...)
    if not ok then error((...), 0) end
    return ...
  end
  return function()
    local loop = require "desist.async".loop()
    local main = loop:spawn(body, loop)
    loop:spawn(pcall, main.join, main) -- its error is ours
    helper.finish(loop)
    return results(main:result())
  end
end

-- Memory -----------------------------------------------------------------

-- Finalizers may free what only the next collection finds.
function helper.full_gc()
  for _ = 1, 6 do collectgarbage "collect" end
end

-- Calls make, puts what it returns into a weak table and collects. Gives the
-- table: what is gone reads as nil. Objects must not be in the caller's
-- locals.
function helper.survivors(make)
  local weak = setmetatable({}, { __mode = "v" })
  local function fill(...)
    for i = 1, select("#", ...) do weak[i] = (select(i, ...)) end
  end
  fill(make())
  helper.full_gc()
  return weak
end

-- Calls fn while the collector, which the caller has stopped, has a whole
-- collection to make up for: it comes at the first allocation in fn.
function helper.collect_inside(fn, ...)
  local mode = collectgarbage("incremental", 100, 1000, 40)
  collectgarbage "restart"
  local result = fn(...)
  collectgarbage("incremental", 200, 100, 13)
  collectgarbage(mode)
  return result
end

-- Kilobytes of Lua memory in use after full collections.
function helper.kilobytes()
  helper.full_gc()
  return collectgarbage "count"
end

-- How much slower than usual a tool makes everything.
helper.slower = tonumber(os.getenv "CHECK_SLOWER") or 1

-- Seconds until a guard's token is cancelled.
helper.soon = 0.002 * helper.slower

-- What cancels the source soon, in the middle of something endless: said before
-- that, a busy machine might cancel on the way there.
function helper.until_cancelled(source)
  return function()
    source:cancel_after(helper.soon)
    while true do end -- luacheck: ignore 542
  end
end

-- So many, or fewer where a tool makes everything slow.
function helper.many(count)
  return math.ceil(count / helper.slower)
end

-- Descriptors ------------------------------------------------------------

-- Whether a poll finds `fd` readable at this moment.
function helper.readable(fd)
  local poll = assert(luv.new_poll(fd))
  local found = false
  poll:start("r", function() found = true end)
  luv.run "nowait"
  poll:stop()
  poll:close()
  luv.run "nowait"
  return found
end

-- Time -------------------------------------------------------------------

-- Calls condition, burning time, until it holds; false after 5 s.
function helper.becomes_true(condition)
  local limit = desist.now() + 5
  repeat
    if condition() then return true end
  until desist.now() > limit
  return false
end

-- Processes --------------------------------------------------------------

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function interpreter()
  local first = 0
  while arg and arg[first - 1] do first = first - 1 end
  return first < 0 and arg[first] or "lua5.4"
end

-- Runs a script in a lua of its own with our paths. `before` is shell text
-- that comes first ("ulimit -n 32"). Gives its output (stderr included), and
-- "exit" or "signal" with the number.
function helper.child(script, before)
  local file = os.tmpname()
  local out = assert(io.open(file, "w"))
  out:write(script)
  out:close()
  local command = ([[
    unset LUA_INIT LUA_INIT_5_4 LUA_PATH_5_4 LUA_CPATH_5_4
    export LUA_PATH=%s LUA_CPATH=%s
    %s
    exec timeout -k 5 30 %s -W %s 2>&1]]):format(quote(package.path),
    quote(package.cpath), before or "", quote(interpreter()), file)
  local pipe = assert(io.popen(command))
  local output = pipe:read "a"
  local _, how, code = pipe:close()
  os.remove(file)
  return output, how, code
end

-- Shell text through which a child sends itself a signal; os.execute would
-- ignore INT meanwhile.
helper.send = [[
local function send(name)
  io.popen("kill -" .. name .. " $PPID"):close()
end
]]

-- Threads ----------------------------------------------------------------

-- Runs in the new lua_State. What fails in it must not reach luv, which would
-- end the process.
local function thread_main(path, cpath, report, code, ...)
  package.path, package.cpath = path, cpath
  local function run(...)
    local desist_there = require "desist"
    local ok, value = pcall(load(code, "=thread", "b"), ...)
    if not ok then value = "error: " .. tostring(value) end
    if value == nil then value = true end
    desist_there.from_handle(report):cancel(value)
  end
  local ok, problem = pcall(run, ...)
  if not ok then io.stderr:write("in a thread: ", tostring(problem), "\n") end
end

-- Starts fn(...) in a second lua_State on a thread of its own. fn must not
-- have upvalues (it is dumped); arguments are nil, booleans, numbers and
-- strings. The object's join waits for the end of thread and state and gives
-- what fn returned: a boolean, number or string; true for nothing. An error
-- of fn is raised there.
function helper.thread(fn, ...)
  local report = desist.source()
  local thread = luv.new_thread(thread_main, package.path, package.cpath,
    report:handle(), string.dump(fn), ...)
  return {
    join = function()
      luv.thread_join(thread)
      local value = report:token():reason()
      if value == nil then error("the thread did not report", 2) end
      if type(value) == "string" and value:find "^error: " then
        error(value, 2)
      end
      return value
    end,
  }
end

return helper
