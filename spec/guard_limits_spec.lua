-- What no guard can stop. Each of these goes on although its guard's token has
-- been cancelled long since, and is stopped as soon as it is back in Lua code
-- that can be. docs/guard.md says why.

local desist = require "desist"
local helper = require "spec.helper"

local DEADLINE = 0.002 * helper.slower -- seconds
local LONG = DEADLINE + 0.05

-- Made before setmetatable was tracked.
local untracked = setmetatable
local source, ran_to_its_end

-- The guard's token is cancelled a moment from now: said in the middle of what
-- is to be cancelled, for a machine may take its time on the way there.
local function cancel_soon()
  source:cancel_after(DEADLINE)
end

-- Runs for a long time, and notes it if nothing stops it.
local function last()
  cancel_soon()
  repeat until source:is_cancelled()
  local ends = desist.now() + LONG
  while desist.now() < ends do end -- luacheck: ignore 542
  ran_to_its_end = true
end

local CASES = {
  ["one long call of a C function"] = function()
    ran_to_its_end = true -- it gives its result to nobody
    local text, pattern = ("a"):rep(18), ("a?"):rep(18) .. ("a"):rep(18) .. "b"
    cancel_soon()
    string.find(text, pattern)
  end,
  ["a message handler of xpcall"] = function()
    xpcall(error, last)
    last()
  end,
  ["a hook of somebody else"] = function()
    debug.sethook(function()
      debug.sethook()
      last()
    end, "", 1)
  end,
  ["a finalizer whose metatable was set before tracking"] = function()
    untracked({}, { __gc = last })
    collectgarbage()
  end,
  ["__close of a coroutine that the guard's error has ended, whose metatable "
    .. "was set before tracking"] = function()
    coroutine.wrap(function()
      local _ <close> = untracked({}, { __close = last })
      cancel_soon()
      while true do end -- luacheck: ignore 542
    end)()
  end,
}

local _, how = desist.can_interrupt()
if how == "hook" then -- the guard's is gone then, and it never ends
  CASES["a hook of somebody else"] = nil
end

local names = {}
for name in pairs(CASES) do names[#names + 1] = name end
table.sort(names)

describe("desist.guard cannot stop", function()
  helper.leave_nothing(before_each, after_each)

  for _, name in ipairs(names) do
    it(name, function()
      ran_to_its_end = false
      local started = desist.now()
      source = desist.source()
      local ok, err = desist.guard({ token = source:token(), grace = 0 },
        function()
          CASES[name]()
          while true do end -- luacheck: ignore 542
        end)
      assert.is_true(ran_to_its_end)
      assert.is_true(desist.now() - started > 0.02)
      assert.is_false(ok)
      assert.equal(source:token():error(), err)
    end)
  end

  it("a coroutine that C code resumes by means of its own, where one that is "
    .. "not tracked is not found", function()
    -- luv calls back on the main thread; the guard was in a coroutine
    local luv = require "luv"
    ran_to_its_end = false
    local timer = luv.new_timer()
    timer:start(0, 0, function()
      timer:close()
      last()
    end)
    coroutine.wrap(function()
      source = desist.source()
      local ok = desist.guard({ token = source:token(), grace = 0 }, luv.run)
      assert.is_true(source:is_cancelled())
      return ok
    end)()
    assert.is_true(ran_to_its_end)
  end)
end)
