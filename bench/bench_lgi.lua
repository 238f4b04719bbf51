--- The Lua rows with GLib's GCancellable through lgi, which Debian has for Lua
-- 5.3 and not for 5.4: a process of its own, so that its figures are compared
-- across processes.
--   lua5.3 bench/bench_lgi.lua [--rounds N] [--batch SECONDS]
-- with bench/?.lua on the search path.

local rounds = require("rounds")

local found, lgi = pcall(require, "lgi")
local made, Cancellable = pcall(function()
  return lgi.Gio.Cancellable
end)
if not (found and made) then
  print("skip\tlgi\tno lgi with Gio for " .. _VERSION)
  os.exit(true)
end

local function poll(count)
  local source = Cancellable()
  return rounds.timed(function()
    for _ = 1, count do
      source:is_cancelled()
    end
  end)
end

local function register(count)
  local source = Cancellable()
  local function callback() end
  return rounds.timed(function()
    for _ = 1, count do
      source:disconnect(source:connect(callback))
    end
  end)
end

local function cancel(count)
  local seconds, run, ran = 0, 0, 0
  local function callback()
    ran = ran + 1
  end
  while run < count do
    local source = Cancellable()
    for _ = 1, 1000 do
      source:connect(callback)
    end
    seconds = seconds + rounds.timed(source.cancel, source)
    run = run + 1000
  end
  assert(ran == run)
  return seconds * count / run
end

local function life(count)
  local ran = 0
  local function callback()
    ran = ran + 1
  end
  local seconds = rounds.timed(function()
    for _ = 1, count do
      local source = Cancellable()
      source:connect(callback)
      source:cancel()
    end
  end)
  assert(ran == count)
  return seconds
end

local function row(title, batch)
  return { title = title, subjects = { { name = "lgi", batch = batch } } }
end

rounds.parse(arg)
print(("machine\tlgi\t%s on %s"):format(lgi._VERSION, _VERSION))
rounds.run {
  row("token:is_cancelled()", poll),
  row("register + unregister", register),
  row("cancel, per callback of 1,000", cancel),
  row("source + token + register + cancel", life),
}
