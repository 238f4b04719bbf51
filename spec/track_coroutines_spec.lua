local desist = require "desist"
local helper = require "spec.helper"

-- The functions as they were before.
local lua = {
  resume = coroutine.resume, wrap = coroutine.wrap, close = coroutine.close,
  setmetatable = setmetatable,
}

desist.track_coroutines()

local tracked = {
  resume = coroutine.resume, wrap = coroutine.wrap, close = coroutine.close,
  setmetatable = setmetatable,
}

-- What a scenario gives: results or error, with addresses taken out.
local function outcome(scenario, functions)
  local results = table.pack(pcall(scenario, functions))
  for i = 1, results.n do
    results[i] = tostring(results[i]):gsub("0x%x+", "ADDRESS")
  end
  return results
end

local function closing(fn)
  return lua.setmetatable({}, { __close = fn })
end

local SCENARIOS = {
  ["values go in and out"] = function(f)
    local co = coroutine.create(function(...)
      return "end", select("#", ...), coroutine.yield(select("#", ...), ...)
    end)
    local out = table.pack(f.resume(co, 1, nil, nil))
    local last = table.pack(f.resume(co, "a", nil))
    return out.n, out[1], out[2], last.n, last[1], last[2], last[3], last[4]
  end,
  ["resume of a dead coroutine"] = function(f)
    local co = coroutine.create(function() end)
    f.resume(co)
    return f.resume(co)
  end,
  ["resume of itself"] = function(f)
    return f.resume(coroutine.running())
  end,
  ["resume of a normal coroutine"] = function(f)
    local outer
    outer = coroutine.create(function()
      return f.resume(coroutine.create(function() return f.resume(outer) end))
    end)
    return f.resume(outer)
  end,
  ["resume gives errors as they are"] = function(f)
    local value = {}
    local _, err = f.resume(coroutine.create(function() error(value) end))
    return err == value, f.resume(coroutine.create(function() error() end))
  end,
  ["resume adds the place to no error"] = function(f)
    return f.resume(coroutine.create(function() error("text", 0) end))
  end,
  ["resume of nothing"] = function(f) return f.resume() end,
  ["resume of a number"] = function(f) return f.resume(1) end,
  ["too many arguments"] = function(f)
    return f.resume(coroutine.create(select), table.unpack({}, 1, 999000))
  end,
  ["too many results"] = function(f)
    local co = coroutine.create(function()
      return table.unpack({}, 1, 600000)
    end)
    return select("#", table.unpack({}, 1, 500000), f.resume(co))
  end,
  ["wrap iterates"] = function(f)
    local sum = 0
    for i in f.wrap(function()
      for i = 1, 5 do coroutine.yield(i) end
    end) do
      sum = sum + i
    end
    return sum
  end,
  ["wrap of a dead coroutine"] = function(f)
    local fn = f.wrap(function() end)
    fn()
    return fn()
  end,
  ["wrap adds the place to a text"] = function(f)
    return f.wrap(function() error "text" end)()
  end,
  ["wrap gives other errors as they are"] = function(f)
    local value = {}
    local ok, err = pcall(f.wrap(function() error(value) end))
    return ok, err == value
  end,
  ["wrap closes what an error leaves open"] = function(f)
    local log = {}
    local ok, err = pcall(f.wrap(function()
      local _ <close> = closing(function(_, e) log[#log + 1] = e end)
      local _ <close> = closing(function(_, e)
        log[#log + 1] = e
        error("second", 0)
      end)
      error("first", 0)
    end))
    return ok, err, table.unpack(log)
  end,
  ["wrap of nothing"] = function(f) return f.wrap() end,
  ["wrap of what is no function"] = function(f)
    return f.wrap(setmetatable({}, { __call = print }))
  end,
  ["close of a suspended coroutine"] = function(f)
    local log = {}
    local co = coroutine.create(function()
      local _ <close> = closing(function(_, e) log[1] = tostring(e) end)
      coroutine.yield()
    end)
    f.resume(co)
    return f.close(co), log[1], coroutine.status(co)
  end,
  ["close that fails"] = function(f)
    local co = coroutine.create(function()
      local _ <close> = closing(function() error("closing", 0) end)
      coroutine.yield()
    end)
    f.resume(co)
    return f.close(co)
  end,
  ["close after an error"] = function(f)
    local co = coroutine.create(function()
      local _ <close> = closing(function() end)
      error("text", 0)
    end)
    f.resume(co)
    return f.close(co)
  end,
  ["close twice"] = function(f)
    local co = coroutine.create(print)
    return f.close(co), f.close(co)
  end,
  ["close of itself"] = function(f) return f.close(coroutine.running()) end,
  ["close of a normal coroutine"] = function(f)
    local co
    co = coroutine.create(function()
      return f.resume(coroutine.create(function() return f.close(co) end))
    end)
    return f.resume(co)
  end,
  ["close of nothing"] = function(f) return f.close() end,
  ["running and isyieldable"] = function(f)
    local co
    co = coroutine.create(function()
      local running, main = coroutine.running()
      return running == co, main, coroutine.isyieldable()
    end)
    return f.resume(co)
  end,
  ["status along the chain"] = function(f)
    local outer
    outer = coroutine.create(function()
      local inner
      inner = coroutine.create(function()
        return coroutine.status(outer), coroutine.status(inner)
      end)
      local _, a, b = f.resume(inner)
      return a, b, coroutine.status(inner)
    end)
    return f.resume(outer)
  end,
  ["a yield across a C function"] = function(f)
    return f.resume(coroutine.create(function()
      table.sort({ 3, 2, 1 }, coroutine.yield)
    end))
  end,
  ["setmetatable gives its table"] = function(f)
    local t, meta = {}, {}
    return f.setmetatable(t, meta) == t, getmetatable(t) == meta,
      f.setmetatable(t, nil) == t, getmetatable(t)
  end,
  ["setmetatable of a protected one"] = function(f)
    local t = f.setmetatable({}, { __metatable = "mine" })
    return f.setmetatable(t, {})
  end,
  ["setmetatable of nothing"] = function(f) return f.setmetatable() end,
  ["setmetatable without a metatable"] = function(f)
    return f.setmetatable({})
  end,
  ["setmetatable of a number"] = function(f)
    return f.setmetatable(1, {})
  end,
  ["finalizers run"] = function(f)
    local log = {}
    for i = 1, 3 do
      f.setmetatable({ i }, { __gc = function(o) log[#log + 1] = o[1] end })
    end
    collectgarbage()
    return table.unpack(log)
  end,
  ["finalizers called by hand"] = function(f)
    local object = f.setmetatable({}, {
      __gc = function(_, ...) return "called", ... end,
    })
    local gc = getmetatable(object).__gc
    getmetatable(object).__gc = nil
    return gc(object, 1, nil)
  end,
}

local names = {}
for name in pairs(SCENARIOS) do names[#names + 1] = name end
table.sort(names)

describe("desist.track_coroutines", function()
  helper.leave_nothing(before_each, after_each)

  it("replaces four functions, once", function()
    for name, fn in pairs(tracked) do
      assert.are_not.equal(lua[name], fn)
    end
    desist.track_coroutines()
    desist.guard(desist.source():token(), function() end)
    assert.equal(tracked.resume, coroutine.resume)
    assert.equal(tracked.setmetatable, setmetatable)
  end)

  for _, name in ipairs(names) do
    it("changes nothing: " .. name, function()
      local expected = outcome(SCENARIOS[name], lua)
      assert.same(expected, outcome(SCENARIOS[name], tracked))
      desist.guard(desist.source():token(), function()
        assert.same(expected, outcome(SCENARIOS[name], tracked))
      end)
    end)
  end

  it("wraps a finalizer once, and leaves functions of C alone", function()
    local meta = { __gc = function() end }
    setmetatable({}, meta)
    local wrapped = meta.__gc
    setmetatable({}, meta)
    assert.equal(wrapped, meta.__gc)
    local other = { __gc = collectgarbage }
    setmetatable({}, other)
    assert.equal(collectgarbage, other.__gc)
  end)

  it("does the same to __close, which still may yield", function()
    local log = {}
    local meta = {
      __close = function(_, err) log[1] = coroutine.yield(err) end,
    }
    local plain = meta.__close
    local co = coroutine.create(pcall)
    assert.same({ true, "text" }, { coroutine.resume(co, function()
      local _ <close> = setmetatable({}, meta)
      error("text", 0)
    end) })
    assert.are_not.equal(plain, meta.__close)
    assert.same({ true, false, "text" }, { coroutine.resume(co, "again") })
    assert.same({ "again" }, log)
  end)

  it("closes what an error has ended inside a guard, in its order", function()
    local log = {}
    local function close(self, err) log[#log + 1] = self[1] .. tostring(err) end
    assert(desist.guard(desist.source():token(), function()
      local co = coroutine.create(function()
        local _ <close> = setmetatable({ "outer " }, { __close = close })
        local _ <close> = setmetatable({ "inner " }, {
          __close = function(self, err)
            close(self, err)
            error("second", 0)
          end,
        })
        error("first", 0)
      end)
      coroutine.resume(co)
      assert.same({ false, "second" }, { coroutine.close(co) })
    end))
    assert.same({ "inner first", "outer second" }, log)
  end)

  it("warns of errors in finalizers inside a guard, like Lua", function()
    local output = helper.child [[
      warn "@on"
      local desist = require "desist"
      local source = desist.source()
      desist.guard(source:token(), function()
        setmetatable({}, { __gc = function() error("oops", 0) end })
        collectgarbage()
        print "goes on"
      end)
    ]]
    assert.equal("Lua warning: error in __gc (oops)\ngoes on\n", output)
  end)

  it("does without what a sandbox has taken away", function()
    local output = helper.child [[
      coroutine.close, setmetatable = nil, nil
      require "desist".track_coroutines()
      print(coroutine.close, setmetatable)
    ]]
    assert.equal("nil\tnil\n", output)
  end)
end)
