--- Follows somebody as long as he lives; mourns then.
local self, with = ...
local other = level.find(with.whom)

local function follow()
  while true do
    if self:distance_to(other) > 1.6 then
      self:does("follows " .. other:name())
      local x, y = other:position()
      self:step_to(x, y, 4.5)
    else
      self:does("sits by " .. other:name())
    end
    async.next_step()
  end
end

-- The other's token ends the block, and this script goes on after it.
async.scope({ token = other:token() }, follow)
self:say "Wuff?"
self:does "mourns"
