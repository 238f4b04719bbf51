local desist = require "desist"
local helper = require "spec.helper"
local luv = require "luv"

describe("token:fd", function()
  helper.leave_nothing(before_each, after_each)
  local source, token

  before_each(function()
    source = desist.source()
    token = source:token()
  end)

  it("gives the same descriptor at every call", function()
    local fd = token:fd()
    assert.equal("integer", math.type(fd))
    assert.is_true(fd >= 0)
    assert.equal(fd, token:fd())
    source:cancel()
    assert.equal(fd, token:fd())
  end)

  it("gives each source its own", function()
    local other = desist.source()
    assert.not_equal(token:fd(), other:token():fd())
    local link = desist.linked(token)
    assert.not_equal(token:fd(), link:token():fd())
  end)

  it("is readable once cancelled, not before", function()
    local fd = token:fd()
    assert.is_false(helper.readable(fd))
    source:cancel()
    assert.is_true(helper.readable(fd))
  end)

  it("is readable for ever, also after reading", function()
    local fd = token:fd()
    source:cancel()
    for _ = 1, 5 do
      luv.fs_read(fd, 64, -1)
      assert.is_true(helper.readable(fd))
    end
  end)

  it("is readable when it is made after the cancellation", function()
    source:cancel()
    local fd = token:fd()
    assert.is_true(helper.readable(fd))
    luv.fs_read(fd, 64, -1)
    assert.is_true(helper.readable(fd))
  end)

  it("is readable from the moment of the request", function()
    local link = desist.linked(token)
    local fd, link_fd = token:fd(), link:token():fd()
    local seen
    token:register(function()
      seen = { helper.readable(fd), helper.readable(link_fd) }
    end)
    source:cancel_async()
    assert.is_true(helper.readable(fd))
    assert.is_true(helper.readable(link_fd))
    desist.dispatch()
    assert.same({ true, true }, seen)
  end)

  it("is readable in the first callback of a cancel", function()
    local fd, seen = token:fd(), nil
    token:register(function() seen = helper.readable(fd) end)
    source:cancel()
    assert.is_true(seen)
  end)

  it("follows an input through links", function()
    local link = desist.linked(desist.linked(token):token())
    local fd = link:token():fd()
    assert.is_false(helper.readable(fd))
    source:cancel()
    assert.is_true(helper.readable(fd))
  end)

  it("wakes a luv loop when a deadline comes", function()
    local timed = desist.after(0.01)
    local poll = luv.new_poll(timed:token():fd())
    local limit, ended = luv.new_timer(), nil
    local function stop(how)
      ended = ended or how
      poll:stop()
      limit:stop()
    end
    luv.update_time()
    poll:start("r", function() stop "poll" end)
    limit:start(5000, 0, function() stop "limit" end)
    luv.run()
    poll:close()
    limit:close()
    luv.run()
    assert.equal("poll", ended)
    assert.is_true(timed:is_cancelled())
  end)

  it("is open while the source is held", function()
    local fd = token:fd()
    token = nil
    helper.full_gc()
    assert.is_false(helper.readable(fd))
    source:cancel()
    assert.is_true(helper.readable(fd))
    assert.equal(fd, source:token():fd())
  end)

  it("is open while the token is held", function()
    local fd = token:fd()
    source:cancel()
    source:close()
    source = nil
    helper.full_gc()
    assert.equal(fd, token:fd())
    assert.is_true(helper.readable(fd))
  end)

  it("is closed when neither is held", function()
    local function open_files()
      local n = 0
      for _ in luv.fs_scandir_next, assert(luv.fs_scandir("/proc/self/fd")) do
        n = n + 1
      end
      return n
    end
    if not luv.fs_scandir "/proc/self/fd" then return end
    token:fd()
    helper.full_gc()
    local before = open_files();
    (function()
      for i = 1, 20 do
        local each = desist.source()
        each:token():fd()
        if i % 2 == 0 then each:cancel() end
      end
    end)()
    helper.full_gc()
    assert.equal(before, open_files())
  end)

  it("stays with a source that is reset", function()
    local fd = token:fd()
    assert.is_true(source:try_reset())
    assert.equal(fd, token:fd())
    assert.is_false(helper.readable(fd))
    source:cancel()
    assert.is_true(helper.readable(fd))
  end)

  it("is given by desist.cancelled()", function()
    local cancelled = desist.cancelled()
    assert.is_true(helper.readable(cancelled:fd()))
    assert.equal(cancelled:fd(), cancelled:fd())
  end)

  it("is given on a cancelled source that was closed", function()
    source:cancel()
    source:close()
    assert.is_true(helper.readable(token:fd()))
  end)

  it("gives nil and a message on what is never cancelled", function()
    source:close()
    for _, each in ipairs { desist.none, token } do
      local fd, message = each:fd()
      assert.is_nil(fd)
      assert.is_string(message)
    end
  end)

  it("gives nil, message and code when none is to be had", function()
    local output, how, code = helper.child([[
      local desist = require "desist"
      local source = desist.source()
      local token = source:token()
      local files = {}
      repeat
        local file = io.open "/dev/null"
        files[#files + 1] = file
      until not file
      local fd, message, code = token:fd()
      print(fd, type(message), math.type(code))
      token:register(function(reason) print("ran", reason) end)
      print(token:is_cancelled(), token:can_be_cancelled(), token:wait(0.001))
      print(source:cancel("still"), token:is_cancelled())
    ]], "ulimit -n 40")
    assert.equal("nil\tstring\tinteger\nfalse\ttrue\tfalse\n" ..
      "ran\tstill\ntrue\ttrue\n", output)
    assert.equal("exit", how)
    assert.equal(0, code)
  end)
end)
