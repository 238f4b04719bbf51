local desist = require "desist"
local helper = require "spec.helper"

-- This file and the line of the caller, as inspect prints them.
local function here(offset)
  local info = debug.getinfo(2, "Sl")
  return ("%s:%d"):format(info.short_src, info.currentline + (offset or 0))
end

-- The text of inspect must be these lines.
local function assert_shows(lines, value)
  assert.equal(table.concat(lines, "\n"), desist.inspect(value))
end

describe("desist.inspect", function()
  helper.leave_nothing(before_each, after_each)

  it("shows a source and a token by name and state", function()
    local source = desist.source { name = "level" }
    assert_shows({ "source 'level' live" }, source)
    assert_shows({ "token 'level' live" }, source:token())
    assert_shows({ "source live" }, desist.source())
    source:cancel "killed"
    assert_shows({ "source 'level' cancelled: \"killed\"" }, source)
    local closed = desist.source()
    closed:close()
    assert_shows({ "source closed" }, closed)
    assert_shows({ "token never cancelled" }, desist.none)
  end)

  it("shows reasons of any type", function()
    assert_shows({ "token cancelled: 12" }, desist.cancelled(12))
    assert_shows({ "token cancelled: \"12\"" }, desist.cancelled "12")
    assert_shows({ "token cancelled: false" }, desist.cancelled(false))
    local object = setmetatable({}, { __tostring = function() return "me" end })
    assert_shows({ "token cancelled: me" }, desist.cancelled(object))
    local long = desist.inspect(desist.cancelled(("x"):rep(100000)))
    assert.is_true(#long < 300)
  end)

  it("keeps whatever a name or a reason is made of in one line", function()
    local source = desist.source { name = "a'b\n\27[1m\\" }
    assert_shows({ [[source 'a\'b\n\027[1m\\' live]] }, source)
    source:cancel "\"\0\r"
    assert_shows({ [[source 'a\'b\n\027[1m\\' cancelled: "\"\000\r"]] }, source)
    assert.is_truthy(desist.inspect(desist.source { name = ("n"):rep(1000) })
      :find "n%.%.%.' live$")
  end)

  it("shows deadlines by what is left of them", function()
    local clock = desist.manual_clock()
    local source = desist.source { clock = clock }
    source:cancel_after(1234.5)
    assert_shows({ "source live, deadline in 1234 s" }, source)
    clock:advance(1234)
    assert_shows({ "source live, deadline in 0.5 s" }, source)
    clock:advance(1)
    assert_shows({ "source cancelled by a deadline" }, source)
  end)

  it("shows registrations, newest first, where they were defined", function()
    local source = desist.source()
    source:token():register(function() end)
    source:token():register(print)
    source:token():register(setmetatable({}, { __call = function() end }))
    local no_function = setmetatable({}, { __call = setmetatable({}, {
      __call = function() end,
    }) })
    source:token():register(no_function)
    assert_shows({
      "source live",
      "  registration of a callable object",
      "  registration of " .. here(-8),
      "  registration of a C function",
      "  registration of " .. here(-12),
    }, source)
  end)

  it("finds the registrations of anchored tokens and of links", function()
    local source = desist.source()
    source:cancel_after(1000)
    local link = desist.linked(source:token())
    link:token():register(function() end)
    source:token():register(function() end)
    assert_shows({
      "source live, deadline in 1000 s",
      "  registration of " .. here(-3),
      "  link live",
      "    registration of " .. here(-6),
    }, source)
    source:close()
  end)

  it("shows links below and inputs above", function()
    local session = desist.source { name = "session" }
    local user = desist.source { name = "user" }
    local both = desist.linked_all(session:token(), user:token())
    local any = desist.linked(session:token(), user:token())
    local below = desist.linked(any:token())
    assert_shows({
      "source 'session' live",
      "  link live, any of 2 inputs",
      "    link live",
      "  link live, waits for 2 of 2 inputs",
    }, session)
    assert_shows({
      "token live",
      "  input live, any of 2 inputs",
      "    input 'session' live",
      "    input 'user' live",
    }, below:token())
    user:close()
    assert_shows({
      "source 'session' live",
      "  link live, any of 2 inputs",
      "    link live",
    }, session)
    assert_shows({
      "source live, any of 2 inputs",
      "  input 'session' live",
      "  input 'user' closed",
      "  link live",
    }, any)
    assert_shows({ "source live, its inputs cannot cancel it" }, both)
  end)

  it("counts what a linked_all still waits for", function()
    local a, b, c = desist.source(), desist.source(), desist.source()
    local all = desist.linked_all(a:token(), b:token(), c:token())
    a:cancel()
    assert.is_truthy(desist.inspect(all)
      :find "^source live, waits for 2 of 3 inputs\n  input cancelled: ")
  end)

  it("shows what hangs below two inputs once", function()
    local top = desist.source()
    local left = desist.linked(top:token())
    local right = desist.linked(top:token())
    local bottom = desist.linked(left:token(), right:token())
    bottom:token():register(print)
    assert_shows({
      "source live",
      "  link live",
      "    link live, any of 2 inputs",
      "      registration of a C function",
      "  link live",
      "    link live (as above)",
    }, top)
    assert_shows({
      "source live, any of 2 inputs",
      "  input live",
      "    input live",
      "  input live",
      "    input live (as above)",
      "  registration of a C function",
    }, bottom)
  end)

  it("says through whom a link was cancelled", function()
    local source = desist.source { name = "session" }
    local link = desist.linked(source:token())
    source:cancel "over"
    assert_shows({ "source cancelled: \"over\" from 'session'" }, link)
  end)

  it("shows one cancellation as it goes on", function()
    local source, seen = desist.source(), nil
    local link = desist.linked(source:token())
    link:token():register(rawlen)
    source:token():register(function() seen = desist.inspect(source) end)
    source:cancel()
    assert.equal(
      "source cancelled: \"cancelled\"\n" ..
      "  link cancelled: \"cancelled\"\n" ..
      "    registration of a C function", seen)
  end)

  it("counts callbacks that wait for a dispatch", function()
    local source = desist.source()
    source:token():register(function() end)
    source:cancel_async "later"
    assert_shows({
      "source cancelled: \"later\"",
      "  1 callback to be dispatched",
    }, source)
    desist.dispatch()
  end)

  it("counts registrations of other states and threads that wait", function()
    local source, ready = desist.source(), desist.source()
    local thread = helper.thread(function(handle, ready_handle)
      local there = require "desist"
      local token = there.from_handle(handle)
      token:register(function() end)
      token:register(function() end)
      there.from_handle(ready_handle):cancel()
      token:wait()
      there.dispatch()
    end, source:token():handle(), ready:handle())
    ready:token():wait(10)
    assert.is_true(helper.becomes_true(function()
      return desist.inspect(source) == "source live\n"
        .. "  1 waiting thread\n  2 registrations of other states"
    end), desist.inspect(source))
    source:cancel()
    thread:join()
  end)

  it("ends where a graph is too big to be read", function()
    local source, links = desist.source(), {}
    for _ = 1, 1500 do source:token():register(print) end
    local text = desist.inspect(source)
    assert.equal(1000, select(2, text:gsub("\n", "")))
    assert.is_truthy(text:find "\n%.%.%. and 501 more at least$")
    local last = source
    for i = 1, 300 do
      last = desist.linked(last:token())
      links[i] = last
    end
    assert.is_true(#desist.inspect(links[1]) < 20000)
    assert.is_true(#desist.inspect(last) < 20000)
  end)

  it("keeps nothing of what it has shown", function()
    local gone = helper.survivors(function()
      local source = desist.source()
      local link = desist.linked(source:token())
      local fn = function() return source end
      link:token():register(fn)
      desist.inspect(source)
      return source, link, link:token(), fn
    end)
    assert.same({}, gone)
  end)

  it("may be called by a finalizer", function()
    local seen
    do
      local source = desist.source()
      source:token():register(print)
      setmetatable({}, { __gc = function() seen = desist.inspect(source) end })
    end
    helper.full_gc()
    assert.equal("source live\n  registration of a C function", seen)
  end)

  it("works while the state is closed", function()
    local output, how, code = helper.child [[
      local before = setmetatable({}, { __gc = function(self)
        print(self.inspect(self.source))
      end })
      before.desist = require "desist"
      before.inspect = before.desist.inspect
      before.source = before.desist.source { name = "last" }
      before.inspect(before.source)
      local after = setmetatable({}, { __gc = function()
        print(before.inspect(before.source))
      end })
      keep = { before, after }
    ]]
    assert.equal("source 'last' live\nsource finalized\n", output)
    assert.same({ "exit", 0 }, { how, code })
  end)

  it("takes nothing else", function()
    local expected = "source, token, scope, task or loop expected, got "
    for _, value in ipairs { 12, "text", {}, print, io.stdout,
      setmetatable({}, { __metatable = "desist.token" }),
      desist.manual_clock(), desist.source():token():register(print) } do
      helper.argument_error(1, "inspect", expected .. type(value), function()
        desist.inspect(value)
      end)
    end
    helper.argument_error(1, "inspect", expected .. "nil", function()
      desist.inspect()
    end)
  end)

  it("does not load desist.async", function()
    local output = helper.child [[
      local desist = require "desist"
      print(package.loaded["desist.inspect"])
      print(desist.inspect(desist.source()))
      print(pcall(desist.inspect, {}))
      print(desist.late().n, desist.on_late(1, print))
      print(package.loaded["desist.async"], package.loaded["desist.async.loop"])
    ]]
    assert.equal("nil\nsource live\nfalse\tbad argument #1 to 'inspect' "
      .. "(source, token, scope, task or loop expected, got table)\n"
      .. "0\tnil\nnil\tnil\n", output)
  end)
end)

describe("desist.trace", function()
  helper.leave_nothing(before_each, after_each)
  after_each(function() desist.trace(false) end)

  it("is off, and says what it was", function()
    assert.is_false(desist.trace(true))
    assert.is_true(desist.trace(true))
    assert.is_true(desist.trace(false))
    assert.is_false(desist.trace(false))
    helper.argument_error(1, "trace", "boolean expected, got nil", function()
      desist.trace()
    end)
  end)

  it("notes where and when sources and registrations are made", function()
    local clock = desist.manual_clock(100)
    desist.trace(true)
    local source = desist.source { name = "level", clock = clock }
    clock:advance(2)
    source:token():register(print)
    local link = desist.linked(source:token())
    clock:advance(1.25)
    assert_shows({
      "source 'level' live, 3.25 s old, made at " .. here(-6),
      "  link live, 1.25 s old, made at " .. here(-4),
      "  registration of a C function, 1.25 s old, made at " .. here(-6),
    }, source)
    link:close()
  end)

  it("notes when they are cancelled", function()
    local clock = desist.manual_clock()
    desist.trace(true)
    local source = desist.source { clock = clock }
    local link = desist.linked(source:token())
    clock:advance(1)
    source:cancel "killed"
    clock:advance(0.5)
    desist.trace(false)
    assert_shows({ "source cancelled 0.5 s ago: \"killed\", 1.5 s old, made at "
      .. here(-7) }, source)
    assert_shows({ "token cancelled 0.5 s ago: \"killed\", 1.5 s old, made at "
      .. here(-8) }, link:token())
  end)

  it("notes when a deadline came", function()
    local clock = desist.manual_clock()
    desist.trace(true)
    local source = desist.source { clock = clock }
    source:cancel_after(1)
    clock:advance(3)
    assert.is_truthy(desist.inspect(source)
      :find "^source cancelled by a deadline 2 s ago, 3 s old, ")
  end)

  it("leaves alone what was made before and after", function()
    local before = desist.source()
    local registration = before:token():register(print)
    desist.trace(true)
    before:token():register(function() end)
    desist.trace(false)
    local after = desist.source()
    assert.is_truthy(desist.inspect(before):find("^source live\n"
      .. "  registration of [^\n]*, [%d.e-]+ s old, made at [^\n]*\n"
      .. "  registration of a C function$"))
    assert_shows({ "source live" }, after)
    registration:unregister()
  end)

  it("keeps nothing alive", function()
    desist.trace(true)
    local gone = helper.survivors(function()
      local source = desist.source()
      local fn = function() return source end
      local registration = source:token():register(fn, source)
      return source, source:token(), fn, registration
    end)
    assert.same({}, gone)
  end)
end)
