--- Asks whoever comes near; he does not wait for ever for an answer.
local self = ...
local hero = level.find "hero"

local function talk()
  local answer = self:choose("What do you want?", {
    "Open the gate",
    "Who are you?",
    "Nothing",
  }, 8)
  if answer == 1 then
    self:say "So be it. Mind the bats."
    level.open_gates()
    return true
  elseif answer == 2 then
    self:say "Tom. I keep the gate."
  elseif answer == 3 then
    self:say "A fine day, too."
  else
    self:say "Well, think about it."
  end
end

repeat
  self:wait_for(hero, 2)
  local is_open = talk()
  while not is_open and self:distance_to(hero) < 3 do
    self:wait(0.5)
  end
until is_open

while true do
  self:does "hums"
  self:say "Hm hm hmmm..."
  self:wait(4)
end
