local desist = require "desist"
local helper = require "spec.helper"

describe("token:register", function()
  helper.leave_nothing(before_each, after_each)
  local source, token, calls

  before_each(function()
    source, calls = desist.source(), helper.recorder()
    token = source:token()
  end)

  it("runs the callback when the source is cancelled, not before", function()
    token:register(calls.note)
    assert.equal(0, calls.n)
    source:cancel()
    assert.equal(1, calls.n)
  end)

  it("runs the callback once", function()
    token:register(calls.note)
    source:cancel()
    source:cancel()
    source:cancel_async()
    desist.dispatch()
    assert.equal(1, calls.n)
  end)

  it("passes the arguments, then the reason", function()
    local object, reason = {}, {}
    token:register(calls.note, "a", object, 3)
    source:cancel(reason)
    local got = calls:arguments(1)
    assert.equal(4, got.n)
    assert.equal("a", got[1])
    assert.equal(object, got[2])
    assert.equal(3, got[3])
    assert.equal(reason, got[4])
  end)

  it("keeps nil arguments, also the last ones", function()
    token:register(calls.note, nil, 2, nil, nil)
    source:cancel("r")
    local got = calls:arguments(1)
    assert.equal(5, got.n)
    assert.is_nil(got[1])
    assert.equal(2, got[2])
    assert.is_nil(got[3])
    assert.is_nil(got[4])
    assert.equal("r", got[5])
  end)

  it("passes the reason alone without arguments", function()
    token:register(calls.note)
    source:cancel(false)
    local got = calls:arguments(1)
    assert.equal(1, got.n)
    assert.is_false(got[1])
  end)

  it("passes a hundred arguments", function()
    local many = {}
    for i = 1, 100 do many[i] = i end
    token:register(calls.note, table.unpack(many))
    source:cancel("last")
    local got = calls:arguments(1)
    assert.equal(101, got.n)
    assert.equal(100, got[100])
    assert.equal("last", got[101])
  end)

  it("turns a method and its object into a method call", function()
    local client = { aborted = {} }
    function client:abort(reason) self.aborted[#self.aborted + 1] = reason end
    token:register(client.abort, client)
    source:cancel("bye")
    assert.same({ "bye" }, client.aborted)
  end)

  it("takes an object with __call", function()
    local got
    local object = setmetatable({}, {
      __call = function(...) got = table.pack(...) end,
    })
    token:register(object, "x")
    source:cancel("r")
    assert.equal(3, got.n)
    assert.equal(object, got[1])
    assert.equal("x", got[2])
    assert.equal("r", got[3])
  end)

  it("makes two registrations of one function registered twice", function()
    local first = token:register(calls.note, 1)
    local second = token:register(calls.note, 1)
    assert.not_equal(first, second)
    assert.is_true(first:unregister())
    source:cancel()
    assert.equal(1, calls.n)
  end)

  it("runs every one of a thousand callbacks", function()
    local sum = 0
    for i = 1, 1000 do
      token:register(function(n) sum = sum + n end, i)
    end
    source:cancel()
    assert.equal(500500, sum)
  end)

  it("refuses what cannot be called, on every kind of token", function()
    local closed, cancelled = desist.source(), desist.source()
    closed:close()
    cancelled:cancel()
    local tokens = { token, closed:token(), cancelled:token(), desist.none,
      desist.cancelled() }
    for _, each in ipairs(tokens) do
      for _, bad in ipairs { 1, "print", true, {}, io.stdout } do
        helper.argument_error(1, "register", "expected", function()
          each:register(bad)
        end)
      end
      helper.argument_error(1, "register", "expected", function()
        each:register(nil)
      end)
      helper.argument_error(1, "register", "expected", function()
        each:register()
      end)
    end
  end)

  describe("on a cancelled token", function()
    it("runs the callback before it returns", function()
      source:cancel("gone")
      token:register(calls.note, 1, nil)
      assert.equal(1, calls.n)
      local got = calls:arguments(1)
      assert.equal(3, got.n)
      assert.equal(1, got[1])
      assert.equal("gone", got[3])
    end)

    it("gives an inactive registration of that token", function()
      source:cancel()
      local registration = token:register(calls.note)
      assert.is_false(registration:is_active())
      assert.is_false(registration:unregister())
      assert.equal(token, registration:token())
    end)

    it("lets the callback's error through unchanged", function()
      source:cancel()
      local problem = {}
      local value = helper.raises(function()
        token:register(function() error(problem) end)
      end)
      assert.equal(problem, value)
      local ok, none = pcall(token.register, token, function() error(nil) end)
      assert.is_false(ok)
      assert.is_nil(none)
    end)

    it("leaves the token as usable as before", function()
      source:cancel("still")
      pcall(token.register, token, error)
      token:register(calls.note)
      assert.equal(1, calls.n)
      assert.equal("still", token:reason())
    end)

    it("runs the callback even after the source was closed", function()
      source:cancel()
      source:close()
      token:register(calls.note)
      assert.equal(1, calls.n)
    end)
  end)

  it("gives an inactive registration on what is never cancelled", function()
    local closed = desist.source()
    closed:close()
    for _, each in ipairs { desist.none, closed:token() } do
      local registration = each:register(calls.note)
      assert.is_false(registration:is_active())
      assert.is_false(registration:unregister())
      assert.equal(each, registration:token())
      registration:close()
    end
    closed:cancel()
    assert.equal(0, calls.n)
  end)
end)
