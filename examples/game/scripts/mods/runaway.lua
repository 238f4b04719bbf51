--- A mod whose author forgot something: it never waits, never looks whether it
-- is to end, and catches every error that could stop it.
local self = ...
self:does "computes for ever"

while true do
  pcall(function()
    while true do end
  end)
end
