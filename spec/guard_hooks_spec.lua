local desist = require "desist"
local helper = require "spec.helper"

local SOON = helper.soon

local function forever()
  while true do end -- luacheck: ignore 542
end

-- As debug.sethook takes it and debug.gethook gives it.
local function hook_is(fn, mask, count)
  local f, m, c = debug.gethook()
  assert.equal(fn, f)
  assert.equal(mask, m)
  assert.equal(count, c)
end

describe("hooks of a debugger or profiler", function()
  helper.leave_nothing(before_each, after_each)
  after_each(function() debug.sethook() end)

  local function ignore() end

  it("are there during a guard that does not fire", function()
    local lines = 0
    debug.sethook(function() lines = lines + 1 end, "l")
    desist.guard(desist.source():token(), function()
      local a = 1
      a = a + 1
      return a
    end)
    debug.sethook()
    assert.is_true(lines >= 3)
  end)

  for _, kind in ipairs { { "crl", 0 }, { "l", 0 }, { "", 7 }, { "l", 100 } } do
    it(("are back after one that fires: '%s', %d"):format(kind[1], kind[2]),
      function()
        debug.sethook(ignore, kind[1], kind[2])
        assert.is_false((desist.guard(desist.after(SOON):token(), forever)))
        hook_is(ignore, kind[1], kind[2])
        local source = desist.after(SOON)
        assert.is_false((desist.guard({ token = source:token(), grace = 0 },
          function() while true do pcall(forever) end end)))
        hook_is(ignore, kind[1], kind[2])
      end)
  end

  it("run in the grace", function()
    local source, lines = desist.source(), 0
    local function count() lines = lines + 1 end
    debug.sethook(count, "l")
    local guarded = { token = source:token(), grace = 60 }
    local ok, during = desist.guard(guarded, function()
      pcall(helper.until_cancelled(source))
      local before = lines
      local a = 1
      a = a + 1
      -- without signals the guard's is there, and passes events on
      if select(2, desist.can_interrupt()) == "signal" then
        hook_is(count, "l", 0)
      end
      return lines - before, a
    end)
    assert.is_true(ok)
    assert.is_true(during >= 2)
  end)

  it("are back in a coroutine that was stopped inside", function()
    local co = coroutine.create(function()
      debug.sethook(ignore, "l")
      local ok = desist.guard(desist.after(SOON):token(), forever)
      coroutine.yield(ok)
      hook_is(ignore, "l", 0)
    end)
    local _, ok = assert(coroutine.resume(co))
    assert.is_false(ok)
    assert.equal(ignore, (debug.gethook(co)))
    assert(coroutine.resume(co))
  end)

  it("are those of a coroutine made under a guard that fires", function()
    if select(2, desist.can_interrupt()) == "hook" then return end
    debug.sethook(ignore, "l")
    local source, made = desist.source(), nil
    desist.guard({ token = source:token(), grace = 60 }, function()
      pcall(helper.until_cancelled(source))
      -- Lua's own debug library keeps a function for each coroutine alone
      made = coroutine.create(function() hook_is(nil, "l", 0) end)
    end)
    hook_is(ignore, "l", 0)
    assert(coroutine.resume(made))
  end)

  it("that fn sets stay", function()
    desist.guard(desist.source():token(), function()
      debug.sethook(ignore, "l")
    end)
    hook_is(ignore, "l", 0)
  end)

  it("that fn sets do not keep it alive", function()
    if select(2, desist.can_interrupt()) == "hook" then return end
    local ok = desist.guard({
      token = desist.after(SOON):token(),
      grace = 0.005,
    }, function()
      while true do
        pcall(function()
          while true do debug.sethook(ignore, "l") end
        end)
      end
    end)
    assert.is_false(ok)
  end)
end)
