--- Four programs that a guard is around and never stops: what an armed guard
-- costs is what they take longer. Each does `count` turns.
--   lua5.4 bench/guard_programs.lua PROGRAM COUNT plain|guarded
-- runs one of them, for valgrind.

local programs = {}

programs["a tight loop"] = function(count)
  local x = 0
  for i = 1, count do x = x + (i & 3) end
  return x
end

programs["calls"] = function(count)
  local function fib(n)
    if n < 2 then return n end
    return fib(n - 1) + fib(n - 2)
  end
  local x = 0
  for _ = 1, count do x = x + fib(5) end
  return x
end

programs["tables"] = function(count)
  local x = 0
  for i = 1, count do
    local t = { i, i + 1, i + 2, key = i }
    t[#t + 1] = t[1] + t.key
    x = x + #t
  end
  return x
end

programs["strings"] = function(count)
  local x = 0
  for i = 1, count do
    local s = ("%d:%s"):format(i % 100, "abc"):upper() .. i % 10
    x = x + #s + (s:find(":", 1, true) or 0)
  end
  return x
end

if arg and arg[0]:match "guard_programs" then
  local desist = require "desist"
  local source = desist.source()
  local program, count = programs[arg[1]], tonumber(arg[2])
  collectgarbage()
  if arg[3] == "guarded" then
    assert(desist.guard(source:token(), program, count))
  else
    assert(pcall(program, count))
  end
end

return programs
