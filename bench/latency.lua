--- How long an idle state takes to wake: from what another thread does, or
-- from a deadline's due time, to the Lua code that waits for it.
--   bench_latency bench/latency.lua [--rounds N]
--
-- Prints lines of fields separated by tabs, for bench/report.lua:
--   latency  group  subject  median  90 %  ratio  at most (0: no target)
-- in nanoseconds; the ratio is to the first subject of the group.
--
-- A batch wakes WAKES times. In each round every subject of a group has one,
-- beginning with another one each time. The median is that of the batches'
-- medians, the ratio that of theirs in the same round; 90 % is over all wakes.

local async = require("desist.async")
local cqueues = require("cqueues")
local desist = require("desist")
local on_luv = require("desist.loop.luv")
local rounds = require("rounds")
local uv = require("luv")
local waker = require("waker")

local WAKES = 25
local LIMIT = 100e3 -- of the built-in loop, nanoseconds

--- A source that the waker is going to cancel.
local function to_be_cancelled()
  local source = desist.source()
  waker.cancel(source:handle())
  return source
end

--- The floors --------------------------------------------------------------

local function by_condition(note)
  for _ = 1, WAKES do note(waker.condition()) end
end

local function by_poll(note)
  local fd = waker.eventfd()
  for _ = 1, WAKES do
    note(waker.poll(fd))
    waker.drain(fd)
  end
end

local function by_timed_wait(note)
  for i = 1, WAKES do note(waker.timed(0.001 + i * 1e-5)) end
end

--- desist ------------------------------------------------------------------

--- The callback's moment, on any loop; the task that waits goes on after it.
local function callbacks(run)
  return function(note)
    run(function()
      for _ = 1, WAKES do
        async.await(function(resume)
          to_be_cancelled():token():register(function()
            note(waker.since())
            resume()
          end)
        end)
      end
    end)
  end
end

--- The moment at which the task goes on.
local function by_task(note)
  async.run(function()
    for _ = 1, WAKES do
      async.await(function(resume)
        to_be_cancelled():token():register(resume)
      end)
      note(waker.since())
    end
  end)
end

local function by_wait(note)
  for _ = 1, WAKES do
    to_be_cancelled():token():wait()
    note(waker.since())
  end
end

local function by_deadline(note)
  async.run(function()
    for i = 1, WAKES do
      async.await(function(resume)
        local source = desist.source()
        local due = desist.now() + 0.001 + i * 1e-5
        source:token():register(function()
          note((desist.now() - due) * 1e9)
          resume()
        end)
        source:cancel_at(due)
      end)
    end
  end)
end

local function by_sleep(note)
  async.run(function()
    for i = 1, WAKES do
      local seconds = 0.001 + i * 1e-5
      local due = desist.now() + seconds
      async.sleep(seconds)
      note((desist.now() - due) * 1e9)
    end
  end)
end

--- Others ------------------------------------------------------------------

--- A thread of luv's sends to an async handle, a millisecond after it was asked
-- for it through a pipe.
local function by_uv_async(note)
  local pipe = assert(uv.pipe())
  local left = WAKES
  local function ask() assert(uv.fs_write(pipe.write, "x")) end
  local async_handle
  async_handle = uv.new_async(function(moment)
    note(uv.hrtime() - moment)
    left = left - 1
    if left == 0 then return async_handle:close() end
    ask()
  end)
  local thread = uv.new_thread(function(fd, count, handle)
    local luv = require("luv")
    for _ = 1, count do
      luv.fs_read(fd, 1)
      luv.sleep(1)
      handle:send(luv.hrtime())
    end
  end, pipe.read, WAKES, async_handle)
  ask()
  uv.run()
  uv.thread_join(thread)
  uv.fs_close(pipe.read)
  uv.fs_close(pipe.write)
end

local function by_cqueues(note)
  local queue, fd = cqueues.new(), waker.eventfd()
  queue:wrap(function()
    for _ = 1, WAKES do
      waker.post(fd)
      cqueues.poll({ pollfd = fd, events = "r" })
      note(waker.since())
      waker.drain(fd)
    end
  end)
  assert(queue:loop())
  queue:close()
end

local function by_cqueues_sleep(note)
  local queue = cqueues.new()
  queue:wrap(function()
    for i = 1, WAKES do
      local seconds = 0.001 + i * 1e-5
      local due = desist.now() + seconds
      cqueues.sleep(seconds)
      note((desist.now() - due) * 1e9)
    end
  end)
  assert(queue:loop())
  queue:close()
end

--- Rounds ------------------------------------------------------------------

local function subject(name, batch, at_most)
  return { name = name, batch = batch, at_most = at_most or 0, all = {},
    medians = {} }
end

local groups = {
  { title = "another thread",
    subject("a condition variable, nothing else", by_condition),
    subject("eventfd + poll, nothing else", by_poll),
    subject("async.run, callback", callbacks(async.run), LIMIT),
    subject("async.run, task", by_task),
    subject("token:wait", by_wait),
    subject("luv.run, callback", callbacks(on_luv.run)),
    subject("luv: uv_async_send, callback", by_uv_async),
    subject("cqueues: poll of an eventfd", by_cqueues) },
  { title = "a deadline",
    subject("a timed wait, nothing else", by_timed_wait),
    subject("async.run, callback", by_deadline),
    subject("async.sleep", by_sleep),
    subject("cqueues.sleep", by_cqueues_sleep) },
}

local function measure(one)
  local batch = {}
  collectgarbage()
  one.batch(function(nanoseconds)
    batch[#batch + 1] = nanoseconds
    one.all[#one.all + 1] = nanoseconds
  end)
  if #batch ~= WAKES then
    error(("%s: %d wakes, expected %d"):format(one.name, #batch, WAKES), 0)
  end
  one.medians[#one.medians + 1] = rounds.median(batch)
end

local function print_group(group)
  local floor = group[1]
  for _, one in ipairs(group) do
    local ratios = {}
    for round, median in ipairs(one.medians) do
      ratios[round] = median / floor.medians[round]
    end
    one.ratio = rounds.median(ratios)
  end
  for _, one in ipairs(group) do -- median sorts
    table.sort(one.all)
    print(("latency\t%s\t%s\t%.0f\t%.0f\t%.4f\t%g"):format(group.title,
      one.name, rounds.median(one.medians),
      one.all[math.ceil(#one.all * 0.9)], one.ratio, one.at_most))
  end
end

rounds.parse(arg)
print("machine\trounds\t" .. rounds.count)
print("machine\tcqueues\t" .. cqueues.VERSION)
print("machine\tluv\t" .. uv.version_string())
for round = 1, rounds.count do
  for _, group in ipairs(groups) do
    for i = 1, #group do measure(group[(i + round) % #group + 1]) end
  end
end
for _, group in ipairs(groups) do print_group(group) end
