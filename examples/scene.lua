--- A game scene: scripts that go when their entity or their level goes.
--
-- What happens in the game is written as it is told: walk there, say this, wait
-- for an answer. Each script is a task, each entity and each level a scope. So
-- nobody keeps a list of what is to be stopped: an arrow that hits cancels one
-- scope, the end of a level another, and the scripts in it end wherever they
-- are, with what they have to put back.
--
-- The loop has no time but the one that the game gives it, 60 steps a second: a
-- pause is not stepping, slow motion is smaller steps. The player of this scene
-- is a list of keys, so the example waits for nothing and always runs the same.
--
-- Neighbour of "Coroutines" in the Unity manual, where a script's coroutines
-- end with its game object, but without cleaning up.
--
-- Run:  lua5.4 examples/scene.lua

local here = arg[0]:match("^(.*[/\\])") or "./"
package.path = here .. "?.lua;" .. package.path

local async = require "desist.async"
local desist = require "desist"
local sync = require "desist.sync"
local finally = require "support.finally"

local FRAME = 1 / 60 -- seconds
local WIDTH = 32 -- columns of the stage

--- What the player does, by the number of the frame.
local PLAYER = {
  [240] = "p", [300] = "p", -- the pause menu, open and shut
  [520] = "y", -- the answer to the guard, who had to ask twice
  [1200] = "space", -- seen enough of the cut scene
  [1310] = "q",
}

local game = async.loop({ name = "game" })
local keys = sync.queue()
local entities = {} -- on the stage, in the order of their coming
local speed = 1 -- of the game's time; less is slow motion
local music = "off"

--- A line with the time, the stage, and what happens.
local function tell(format, ...)
  local cells = {}
  for column = 1, WIDTH do
    cells[column] = " "
  end
  for _, entity in ipairs(entities) do
    cells[entity.x // 1 | 0] = entity.sign
  end
  print(("%6.2f |%s| %s"):format(game:now(), table.concat(cells),
    format:format(...)))
end

-- --- What is to be put back --------------------------------------------------

-- Each of these is made for `local _ <close> =`.

local function on_stage(entity)
  table.insert(entities, entity)
  return finally(function()
    for i, other in ipairs(entities) do
      if other == entity then
        table.remove(entities, i)
      end
    end
  end)
end

local function slow_motion(factor)
  speed = factor
  return finally(function()
    speed = 1
    tell("(time runs as before)")
  end)
end

local function play_music(title)
  music = title
  return finally(function()
    music = "off"
    tell("(the music stops)")
  end)
end

-- --- Entities ----------------------------------------------------------------

--- The life of an entity: a scope with its scripts, given the entity and what
-- else they want. Who ends it cancels `entity.scope`.
local function live(entity, script, ...)
  local _ <close> = on_stage(entity)
  local _, ended = async.scope({ name = entity.name }, function(scope, ...)
    entity.scope = scope
    script(entity, ...)
  end, ...)
  if ended then
    tell("%s is gone: %s", entity.name, ended.reason)
  end
end

--- Puts an entity into a level; gives its task.
local function enter(level, entity, script, ...)
  return level:spawn({ name = entity.name }, live, entity, script, ...)
end

--- Frame by frame, as far as the time since the last one goes.
local function walk(entity, target)
  local before = game:now()
  while entity.x ~= target do
    async.next_step()
    local way = entity.pace * (game:now() - before)
    before = game:now()
    if entity.x < target then
      entity.x = math.min(entity.x + way, target)
    else
      entity.x = math.max(entity.x - way, target)
    end
  end
end

local function say(entity, text)
  tell("%s: %s", entity.name, text)
  async.sleep(#text * 0.05) -- the time to read it
end

local function patrol(entity, from, to)
  while true do
    walk(entity, to)
    async.sleep(0.5)
    walk(entity, from)
  end
end

local function be_near(entity, other)
  async.wait_until(function()
    return math.abs(entity.x - other.x) <= 3
  end)
end

-- --- The first level ---------------------------------------------------------

--- Asks until there is an answer; the player has a second for it.
local function ask_for_password(guard)
  repeat
    say(guard, "The password?")
    local key = async.move_on_after(1, keys.get, keys)
    if not key then
      say(guard, "Well?")
    end
  until key
end

local function guard_the_gate(guard, hero, way)
  -- On patrol until the hero is near: the loser of a race is cancelled.
  async.race({
    function() patrol(guard, 13, 24) end,
    function() be_near(guard, hero) end,
  })
  ask_for_password(guard)
  say(guard, "Pass.")
  way:set()
  patrol(guard, 13, 24)
end

local function fly_at(arrow, target)
  tell("(an arrow, in slow motion)")
  while arrow.x + 1 < target.x do
    walk(arrow, arrow.x + 1)
  end
  target.scope:cancel("hit by the arrow")
end

local function go_to_the_gate(hero, level, way, bat)
  walk(hero, 10)
  way:wait()
  walk(hero, 16)
  do
    local _ <close> = slow_motion(0.25)
    local arrow = { name = "arrow", sign = "-", x = hero.x + 1, pace = 16 }
    enter(level, arrow, fly_at, bat):join()
  end
  walk(hero, 31)
  level:cancel("the gate is reached")
end

local function courtyard(level)
  local way = sync.event()
  local hero = { name = "hero", sign = "@", x = 1, pace = 4 }
  local guard = { name = "guard", sign = "G", x = 20, pace = 3 }
  local bat = { name = "bat", sign = "v", x = 27, pace = 2 }
  enter(level, bat, patrol, 26, 30)
  enter(level, guard, guard_the_gate, hero, way)
  enter(level, hero, go_to_the_gate, level, way, bat)
end

-- --- The cut scene and the second level --------------------------------------

local function film()
  local _ <close> = play_music("overture")
  for _, line in ipairs({ "Night falls.", "The tower is dark.", "A howl." }) do
    tell("%s", line)
    async.sleep(1.5)
  end
end

local function cut_scene()
  local key = async.race({ film, function() return keys:get() end })
  tell("(the film %s)", key and "is skipped" or "has ended")
end

local function tower(level)
  level:spawn(function()
    local _ <close> = play_music("the ghost's theme")
    async.sleep(math.huge) -- to the end of the level
  end)
  enter(level, { name = "ghost", sign = "&", x = 5, pace = 6 }, patrol, 1, 30)
  enter(level, { name = "hero", sign = "@", x = 1, pace = 4 }, walk, 31)
end

local function play_level(name, fill)
  tell("=== %s", name)
  local _, ended = async.scope({ name = name }, fill)
  tell("=== %s: %s", name, ended and ended.reason or "everybody has left")
end

-- --- The game ----------------------------------------------------------------

local story = game:spawn({ name = "story" }, function()
  play_level("the courtyard", courtyard)
  cut_scene()
  play_level("the tower", tower)
end)

local frames, paused = 0, false
repeat
  frames = frames + 1
  local key = PLAYER[frames]
  if key == "p" then
    paused = not paused
    tell("(%s at frame %d)", paused and "pause" or "the game goes on", frames)
  elseif key == "q" then
    tell("(the player quits)")
    game:cancel("the player quits") -- heard by all in the step that follows
  elseif key then
    keys:try_put(key)
  end
  if not paused then
    game:step(FRAME * speed)
  end
until game:is_idle()

print(("The story was %s after %d frames, %.1f seconds of the game."):format(
  story:status(), frames, game:now()))
print(("Left behind: %d entities, music %s, speed %g, next_time %s."):format(
  #entities, music, speed, game:next_time()))
assert(desist.is_cancelled(select(2, story:result())), "it should be cut short")
assert(#entities == 0 and music == "off" and speed == 1, "something was left")
assert(game:next_time() == nil, "a timer was left")
