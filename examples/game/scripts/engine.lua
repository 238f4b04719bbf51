--- What runs the scripts: the functions that C starts as tasks (engine_spawn).

local async = require "desist.async"
local desist = require "desist"
local host = require "host"
local verbs = require "verbs"

local finally = verbs.finally

-- Errors of scripts: nobody joins their tasks.
desist.on_error(host.error)

--- A script's file, with globals of its own in front of those of all.
local function load_script(path, globals)
  globals = setmetatable({}, { __index = globals })
  return assert(loadfile(host.folder() .. "/" .. path, "t", globals))
end

--- Counts a script as long as it runs; its entity stays as long.
local function counted(entity)
  host.count(1, entity)
  return finally(host.count, -1, entity)
end

--- The script of an entity. It is called with the entity and the options that
-- the entity was made with.
local function run(self, path, with)
  local _ <close> = counted(self)
  load_script(path, verbs.globals)(self, with)
end

--- The same for what somebody else has written. A guard stops it if it does not
-- stop by itself, when the entity's life is over, its seconds are, or the step
-- hangs.
local function run_mod(self, path, with)
  local _ <close> = counted(self)
  local script = load_script(path, verbs.mod_globals)
  local watchdog = host.watchdog()
  local ended = async.move_on_after(with.seconds or math.huge, function()
    local limit <close> = desist.linked(async.token(), watchdog)
    local ok, err = desist.guard({ token = limit:token(), grace = 0.01 },
      script, self, with)
    if desist.is_cancelled(err) and err.origin == watchdog then
      host.tell(self:name() .. ": hung, was stopped")
    elseif not ok and not desist.is_cancelled(err) then
      error(err, 0)
    end
    return ok
  end)
  if not ended then self:does "was stopped" end
end

local function run_level(path)
  local _ <close> = counted()
  load_script(path, verbs.globals)(verbs.level)
end

local function print_tasks(loop)
  io.stderr:write(desist.inspect(loop), "\n")
end

return {
  print_tasks = print_tasks,
  run = run,
  run_level = run_level,
  run_mod = run_mod,
}
