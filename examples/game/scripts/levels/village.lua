--- The village: its map, and who lives there.
local level = ...

level.leads_to "cave"
level.load("levels/village.txt", { seed = 20 })

local hero = level.enter { name = "hero", look = "hero", at = "h" }
level.play(hero)
level.tell "Tom, by the gate, may let you through."

level.enter { name = "Rex", look = "dog", at = "d",
  script = "follow.lua", whom = "hero" }
level.enter { name = "Ada", look = "guard", at = "a",
  script = "patrol.lua", speed = 3,
  path = { { 3.5, 9.5 }, { 3.5, 16.5 }, { 13.5, 16.5 }, { 3.5, 16.5 },
    { 3.5, 9.5 }, { 22.5, 9.5 } } }
level.enter { name = "Bo", look = "guard", at = "b",
  script = "patrol.lua", speed = 2,
  path = { { 8.5, 9.5 }, { 8.5, 16.5 } } }
level.enter { name = "Tom", look = "elder", at = "t",
  script = "gatekeeper.lua" }
level.enter { name = "sign", look = "sign", at = "s",
  script = "mods/cursed_sign.lua", mod = true }
for i, letter in ipairs { "x", "y", "z" } do
  level.enter { name = "bird" .. i, look = "bird", at = letter,
    script = "flutter.lua", flies = true }
end
