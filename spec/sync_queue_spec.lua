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

describe("sync.queue", function()
  helper.leave_nothing(before_each, after_each)
  local calls, queue

  before_each(function()
    calls, queue = helper.recorder(), sync.queue()
  end)

  local function getter(name)
    calls.note(name, queue:get())
  end

  local function putter(value)
    calls.note(value, queue:put(value))
  end

  -- What try_get gives until there is nothing.
  local function drained()
    local list = {}
    for value in function() return (queue:try_get()) end do
      list[#list + 1] = value
    end
    return list
  end

  it("gives values in the order in which they were put", in_task(function()
    for i = 1, 100 do assert.is_true(queue:put(i)) end
    assert.equal(100, queue:size())
    for i = 1, 100 do assert.equal(i, queue:get()) end
    assert.equal(0, queue:size())
  end))

  it("keeps the order when put and get alternate", in_task(function()
    local put, got = 0, 0
    for i = 1, 200 do
      for _ = 1, i % 4 do
        put = put + 1
        queue:put(put)
      end
      for _ = 1, math.min(i % 3, queue:size()) do
        got = got + 1
        assert.equal(got, queue:get())
      end
    end
    assert.equal(put - got, queue:size())
  end))

  it("takes any value but nil", in_task(function()
    for _, value in ipairs { false, true, 5, "text", {}, print } do
      assert.is_true(queue:put(value))
      assert.is_true(rawequal(value, (queue:get())))
    end
    helper.argument_error(1, "put", "nil", function() queue:put(nil) end)
    helper.argument_error(1, "try_put", "nil", function()
      queue:try_put(nil)
    end)
    assert.equal(0, queue:size())
  end))

  it("gives false to waiters, too", in_task(function()
    async.spawn(getter, "getter")
    async.checkpoint()
    queue:put(false)
    async.checkpoint()
    assert.is_false(calls:arguments(1)[2])
  end))

  it("get waits until there is a value", in_task(function(loop)
    async.spawn(function()
      async.sleep(2)
      queue:put("late")
    end)
    assert.equal("late", queue:get())
    assert.equal(2, loop:now())
  end))

  it("get and put return at once when they can", in_task(function()
    async.spawn(calls.note)
    queue:put(1)
    queue:put(2)
    queue:get()
    queue:get()
    assert.equal(0, calls.n)
  end))

  it("serves getters in the order of asking", in_task(function()
    for i = 1, 3 do async.spawn(getter, i) end
    async.checkpoint()
    for _, value in ipairs { "a", "b", "c" } do queue:put(value) end
    async.checkpoint()
    assert.equal("1 2 3", calls:order())
    for i, value in ipairs { "a", "b", "c" } do
      assert.equal(value, calls:arguments(i)[2])
    end
  end))

  it("gives a value to the first getter: nobody overtakes", in_task(
  function()
    async.spawn(getter, "waiter")
    async.checkpoint()
    queue:put("value")
    assert.is_nil(queue:try_get())
    assert.equal(0, queue:size())
    async.checkpoint()
    assert.equal("value", calls:arguments(1)[2])
  end))

  it("try_get gives nil when there is none", function()
    assert.same({ n = 1 }, table.pack((queue:try_get())))
    assert.is_true(queue:try_put("value"))
    assert.equal("value", queue:try_get())
    assert.is_nil(queue:try_get())
  end)

  it("does not give a value to a cancelled getter", in_task(function()
    local tasks = {}
    for i = 1, 4 do tasks[i] = async.spawn(getter, i) end
    async.checkpoint()
    tasks[1]:cancel()
    tasks[3]:cancel()
    queue:put("a")
    queue:put("b")
    queue:put("c")
    async.checkpoint()
    assert.equal("2 4", calls:order())
    assert.same({ "c" }, drained())
  end))

  it("gives its value to who was served and then cancelled", in_task(
  function()
    local task = async.spawn(getter, "getter")
    async.checkpoint()
    queue:put("value")
    task:cancel()
    async.checkpoint()
    assert.equal("value", calls:arguments(1)[2])
    assert.equal("returned", task:status())
  end))

  it("raises from get and put in a cancelled scope, and stays as it is",
  in_task(function()
    queue:put("value")
    async.scope(function(scope)
      scope:cancel()
      failure(queue.get, queue)
      failure(queue.put, queue, "never")
    end)
    assert.same({ "value" }, drained())
  end))

  it("get with a timeout takes nothing when it is over", in_task(function()
    for _ = 1, 3 do
      assert.is_nil((async.move_on_after(1, queue.get, queue)))
    end
    queue:put("value")
    assert.same({ "value" }, drained())
  end))

  describe("with a capacity", function()
    before_each(function() queue = sync.queue(2) end)

    it("put waits while it is full", in_task(function(loop)
      queue:put(1)
      queue:put(2)
      assert.equal(2, queue:size())
      async.spawn(function()
        async.sleep(3)
        assert.equal(1, queue:get())
      end)
      assert.is_true(queue:put(3))
      assert.equal(3, loop:now())
      assert.same({ 2, 3 }, drained())
    end))

    it("try_put is false when it is full", function()
      assert.is_true(queue:try_put(1))
      assert.is_true(queue:try_put(2))
      assert.is_false(queue:try_put(3))
      assert.same({ 1, 2 }, drained())
      assert.is_true(queue:try_put(4))
    end)

    it("serves putters in the order of asking", in_task(function()
      for i = 1, 6 do async.spawn(putter, i) end
      async.checkpoint()
      assert.equal("1 2", calls:order())
      for i = 1, 6 do
        assert.equal(i, queue:get())
        async.checkpoint()
      end
      assert.equal("1 2 3 4 5 6", calls:order())
      for i = 1, 6 do assert.is_true(calls:arguments(i)[2]) end
    end))

    it("never holds more", in_task(function()
      for i = 1, 10 do async.spawn(queue.put, queue, i) end
      for _ = 1, 10 do
        async.checkpoint()
        assert.is_true(queue:size() <= 2)
        queue:get()
      end
    end))

    it("lets no put overtake those that wait", in_task(function()
      for i = 1, 3 do async.spawn(putter, i) end
      async.checkpoint()
      assert.equal(1, queue:get())
      assert.is_false(queue:try_put("overtaking"))
      assert.same({ 2, 3 }, drained())
    end))

    it("takes no value from a cancelled putter", in_task(function()
      local tasks = {}
      for i = 1, 5 do tasks[i] = async.spawn(putter, i) end
      async.checkpoint()
      tasks[3]:cancel()
      tasks[5]:cancel()
      async.checkpoint()
      local got = {}
      for i = 1, 3 do got[i] = queue:get() end
      assert.same({ 1, 2, 4 }, got)
      assert.equal(0, queue:size())
    end))

    it("keeps the value of who was let in and then cancelled", in_task(
    function()
      queue:put(1)
      queue:put(2)
      local task = async.spawn(putter, 3)
      async.checkpoint()
      assert.equal(1, queue:get())
      task:cancel()
      async.checkpoint()
      assert.equal("returned", task:status())
      assert.same({ 2, 3 }, drained())
    end))
  end)

  describe("with capacity 0", function()
    before_each(function() queue = sync.queue(0) end)

    it("gives a value from hand to hand", in_task(function(loop)
      async.spawn(function()
        async.sleep(2)
        calls.note(queue:get())
      end)
      assert.is_true(queue:put("value"))
      assert.equal(2, loop:now())
      async.checkpoint()
      assert.equal("value", calls:order())
      assert.equal(0, queue:size())
    end))

    it("try_put succeeds only when somebody waits", in_task(function()
      assert.is_false(queue:try_put("value"))
      async.spawn(getter, "getter")
      async.checkpoint()
      assert.is_true(queue:try_put("value"))
      assert.is_false(queue:try_put("value"))
      async.checkpoint()
      assert.equal("value", calls:arguments(1)[2])
    end))

    it("try_get takes from who waits to put", in_task(function()
      assert.is_nil(queue:try_get())
      async.spawn(putter, "value")
      async.checkpoint()
      assert.equal("value", queue:try_get())
      assert.is_nil(queue:try_get())
      async.checkpoint()
      assert.is_true(calls:arguments(1)[2])
    end))
  end)

  describe("closed", function()
    it("takes nothing more: put returns false, 'closed'", in_task(function()
      queue:close()
      assert.same({ n = 2, false, "closed" }, table.pack(queue:put(1)))
      assert.same({ n = 2, false, "closed" }, table.pack(queue:try_put(1)))
      assert.equal(0, queue:size())
    end))

    it("gives what is there, and then nil, 'closed'", in_task(function()
      queue:put(1)
      queue:put(false)
      queue:put(3)
      queue:close()
      assert.equal(1, queue:get())
      assert.is_false((queue:get()))
      assert.equal(3, queue:try_get())
      assert.same({ n = 2, nil, "closed" }, table.pack(queue:get()))
      assert.same({ n = 2, nil, "closed" }, table.pack(queue:try_get()))
      assert.same({ n = 2, nil, "closed" }, table.pack(queue:get()))
    end))

    it("wakes getters with nil, 'closed'", in_task(function()
      for i = 1, 3 do async.spawn(getter, i) end
      async.checkpoint()
      queue:close()
      async.checkpoint()
      assert.equal("1 2 3", calls:order())
      assert.same({ n = 3, 1, nil, "closed" }, calls:arguments(1))
    end))

    it("wakes putters with false, 'closed': their values are not in it",
    in_task(function()
      queue = sync.queue(1)
      queue:put("inside")
      for i = 1, 2 do async.spawn(putter, i) end
      async.checkpoint()
      queue:close()
      async.checkpoint()
      assert.same({ n = 3, 1, false, "closed" }, calls:arguments(1))
      assert.same({ n = 3, 2, false, "closed" }, calls:arguments(2))
      assert.same({ "inside" }, drained())
    end))

    it("twice is as closed once", in_task(function()
      queue:put(1)
      queue:close()
      queue:close()
      assert.equal(1, queue:get())
    end))

    it("leaves a getter that was served its value", in_task(function()
      async.spawn(getter, "getter")
      async.checkpoint()
      queue:put("value")
      queue:close()
      async.checkpoint()
      assert.equal("value", calls:arguments(1)[2])
    end))

    it("ends a for loop over get", in_task(function()
      async.spawn(function()
        for i = 1, 5 do
          queue:put(i)
          async.sleep(1)
        end
        queue:close()
      end)
      for value in function() return (queue:get()) end do
        calls.note(value)
      end
      assert.equal("1 2 3 4 5", calls:order())
    end))

    it("still raises in a cancelled scope", in_task(function()
      queue:close()
      async.scope(function(scope)
        scope:cancel()
        failure(queue.get, queue)
        failure(queue.put, queue, 1)
      end)
    end))

    it("can be closed outside of tasks", function()
      local loop = async.loop()
      loop:spawn(getter, "getter")
      loop:step(0)
      queue:close()
      loop:step(0)
      assert.same({ n = 3, "getter", nil, "closed" }, calls:arguments(1))
    end)
  end)

  it("connects tasks of several loops", function()
    local one, other = async.loop(), async.loop()
    queue = sync.queue(1)
    one:spawn(function()
      for i = 1, 4 do queue:put(i) end
      queue:close()
    end)
    other:spawn(function()
      for value in function() return (queue:get()) end do
        calls.note(value)
      end
    end)
    for _ = 1, 10 do
      one:step(0)
      other:step(0)
    end
    assert.equal("1 2 3 4", calls:order())
    assert.is_true(one:is_idle() and other:is_idle())
  end)

  it("keeps no value that was got", in_task(function()
    local weak = helper.survivors(function()
      local value = {}
      queue:put(value)
      queue:get()
      queue:put("another")
      return value
    end)
    assert.is_nil(weak[1])
  end))

  it("moves many values without growing", in_task(function()
    for i = 1, 1000 do queue:put(i) end
    local before = helper.kilobytes()
    for i = 1, 100000 do
      queue:put(i)
      queue:get()
    end
    local grown = helper.kilobytes() - before
    assert.equal(1000, queue:size())
    assert.is_true(grown < 128, ("grew by %.0f KB"):format(grown))
  end))

  it("shows how many values stand in it", function()
    queue:try_put(1)
    assert.matches("1", tostring(queue))
    queue:close()
    assert.matches("closed", tostring(queue))
  end)
end)
