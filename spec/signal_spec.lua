local desist = require "desist"
local helper = require "spec.helper"

-- Signals are sent in child processes, by the child to itself.

describe("desist.signal", function()
  -- Runs the script with `desist` and `send` (see helper.send) in place.
  local function child(script)
    return helper.child('local desist = require "desist"\n' .. helper.send ..
      script)
  end

  local function assert_prints(expected, script)
    local output, how, code = child(script)
    assert.equal(expected, output)
    assert.equal("exit", how)
    assert.equal(0, code)
  end

  local function assert_killed(expected, number, script)
    local output, how, code = child(script)
    assert.equal(expected, output)
    assert.equal("signal", how)
    if number then assert.equal(number, code) end
  end

  it("gives a source that the signal cancels", function()
    assert_prints("false\ntrue\nSIGUSR1\tcancelled\n", [[
      local source = desist.signal "USR1"
      print(source:is_cancelled())
      send "USR1"
      print(source:token():wait(10))
      print(source:token():reason(), source:token():error().kind)
    ]])
  end)

  it("knows the usual signals by their names", function()
    for _, name in ipairs { "INT", "TERM", "HUP", "USR2" } do
      assert_prints("true\tSIG" .. name .. "\n", ([[
        local source = desist.signal "%s"
        send "%s"
        print(source:token():wait(10), source:token():reason())
      ]]):format(name, name))
    end
  end)

  it("is cancelled by the first of several", function()
    assert_prints("true\tSIGUSR2\n", [[
      local source = desist.signal("USR1", "USR2", "TERM")
      send "USR2"
      print(source:token():wait(10), source:token():reason())
    ]])
  end)

  it("runs the callbacks in a dispatch", function()
    assert_prints("ran\tSIGUSR1\n1\n", [[
      local source = desist.signal "USR1"
      local ran = 0
      source:token():register(function(reason)
        ran = ran + 1
        print("ran", reason)
      end)
      send "USR1"
      local limit = desist.now() + 10
      while ran == 0 and desist.now() < limit do desist.dispatch() end
      print(ran)
    ]])
  end)

  it("ends a wait without limit", function()
    assert_prints("true\n", [[
      local token = desist.signal("USR1"):token()
      os.execute "(sleep 0.05; kill -USR1 $PPID) &"
      print(token:wait())
    ]])
  end)

  it("cancels what is linked to it", function()
    assert_prints("true\tSIGUSR1\ttrue\n", [[
      local source = desist.signal "USR1"
      local link = desist.linked(source:token(), desist.source():token())
      send "USR1"
      print(link:token():wait(10), link:token():reason(),
        link:token():error().origin == source:token())
    ]])
  end)

  it("lives on without its handle", function()
    assert_prints("true\n", [[
      local token = desist.signal("USR1"):token()
      for _ = 1, 4 do collectgarbage() end
      send "USR1"
      print(token:wait(10))
    ]])
  end)

  it("lives on for its callbacks alone", function()
    assert_prints("SIGUSR1\n", [[
      local reason
      desist.signal("USR1"):token():register(function(r) reason = r end)
      for _ = 1, 4 do collectgarbage() end
      send "USR1"
      local limit = desist.now() + 10
      while not reason and desist.now() < limit do desist.dispatch() end
      print(reason)
    ]])
  end)

  it("puts the default back, so that a second one kills", function()
    assert_killed("true\n", 15, [[
      io.stdout:setvbuf "no"
      local source = desist.signal "TERM"
      send "TERM"
      print(source:token():wait(10))
      send "TERM"
      desist.none:wait(10)
      print "still here"
    ]])
  end)

  it("puts back the handlers of all its signals", function()
    assert_killed("SIGUSR1\n", 15, [[
      io.stdout:setvbuf "no"
      local source = desist.signal("TERM", "USR1")
      send "USR1"
      source:token():wait(10)
      print(source:token():reason())
      send "TERM"
      desist.none:wait(10)
      print "still here"
    ]])
  end)

  it("puts back the interpreter's own handler of Ctrl-C", function()
    local output = child [[
      local source = desist.signal "INT"
      send "INT"
      print(source:token():wait(10), source:token():reason())
      print(pcall(function()
        send "INT"
        for _ = 1, 1e9 do end
      end))
    ]]
    assert.matches("^true\tSIGINT\nfalse\t.*interrupted!", output)
  end)

  it("gives one signal to the newest source, the next to the older", function()
    assert_prints("false\ttrue\ntrue\n", [[
      local older = desist.signal "USR1"
      local newer = desist.signal "USR1"
      send "USR1"
      newer:token():wait(10)
      print(older:is_cancelled(), newer:is_cancelled())
      send "USR1"
      print(older:token():wait(10))
    ]])
  end)

  it("does not cancel when it is closed, and puts the default back", function()
    assert_killed("false\tfalse\n", 15, [[
      io.stdout:setvbuf "no"
      local source = desist.signal("TERM", "USR1")
      source:close()
      print(source:is_cancelled(), source:token():can_be_cancelled())
      send "TERM"
      desist.none:wait(10)
      print "still here"
    ]])
  end)

  it("puts the default back at the end of a <close> block", function()
    assert_killed("in\nout\n", nil, [[
      io.stdout:setvbuf "no"
      do
        local source <close> = desist.signal "USR1"
        print(source:is_cancelled() or "in")
      end
      print "out"
      send "USR1"
      desist.none:wait(10)
      print "still here"
    ]])
  end)

  it("may be open when the state is closed", function()
    assert_prints("done\n", [[
      source = desist.signal("INT", "TERM", "USR1")
      source:token():register(print)
      print "done"
    ]])
  end)

  it("may have come just before the state is closed", function()
    assert_prints("done\n", [[
      source = desist.signal "USR1"
      source:token():register(function() print "late" end)
      send "USR1"
      while not source:is_cancelled() do end
      print "done"
    ]])
  end)

  it("gives a source like any other", function()
    assert_prints("true\tby hand\tfalse\n", [[
      local source = desist.signal "USR1"
      print(source:cancel("by hand"), source:token():reason(),
        source:cancel())
    ]])
  end)

  it("refuses names that are no signals it can catch", function()
    for _, bad in ipairs { "NOSUCH", "", "KILL", "int " } do
      helper.argument_error(1, "signal", ".", function()
        desist.signal(bad)
      end)
      helper.argument_error(2, "signal", ".", function()
        desist.signal("USR1", bad)
      end)
    end
  end)

  it("refuses what is no name", function()
    for _, bad in ipairs { true, {}, print } do
      helper.argument_error(1, "signal", "string expected", function()
        desist.signal(bad)
      end)
    end
    helper.argument_error(1, "signal", ".", function() desist.signal() end)
  end)
end)
