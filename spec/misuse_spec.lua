local desist = require "desist"
local helper = require "spec.helper"

local methods = {
  source = { "token", "cancel", "cancel_async", "cancel_after", "cancel_at",
    "is_cancelled", "try_reset", "close", "handle" },
  token = { "is_cancelled", "can_be_cancelled", "reason", "error",
    "throw_if_cancelled", "register", "wait", "fd", "deadline", "remaining",
    "handle" },
  registration = { "unregister", "is_active", "token", "close" },
  clock = { "now", "advance", "set" },
}

local function examples()
  local source = desist.source()
  return {
    source = source,
    token = source:token(),
    registration = source:token():register(print),
    clock = desist.manual_clock(),
  }
end

describe("a method", function()
  helper.leave_nothing(before_each, after_each)

  -- Values that are no object of ours, the last ones in disguise.
  local function strangers(object)
    local metatable = debug.getmetatable(object)
    local list = { false, true, 5, "text", {}, print, io.stdout,
      coroutine.create(print), desist, debug.setmetatable({}, metatable),
      debug.setmetatable({ object }, metatable),
      setmetatable({}, { __name = "desist.token", __index = object }) }
    return list
  end

  for kind, names in pairs(methods) do
    describe("of a " .. kind, function()
      for _, name in ipairs(names) do
        it(name .. " raises an argument error on anything else", function()
          local object = examples()[kind]
          local method = object[name]
          assert.is_truthy(method)
          for _, stranger in ipairs(strangers(object)) do
            helper.raises(function() method(stranger) end,
              "bad argument #1 to")
            helper.raises(function() method(stranger, print, print) end,
              "bad argument #1 to")
          end
          helper.raises(function() method(nil) end, "bad argument #1 to")
          helper.raises(function() method() end, "bad argument #1 to")
        end)

        it(name .. " raises an argument error on our other types", function()
          local all = examples()
          local method = all[kind][name]
          for other, object in pairs(all) do
            if other ~= kind then
              helper.raises(function() method(object, 1) end,
                "bad argument #1 to", kind)
            end
          end
        end)
      end
    end)
  end

  it("names the type it expected", function()
    local all = examples()
    helper.raises(function() all.token.is_cancelled(nil) end,
      "bad argument #1 to '[%w_.]+' %(.*token expected, got nil%)")
    helper.raises(function() all.source.cancel({}) end,
      "bad argument #1 to '[%w_.]+' %(.*source expected, got table%)")
    helper.raises(function() all.source.cancel(5) end,
      "bad argument #1 to '[%w_.]+' %(.*source expected, got number%)")
  end)

  it("names the type it was given", function()
    local all, file = examples(), io.tmpfile()
    file:close()
    for _, case in ipairs {
      { "source", "got desist.source", all.source },
      { "clock", "got desist.clock", all.clock },
      { "error", "got desist.error", desist.cancelled():error() },
      { "file", "got FILE%*", io.stdout },
      { "table with our metatable", "got table",
        debug.setmetatable({}, debug.getmetatable(all.token)) },
      { "userdata with our name", "got userdata",
        debug.setmetatable(file, { __name = "desist.token" }) },
    } do
      local got, value = case[2], case[3]
      helper.argument_error(1, "linked", "desist.token expected, " .. got,
        function() desist.linked(value) end)
      helper.argument_error(1, "register", "function expected, " .. got,
        function() all.token:register(value) end)
      helper.argument_error(1, "on_error", "nil expected, " .. got,
        function() desist.on_error(value) end)
      helper.argument_error(1, "source", "string expected, " .. got,
        function() desist.source { name = value } end)
      if value ~= all.clock then
        helper.argument_error(1, "source", "clock expected, " .. got,
          function() desist.source { clock = value } end)
      end
    end
  end)
end)

describe("a metamethod", function()
  helper.leave_nothing(before_each, after_each)

  it("called on anything else never crashes", function()
    for _, object in pairs(examples()) do
      local metatable = debug.getmetatable(object)
      for _, event in ipairs { "__gc", "__close", "__tostring", "__eq",
        "__index", "__newindex", "__name", "__len", "__call" } do
        local method = metatable[event]
        if type(method) == "function" then
          for _, stranger in ipairs { false, 5, "text", {}, io.stdout,
            debug.setmetatable({}, metatable) } do
            pcall(method, stranger)
            pcall(method, stranger, stranger, stranger)
          end
          pcall(method, nil)
          pcall(method)
        end
      end
    end
    assert.is_false(desist.source():is_cancelled())
  end)

  it("tostring of a disguised table never crashes", function()
    for _, object in pairs(examples()) do
      pcall(tostring, debug.setmetatable({}, debug.getmetatable(object)))
    end
    assert.is_string(tostring(desist.source()))
  end)

  it("__gc called by hand leaves objects that never crash", function()
    for kind, names in pairs(methods) do
      local object = examples()[kind]
      local finalize = debug.getmetatable(object).__gc
      if finalize then
        pcall(finalize, object)
        pcall(finalize, object)
        for _, name in ipairs(names) do
          if name ~= "wait" then pcall(object[name], object) end
          pcall(object[name], object, 0)
          pcall(object[name], object, print)
        end
        assert.is_true(pcall(tostring, object))
      end
    end
    helper.full_gc()
    helper.handled_errors()
    desist.dispatch()
  end)
end)

describe("__gc of a token called by hand", function()
  helper.leave_nothing(before_each, after_each)

  it("leaves the links around it such that they never crash", function()
    local root = desist.source()
    local middle = desist.linked(root:token())
    local below = desist.linked(middle:token())
    local token = middle:token()
    debug.getmetatable(token).__gc(token)
    below:token():register(print)
    assert.is_true(middle:cancel_after(1000))
    middle:close()
    below:close()
    assert.is_true(root:cancel())
  end)
end)

describe("wrong arguments", function()
  helper.leave_nothing(before_each, after_each)

  it("for the options of source are refused", function()
    for _, bad in ipairs { 1, "options", true, print, io.stdout } do
      helper.argument_error(1, "source", "table expected", function()
        desist.source(bad)
      end)
    end
    for _, bad in ipairs { true, {}, print } do
      helper.argument_error(1, "source", "name", function()
        desist.source { name = bad }
      end)
    end
  end)

  it("for the options of cancel are refused, in every state", function()
    local closed, cancelled, live = desist.source(), desist.source(),
      desist.source()
    closed:close()
    cancelled:cancel()
    for _, source in ipairs { closed, cancelled, live } do
      for _, bad in ipairs { 1, "options", true, print } do
        helper.argument_error(2, "cancel", "table expected", function()
          source:cancel("reason", bad)
        end)
      end
    end
    assert.is_false(live:is_cancelled())
  end)

  it("cost nothing: the object works on", function()
    local source = desist.source()
    local token = source:token()
    pcall(source.cancel_after, source, "soon")
    pcall(token.register, token, 5)
    pcall(token.wait, token, -1)
    pcall(source.cancel, source, nil, 5)
    assert.is_true(source:cancel("fine"))
    assert.equal("fine", token:reason())
  end)

  it("in great number do not crash", function()
    local source = desist.source()
    local many = {}
    for i = 1, 200 do many[i] = i end
    source:cancel("reason", nil, table.unpack(many))
    assert.equal("reason", source:token():reason())
    source:token():is_cancelled(table.unpack(many))
  end)
end)

describe("an object", function()
  helper.leave_nothing(before_each, after_each)

  it("takes no new fields", function()
    for _, object in pairs(examples()) do
      helper.raises(function() object.field = 1 end)
    end
  end)

  it("has no method of another name", function()
    for _, object in pairs(examples()) do
      assert.is_nil(object.no_such_method)
      assert.is_nil(object[1])
      assert.is_nil(object[object])
    end
  end)
end)
