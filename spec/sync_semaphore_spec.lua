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

describe("sync.semaphore", function()
  helper.leave_nothing(before_each, after_each)
  local calls, semaphore

  before_each(function()
    calls, semaphore = helper.recorder(), sync.semaphore(2)
  end)

  -- How many permits are free; takes them and gives them back.
  local function free()
    local count = 0
    while semaphore:try_acquire() do count = count + 1 end
    if count > 0 then semaphore:release(count) end
    return count
  end

  local function acquirer(name)
    semaphore:acquire()
    calls.note(name)
  end

  it("hands out so many permits", in_task(function()
    assert.equal(0, select("#", semaphore:acquire()))
    semaphore:acquire()
    assert.is_false(semaphore:try_acquire())
    semaphore:release()
    assert.is_true(semaphore:try_acquire())
    assert.is_false(semaphore:try_acquire())
    semaphore:release(2)
    assert.equal(2, free())
  end))

  it("may begin with none", in_task(function()
    semaphore = sync.semaphore(0)
    assert.is_false(semaphore:try_acquire())
    semaphore:release()
    semaphore:acquire()
  end))

  it("may come to more permits than it began with", in_task(function()
    semaphore:release(3)
    assert.equal(5, free())
  end))

  it("acquire waits until there is one", in_task(function(loop)
    semaphore:acquire()
    semaphore:acquire()
    async.spawn(function()
      async.sleep(3)
      semaphore:release()
    end)
    semaphore:acquire()
    assert.equal(3, loop:now())
    assert.equal(0, free())
  end))

  it("acquire with a free permit lets nobody run", in_task(function()
    async.spawn(calls.note)
    semaphore:acquire()
    assert.equal(0, calls.n)
  end))

  it("lets at most so many work at once", in_task(function(loop)
    local working, most = 0, 0
    async.scope(function()
      for _ = 1, 10 do
        async.spawn(semaphore.with, semaphore, function()
          working = working + 1
          most = math.max(most, working)
          async.sleep(1)
          working = working - 1
        end)
      end
    end)
    assert.equal(2, most)
    assert.equal(5, loop:now())
    assert.equal(2, free())
  end))

  it("serves in the order of asking", in_task(function()
    semaphore = sync.semaphore(0)
    for i = 1, 4 do async.spawn(acquirer, i) end
    async.checkpoint()
    for _ = 1, 4 do
      semaphore:release()
      async.checkpoint()
    end
    assert.equal("1 2 3 4", calls:order())
  end))

  it("gives a released permit to the first waiter: nobody overtakes",
  in_task(function()
    semaphore = sync.semaphore(0)
    async.spawn(acquirer, "waiter")
    async.checkpoint()
    semaphore:release()
    assert.is_false(semaphore:try_acquire())
    async.spawn(acquirer, "late")
    async.checkpoint()
    assert.equal("waiter", calls:order())
    semaphore:release()
    async.checkpoint()
    assert.equal("waiter late", calls:order())
  end))

  it("releases several: to waiters first, the rest stays", in_task(
  function()
    semaphore = sync.semaphore(0)
    for i = 1, 2 do async.spawn(acquirer, i) end
    async.checkpoint()
    semaphore:release(5)
    assert.equal(3, free())
    async.checkpoint()
    assert.equal("1 2", calls:order())
  end))

  it("loses no permit to a cancelled waiter", in_task(function()
    semaphore = sync.semaphore(0)
    local tasks = {}
    for i = 1, 4 do tasks[i] = async.spawn(acquirer, i) end
    async.checkpoint()
    tasks[1]:cancel()
    tasks[3]:cancel()
    semaphore:release(2)
    async.checkpoint()
    assert.equal("2 4", calls:order())
    semaphore:release()
    assert.equal(1, free())
  end))

  it("gives its permit to who was served and then cancelled", in_task(
  function()
    semaphore = sync.semaphore(0)
    local task = async.spawn(function()
      semaphore:acquire()
      calls.note "has it"
      async.checkpoint()
    end)
    async.checkpoint()
    semaphore:release()
    task:cancel()
    async.checkpoint()
    assert.equal("has it", calls:order())
    assert.equal("cancelled", task:status())
  end))

  it("raises from acquire in a cancelled scope and takes nothing", in_task(
  function()
    async.scope(function(scope)
      scope:cancel()
      failure(semaphore.acquire, semaphore)
      failure(semaphore.with, semaphore, calls.note)
      assert.is_true(semaphore:try_acquire())
      semaphore:release()
    end)
    assert.equal(2, free())
    assert.equal(0, calls.n)
  end))

  it("takes nothing when a timeout ends the wait", in_task(function()
    semaphore = sync.semaphore(0)
    for _ = 1, 3 do
      assert.is_nil((async.move_on_after(1, semaphore.acquire, semaphore)))
    end
    semaphore:release()
    assert.equal(1, free())
  end))

  it("try_acquire and release work outside of tasks", function()
    assert.is_true(semaphore:try_acquire())
    assert.is_true(semaphore:try_acquire())
    assert.is_false(semaphore:try_acquire())
    semaphore:release()
    assert.equal(1, free())
  end)

  it("with returns the results of fn, which got the arguments", in_task(
  function()
    assert.same({ n = 3, nil, 2, nil }, table.pack(semaphore:with(
      function(...)
        assert.equal(1, free())
        return ...
      end, nil, 2, nil)))
    assert.equal(2, free())
  end))

  it("with releases when fn fails, and raises its error", in_task(
  function()
    local value = {}
    assert.equal(value, failure(semaphore.with, semaphore, error, value))
    assert.same({ n = 2, false, nil },
      table.pack(pcall(semaphore.with, semaphore, error)))
    assert.equal(2, free())
  end))

  it("with releases when fn is cancelled", in_task(function()
    local task = async.spawn(semaphore.with, semaphore, async.sleep, 10)
    async.checkpoint()
    assert.equal(1, free())
    task:cancel()
    async.checkpoint()
    assert.equal(2, free())
    assert.equal("cancelled", task:status())
  end))

  it("with does not call fn when the wait is cancelled", in_task(function()
    semaphore = sync.semaphore(0)
    local task = async.spawn(semaphore.with, semaphore, calls.note)
    async.checkpoint()
    task:cancel()
    async.checkpoint()
    semaphore:release()
    assert.equal(0, calls.n)
    assert.equal(1, free())
  end))

  it("with releases when the loop is closed", function()
    local loop = async.loop()
    loop:spawn(semaphore.with, semaphore, async.sleep, 10)
    loop:step(0)
    assert.equal(1, free())
    loop:close()
    assert.equal(2, free())
  end)

  it("with releases one permit though fn released itself", in_task(
  function()
    semaphore:with(function() semaphore:release() end)
    assert.equal(3, free())
  end))

  it("with keeps the traceback of fn's error", in_task(function()
    local function raise_here() error({}) end
    local line = debug.getinfo(raise_here, "S").linedefined
    async.scope({ supervise = true }, function(scope)
      local task = scope:spawn(semaphore.with, semaphore, raise_here)
      pcall(task.join, task)
      assert.matches("sync_semaphore_spec.lua:" .. line .. ":",
        task:traceback())
    end)
  end))

  it("with passes an error out of join on as the same failure", in_task(
  function()
    assert.equal("once", failure(async.scope, function(scope)
      local task = scope:spawn(function()
        async.sleep(1)
        error("once", 0)
      end)
      async.shield(semaphore.with, semaphore, task.join, task)
    end))
  end))

  it("shows its permits", function()
    assert.matches("2", tostring(semaphore))
  end)
end)
