--- Flies around where it came in, and sleeps now and then.
local self = ...
local home_x, home_y = self:position()

local function somewhere(turn)
  return home_x + 2.4 * math.cos(turn * 2.4),
    home_y + 1.8 * math.sin(turn * 1.7)
end

for turn = 1, math.huge do
  local x, y = somewhere(turn)
  self:move_to(x, y, 3)
  if turn % 5 == 0 then self:wait(1.5) end
end
