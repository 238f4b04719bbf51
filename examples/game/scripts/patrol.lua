--- Walks from mark to mark, for ever, with a lantern in its hand. Whatever ends
-- this script, the lantern stays where it falls.
local self, with = ...
local _ <close> = self:carry "lantern"

while true do
  for _, place in ipairs(with.path) do
    self:move_to(place[1], place[2], with.speed)
    self:wait(0.6)
  end
end
