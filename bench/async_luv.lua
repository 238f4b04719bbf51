--- The rows of tasks with luv as one uses it by hand: coroutines that a timer
-- resumes. Either each has a timer of its own, which it starts again for each
-- sleep, and which resumes it directly: the fastest there is; or each sleep
-- makes a timer and closes it, as in most code: any coroutine can call that.

local luv = require("luv")
local shared = require("async_shared")

local SLEEPERS = shared.SLEEPERS
local expect, whole = shared.expect, shared.whole
local create, resume, running, wrap, yield = coroutine.create,
  coroutine.resume, coroutine.running, coroutine.wrap, coroutine.yield

local peer = {}

local function sleep_again(delay, timer, wake)
  timer:start(delay, 0, wake)
  yield()
end

local function sleep_anew(delay)
  local co, timer = running(), luv.new_timer()
  timer:start(delay, 0, function()
    timer:close()
    assert(resume(co))
  end)
  yield()
end

local function begin_with_timer(sleepers, delay)
  local timer = luv.new_timer()
  local wake
  wake = wrap(function()
    sleepers.body(sleep_again, delay, timer, wake)
    timer:close()
  end)
  wake()
end

local function begin_without(sleepers, delay)
  assert(resume(create(sleepers.body), sleep_anew, delay))
end

-- Its clock counts milliseconds.
local function sleeping_turns(begin, longer)
  return function(count)
    local run = whole(count, SLEEPERS)
    local sleepers = shared.sleepers(run)
    for i = 1, SLEEPERS do
      begin(sleepers, math.floor(shared.delays[i] * longer * 1000 + 0.5))
    end
    sleepers.begin()
    luv.run()
    return sleepers.seconds() * count / run
  end
end

function peer.sleeping_turns(longer)
  return sleeping_turns(begin_with_timer, longer)
end

function peer.sleeping_turns_anew(longer)
  return sleeping_turns(begin_without, longer)
end

--- A sleep that raises what it is woken with.
local function sleep_or_raise(delay, timer, wake)
  timer:start(delay, 0, wake)
  local reason = yield()
  if reason then error(reason, 0) end
end

--- Ends `count` sleepers early, by hand: their timers are closed, and they go
-- on with an error.
function peer.cancel(count)
  local timers, list, ended, seconds, run = {}, {}, 0, 0, 0
  while run < count do
    for i = 1, SLEEPERS do
      timers[i] = luv.new_timer()
      list[i] = create(function()
        local co = list[i]
        local ok, err = pcall(sleep_or_raise, 60000, timers[i], function()
          assert(resume(co))
        end)
        expect("a sleep", ok, false)
        ended = ended + 1
        error(err, 0)
      end)
      resume(list[i])
    end
    local start = os.clock()
    for i = 1, SLEEPERS do
      timers[i]:close()
      resume(list[i], "cancelled")
    end
    luv.run("nowait")
    seconds = seconds + os.clock() - start
    run = run + SLEEPERS
  end
  expect("coroutines", ended, run)
  return seconds * count / run
end

--- Coroutines that sleep, and what ends them.
local function close_all()
  luv.walk(function(handle)
    if not handle:is_closing() then handle:close() end
  end)
  luv.run()
end

function peer.sleeping(count)
  for _ = 1, count do
    local timer = luv.new_timer()
    local wake
    wake = wrap(function() sleep_again(60000, timer, wake) end)
    wake()
  end
  return close_all
end

function peer.sleeping_anew(count)
  for _ = 1, count do
    assert(resume(create(sleep_anew), 60000))
  end
  return close_all
end

return peer
