local desist = require "desist"
local helper = require "spec.helper"

-- What finalizers of the script do in the middle of the library's own work.
-- In one collection they run last made, first called: a guard made after an
-- object runs before the object's own finalizer.

local function guard(action)
  setmetatable({}, { __gc = action })
end

describe("a finalizer", function()
  helper.leave_nothing(before_each, after_each)

  describe("that brings back a source by its handle", function()
    local calls, back

    before_each(function()
      calls, back = helper.recorder(), nil
    end)

    local function bring_back(prepare)
      (function()
        local source = desist.source()
        local handle = source:handle()
        source:token():register(calls:as "old")
        if prepare then prepare(source) end
        guard(function()
          back = desist.from_handle(handle)
          back:token():register(calls:as "new")
        end)
      end)()
      helper.full_gc()
      assert.is_truthy(back)
    end

    it("keeps the callbacks from before and from after", function()
      bring_back()
      assert.is_true(back:cancel())
      assert.equal("new old", calls:order())
    end)

    it("keeps them for a dispatch", function()
      bring_back()
      back:cancel_async()
      assert.equal(2, desist.dispatch())
      assert.equal("new old", calls:order())
    end)

    it("keeps those of a link on it", function()
      bring_back(function(source)
        desist.linked(source:token()):token():register(calls:as "link")
      end)
      back:cancel()
      assert.equal("new link old", calls:order())
    end)

    it("lets go of them when it is closed", function()
      local weak = setmetatable({}, { __mode = "k" })
      bring_back(function(source)
        local held = {}
        weak[held] = true
        source:token():register(rawlen, held)
      end)
      assert.is_truthy(next(weak))
      back:close()
      helper.full_gc()
      assert.is_nil((next(weak)))
      assert.equal(0, calls.n)
    end)

    it("has its token found by handle", function()
      bring_back()
      assert.equal(back, desist.from_handle(back:handle()))
      assert.equal(back:token(), desist.from_handle(back:token():handle()))
      helper.full_gc()
      assert.equal(back:token(), desist.from_handle(back:token():handle()))
    end)
  end)

  -- Calls outer while a collection is about to call very many finalizers, a
  -- few every some allocations; the one with this number calls act. True: it
  -- came inside outer.
  local function interrupt(number, delay, outer, act)
    local begun, busy, count = false, false, 0
    local function count_up()
      begun = true
      if busy then
        count = count + 1
        if count == number then act() end
      end
    end
    for _ = 1, 1000 do guard(count_up) end
    while not begun do local _ = {} end
    for _ = 1, delay do local _ = {} end
    busy = true
    outer()
    busy = false
    return count >= number
  end

  -- Interrupts what `make` gives at many places: outer, act, check.
  local function interrupt_everywhere(make)
    local mode = collectgarbage("incremental", 100, 10, 4)
    local inside = 0
    for i = 0, 99 do
      local outer, act, check = make()
      local came = interrupt(i // 10 * 20 + 1, i % 10, outer, act)
      if came then inside = inside + 1 end
      check(came)
    end
    collectgarbage("incremental", 200, 100, 13)
    collectgarbage(mode)
    assert.is_true(inside > 0, "no finalizer ran inside")
  end

  describe("inside register on a link", function()
    local weak

    -- On a chain of links, of which the callbacks hold the root. `act` is
    -- given the token above the last, whose own entry is in the making.
    local function make_chain(act)
      local root = desist.source()
      local last, above = root:token(), nil
      for _ = 1, 200 do
        last, above = desist.linked(last):token(), last
      end
      local function callback() return root end
      return function()
        last:register(callback)
      end, function()
        act(above, callback)
      end, function(inside)
        weak[root] = inside or nil
      end, root
    end

    local function assert_nothing_stays(act)
      weak = setmetatable({}, { __mode = "k" })
      local roots = {}
      interrupt_everywhere(function()
        local outer, inner, check, root = make_chain(act)
        roots[#roots + 1] = root
        return outer, inner, check
      end)
      helper.full_gc() -- what is not held by its root, is by the registry
      roots = nil
      helper.full_gc()
      assert.is_nil((next(weak)))
    end

    it("that registers on a link above holds nothing for ever", function()
      assert_nothing_stays(function(above, callback)
        above:register(callback)
      end)
    end)

    it("that unregisters there holds nothing for ever", function()
      assert_nothing_stays(function(above, callback)
        above:register(callback):unregister()
      end)
    end)
  end)

  it("that asks for an error being made gets the same", function()
    interrupt_everywhere(function()
      local source = desist.source()
      local token = source:token()
      source:cancel(("x"):rep(2000)) -- which is made anew for the error
      local outer, inner
      return function()
        outer = token:error()
      end, function()
        inner = token:error()
      end, function(inside)
        if inside then assert.is_true(rawequal(outer, inner)) end
        assert.is_true(rawequal(outer, token:error()))
      end
    end)
  end)
end)
