-- Streams on luv, over real sockets of 127.0.0.1.

local async = require "desist.async"
local helper = require "spec.helper"
local helper_luv = require "spec.helper_luv"
local luv = require "desist.loop.luv"
local uv = require "luv"

local bound = helper_luv.bound

-- Runs fn(a, b) in a task, with the two ends of a connection.
local function with_pair(fn)
  luv.run(function()
    local server, port = bound()
    assert(luv.listen(server))
    local a = assert(luv.connect(uv.new_tcp(), "127.0.0.1", port))
    local b = assert(luv.accept(server))
    luv.close(server)
    async.scope(fn, a, b)
    luv.close(a)
    luv.close(b)
  end)
end

-- Calls fn in a task that is cancelled when it waits. Gives the error.
local function cut_short(fn, ...)
  local args = table.pack(...)
  local _, err = async.scope(function(scope)
    scope:spawn(scope.cancel, scope)
    return fn(table.unpack(args, 1, args.n))
  end)
  assert.equal("cancelled", err.kind)
  return err
end

-- More than the system's buffers take.
local BIG = ("x"):rep(2 ^ 24)

describe("luv.read", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  it("gives the next chunk, and nil at the end", function()
    with_pair(function(_, a, b)
      assert.is_true(luv.write(a, "one"))
      assert.equal("one", luv.read(b))
      assert.is_true(luv.write(a, "two"))
      assert.equal("two", luv.read(b))
      luv.close(a)
      assert.same({ n = 1, nil }, table.pack(luv.read(b)))
      assert.same({ n = 1, nil }, table.pack(luv.read(b)))
    end)
  end)

  it("gives nil, message, name for an error", function()
    with_pair(function(_, a, b)
      a:close_reset()
      assert.same({ n = 3, nil, "ECONNRESET: connection reset by peer",
        "ECONNRESET" }, table.pack(luv.read(b)))
    end)
  end)

  it("takes one chunk at a time; the rest stays with the system", function()
    with_pair(function(scope, a, b)
      local got, chunks = 0, 0
      scope:spawn(function()
        assert.is_true(luv.write(a, BIG))
        luv.close(a)
      end)
      async.sleep(0.02)
      assert.is_true(a:get_write_queue_size() > 0)
      for chunk in luv.read, b do
        got, chunks = got + #chunk, chunks + 1
      end
      assert.equal(#BIG, got)
      assert.is_true(chunks > 1)
    end)
  end)

  it("loses nothing when it is cancelled again and again", function()
    with_pair(function(scope, a, b)
      local sent, got = {}, {}
      scope:spawn(function()
        for i = 1, 200 do
          sent[i] = ("%d,"):format(i)
          luv.write(a, sent[i])
        end
        luv.close(a)
      end)
      local ended = false
      while not ended do
        async.scope(function(inner)
          inner:spawn(scope.cancel, inner)
          got[#got + 1] = luv.read(b) or ""
          ended = got[#got] == ""
        end)
        async.checkpoint()
      end
      assert.equal(table.concat(sent), table.concat(got))
    end)
  end)

  it("stops reading inside the call that cancels", function()
    with_pair(function(scope, _, b)
      local task = scope:spawn(luv.read, b)
      async.checkpoint()
      assert.is_true(b:is_active())
      task:cancel()
      assert.is_false(b:is_active())
    end)
  end)

  it("is ended by luv.close", function()
    with_pair(function(scope, _, b)
      local task = scope:spawn(luv.read, b)
      async.checkpoint()
      luv.close(b)
      assert.equal("ECANCELED", select(3, task:join()))
    end)
  end)
end)

describe("luv.write", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  it("cut short in the middle of the data, closes the stream", function()
    with_pair(function(_, a, b)
      cut_short(luv.write, a, BIG)
      assert.is_true(a:is_closing())
      local got = 0
      for chunk in luv.read, b do got = got + #chunk end
      assert.is_true(got < #BIG)
    end)
  end)

  it("cancelled when all data is with the system, leaves it open", function()
    with_pair(function(_, a, b)
      cut_short(luv.write, a, "small")
      assert.is_false(a:is_closing())
      assert.equal("small", luv.read(b))
    end)
  end)

  it("writes nothing in a cancelled block", function()
    with_pair(function(_, a, b)
      async.scope(function(scope)
        scope:cancel()
        luv.write(a, "nothing")
      end)
      luv.close(a)
      assert.is_nil(luv.read(b))
    end)
  end)

  it("gives nil, message, name for an error", function()
    with_pair(function(_, a)
      luv.close(a)
      local ok, message, name = luv.write(a, "x")
      assert.is_nil(ok)
      assert.equal("EBADF", name)
      assert.equal("EBADF: bad file descriptor", message)
    end)
  end)
end)

describe("luv.connect", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  it("that fails has closed the stream", function()
    luv.run(function()
      local socket, port = bound()
      luv.close(socket)
      async.sleep(0)
      local stream = uv.new_tcp()
      assert.same({ n = 3, nil, "ECONNREFUSED: connection refused",
        "ECONNREFUSED" }, table.pack(luv.connect(stream, "127.0.0.1", port)))
      assert.is_true(stream:is_closing())
    end)
  end)

  it("that is cancelled has closed the stream, at once", function()
    luv.run(function()
      local server, port = bound()
      assert(luv.listen(server))
      local stream = uv.new_tcp()
      async.scope(function(scope)
        local task = scope:spawn(luv.connect, stream, "127.0.0.1", port)
        scope:spawn(function()
          task:cancel()
          assert.is_true(stream:is_closing())
        end)
      end)
      local unused = uv.new_tcp()
      async.scope(function(scope)
        scope:cancel()
        luv.connect(unused, "127.0.0.1", port)
      end)
      assert.is_true(unused:is_closing())
      luv.close(server)
    end)
  end)

  it("connects pipes", function()
    luv.run(function()
      local path = os.tmpname()
      os.remove(path)
      local server = uv.new_pipe(false)
      assert(server:bind(path))
      assert(luv.listen(server))
      local a = assert(luv.connect(uv.new_pipe(false), path))
      local b = assert(luv.accept(server))
      assert.is_true(luv.write(a, "through a pipe"))
      assert.equal("through a pipe", luv.read(b))
      luv.close(a)
      luv.close(b)
      luv.close(server)
      os.remove(path)
    end)
  end)
end)

describe("luv.accept", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  it("takes no connection when it is cancelled", function()
    luv.run(function()
      local server, port = bound()
      assert(luv.listen(server))
      cut_short(luv.accept, server)
      local a = assert(luv.connect(uv.new_tcp(), "127.0.0.1", port))
      async.scope(function(scope)
        scope:cancel()
        luv.accept(server)
      end)
      local b = assert(luv.accept(server))
      luv.write(a, "still there")
      assert.equal("still there", luv.read(b))
      luv.close(a)
      luv.close(b)
      luv.close(server)
    end)
  end)

  it("serves many, with a task for each", function()
    luv.run(function()
      local server, port = bound()
      assert(luv.listen(server))
      local answers = {}
      async.scope(function(scope)
        scope:background(function()
          while true do
            local stream = assert(luv.accept(server))
            scope:spawn(function()
              luv.write(stream, luv.read(stream):upper())
              luv.close(stream)
            end)
          end
        end)
        for i = 1, 50 do
          scope:spawn(function()
            local stream = assert(luv.connect(uv.new_tcp(), "127.0.0.1", port))
            luv.write(stream, "call " .. i)
            answers[i] = luv.read(stream)
            luv.close(stream)
          end)
        end
      end)
      for i = 1, 50 do assert.equal("CALL " .. i, answers[i]) end
      luv.close(server)
    end)
  end)

  it("is ended by luv.close", function()
    luv.run(function()
      local server = bound()
      assert(luv.listen(server))
      async.scope(function(scope)
        local task = scope:spawn(luv.accept, server)
        async.checkpoint()
        luv.close(server)
        assert.equal("ECANCELED", select(3, task:join()))
        assert.equal("ECANCELED", select(3, luv.accept(server)))
      end)
    end)
  end)

  it("needs luv.listen, which tells errors", function()
    luv.run(function()
      local server, port = bound()
      helper.raises(function() luv.accept(server) end,
        "luv.accept before luv.listen")
      assert(luv.listen(server))
      local second = uv.new_tcp()
      second:bind("127.0.0.1", port)
      assert.equal("EADDRINUSE", select(3, luv.listen(second)))
      luv.close(server)
      luv.close(second)
    end)
  end)
end)
