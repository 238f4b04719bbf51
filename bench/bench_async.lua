--- The rows of tasks: desist.async, bare coroutines, cqueues, luv.
--   lua5.4 bench/bench_async.lua [--rounds N] [--batch SECONDS]
-- with desist, bench/?.lua and the built bench_floor on the search paths.
--
-- Besides the lines of bench.cpp, for what one more sleeping task takes:
--   memory  subject  bytes of Lua  at most (0: no target)  bytes of the heap

local async = require("desist.async")
local cqueues = require("cqueues")
local floor = require("bench_floor")
local luv = require("luv")
local rounds = require("rounds")
local shared = require("async_shared")

local by_cqueues = require("async_cqueues")
local by_hand = require("async_luv")
local raw = require("async_raw")
local tasks = require("async_desist")

local function row(title, batch, ...)
  return { title = title, subjects = { { name = "desist", batch = batch },
    ... } }
end

local function against(name, batch, at_most)
  return { name = name, batch = batch, at_most = at_most }
end

local turns = tasks.turns(2)

--- What other rows are measured by.
local function spawning(at_most)
  return against("spawn + run + finish", tasks.spawn, at_most)
end

local function checkpoints(at_most)
  return against("two checkpoints", function(count)
    return turns(2 * count)
  end, at_most)
end

local rows = {
  row("spawn + run + finish an empty task", tasks.spawn,
    against("coroutine", raw.spawn, 3),
    against("cqueues", by_cqueues.spawn, 1)),
  row("checkpoint, two tasks taking turns", turns,
    against("coroutine", raw.turns(2), 4),
    against("cqueues", by_cqueues.turns(2), 1)),
  row("checkpoint, 100 tasks taking turns", tasks.turns(100),
    against("coroutine", raw.turns(100)),
    against("cqueues", by_cqueues.turns(100), 1)),
  row("sleep + wake, with 10,000 sleepers", tasks.sleeping_turns(1),
    against("cqueues", by_cqueues.sleeping_turns(1), 1),
    against("luv, a timer each", by_hand.sleeping_turns(1), 1),
    against("luv, new timers", by_hand.sleeping_turns_anew(1), 1)),
  row("the same, sleeping 20 times longer", tasks.sleeping_turns(20),
    against("cqueues", by_cqueues.sleeping_turns(20)),
    against("luv, a timer each", by_hand.sleeping_turns(20)),
    against("luv, new timers", by_hand.sleeping_turns_anew(20))),
  row("scope, enter + exit", tasks.scope, spawning(1)),
  row("timeout, enter + exit, not fired", tasks.timeout, spawning(1)),
  row("queue, put + get in one task", tasks.queue_alone, checkpoints(1)),
  row("queue of 100, put + get by two tasks", tasks.queue(100),
    checkpoints(1)),
  row("queue of 1, put + get by two tasks", tasks.queue(1), checkpoints()),
  row("queue of 0, put + get by two tasks", tasks.queue(0), checkpoints()),
  row("event, set + wait by two tasks", tasks.event, checkpoints(),
    against("cqueues", by_cqueues.event)),
  row("await, resumed at once", tasks.await, checkpoints()),
  row("100,000 tasks: create, wake all, end", tasks.crowd,
    against("coroutine", raw.crowd),
    against("cqueues", by_cqueues.crowd)),
  row("cancel, per sleeping task of 10,000", tasks.cancel,
    against("luv, a timer each", by_hand.cancel)),
}

local function print_weight(name, make, at_most)
  local bytes, heap = shared.weigh(floor.heap, make)
  print(("memory\t%s\t%.0f\t%d\t%.0f"):format(name, bytes, at_most or 0,
    heap))
end

rounds.parse(arg)
print("machine\trounds\t" .. rounds.count)
print("machine\tcqueues\t" .. cqueues.VERSION)
print("machine\tluv\t" .. luv.version_string())
async.run(print_weight, "desist", tasks.sleeping, 1536)
print_weight("coroutine, without a timer", raw.sleeping)
print_weight("cqueues", by_cqueues.sleeping)
print_weight("luv, a timer each", by_hand.sleeping)
print_weight("luv, new timers", by_hand.sleeping_anew)
rounds.run(rows)
