--- A function of a mod that is called in the middle of a frame, when the hero
-- touches the sign, and does not return.
local self = ...

self:on_touch(function()
  while true do
    pcall(string.rep, "woe ", 10)
  end
end)
self:does "curses who touches it"
