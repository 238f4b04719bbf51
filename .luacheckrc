-- lua/ runs on Lua 5.1 to 5.4 and LuaJIT: what a newer one brings is asked
-- for before it is used, so all of it is known here. Which syntax lua/ may use
-- is checked by luac5.1 (make lint).
std = "max"
cache = false
codes = true
max_line_length = 80
self = false
include_files = { "**/*.lua", "rockspec/*.rockspec", ".ci/*.lua" }
exclude_files = { "build" }

files["examples/game/scripts"] = {
  std = "max",
  read_globals = { "async", "finally", "level" },
}
files["spec"] = { std = "max+busted" }
files["rockspec/*.rockspec"] = { std = "rockspec" }
