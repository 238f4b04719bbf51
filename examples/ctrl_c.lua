--- Ctrl-C: a first one asks the program to stop, a second one makes it.
--
-- `desist.signal` gives a source that a signal cancels. The program works with
-- its token like with any other, and finishes what it has in hand. The signal
-- puts the previous handler back, so a second Ctrl-C does what it would have
-- done without desist: the lua program stops with "interrupted!".
--
-- Neighbour of "Console.CancelKeyPress Event" in the .NET documentation, whose
-- handler sets Cancel to true to live on after the first Ctrl-C.
--
-- Run:  lua5.4 examples/ctrl_c.lua      and press Ctrl-C, once or twice
--
-- Where there is no terminal to press it on, the example sends itself the
-- signal during the fifth order.

local desist = require "desist"

local ORDERS = 100
local ORDER = 0.1 -- seconds that an order takes
local FIFTH = 5
local CLEANUP = 20 -- steps of cleaning up, of 0.1 s each, on a terminal

--- Whether somebody can press Ctrl-C. Plain Lua cannot tell, the shell can.
local function has_terminal()
  return (os.execute("test -t 0"))
end

--- The signal to this process, which is the parent of the shell.
local function press_ctrl_c()
  io.popen("kill -INT $PPID"):close()
end

local interactive = has_terminal()

local function fill(order)
  if order == FIFTH and not interactive then
    press_ctrl_c()
  end
  desist.none:wait(ORDER) -- stands for the work, during which signals come
  print(("  order %d is filled"):format(order))
end

--- Fills orders until there are no more or the token is cancelled. An order
-- that was begun is filled: half an order is worse than none.
local function fill_orders(token)
  local filled = 0
  while filled < ORDERS and not token:is_cancelled() do
    fill(filled + 1)
    filled = filled + 1
  end
  return filled
end

--- What must be done before the program may end.
local function clean_up(steps)
  io.write("  closing the books ")
  for _ = 1, steps do
    io.write(".")
    io.flush()
    desist.none:wait(0.1)
  end
  print()
end

local source <close> = desist.signal("INT", "TERM")
local token = source:token()

-- Only what is safe inside a signal handler happens there; this callback runs
-- later, in a wait, as an ordinary piece of Lua.
token:register(function(reason)
  print(("%s: stopping after this order."):format(reason))
  if interactive then
    print("Press Ctrl-C again to stop at once.")
  end
end)

print(("Filling %d orders. %s"):format(ORDERS, interactive
  and "Press Ctrl-C to stop." or "No terminal: Ctrl-C comes by itself."))

local filled = fill_orders(token)
if token:is_cancelled() then
  clean_up(interactive and CLEANUP or 2)
end
print(("Ended in good order after %d of %d orders."):format(filled, ORDERS))
