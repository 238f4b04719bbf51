local desist = require "desist"
local helper = require "spec.helper"

-- Handles in other lua_States: see states_spec.

describe("a handle", function()
  helper.leave_nothing(before_each, after_each)
  local source, token

  before_each(function()
    source = desist.source()
    token = source:token()
  end)

  local function assert_dead(handle)
    local object, message = desist.from_handle(handle)
    assert.is_nil(object)
    assert.is_string(message)
  end

  it("is a string", function()
    assert.is_string(source:handle())
    assert.is_string(token:handle())
    assert.is_true(#token:handle() >= 16)
  end)

  it("gives the object that this state already has", function()
    assert.equal(source, desist.from_handle(source:handle()))
    assert.equal(token, desist.from_handle(token:handle()))
  end)

  it("gives the source's own token", function()
    local same = desist.from_handle(source:handle())
    assert.equal(token, same:token())
  end)

  it("of a token never gives a source", function()
    assert.not_equal(source:handle(), token:handle())
    local given = desist.from_handle(token:handle())
    assert.equal(token, given)
    assert.is_nil(given.cancel)
  end)

  it("differs from object to object", function()
    local seen = {}
    for _ = 1, 200 do
      local each = desist.source()
      for _, handle in ipairs { each:handle(), each:token():handle() } do
        assert.is_nil(seen[handle])
        seen[handle] = true
      end
    end
  end)

  it("gives a source that keeps its clock", function()
    local held, weak = {}, setmetatable({}, { __mode = "v" })
    local function make()
      held.clock = desist.manual_clock()
      weak[1] = held.clock
      local first = desist.source { clock = held.clock }
      local handle = first:handle()
      -- Called before the finalizer of the first source, which closes it.
      setmetatable({}, { __gc = function()
        held.source = desist.from_handle(handle)
      end })
    end
    make()
    helper.full_gc()
    assert.is_true(held.source:cancel_after(1))
    held.clock = nil
    helper.full_gc()
    assert.is_truthy(weak[1])
    weak[1]:advance(1)
    assert.is_true(held.source:is_cancelled())
  end)

  it("works for links and cancelled tokens", function()
    local link = desist.linked(token)
    local cancelled = desist.cancelled("x")
    assert.equal(link, desist.from_handle(link:handle()))
    assert.equal(link:token(), desist.from_handle(link:token():handle()))
    assert.equal(cancelled, desist.from_handle(cancelled:handle()))
  end)

  it("works after a cancellation", function()
    local early_source, early_token = source:handle(), token:handle()
    source:cancel()
    assert.equal(source, desist.from_handle(early_source))
    assert.equal(token, desist.from_handle(early_token))
    assert.equal(token, desist.from_handle(token:handle()))
  end)

  it("works on when a cancelled source is closed", function()
    local handle = token:handle()
    source:cancel()
    source:close()
    assert.equal(token, desist.from_handle(handle))
  end)

  it("works on for a token when its cancelled source is gone", function()
    local handle = token:handle()
    source:cancel()
    source = nil
    helper.full_gc()
    assert.equal(token, desist.from_handle(handle))
  end)

  it("is dead once the source is closed uncancelled", function()
    local source_handle, token_handle = source:handle(), token:handle()
    source:close()
    assert_dead(source_handle)
    assert_dead(token_handle)
  end)

  it("is dead once everything is collected", function()
    local source_handle, token_handle = source:handle(), token:handle()
    source, token = nil, nil
    helper.full_gc()
    assert_dead(source_handle)
    assert_dead(token_handle)
  end)

  it("does not keep the source alive", function()
    local handles = {}
    local weak = helper.survivors(function()
      local each = desist.source()
      handles[1], handles[2] = each:handle(), each:token():handle()
      return each, each:token()
    end)
    assert.is_nil(weak[1])
    assert.is_nil(weak[2])
    assert_dead(handles[1])
    assert_dead(handles[2])
  end)

  it("of a token does not keep its source open", function()
    local handle = token:handle()
    source = nil
    helper.full_gc()
    assert.is_false(token:can_be_cancelled())
    assert_dead(handle)
  end)

  it("that is malformed gives nil and a message", function()
    for _, text in ipairs { "", " ", "\0", "x", "nil", "desist", "0", "%s%n",
      ("0"):rep(16), ("0"):rep(32), ("f"):rep(64), ("a"):rep(100000),
      ("\255"):rep(40), tostring(source), tostring(token) } do
      assert_dead(text)
    end
  end)

  it("that is cut short or has more behind it gives nil", function()
    for _, handle in ipairs { source:handle(), token:handle() } do
      for length = 0, #handle - 1 do
        assert_dead(handle:sub(1, length))
      end
      for _, more in ipairs { "0", " ", "\n", "\0", "\0x", handle } do
        assert_dead(handle .. more)
      end
      assert_dead(" " .. handle)
      assert_dead(handle:reverse() == handle and "" or handle:reverse())
    end
  end)

  it("that is changed in one place gives nil", function()
    for _, handle in ipairs { source:handle(), token:handle() } do
      for i = 1, #handle do
        for new in ("0123456789abcdefst-:.\0 "):gmatch "." do
          if new:lower() ~= handle:sub(i, i):lower() then
            assert_dead(handle:sub(1, i - 1) .. new .. handle:sub(i + 1))
          end
        end
      end
    end
  end)

  it("of desist.none is nil and a message", function()
    local handle, message = desist.none:handle()
    assert.is_nil(handle)
    assert.is_string(message)
  end)

  it("is a string or an argument error", function()
    for _, bad in ipairs { true, {}, print, io.stdout, source, token } do
      helper.argument_error(1, "from_handle", "string expected", function()
        desist.from_handle(bad)
      end)
    end
    helper.argument_error(1, "from_handle", "string expected", function()
      desist.from_handle()
    end)
  end)
end)
