--- Waiting for whichever comes first: a descriptor, or the cancellation.
--
-- A program that waits in poll, select or an event loop cannot wait in
-- token:wait at the same time. `token:fd()` gives it something to put beside
-- its own descriptors: readable once the token is cancelled, and from then on
-- for ever. Here it stands beside a pipe on which orders arrive.
--
-- Neighbour of "How to: Listen for Cancellation Requests That Have Wait
-- Handles" in the .NET documentation, where WaitHandle.WaitAny is given the
-- token's WaitHandle beside an event.
--
-- Run:  lua5.4 examples/wait_descriptor.lua     (needs luv, for the polling)

local has_luv, uv = pcall(require, "luv")
if not has_luv then
  io.stderr:write("wait_descriptor: plain Lua cannot wait for descriptors; ",
    "this example needs luv.\n")
  os.exit(1)
end
local desist = require "desist"

local BUFFER = 256 -- bytes; more than all the orders have
local ORDERS = 3

--- Runs the loop until a descriptor is readable, and says which: "order" or
-- "cancellation". An order wins if both are, so that none is left lying.
local function wait_readable(orders, cancellation)
  local readable = {}
  local function watch(descriptor, name)
    local poll = assert(uv.new_poll(descriptor))
    poll:start("r", function()
      readable[name] = true -- an error too: the read will tell which
    end)
    return poll
  end

  local polls = { watch(orders, "order"), watch(cancellation, "cancellation") }
  repeat
    uv.run("once")
  until next(readable)
  for _, poll in ipairs(polls) do
    poll:close() -- ends the watching; the descriptors belong to their owners
  end
  uv.run("nowait") -- luv crashes if the program ends before this was done
  return readable.order and "order" or "cancellation"
end

--- Serves orders from a pipe until the token is cancelled.
local function serve(orders, token)
  -- Descriptors can run out. The token works on without one, so a program
  -- could go back to polling; this one gives up.
  local cancellation = assert(token:fd())

  local served = 0
  while wait_readable(orders, cancellation) == "order" do
    for order in assert(uv.fs_read(orders, BUFFER)):gmatch("[^\n]+") do
      served = served + 1
      print("  the pipe was first: " .. order)
    end
  end
  print("  the token was first: " .. token:reason())
  return served
end

local source <close> = desist.source({ name = "closing time" })
local token = source:token()

-- The other end of the pipe: some orders, 0.1 s apart, and then silence. The
-- deadline runs out on a thread of the library's. Nobody in this program has
-- to look at it: the descriptor becomes readable, and that ends the poll.
local pipe = assert(uv.pipe())
local sent = 0
local clerk = uv.new_timer()
clerk:start(100, 100, function()
  sent = sent + 1
  assert(uv.fs_write(pipe.write, ("order %d\n"):format(sent)))
  if sent == ORDERS then
    clerk:close()
    source:cancel_after(0.3)
  end
end)

print("Serving orders until closing time.")
local served = serve(pipe.read, token)
print(("Served %d of %d orders."):format(served, sent))
assert(served == ORDERS, "an order was not served")

-- It stays readable, so whoever comes late does not wait either.
assert(wait_readable(pipe.read, token:fd()) == "cancellation")
print("Asked again, the token's descriptor is still readable.")

uv.fs_close(pipe.read)
uv.fs_close(pipe.write)
