-- Random programs of tasks, for async_property_spec.lua.
--
-- `run(seed)` makes a program, runs it on a stepped loop, and gives its trace:
-- a string with a line for everything that happened. What breaks a rule is an
-- error that says which. The program is made before it runs, so that it is the
-- same whatever the tasks do; only whom a `join` or `cancel` means is looked up
-- when it happens.
--
-- A program is a list of operations, { kind, ... }; `make` makes them and
-- `perform` performs them, both by kind. Each running task has a context:
--
--   name      for the trace
--   block     the innermost block it is in: { parent, tasks, scope, ended }
--   dropped   what fails here may be dropped: `any` was content with another
--
-- Inside of shields waits have a limit, so that every program can be ended by
-- cancelling it.

local async = require "desist.async"
local desist = require "desist"
local sync = require "desist.sync"

local function broken(...)
  error({ broken = string.format(...) }, 0)
end

local function hold(condition, ...)
  if not condition then broken(...) end
end

-- Numbers from 1 to n, the same for each seed everywhere.
local function random_of(seed)
  local state = seed
  return function(n)
    state = state * 6364136223846793005 + 1442695040888963407
    return (state >> 33) % n + 1
  end
end

-- --- Making -----------------------------------------------------------------

local make = {}

local seconds = { 0, 0.25, 0.25, 0.5, 1, 1, 2, 5 }

-- What may stand in a body, as often as it is to come.
local kinds = {}
for kind, weight in pairs {
  sleep = 10, checkpoint = 3, next_step = 1, scope = 6, timeout = 2,
  move_on_after = 2, shield = 2, spawn = 12, spawn_into = 4, background = 1,
  join = 4, cancel_scope = 1, cancel_task = 1, cancel_after = 1,
  cancel_source = 0.4, cancel_loop = 0.2, fail = 1.4, swallow = 4, pass = 2,
  set_event = 2, wait_event = 2, put = 2, get = 2, hold_permit = 2,
  hold_mutex = 1, await = 2, resume = 2, all = 1, race = 1, any = 1,
  callback = 1,
} do
  kinds[#kinds + 1] = { kind = kind, weight = math.floor(weight * 5) }
end
table.sort(kinds, function(a, b) return a.kind < b.kind end)

local weights = 0
for _, each in ipairs(kinds) do weights = weights + each.weight end

local function random_kind(random)
  local at = random(weights)
  for _, each in ipairs(kinds) do
    at = at - each.weight
    if at <= 0 then return each.kind end
  end
end

local function make_body(random, depth, bounded)
  local body = { cleanup = ({ "wait", "wait", "fail" })[random(24)] }
  for i = 1, random(depth > 3 and 3 or 7) do
    local kind = random_kind(random)
    local operation = {
      kind = kind, bounded = bounded, seconds = seconds[random(#seconds)],
      which = random(1000), coin = random(2) == 1,
    }
    if make[kind] then make[kind](operation, random, depth + 1, bounded) end
    body[i] = operation
  end
  return body
end

local function with_body(operation, random, depth, bounded)
  if depth > 5 then
    operation.body = {}
  else
    operation.body = make_body(random, depth, bounded)
  end
end

function make.scope(operation, random, depth, bounded)
  local options = {}
  if random(4) == 1 then options.timeout = seconds[random(#seconds)] end
  if random(6) == 1 then options.supervise = true end
  if random(10) == 1 then options.shield = true end
  operation.options, operation.source = options, random(4) == 1
  with_body(operation, random, depth, bounded or options.shield)
end

function make.shield(operation, random, depth)
  operation.options = {}
  if random(3) == 1 then operation.options.timeout = operation.seconds end
  with_body(operation, random, depth, true)
end

local function with_list(operation, random, depth, bounded)
  local list = {}
  for i = 1, random(3) do
    with_body(operation, random, depth, bounded)
    list[i] = operation.body
  end
  operation.body, operation.list = nil, list
end

make.timeout, make.move_on_after, make.spawn = with_body, with_body, with_body
make.spawn_into, make.background = with_body, with_body
make.swallow, make.pass = with_body, with_body
make.hold_permit, make.hold_mutex = with_body, with_body
make.all, make.race, make.any = with_list, with_list, with_list

-- --- Running: errors --------------------------------------------------------

local World = {}
World.__index = World

function World:log(me, ...)
  self.lines[#self.lines + 1] = ("%g %s "):format(self.loop:now(), me.name)
    .. string.format(...)
end

local Error = { __tostring = function(self) return self.text end }

function World:new_error(me)
  self.count = self.count + 1
  local err = "error " .. self.count
  if self.count % 2 == 0 then err = setmetatable({ text = err }, Error) end
  if not me.dropped then self.raised[err] = me.name end
  self.known[err] = true
  return err
end

local function describe(err)
  return type(err) == "table" and err.broken or tostring(err)
end

-- Somebody has had this error, or what it is made of.
function World:note(err)
  if type(err) == "table" and err.broken then error(err, 0) end
  if type(err) == "userdata" then
    local list = err.errors
    for i = 1, list and list.n or 0 do self:note(list[i].value) end
  elseif self.known[err] then
    self.raised[err] = nil
  elseif type(err) == "string" and not err:find "join of "
    and not err:find "holds it already" then
    broken("an error that nobody raised: %s", err)
  end
end

local ends = { returned = true, failed = true, cancelled = true }

local function has_ended(task) return ends[task:status()] end

-- --- Running: blocks and tasks ----------------------------------------------

-- Nothing runs in blocks that have ended.
local function check_alive(me)
  local block = me.block
  while block do
    hold(not block.ended, "%s runs in a block that has ended", me.name)
    block = block.parent
  end
end

local perform = {}

function World:perform(me, body)
  for i = 1, #body do
    check_alive(me)
    self:log(me, "%s", body[i].kind)
    perform[body[i].kind](self, me, body[i])
  end
  check_alive(me)
end

-- The cleanup of a task: it must run, once, if the task has started.
function World:cleanup_of(me, body)
  self.open = self.open + 1
  return setmetatable({}, { __close = function(_, err)
    hold(not me.cleaned, "%s is cleaned up twice", me.name)
    me.cleaned = true
    self.open = self.open - 1
    self:log(me, "cleanup")
    if body.cleanup == "wait" then
      pcall(async.shield, async.sleep, 0.5)
    elseif body.cleanup == "fail" then
      if err ~= nil then self:note(err) end
      error(self:new_error(me), 0)
    end
  end })
end

-- What a new task does; it stands in `block`.
function World:child(block, body, dropped)
  self.children = self.children + 1
  local child = { name = "t" .. self.children, number = self.children,
    block = block, dropped = dropped }
  child.value = "value of " .. child.name
  local function fn()
    hold(not child.started, "%s starts twice", child.name)
    child.started = true
    self:log(child, "starts")
    local _ <close> = self:cleanup_of(child, body)
    self:perform(child, body)
    self:log(child, "returns")
    return child.value
  end
  return child, fn
end

function World:spawn(me, block, body, spawn, ...)
  local child, fn = self:child(block, body, me.dropped)
  local arguments = table.pack(...)
  arguments[arguments.n + 1] = fn
  child.task = spawn(table.unpack(arguments, 1, arguments.n + 1))
  block.tasks[#block.tasks + 1] = child.task
  self.tasks[#self.tasks + 1] = child
end

-- What a task has ended with must be what its function did.
local function check_task(child)
  local task = child.task
  local ok, value = task:result()
  if task:status() == "returned" then
    hold(ok == true and value == child.value, "%s lost its result",
      child.name)
  else
    hold(ok == false, "%s lost its error", child.name)
    hold(task:status() == "failed" or desist.is_cancelled(value),
      "%s was cancelled by %s", child.name, describe(value))
  end
  hold(not child.started or child.cleaned, "%s was not cleaned up",
    child.name)
end

local function check_block(block, kind)
  for _, task in ipairs(block.tasks) do
    hold(has_ended(task), "a task outlives its %s", kind)
  end
end

-- A failing task cancels its scope, and makes it raise.
local function check_failures(block, operation, ok)
  local options = operation.options
  if options == nil or options.supervise then return end
  for _, task in ipairs(block.tasks) do
    if task:status() == "failed" then
      hold(not ok, "a failure is lost in a %s", operation.kind)
      hold(not block.scope or block.scope:is_cancelled(),
        "a failure did not cancel its scope")
    end
  end
end

-- Leaves a block with what its call gave.
local function leave(world, me, block, operation, ok, result, err)
  me.block, block.ended = block.parent, true
  check_block(block, operation.kind)
  check_failures(block, operation, ok)
  if not ok then
    world:log(me, "%s raised %s", operation.kind, describe(result))
    error(result, 0)
  elseif result == nil then
    world:log(me, "%s was cut: %s", operation.kind, describe(err))
    hold(desist.is_cancelled(err), "%s gave nil and %s", operation.kind,
      describe(err))
    hold(not block.scope or block.scope:is_cancelled(),
      "a scope was cut short that is not cancelled")
  else
    hold(result == "result", "%s gave %s", operation.kind,
      describe(result))
  end
end

-- Performs the body of an operation in a block; `open` calls what opens it.
local function in_block(world, me, operation, open)
  local block = { parent = me.block, tasks = {} }
  return leave(world, me, block, operation, pcall(open, function(scope)
    if type(scope) == "table" then
      block.scope = scope
      world.scopes[#world.scopes + 1] = block
    end
    me.block = block
    world:perform(me, operation.body)
    return "result"
  end))
end

function perform.scope(world, me, operation)
  return in_block(world, me, operation, function(fn)
    local options = { token = operation.source and world.source:token() }
    options.token = options.token or nil
    for key, value in pairs(operation.options) do options[key] = value end
    return async.scope(options, fn)
  end)
end

function perform.shield(world, me, operation)
  return in_block(world, me, operation, function(fn)
    return async.shield(operation.options, fn)
  end)
end

function perform.move_on_after(world, me, operation)
  return in_block(world, me, operation, function(fn)
    return async.move_on_after(operation.seconds, fn)
  end)
end

function perform.timeout(world, me, operation)
  local due = world.loop:now() + operation.seconds
  return in_block(world, me, operation, function(fn)
    local ok, result = pcall(async.timeout, operation.seconds, fn)
    if ok then return result end
    if desist.is_timeout(result) and not world.known[result] then
      world.known[result] = true -- not one that came from inside
      hold(result.seconds == operation.seconds, "a timeout of %g is one of %g",
        operation.seconds, result.seconds)
      hold(world.loop:now() >= due, "a timeout fires early")
    end
    error(result, 0)
  end)
end

-- --- Running: checkpoints ---------------------------------------------------

-- Calls a checkpoint that gives nothing but a cancellation.
local function check_point(world, me, checkpoint, ...)
  local probe = world.probing and async.token()
  local doomed = probe and probe:is_cancelled()
  local ok, err = pcall(checkpoint, ...)
  if ok then
    hold(not doomed or world.pending,
      "a checkpoint returns in a cancelled block")
    return check_alive(me)
  end
  world:log(me, "raised %s", describe(err))
  hold(desist.is_cancelled(err), "a checkpoint raises %s", describe(err))
  hold(not probe or probe:is_cancelled(), "cancelled, but the token is not")
  error(err, 0)
end

function perform.sleep(world, me, operation)
  local due = world.loop:now() + operation.seconds
  check_point(world, me, async.sleep, operation.seconds)
  hold(operation.seconds == 0 or world.loop:now() == due,
    "a sleep ends at %g, not at %g", world.loop:now(), due)
end

function perform.checkpoint(world, me)
  return check_point(world, me, async.checkpoint)
end

function perform.next_step(world, me)
  return check_point(world, me, async.next_step)
end

-- Calls something that waits, with a limit if it must have one.
local function wait(operation, fn, ...)
  if not operation.bounded then return fn(...) end
  return async.move_on_after(1 + operation.seconds, fn, ...)
end

local function pick(list, which)
  return list[which % math.max(#list, 1) + 1]
end

function perform.join(world, me, operation)
  local other = pick(world.tasks, operation.which)
  if other == nil or other == me then return end
  local gave
  local ok, err = pcall(wait, operation, function()
    gave = table.pack(other.task:join())
  end)
  world:log(me, "join of %s: %s", other.name,
    ok and (gave and "ended" or "cut short") or describe(err))
  if gave then
    hold(gave.n == 1 and gave[1] == other.value, "join lost a result")
    hold(other.task:status() == "returned", "join returned too early")
  elseif not ok then
    world:note(err)
    if not operation.coin then error(err, 0) end
  end
end

function perform.wait_event(world, _, operation)
  wait(operation, world.event.wait, world.event)
end

function perform.set_event(world, _, operation)
  world.event:set()
  if operation.coin then world.event:clear() end
end

function perform.put(world, _, operation)
  world.items = world.items + 1
  local item = world.items
  wait(operation, function()
    if world.queue:put(item) then world.inside[item] = true end
  end)
end

function perform.get(world, _, operation)
  wait(operation, function()
    local item = world.queue:get()
    if item then
      hold(not world.got[item], "an item came twice")
      world.got[item] = true
    end
  end)
end

local function at_close(fn, ...)
  local arguments = table.pack(...)
  return setmetatable({}, { __close = function()
    fn(table.unpack(arguments, 1, arguments.n))
  end })
end

-- Performs the body while world[name] is held, of which world[free] are free.
-- With a limit it must be taken and given by hand: what `with` runs would stand
-- in another block.
local function hold_while(name, take, give, free)
  return function(world, me, operation)
    local held = false
    local object = world[name]
    local function inside()
      world[free] = world[free] - 1
      hold(world[free] >= 0, "too many hold it")
      local _ <close> = at_close(function() world[free] = world[free] + 1 end)
      return world:perform(me, operation.body)
    end
    if not operation.bounded then return object:with(inside) end
    wait(operation, function()
      object[take](object)
      held = true
    end)
    if held then
      local _ <close> = at_close(object[give], object)
      return inside()
    end
  end
end

perform.hold_permit = hold_while("semaphore", "acquire", "release", "permits")
perform.hold_mutex = hold_while("mutex", "lock", "unlock", "mutexes")

function perform.await(world, me, operation)
  local state = "begun"
  wait(operation, async.await, function(resume)
    world.resumes[#world.resumes + 1] = function()
      if state == "begun" then state = "resumed" end
      resume(true)
    end
    return function()
      hold(state == "begun", "an abort function is called when %s", state)
      state = "aborted"
    end
  end)
  world:log(me, "awaited: %s", state)
end

function perform.resume(world, _, operation)
  local resume = pick(world.resumes, operation.which)
  if resume then resume() end
end

-- --- Running: the rest ------------------------------------------------------

function perform.spawn(world, me, operation)
  return world:spawn(me, me.block, operation.body, async.spawn)
end

-- A scope around, or nil.
local function scope_around(me, which)
  local list, block = {}, me.block
  while block do
    if block.scope then list[#list + 1] = block end
    block = block.parent
  end
  return pick(list, which)
end

function perform.spawn_into(world, me, operation)
  local block = scope_around(me, operation.which)
  if block == nil then return end
  return world:spawn(me, block, operation.body, block.scope.spawn,
    block.scope)
end

function perform.background(world, me, operation)
  local block = scope_around(me, operation.which)
  if block == nil then return end
  return world:spawn(me, block, operation.body, block.scope.background,
    block.scope)
end

function perform.cancel_scope(world, _, operation)
  local block = pick(world.scopes, operation.which)
  if block then
    local was = block.scope:is_cancelled() or block.ended
    local did = block.scope:cancel("cancelled " .. operation.which)
    hold(did == not was or world.pending, "scope:cancel gives %s",
      tostring(did))
  end
end

function perform.cancel_task(world, _, operation)
  local other = pick(world.tasks, operation.which)
  if other then
    local ended = has_ended(other.task)
    local did = other.task:cancel("cancelled " .. operation.which)
    hold(not (ended and did), "an ended task was cancelled")
    hold(not other.task:cancel(), "a task was cancelled twice")
  end
end

function perform.cancel_after(world, _, operation)
  local block = pick(world.scopes, operation.which)
  if block then
    local was = block.scope:is_cancelled() or block.ended
    local did = block.scope:cancel_after(operation.seconds)
    hold(did == not was or world.pending, "cancel_after gives %s",
      tostring(did))
  end
end

function perform.cancel_source(world, _, operation)
  if operation.coin then
    world.source:cancel("outside")
  else
    world.source:cancel_async("outside")
    world.pending = true -- requested, but not everywhere delivered
  end
end

function perform.cancel_loop(world)
  world.loop:cancel("all")
end

function perform.fail(world, me)
  error(world:new_error(me), 0)
end

-- Catches what is raised, or all but cancellation.
local function catching(catch)
  return function(world, me, operation)
    local ok, err = catch(world.perform, world, me, operation.body)
    if not ok then
      world:log(me, "caught %s", describe(err))
      world:note(err)
    end
  end
end

perform.swallow, perform.pass = catching(pcall), catching(async.pcall)

function perform.callback(world, me)
  local block, ran = me.block, false
  async.token():register(function()
    hold(not ran, "a callback runs twice")
    hold(not block.ended, "a callback of an ended block runs")
    ran = true
    world:log(me, "callback")
  end)
end

-- Runs the list with a combinator; the values that its members may give.
local function gather(world, me, operation, combine)
  local list, values, blocks = {}, {}, {}
  for i, body in ipairs(operation.list) do
    local block = { parent = me.block, tasks = {} }
    local child, fn = world:child(block, body,
      me.dropped or combine == async.any)
    list[i], values[i], blocks[i] = fn, child.value, block
  end
  local other = operation.coin and pick(world.tasks, operation.which)
  -- Two that have each other in their lists wait for ever.
  if other and other.number > me.number then
    list[#list + 1] = other.task
    values[#list] = other.value
    world:log(me, "with %s", other.name)
  end
  local ok, result = pcall(wait, operation, combine, list)
  for _, block in ipairs(blocks) do
    block.ended = true
    check_block(block, operation.kind)
  end
  for _, member in ipairs(list) do
    hold(not ok or result == nil or type(member) == "function"
      or has_ended(member), "a member lives on")
  end
  if not ok then error(result, 0) end
  return result, values
end

function perform.all(world, me, operation)
  local results, values = gather(world, me, operation, async.all)
  if results == nil then return end
  hold(results.n == #values, "all lost some")
  for i, value in ipairs(values) do
    hold(results[i] == value, "all lost a result")
  end
end

local function one_of(combine)
  return function(world, me, operation)
    local result, values = gather(world, me, operation, combine)
    local found = result == nil and operation.bounded
    for _, value in ipairs(values) do
      found = found or result == value
    end
    hold(found, "a winner that is none: %s", tostring(result))
    world:log(me, "%s won", tostring(result))
  end
end

perform.race, perform.any = one_of(async.race), one_of(async.any)

-- --- A whole run ------------------------------------------------------------

local function new_world(random)
  return setmetatable({
    loop = async.loop(), lines = {}, source = desist.source(),
    event = sync.event(), queue = sync.queue(random(3) - 1),
    semaphore = sync.semaphore(2), permits = 2,
    mutex = sync.mutex(), mutexes = 1,
    tasks = {}, scopes = {}, resumes = {}, raised = {}, known = {},
    count = 0, children = 0, open = 0, items = 0, inside = {}, got = {},
    probing = random(2) == 1,
  }, World)
end

local outside = { "cancel_scope", "cancel_task", "cancel_source", "resume",
  "set_event" }

-- What the host does between two steps.
local function meddle(world, random)
  local me = { name = "host" }
  local operation = { kind = outside[random(#outside)],
    which = random(1000), coin = random(2) == 1, bounded = true }
  world:log(me, "%s", operation.kind)
  perform[operation.kind](world, me, operation)
end

-- Lets all that waits go on, until no task is alive. Tasks may wait for each
-- other; so they are cancelled in the end.
local function wind_up(world)
  world.queue:close()
  for i = 1, 200 do
    if world.loop:is_idle() then return end
    if i == 50 then world.loop:cancel("does not end") end
    world.event:set()
    for _, resume in ipairs(world.resumes) do resume() end
    world.loop:step(1)
  end
  broken("the tasks do not end")
end

local function check_end(world, closed)
  local loop = world.loop
  hold(loop:is_idle(), "the loop is not idle")
  hold(loop:next_time() == nil, "something is left: %s",
    tostring(loop:next_time()))
  hold(world.open == 0, "%d tasks were not cleaned up", world.open)
  hold(world.permits == 2 and world.mutexes == 1, "something is held")
  for _, child in ipairs(world.tasks) do
    hold(has_ended(child.task), "%s does not end", child.name)
    check_task(child)
  end
  if closed then return end
  for err, name in pairs(world.raised) do
    broken("%s, raised in %s, is lost", describe(err), name)
  end
  for item in function() return (world.queue:try_get()) end do
    hold(not world.got[item], "an item stayed that somebody has")
    world.got[item] = true
  end
  for item in pairs(world.inside) do
    hold(world.got[item], "an item is lost")
  end
  for item in pairs(world.got) do
    hold(world.inside[item], "an item came out that nobody put")
  end
  local count = 0
  while world.semaphore:try_acquire() do count = count + 1 end
  hold(count == 2, "%d permits are free", count)
end

local function play(world, random)
  local loop = world.loop
  for _ = 1, random(3) do
    local block = { tasks = {} }
    world:spawn({}, block, make_body(random, 1), loop.spawn, loop)
  end
  for _ = 1, random(20) do
    loop:step(seconds[random(#seconds)])
    if random(4) == 1 then meddle(world, random) end
  end
  local ending = random(10)
  if ending == 1 then
    loop:close()
  else
    if ending < 4 then loop:cancel("the end") end
    wind_up(world)
  end
  return check_end(world, ending == 1)
end

-- Gives the trace, and the world, for who wants to see what is left of it.
local function run(seed)
  local random = random_of(seed)
  local world = new_world(random)
  local function on_error(err)
    world.reported = world.reported or err
    pcall(world.note, world, err)
    if type(err) == "table" and err.broken then world.broken = err end
  end
  local before = desist.on_error(on_error)
  local ok, err = pcall(play, world, random)
  desist.dispatch()
  desist.on_error(before)
  if ok and world.broken then ok, err = false, world.broken end
  local trace = table.concat(world.lines, "\n")
  if not ok then
    error(("seed %d: %s\n%s"):format(seed, describe(err), trace), 0)
  end
  return trace, world
end

return { run = run }
