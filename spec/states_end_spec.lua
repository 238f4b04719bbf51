local helper = require "spec.helper"

describe("the end of a process or state", function()
  local function assert_ends(script)
    local output, how, code = helper.child(script)
    assert.equal("done\n", output)
    assert.equal("exit", how)
    assert.equal(0, code)
  end

  it("leaves no thread running code of the unloaded library", function()
    assert_ends [[
      local luv = require "luv"
      for _ = 1, 5 do
        local thread = luv.new_thread(function(path, cpath)
          package.path, package.cpath = path, cpath
          local desist = require "desist"
          desist.after(0.002):token():register(type)
          desist.after(1000)
        end, package.path, package.cpath)
        luv.thread_join(thread)
        luv.sleep(10)
      end
      print "done"
    ]]
  end)

  it("comes at once with deadlines armed and callbacks queued", function()
    assert_ends [[
      local desist = require "desist"
      a, b = desist.after(0.001), desist.after(1000)
      a:token():register(type)
      b:token():register(type)
      c = desist.source()
      c:token():register(type)
      c:cancel_async()
      c:token():fd()
      desist.wakeup_fd()
      print "done"
    ]]
  end)

  it("comes at once by os.exit, with and without closing", function()
    for _, close in ipairs { "true", "false" } do
      assert_ends(([[
        local desist = require "desist"
        a, b = desist.after(0.001), desist.after(1000)
        a:token():register(type)
        b:token():register(type)
        print "done"
        os.exit(0, %s)
      ]]):format(close))
    end
  end)

  it("comes while threads wait and cancel", function()
    assert_ends [[
      local desist, luv = require "desist", require "luv"
      for _ = 1, 3 do
        local source = desist.source()
        source:token():register(function() end)
        local thread = luv.new_thread(function(path, cpath, handle)
          package.path, package.cpath = path, cpath
          local desist = require "desist"
          local source = desist.from_handle(handle)
          source:token():register(function() end)
          source:cancel()
        end, package.path, package.cpath, source:handle())
        luv.thread_join(thread)
      end
      print "done"
    ]]
  end)
end)
