local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"
local sync = require "desist.sync"

local in_task = helper.in_task
local nan = 0 / 0

local function nothing() end

-- Runs call, written in one line, which must raise an argument error in the
-- manner of luaL_argerror that names this line. `expected` is a pattern for
-- what stands in brackets.
local function refused(position, name, expected, call)
  local ok, err = pcall(call)
  assert.is_false(ok, "no error raised")
  assert.is_string(err)
  local line = debug.getinfo(call, "S").linedefined
  local form = ("^%%S*async_misuse_spec.lua:%d: bad argument #%d to "
    .. "'%s' %%((.+)%%)$"):format(line, position, name)
  local detail = err:match(form)
  assert.is_truthy(detail, ("%q does not match %q"):format(err, form))
  assert.is_truthy(detail:find(expected),
    ("%q does not say %q"):format(err, expected))
end

-- What is no function, with what messages call it.
local not_callable = {
  { 5, "number" }, { "text", "string" }, { true, "boolean" },
  { {}, "table" }, { io.stdout, "userdata" }, { nil, "nil" },
}

-- Calls check(value, name of its type) for each of them.
local function for_each(list, check)
  for i = 1, #list do check(list[i][1], list[i][2]) end
end

-- What is no duration, with what messages say of it.
local not_seconds = {
  { "5", "number expected, got string" }, { {}, "number expected, got table" },
  { true, "number expected, got boolean" },
  { nil, "number expected, got nil" }, { -1, "got %-1" },
  { -1e-300, "got %-1e%-300" }, { -math.huge, "got %-inf" },
  { nan, "got %-?nan" },
}

describe("a wrong function", function()
  helper.leave_nothing(before_each, after_each)

  it("of an async function is refused", in_task(function()
    for_each(not_callable, function(bad, of_type)
      local what = "function expected, got " .. of_type
      refused(1, "wait_until", what, function() async.wait_until(bad) end)
      refused(1, "await", what, function() async.await(bad) end)
      refused(2, "timeout", what, function() async.timeout(1, bad) end)
      local move_on = async.move_on_after
      refused(2, "move_on_after", what, function() move_on(1, bad) end)
    end)
  end))

  it("of a function that may have options is refused", in_task(function()
    for_each(not_callable, function(bad, of_type)
      local what = "function expected, got " .. of_type
      if type(bad) ~= "table" then
        refused(1, "scope", what, function() async.scope(bad) end)
        refused(1, "shield", what, function() async.shield(bad) end)
        refused(1, "spawn", what, function() async.spawn(bad) end)
      end
      refused(2, "scope", what, function() async.scope({}, bad) end)
      refused(2, "shield", what, function() async.shield({}, bad) end)
      refused(2, "spawn", what, function() async.spawn({}, bad) end)
    end)
  end))

  it("of a scope's or loop's method is refused", in_task(function(loop)
    async.scope(function(scope)
      for_each(not_callable, function(bad, of_type)
        local what = "function expected, got " .. of_type
        if type(bad) ~= "table" then
          refused(1, "spawn", what, function() scope:spawn(bad) end)
          refused(1, "background", what, function() scope:background(bad) end)
          refused(1, "spawn", what, function() loop:spawn(bad) end)
        end
        refused(2, "spawn", what, function() scope:spawn({}, bad) end)
        refused(2, "background", what, function() scope:background({}, bad) end)
        refused(2, "spawn", what, function() loop:spawn({}, bad) end)
      end)
    end)
  end))

  it("of async.run is refused", function()
    for_each(not_callable, function(bad, of_type)
      local what = "function expected, got " .. of_type
      refused(1, "run", what, function() async.run(bad) end)
    end)
  end)

  it("of with is refused, and nothing is taken", in_task(function()
    local semaphore, mutex = sync.semaphore(1), sync.mutex()
    for_each(not_callable, function(bad, of_type)
      local what = "function expected, got " .. of_type
      refused(1, "with", what, function() semaphore:with(bad) end)
      refused(1, "with", what, function() mutex:with(bad) end)
    end)
    assert.is_true(semaphore:try_acquire())
    assert.is_true(mutex:try_lock())
  end))
end)

describe("a wrong number of seconds", function()
  helper.leave_nothing(before_each, after_each)

  it("is refused by async functions", in_task(function()
    for_each(not_seconds, function(bad, what)
      refused(1, "sleep", what, function() async.sleep(bad) end)
      refused(1, "timeout", what, function() async.timeout(bad, nothing) end)
      refused(1, "move_on_after", what, function() async.move_on_after(bad) end)
    end)
  end))

  it("is refused by cancel_after, in every state", in_task(function()
    local scopes = {}
    async.scope(function(scope) scopes[1] = scope end)
    async.scope(function(scope)
      scopes[2] = scope
      async.scope(function(inner)
        scopes[3] = inner
        inner:cancel()
        for _, each in ipairs(scopes) do
          for_each(not_seconds, function(bad, what)
            local cancel_after = each.cancel_after
            refused(1, "cancel_after", what,
              function() cancel_after(each, bad) end)
          end)
        end
      end)
      assert.is_false(scope:is_cancelled())
    end)
  end))

  it("is refused by step, and nothing runs", function()
    local calls, loop = helper.recorder(), async.loop()
    loop:spawn(calls.note)
    for_each(not_seconds, function(bad, what)
      refused(1, "step", what, function() loop:step(bad) end)
    end)
    refused(1, "step", "seconds.*inf", function() loop:step(math.huge) end)
    assert.equal(0, calls.n)
    assert.equal(0, loop:now())
    loop:step(0)
  end)
end)

describe("a wrong option", function()
  helper.leave_nothing(before_each, after_each)

  local wrong_options = {
    { { timeout = "5" }, "timeout.*number expected, got string" },
    { { timeout = -1 }, "timeout.*got %-1" },
    { { timeout = nan }, "timeout.*got %-?nan" },
    { { deadline = "5" }, "deadline.*number expected, got string" },
    { { deadline = nan }, "deadline.*got %-?nan" },
    { { token = {} }, "token.*token expected, got table" },
    { { token = "text" }, "token.*token expected, got string" },
    { { token = desist.source() }, "token.*token expected, got" },
    { { name = 5 }, "name.*string expected, got number" },
    { { supervise = 1 }, "supervise.*boolean expected, got number" },
  }

  it("of a scope or shield is refused", in_task(function()
    for_each(wrong_options, function(bad, what)
      refused(1, "scope", what, function() async.scope(bad, nothing) end)
      refused(1, "shield", what, function() async.shield(bad, nothing) end)
    end)
    local bad = { shield = "yes" }
    refused(1, "scope", "shield", function() async.scope(bad, nothing) end)
  end))

  it("of spawn is refused", in_task(function(loop)
    local bad = { name = {} }
    local what = "name.*string"
    refused(1, "spawn", what, function() async.spawn(bad, nothing) end)
    refused(1, "spawn", what, function() loop:spawn(bad, nothing) end)
  end))

  it("of a loop is refused", function()
    for_each({
      { { start = "5" }, "start.*number expected, got string" },
      { { start = nan }, "start" },
      { { start = math.huge }, "start" },
      { { start = -math.huge }, "start" },
      { { name = 5 }, "name.*string expected, got number" },
      { 5, "table expected, got number" },
      { "text", "table expected, got string" },
      { true, "table expected, got boolean" },
    }, function(bad, what)
      refused(1, "loop", what, function() async.loop(bad) end)
    end)
  end)

  it("is looked at before fn is called", in_task(function()
    local calls = helper.recorder()
    pcall(async.scope, { timeout = -1 }, calls.note)
    pcall(async.timeout, -1, calls.note)
    assert.equal(0, calls.n)
  end))
end)

describe("a wrong list", function()
  helper.leave_nothing(before_each, after_each)

  for _, name in ipairs { "all", "race", "any" } do
    local combine = async[name]

    it("of " .. name .. " is refused", in_task(function()
      for_each(not_callable, function(bad, of_type)
        if type(bad) ~= "table" then
          local what = "table expected, got " .. of_type
          refused(1, name, what, function() combine(bad) end)
        end
      end)
      local what = "table expected, got function"
      refused(1, name, what, function() combine(nothing) end)
    end))

    it("of " .. name .. " names the member that is wrong", in_task(
    function()
      local calls = helper.recorder()
      for_each(not_callable, function(bad, of_type)
        if bad ~= nil then
          local list = { calls.note, bad }
          refused(1, name, "2.*" .. of_type, function() combine(list) end)
        end
      end)
      assert.equal(0, calls.n)
    end))
  end

  it("that is empty is refused by race and any", in_task(function()
    refused(1, "race", "empty", function() async.race {} end)
    refused(1, "any", "empty", function() async.any {} end)
  end))
end)

describe("a wrong count", function()
  helper.leave_nothing(before_each, after_each)

  local not_counts = {
    { "5", "number expected, got string" },
    { {}, "number expected, got table" }, { -1, "got %-1" },
    { 1.5, "got 1.5" }, { nan, "got %-?nan" },
  }

  it("of a semaphore or queue is refused", function()
    for_each(not_counts, function(bad, what)
      refused(1, "semaphore", what, function() sync.semaphore(bad) end)
      refused(1, "queue", what, function() sync.queue(bad) end)
    end)
    refused(1, "semaphore", "got nil", function() sync.semaphore() end)
  end)

  it("of release is refused, and nothing is released", function()
    local semaphore = sync.semaphore(0)
    for_each(not_counts, function(bad, what)
      refused(1, "release", what, function() semaphore:release(bad) end)
    end)
    refused(1, "release", "got 0", function() semaphore:release(0) end)
    assert.is_false(semaphore:try_acquire())
  end)
end)

describe("a nil value", function()
  it("is refused by a queue", in_task(function()
    local queue = sync.queue()
    refused(1, "put", "got nil", function() queue:put(nil) end)
    refused(1, "put", "got nil", function() queue:put() end)
    refused(1, "try_put", "got nil", function() queue:try_put(nil) end)
    queue:close()
    refused(1, "put", "got nil", function() queue:put(nil) end)
  end))
end)

describe("a wrong argument", function()
  helper.leave_nothing(before_each, after_each)

  it("is an error in a cancelled scope, too", in_task(function()
    async.scope(function(scope)
      scope:cancel()
      refused(1, "sleep", "got string", function() async.sleep("5") end)
      refused(1, "await", "got nil", function() async.await() end)
      refused(1, "wait_until", "got nil", function() async.wait_until() end)
      refused(1, "all", "got nil", function() async.all() end)
      local queue = sync.queue()
      refused(1, "put", "got nil", function() queue:put(nil) end)
      local semaphore = sync.semaphore(1)
      refused(1, "with", "got nil", function() semaphore:with(nil) end)
    end)
  end))

  it("costs nothing: the task goes on", in_task(function(loop)
    pcall(async.sleep, "x")
    pcall(async.timeout, 1, 5)
    pcall(async.scope, { timeout = {} }, nothing)
    pcall(async.all, { 5 })
    async.sleep(2)
    assert.equal(2, loop:now())
    async.scope(function(scope) scope:spawn(async.sleep, 1) end)
    assert.equal(3, loop:now())
  end))

  it("fails the task as any error", function()
    local loop = async.loop()
    local task = loop:spawn(function() async.sleep("x") end)
    loop:step(0)
    assert.equal("failed", task:status())
    assert.matches("bad argument #1 to 'sleep'",
      helper.handled_errors()[1])
  end)
end)

describe("a method called on anything else", function()
  helper.leave_nothing(before_each, after_each)

  local strangers = { false, 5, "text", {}, print, io.stdout, desist.none }

  -- Each method in `names` of `object` raises on strangers.
  local function refuse_strangers(object, names)
    for _, name in ipairs(names) do
      local method = object[name]
      assert.is_function(method, name)
      for _, stranger in ipairs(strangers) do
        refused(1, name, "expected, got", function() method(stranger) end)
        refused(1, name, "expected, got", function() method(stranger, 1) end)
      end
      refused(1, name, "expected, got", function() method(nil) end)
      refused(1, name, "expected, got", function() method() end)
    end
  end

  it("of a task is an argument error", in_task(function()
    refuse_strangers(async.spawn(nothing),
      { "join", "cancel", "result", "status", "traceback" })
  end))

  it("of a scope is an argument error", in_task(function()
    async.scope(function(scope)
      refuse_strangers(scope, { "spawn", "background", "cancel",
        "cancel_after", "token", "is_cancelled" })
    end)
  end))

  -- These trust their first argument, but do not crash.
  it("of a loop or a sync object is an error", in_task(function()
    local names = {
      [async.loop()] = { "spawn", "step", "now", "is_idle", "next_time",
        "cancel", "close" },
      [sync.event()] = { "set", "clear", "is_set", "wait" },
      [sync.semaphore(1)] = { "acquire", "try_acquire", "release", "with" },
      [sync.mutex()] = { "lock", "try_lock", "unlock", "with" },
      [sync.queue()] = { "put", "try_put", "get", "try_get", "close",
        "size" },
    }
    for object, methods in pairs(names) do
      for _, name in ipairs(methods) do
        for _, stranger in ipairs { false, 5, nothing } do
          assert.is_false(pcall(object[name], stranger, nothing))
        end
        assert.is_false(pcall(object[name]))
      end
    end
  end))
end)
