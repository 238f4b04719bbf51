--- all, race, any: several functions or tasks at once. See docs/tasks.md, 10.

local arguments = require "desist.async.arguments"
local blocks = require "desist.async.block"
local outcome = require "desist.async.outcome"
local running = require "desist.async.running"
local scopes = require "desist.async.scope"
local tasks = require "desist.async.task"

local Task = tasks.Task

--- A gathering: `members` in the order of the list, `ended` in the order of
-- their ends; `decided` by the member that decides it.
local Gathering = {}
Gathering.__index = Gathering

-- --- Members ----------------------------------------------------------------

local function check_list(list, name, task)
  if type(list) ~= "table" then
    arguments.bad(1, name, "table expected, got " .. type(list), 3)
  end
  local count = list.n or #list
  for i = 1, count do
    local member = list[i]
    if getmetatable(member) == Task then
      tasks.check_join(member, task, 4)
    elseif not arguments.is_callable(member) then
      arguments.bad(1, name, ("function or task expected at %d, got %s")
        :format(i, type(member)), 3)
    end
  end
  return count
end

--- Calls back at the end of one of them.
function Gathering:joined(member)
  local ended = self.ended
  ended[#ended + 1] = member
  if self.decided == nil and self.decides(member) then
    self.decided = member
  end
  if #ended == #self.members or (self.decided and not self.over) then
    local task = self.task
    if task.wait == self.leave then
      running.wake(task)
    elseif self.parked and #ended == #self.members then
      self.parked = false
      running.ready(task)
    end
  end
end

--- Its task was cancelled while it waited: nothing to undo yet.
local function leave() end
Gathering.leave = leave

local function start(self, list, count)
  local block, members = self.block, self.members
  for i = 1, count do
    local member = list[i]
    if getmetatable(member) ~= Task then
      member = tasks.spawn(block, false, member)
    end
    members[i] = member
  end
  for i = 1, count do
    if members[i].ended then
      self:joined(members[i])
    else
      tasks.add_joiner(members[i], self)
    end
  end
end

--- Cancels the losers and waits for their ends.
local function finish(self)
  local members = self.members
  self.over = true
  for i = #members, 1, -1 do
    blocks.cancel_quietly(members[i], "cancelled")
  end
  if #self.ended < #members then
    self.parked = true
    running.park()
  end
  local block, task = self.block, self.task
  task.block = block.parent
  blocks.close(block)
end

--- Its function tasks' failures are looked at here.
local function ignore_failure() end

--- Runs the list; whether it was cut short from outside.
local function gather(name, list, decides, empty_is_fine)
  local task = running.current("async." .. name, 2)
  local outer = task.block
  local count = check_list(list, name, task)
  if count == 0 and not empty_is_fine then
    arguments.bad(1, name, "a list that is not empty expected", 2)
  end
  if outer.doom then return blocks.throw(outer) end
  local self = setmetatable({
    task = task, block = scopes.open(task), members = {}, ended = {},
    decides = decides,
  }, Gathering)
  self.block.trees, self.block.on_failure = true, ignore_failure
  task.gathering = self
  start(self, list, count)
  local cut = false
  if not self.decided and #self.ended < count then
    cut = not running.suspend(task, leave)
  end
  finish(self)
  task.gathering = nil
  return self, cut
end

-- --- What comes of it -------------------------------------------------------

--- Its failure; for a cancelled task one with its cancellation error.
local function failure_of(member)
  return member.failure or { error = member.raised }
end

--- Raises what failed: alone, or as one object. Those cancelled here are only
-- losers.
local function raise_failures(self, cut)
  local list = {}
  local decided = not cut and self.decided
  for i = 1, #self.ended do
    local member = self.ended[i]
    if member.failure or member == decided and member.raised ~= nil then
      list[#list + 1] = failure_of(member)
    end
  end
  if list[1] then return outcome.raise(self.task, outcome.gathered(list)) end
  if cut then return blocks.throw(self.task.block) end
end

local function has_returned(member) return member.ended == "returned" end
local function has_not_returned(member) return member.ended ~= "returned" end
local function has_ended() return true end

--- async.all(list): the first results of all, with `n`.
local function all(list)
  local self, cut = gather("all", list, has_not_returned, true)
  raise_failures(self, cut)
  local results = { n = #self.members }
  for i = 1, results.n do
    local of_member = self.members[i].results
    if of_member then results[i] = of_member[1] end
  end
  return results
end

--- async.race(list): what the first to end gives.
local function race(list)
  local self, cut = gather("race", list, has_ended)
  raise_failures(self, cut)
  return tasks.give(self.decided, self.task)
end

--- async.any(list): what the first to succeed gives.
local function any(list)
  local self, cut = gather("any", list, has_returned)
  local decided = self.decided
  if decided and not cut then return tasks.give(decided, self.task) end
  if cut then raise_failures(self, true) end
  local failures = {}
  for i = 1, #self.ended do
    failures[i] = failure_of(self.ended[i])
    outcome.handle(failures[i])
  end
  return outcome.raise(self.task, {
    error = outcome.several(failures), traceback = failures[1].traceback,
  })
end

return { all = all, any = any, race = race }
