--- Graceful shutdown: Ctrl-C lets what runs finish, a second one stops it now.
--
-- Workers fill orders, each into a file. At the first Ctrl-C no order is taken
-- any more, and those begun have some seconds to be finished. Whoever has not
-- finished then, or at a second Ctrl-C, is cancelled: its scope ends, and with
-- it all workers. In each of these cases the workers clean up: no half file is
-- left, and every tool is back in its place before the program ends.
--
-- Two sources of one signal are two steps: the newest is served first, and the
-- next signal is the other's. A third Ctrl-C would do what it does without.
--
-- Neighbour of "Graceful Shutdown" in the documentation of tokio, where a
-- channel or a token tells the tasks, and a tracker waits for them.
--
-- Run:  lua5.4 examples/graceful_shutdown.lua      and press Ctrl-C once, twice

local USAGE = [[
usage: lua5.4 examples/graceful_shutdown.lua [options]

  --grace SECONDS  for the orders begun, after the first Ctrl-C (2)
  --work SECONDS   how long an order takes, or up to twice as long (0.5)
  --workers N      how many work (3)
  --out FOLDER     where the orders go, and stay; default: temporary files
  --press N        how many Ctrl-C the example sends itself: 0, 1 or 2;
                   default: 1 where there is no terminal to press it on
  --help           this text
]]

local here = arg[0]:match("^(.*[/\\])") or "./"
package.path = here .. "?.lua;" .. package.path

local async = require "desist.async"
local desist = require "desist"
local sync = require "desist.sync"
local finally = require "support.finally"
local Options = require "support.options"
local text = require "support.text"

local ORDERS = 100
local LINES = 10 -- of an order
local PUT_AWAY = 0.1 -- seconds that it takes to put the tools away
local PRESSES = { 0.8, 0.2 } -- seconds until the example presses Ctrl-C itself

--- Whether somebody can press Ctrl-C. Plain Lua cannot tell, the shell can.
local function has_terminal()
  return (os.execute("test -t 0"))
end

--- The signal to this process, which is the parent of the shell.
local function press_ctrl_c()
  io.popen("kill -INT $PPID"):close()
end

--- Writes the order into FILE.part, which gets its name once it is complete.
-- Half an order is of use to nobody: whatever ends the work removes it.
local function fill(order, path, seconds)
  local part = path .. ".part"
  local _ <close> = finally(function()
    if os.remove(part) then
      print(("  order %d is given up, its part removed"):format(order))
    end
  end)
  local file <close> = assert(io.open(part, "w"))
  for line = 1, LINES do
    assert(file:write(("order %d, line %d\n"):format(order, line)))
    async.sleep(seconds / LINES) -- stands for the work
  end
  assert(file:close())
  assert(os.rename(part, path))
  print(("  order %d is filled"):format(order))
end

--- Fills orders until no more are given out.
local function work(name, orders, shop)
  local _ <close> = finally(function()
    -- Cleaning up that takes its time is shielded from what ended the work.
    async.shield({ timeout = 1 }, async.sleep, PUT_AWAY)
    shop.put_away = shop.put_away + 1
    print(("  %s has put the tools away"):format(name))
  end)
  for order in orders.get, orders do
    shop.begun = shop.begun + 1
    print(("  %s begins order %d"):format(name, order))
    local path = shop.path(order)
    fill(order, path, shop.work * (1 + order % 4 / 4))
    table.insert(shop.filled, path)
  end
end

--- Runs the workers until all is done, or `first` and then `second` say stop.
-- True, or nil and the error of what cut the work short.
local function run_shop(shop, first, second)
  return async.scope({ token = second, name = "shop" }, function(scope)
    -- From hand to hand: what nobody has taken was not begun.
    local orders = sync.queue(0)

    -- Runs between two turns of the loop, like everything that signals cause.
    first:register(function(reason)
      print(("%s: no new orders; %s for those begun."):format(
        reason, text.seconds(shop.grace)))
      orders:close()
      scope:cancel_after(shop.grace)
    end)

    for i = 1, shop.workers do
      local name = "worker " .. i
      scope:spawn({ name = name }, work, name, orders, shop)
    end
    scope:background(function()
      for i = 1, math.min(shop.press, #PRESSES) do
        async.sleep(PRESSES[i])
        press_ctrl_c()
      end
    end)

    local order = 1
    while order <= ORDERS and orders:put(order) do
      order = order + 1
    end
    orders:close()
    return true
  end)
end

local function tell_end(shop, ok, err)
  if ok then
    print("Every order that was begun has been finished.")
  elseif err.kind == "deadline" then
    print("The time was over: what was left has been stopped.")
  else
    print(("%s again: stopped at once."):format(err.reason))
  end
  print(("%d orders begun, %d filled."):format(shop.begun, #shop.filled))
  assert(shop.put_away == shop.workers, "a worker has left a mess")
end

--- A function that names the file of an order.
local function file_names(folder)
  local prefix = folder and folder .. "/"
  if not prefix then
    prefix = os.tmpname()
    os.remove(prefix) -- its name is all that is needed
    prefix = prefix .. "-"
  end
  return function(order)
    return ("%sorder-%d.txt"):format(prefix, order)
  end
end

local function demonstrate(options)
  local shop = {
    workers = options.workers or 3,
    work = options.work or 0.5,
    grace = options.grace or 2,
    press = options.press or (has_terminal() and 0 or 1),
    path = file_names(options.out),
    begun = 0,
    filled = {}, -- paths
    put_away = 0,
  }
  -- The newest is served first.
  local second <close> = desist.signal("INT", "TERM")
  local first <close> = desist.signal("INT", "TERM")

  print(("%d workers fill orders. %s"):format(shop.workers, shop.press == 0
    and "Press Ctrl-C to stop." or "Ctrl-C comes by itself."))
  tell_end(shop, async.run(run_shop, shop, first:token(), second:token()))

  if not options.out then
    for _, path in ipairs(shop.filled) do
      os.remove(path)
    end
  end
end

local function main()
  local options = Options.read(arg, {
    grace = "number",
    work = "number",
    workers = "number",
    out = "text",
    press = "number",
    help = "flag",
  })
  if options.help then
    io.write(USAGE)
  else
    demonstrate(options)
  end
end

io.stdout:setvbuf("line") -- whoever reads along sees each line in time
local ok, message = pcall(main)
if not ok then
  io.stderr:write("graceful_shutdown: ", tostring(message), "\n")
end
os.exit(ok, true)
