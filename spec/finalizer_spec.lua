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
end)
