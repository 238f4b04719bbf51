-- luv.request: files, names, and requests that are cancelled.

local async = require "desist.async"
local helper = require "spec.helper"
local helper_luv = require "spec.helper_luv"
local luv = require "desist.loop.luv"
local uv = require "luv"

-- A file that nobody can open for reading before somebody writes: each try
-- takes one of luv's four threads.
local function fifo()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkfifo " .. path))
  return path
end

-- Lets those who wait in open go on.
local function open_to_all(path)
  local file = assert(io.open(path, "r+"))
  uv.run()
  file:close()
  os.remove(path)
end

local function descriptors()
  local count = 0
  local scan = uv.fs_scandir "/proc/self/fd"
  while uv.fs_scandir_next(scan) do count = count + 1 end
  return count
end

describe("luv.request", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  it("gives what the callback is given", function()
    luv.run(function()
      assert.equal("directory", luv.request(uv.fs_stat, "/").type)
      local path = os.tmpname()
      local file = luv.request(uv.fs_open, path, "w", 420)
      assert.equal(5, luv.request(uv.fs_write, file, "12345", -1))
      assert.is_true(luv.request(uv.fs_close, file))
      assert.equal(5, luv.request(uv.fs_stat, path).size)
      os.remove(path)
    end)
  end)

  it("gives nil, message, name for an error of the callback", function()
    luv.run(function()
      assert.same({ n = 3, nil,
        "ENOENT: no such file or directory: /nowhere", "ENOENT" },
        table.pack(luv.request(uv.fs_stat, "/nowhere")))
      assert.same({ n = 3, nil,
        "EAI_NONAME: unknown node or service", "EAI_NONAME" },
        table.pack(luv.getaddrinfo("localhost", nil, { numerichost = true })))
    end)
  end)

  it("gives nil, message, name for a request that cannot begin", function()
    luv.run(function()
      local socket = uv.new_tcp()
      luv.close(socket)
      local ok, message, name = luv.request(uv.shutdown, socket)
      assert.is_nil(ok)
      assert.equal("ENOTCONN", name)
      assert.equal("ENOTCONN: socket is not connected", message)
    end)
  end)

  it("raises what luv raises about its arguments", function()
    luv.run(function()
      helper.raises(function() luv.request(uv.fs_stat, {}) end,
        "bad argument #1")
    end)
  end)

  it("does not begin in a cancelled block", function()
    local begun = false
    luv.run(function()
      async.scope(function(scope)
        scope:cancel()
        luv.request(function() begun = true end)
      end)
    end)
    assert.is_false(begun)
  end)

  it("cancelled before it began, never does", function()
    local path = fifo()
    for _ = 1, 4 do uv.fs_open(path, "r", 0, function(_, file)
      uv.fs_close(file)
    end) end
    local called = 0
    local function stat(_, callback)
      return uv.fs_stat("/", function(err)
        called = called + 1
        assert.is_truthy(err:find "^ECANCELED")
        callback(err)
      end)
    end
    luv.run(function()
      local _, err = async.move_on_after(0.02, luv.request, stat, "/")
      assert.equal("deadline", err.kind)
      async.sleep(0)
    end)
    assert.equal(1, called)
    open_to_all(path)
  end)

  it("cancelled later, drops its result, and closes the file", function()
    local before = descriptors()
    local path = fifo()
    luv.run(function()
      local _, err = async.move_on_after(0.02,
        luv.request, uv.fs_open, path, "r", 0)
      assert.equal("deadline", err.kind)
    end)
    open_to_all(path)
    uv.run()
    assert.equal(before, descriptors())
  end)

  it("gives the result that came before the cancellation", function()
    luv.run(function()
      local result
      async.scope(function(scope)
        local reading = scope:spawn(function()
          result = luv.request(function(callback)
            callback(nil, "there")
            return {}
          end)
        end)
        scope:spawn(function() reading:cancel() end)
      end)
      assert.equal("there", result)
    end)
  end)

  it("works on every loop, as long as luv runs", function()
    local loop = async.loop()
    local task = loop:spawn(luv.request, uv.fs_stat, "/")
    loop:step(0)
    uv.run()
    loop:step(0)
    assert.equal("directory", select(2, task:result()).type)
  end)
end)

describe("luv.getaddrinfo", function()
  helper.leave_nothing(before_each, after_each)
  helper_luv.leave_nothing(before_each, after_each)

  it("finds the addresses of a name", function()
    local list = luv.run(luv.getaddrinfo, "localhost", "80",
      { family = "inet", socktype = "stream" })
    assert.equal("127.0.0.1", list[1].addr)
    assert.equal(80, list[1].port)
  end)

  it("is cut short by a cancellation", function()
    luv.run(function()
      local list, err = async.scope(function(scope)
        scope:spawn(scope.cancel, scope)
        return luv.getaddrinfo "localhost"
      end)
      assert.is_nil(list)
      assert.equal("cancelled", err.kind)
    end)
    uv.run() -- the lookup may have begun
  end)
end)
