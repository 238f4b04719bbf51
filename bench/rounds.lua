--- Interleaved rounds and their medians, for Lua subjects (bench.h in Lua).
-- A row is `{ title = "...", subjects = { { name = "...", batch = function,
-- at_most = target or nil }, ... } }`. `batch(count)` does the operation
-- `count` times and returns the seconds that count; the first subject is the
-- one that the others are compared with. Seconds are the processor time of
-- the process (os.clock), so that other programs do not count.
--
-- The collector is in its normal mode and works inside the batches, which are
-- long enough for many of its cycles; before each batch one full collection
-- clears away what the batch before has left.
--
-- Runs on Lua 5.3 and 5.4. Prints the lines of bench.cpp.

local rounds = { count = 21, seconds = 0.03 }

--- Sorts them.
local function median(values)
  table.sort(values)
  local half = #values // 2
  if #values % 2 == 1 then
    return values[half + 1]
  end
  return (values[half] + values[half + 1]) / 2
end

local function run_batch(subject, count)
  collectgarbage()
  collectgarbage()
  return subject.batch(count)
end

local function calibrate(subject)
  local count = 1000
  while true do
    local seconds = run_batch(subject, count)
    if seconds >= rounds.seconds / 2 then
      return math.max(1, math.floor(count * rounds.seconds / seconds))
    end
    count = count * 4
  end
end

local function measure_round(row, round)
  local subjects = row.subjects
  for i = 1, #subjects do
    local turn = (i + round) % #subjects + 1
    local count = row.counts[turn]
    local seconds = run_batch(subjects[turn], count)
    row.nanoseconds[turn][round] = seconds * 1e9 / count
  end
end

local function print_row(row)
  local first = row.nanoseconds[1]
  for i, subject in ipairs(row.subjects) do
    local mine, ratios = row.nanoseconds[i], {}
    for round = 1, rounds.count do
      ratios[round] = first[round] / mine[round]
    end
    -- A copy: median sorts, and the first one's order is still needed.
    local nanoseconds = median(table.move(mine, 1, #mine, 1, {}))
    print(("row\t%s\t%s\t%.4f\t%.4f\t%g"):format(row.title, subject.name,
      nanoseconds, median(ratios), subject.at_most or 0))
  end
end

rounds.median = median

--- Seconds that `body(...)` takes.
function rounds.timed(body, ...)
  local start = os.clock()
  body(...)
  return os.clock() - start
end

--- `--rounds N` and `--batch SECONDS`, as in bench_core.
function rounds.parse(arguments)
  local i = 1
  while i <= #arguments do
    local value = tonumber(arguments[i + 1])
    if arguments[i] == "--rounds" and value then
      rounds.count = math.max(1, math.floor(value))
    elseif arguments[i] == "--batch" and value then
      rounds.seconds = value
    else
      error("unknown option '" .. arguments[i] .. "'", 0)
    end
    i = i + 2
  end
end

function rounds.run(rows)
  for _, row in ipairs(rows) do
    row.counts, row.nanoseconds = {}, {}
    for i, subject in ipairs(row.subjects) do
      row.counts[i], row.nanoseconds[i] = calibrate(subject), {}
    end
  end
  for round = 1, rounds.count do
    for _, row in ipairs(rows) do
      measure_round(row, round)
    end
  end
  for _, row in ipairs(rows) do
    print_row(row)
  end
end

return rounds
