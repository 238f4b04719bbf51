local async = require "desist.async"
local helper = require "spec.helper"
local sync = require "desist.sync"

local in_task = helper.in_task

-- The error that fn(...) raises.
local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "no error raised")
  return err
end

describe("sync.mutex", function()
  helper.leave_nothing(before_each, after_each)
  local calls, mutex

  before_each(function()
    calls, mutex = helper.recorder(), sync.mutex()
  end)

  -- Whether nobody holds it.
  local function is_free()
    return async.spawn(function()
      local got = mutex:try_lock()
      if got then mutex:unlock() end
      return got
    end):join()
  end

  local function locker(name, seconds)
    mutex:lock()
    calls.note(name)
    async.sleep(seconds or 0)
    mutex:unlock()
  end

  it("is held by one task at a time", in_task(function(loop)
    local inside, most = 0, 0
    async.scope(function()
      for _ = 1, 5 do
        async.spawn(function()
          mutex:lock()
          inside = inside + 1
          most = math.max(most, inside)
          async.sleep(1)
          inside = inside - 1
          mutex:unlock()
        end)
      end
    end)
    assert.equal(1, most)
    assert.equal(5, loop:now())
  end))

  it("lock returns at once when it is free", in_task(function()
    async.spawn(calls.note)
    assert.equal(0, select("#", mutex:lock()))
    assert.equal(0, calls.n)
    mutex:unlock()
    mutex:lock()
    mutex:unlock()
    assert.equal(0, calls.n)
  end))

  it("is handed over in the order of asking", in_task(function()
    mutex:lock()
    for i = 1, 4 do async.spawn(locker, i) end
    async.checkpoint()
    mutex:unlock()
    async.sleep(5)
    assert.equal("1 2 3 4", calls:order())
    assert.is_true(is_free())
  end))

  it("unlocked goes to the first waiter: nobody overtakes", in_task(
  function()
    mutex:lock()
    async.spawn(locker, "waiter")
    async.checkpoint()
    mutex:unlock()
    assert.is_false(mutex:try_lock())
    mutex:lock()
    assert.equal("waiter", calls:order())
    mutex:unlock()
  end))

  it("try_lock says whether it got it, without waiting", in_task(function()
    assert.is_true(mutex:try_lock())
    assert.is_false(async.spawn(mutex.try_lock, mutex):join())
    mutex:unlock()
    assert.is_true(is_free())
  end))

  it("locked twice by one task is an error, not a hang", in_task(function()
    mutex:lock()
    helper.raises(function() mutex:lock() end,
      "sync_mutex_spec.lua:%d+:", "holds it")
    helper.raises(function() mutex:with(calls.note) end,
      "sync_mutex_spec.lua:%d+:", "holds it")
    assert.is_false(mutex:try_lock())
    mutex:unlock()
    assert.is_true(is_free())
  end))

  it("unlocked by another task is an error and stays locked", in_task(
  function()
    mutex:lock()
    async.spawn(function()
      helper.raises(function() mutex:unlock() end,
        "sync_mutex_spec.lua:%d+:", "does not hold it")
    end):join()
    assert.is_false(is_free())
    mutex:unlock()
  end))

  it("unlocked though nobody holds it is an error", in_task(function()
    helper.raises(function() mutex:unlock() end,
      "sync_mutex_spec.lua:%d+:", "nobody holds it")
    assert.is_true(is_free())
  end))

  it("unlocked outside of tasks is an error", function()
    helper.raises(function() mutex:unlock() end,
      "sync_mutex_spec.lua:%d+:")
    local loop = async.loop()
    loop:spawn(function()
      mutex:lock()
      async.sleep(1)
      mutex:unlock()
    end)
    loop:step(0)
    helper.raises(function() mutex:unlock() end,
      "sync_mutex_spec.lua:%d+:", "does not hold it")
    helper.finish(loop)
  end)

  it("is not lost to a cancelled waiter", in_task(function()
    mutex:lock()
    local tasks = {}
    for i = 1, 4 do tasks[i] = async.spawn(locker, i) end
    async.checkpoint()
    tasks[1]:cancel()
    tasks[3]:cancel()
    mutex:unlock()
    async.sleep(5)
    assert.equal("2 4", calls:order())
    assert.is_true(is_free())
  end))

  it("belongs to who was handed it and then cancelled", in_task(function()
    mutex:lock()
    local task = async.spawn(function()
      mutex:lock()
      calls.note "has it"
      pcall(async.checkpoint)
      mutex:unlock()
    end)
    async.checkpoint()
    mutex:unlock()
    task:cancel()
    task:join()
    assert.equal("has it", calls:order())
    assert.is_true(is_free())
  end))

  it("raises from lock in a cancelled scope and is not taken", in_task(
  function()
    async.scope(function(scope)
      scope:cancel()
      failure(mutex.lock, mutex)
      failure(mutex.with, mutex, calls.note)
    end)
    assert.is_true(is_free())
    assert.equal(0, calls.n)
  end))

  it("with returns the results of fn, which got the arguments", in_task(
  function()
    assert.same({ n = 3, nil, 2, nil }, table.pack(mutex:with(
      function(...)
        assert.is_false(is_free())
        return ...
      end, nil, 2, nil)))
    assert.is_true(is_free())
  end))

  it("with unlocks when fn fails, and raises its error", in_task(function()
    local value = {}
    assert.equal(value, failure(mutex.with, mutex, error, value))
    assert.is_true(is_free())
  end))

  it("with unlocks when fn is cancelled", in_task(function()
    local task = async.spawn(mutex.with, mutex, async.sleep, 10)
    async.checkpoint()
    assert.is_false(is_free())
    task:cancel()
    async.checkpoint()
    assert.is_true(is_free())
  end))

  it("with does not call fn when the wait is cancelled", in_task(function()
    mutex:lock()
    local task = async.spawn(mutex.with, mutex, calls.note)
    async.checkpoint()
    task:cancel()
    async.checkpoint()
    mutex:unlock()
    assert.equal(0, calls.n)
    assert.is_true(is_free())
  end))

  it("with hands it over to who waits", in_task(function()
    for i = 1, 3 do
      async.spawn(mutex.with, mutex, function()
        calls.note(i)
        async.sleep(1)
      end)
    end
    async.sleep(5)
    assert.equal("1 2 3", calls:order())
  end))

  it("with unlocks when the loop is closed", function()
    local loop = async.loop()
    loop:spawn(mutex.with, mutex, async.sleep, 10)
    loop:step(0)
    loop:close()
    local other = async.loop()
    local task = other:spawn(mutex.try_lock, mutex)
    other:step(0)
    assert.same({ true, true }, { task:result() })
  end)

  it("is of use across loops", function()
    local one, other = async.loop(), async.loop()
    one:spawn(locker, "one", 2)
    other:spawn(locker, "other", 2)
    one:step(0)
    other:step(0)
    assert.equal("one", calls:order())
    one:step(2)
    other:step(0)
    assert.equal("one other", calls:order())
    helper.finish(other)
  end)

  it("shows whether it is locked", in_task(function()
    assert.matches("free", tostring(mutex))
    mutex:lock()
    assert.matches("locked", tostring(mutex))
    mutex:unlock()
  end))
end)
