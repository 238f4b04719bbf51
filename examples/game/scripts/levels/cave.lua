--- The cave behind the gate.
local level = ...

level.leads_to "village"
level.load("levels/cave.txt", { seed = 77, dark = true })

local hero = level.enter { name = "hero", look = "hero", at = "h" }
level.play(hero)

level.enter { name = "ghost", look = "ghost", at = "g",
  script = "follow.lua", whom = "hero", flies = true }
for i, letter in ipairs { "u", "v", "w", "x", "y", "z" } do
  level.enter { name = "bat" .. i, look = "bat", at = letter,
    script = "flutter.lua", flies = true }
end

-- The cave itself is a script, too.
level.tell "A cave. It drips."
while true do
  async.sleep(12)
  level.tell "Something drips."
end
