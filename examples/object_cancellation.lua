--- Object cancellation: one token stops several objects, each in its own way.
--
-- Some things are cancelled by stopping an operation, others by telling an
-- object. Objects that have a method for it are registered with that method,
-- and whoever owns the source stops them all by one call, without knowing how
-- many there are or how each is stopped.
--
-- Neighbour of "Cancellation in Managed Threads" in the .NET documentation,
-- section "Operation cancellation versus object cancellation", where three
-- objects register their Cancel methods on one token.
--
-- Run:  lua5.4 examples/object_cancellation.lua

local desist = require "desist"

local Printer = {}
Printer.__index = Printer

function Printer.new(name)
  return setmetatable({ name = name, state = "printing" }, Printer)
end

function Printer:stop(reason)
  self.state = "stopped"
  print(("  %s stops: %s"):format(self.name, reason))
end

local Oven = {}
Oven.__index = Oven

function Oven.new(degrees)
  return setmetatable({ degrees = degrees }, Oven)
end

function Oven:cool_down(target, reason)
  self.degrees = target
  print(("  the oven cools down to %d degrees: %s"):format(target, reason))
end

local Door = {}
Door.__index = Door

function Door:open()
  error(("the %s door is stuck"):format(self.side), 0)
end

local source <close> = desist.source({ name = "fire alarm" })
local token = source:token()

local first, second = Printer.new("printer 1"), Printer.new("printer 2")
local oven = Oven.new(220)
local door = setmetatable({ side = "back" }, Door)

-- Method and object; the reason comes last, after what was registered.
token:register(first.stop, first)
local second_registration = token:register(second.stop, second)
token:register(oven.cool_down, oven, 20)
token:register(door.open, door)

-- An object that has finished takes itself off.
second.state = "finished"
assert(second_registration:unregister(), "it had not run, so it can be undone")
print("Printer 2 has finished and is off the list.")

-- The last registered is the first to run, as with nested blocks: what was
-- built on top goes first. One that fails does not stop the others; what went
-- wrong is raised when all have run.
print("Alarm:")
local ok, err = pcall(source.cancel, source, "there is smoke")

assert(first.state == "stopped", "printer 1 should have stopped")
assert(second.state == "finished", "printer 2 was off the list")
assert(oven.degrees == 20, "the oven should have cooled down")
assert(not ok and err.kind == "callbacks", err)

print(("%d of the callbacks failed:"):format(err.errors.n))
for i = 1, err.errors.n do
  print("  " .. tostring(err.errors[i].value))
end

-- An object that arrives after the alarm is told at once.
print("A printer is switched on now:")
local late = Printer.new("printer 3")
token:register(late.stop, late)
assert(late.state == "stopped", "printer 3 should have been told at once")
