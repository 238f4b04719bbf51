local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"

local in_task = helper.in_task

local function nothing() end

describe("a task with a token", function()
  helper.leave_nothing(before_each, after_each)
  local calls, loop, source, token

  before_each(function()
    calls, loop, source = helper.recorder(), async.loop(), desist.source()
    token = source:token()
  end)

  local function spawn(fn, ...)
    return loop:spawn({ token = token }, fn, ...)
  end

  local function check_cancelled(task, reason)
    assert.equal("cancelled", task:status())
    local ok, err = task:result()
    assert.is_false(ok)
    assert.is_true(desist.is_cancelled(err))
    assert.equal(reason, err.reason)
    assert.equal(token, err.origin)
    assert.is_nil(task:traceback())
  end

  it("runs as any other with its arguments", function()
    local task = spawn(function(...)
      async.sleep(1)
      return ...
    end, 1, nil, 3)
    loop:step(1)
    assert.same({ n = 4, true, 1, nil, 3 }, table.pack(task:result()))
  end)

  it("is cancelled by it while it waits", function()
    local task = spawn(async.sleep, 60)
    loop:step(1)
    source:cancel "gone"
    assert.equal("suspended", task:status())
    loop:step(0)
    check_cancelled(task, "gone")
    assert.is_true(loop:is_idle())
    assert.is_nil(loop:next_time())
  end)

  it("has its wait aborted inside the cancelling call", function()
    spawn(async.await, function() return calls.note end)
    loop:step(0)
    source:cancel()
    assert.equal(1, calls.n)
    loop:step(0)
  end)

  it("runs its cleanup", function()
    spawn(function()
      local _ <close> = setmetatable({}, { __close = calls.note })
      async.sleep(60)
    end)
    loop:step(0)
    source:cancel()
    loop:step(0)
    assert.equal(1, calls.n)
  end)

  it("never runs when it is cancelled before its start", function()
    local task = spawn(calls.note)
    source:cancel "early"
    loop:step(0)
    assert.equal(0, calls.n)
    check_cancelled(task, "early")
  end)

  it("never runs when its token is cancelled already", function()
    source:cancel "earlier"
    local task = spawn(calls.note)
    loop:step(0)
    assert.equal(0, calls.n)
    check_cancelled(task, "earlier")
  end)

  it("never runs when the cancellation is queued before the step", function()
    local task = spawn(calls.note)
    source:cancel_async "there"
    loop:step(0)
    assert.equal(0, calls.n)
    check_cancelled(task, "there")
  end)

  it("has not failed by its token's error, noticed before the dispatch",
  function()
    local task = spawn(function()
      source:cancel_async "there"
      token:throw_if_cancelled()
    end)
    loop:step(0)
    check_cancelled(task, "there")
  end)

  it("has returned if it returns after the cancellation", function()
    local task = spawn(function()
      pcall(async.sleep, 60)
      return "fine"
    end)
    loop:step(0)
    source:cancel()
    loop:step(0)
    assert.same({ true, "fine" }, { task:result() })
  end)

  it("is not reached by it after its end", function()
    local task = spawn(nothing)
    loop:step(0)
    source:cancel()
    loop:step(0)
    assert.equal("returned", task:status())
  end)

  it("raises its error in who joins it, also afterwards", function()
    local task = spawn(async.sleep, 60)
    local function join()
      local ok, err = pcall(task.join, task)
      calls.note(ok, err)
    end
    loop:spawn(join)
    loop:step(0)
    source:cancel "gone"
    loop:step(0)
    loop:spawn(join)
    loop:step(0)
    local _, err = task:result()
    for i = 1, 2 do
      assert.same({ n = 2, false, err }, calls:arguments(i))
    end
    check_cancelled(task, "gone")
  end)

  it("keeps the first of its cancellations", function()
    local first, second = spawn(async.sleep, 60), spawn(async.sleep, 60)
    loop:step(0)
    assert.is_true(first:cancel "mine")
    source:cancel "token's"
    assert.is_false(second:cancel "mine")
    loop:step(0)
    assert.equal("mine", select(2, first:result()).reason)
    check_cancelled(second, "token's")
  end)

  it("has a name besides", function()
    local task = loop:spawn({ name = "guard", token = token }, async.sleep, 1)
    assert.equal("desist.task 'guard': waiting", tostring(task))
    source:cancel()
    loop:step(0)
    assert.equal("desist.task 'guard': cancelled", tostring(task))
  end)

  it("may have desist.none", function()
    local task = loop:spawn({ token = desist.none }, async.sleep, 1)
    loop:step(1)
    assert.equal("returned", task:status())
  end)

  it("wants a token", in_task(function()
    for _, value in ipairs { 5, "token", source, {} } do
      helper.argument_error(1, "spawn", "option 'token': token expected, got",
        function() loop:spawn({ token = value }, nothing) end)
      helper.argument_error(1, "spawn", "option 'token': token expected, got",
        function() async.spawn({ token = value }, nothing) end)
    end
    async.scope(function(scope)
      helper.argument_error(1, "background", "option 'token'",
        function() scope:background({ token = false }, nothing) end)
      helper.argument_error(2, "spawn", "function expected",
        function() scope:spawn({ token = token }) end)
    end)
    assert.is_true(loop:is_idle())
  end))

  it("cancels nothing but itself in its scope", in_task(function()
    for _, supervise in ipairs { false, true } do
      local dies = desist.source()
      local result = async.scope({ supervise = supervise }, function(scope)
        local tied = scope:spawn({ token = dies:token() }, async.sleep, 60)
        local other = scope:spawn(function()
          async.sleep(2)
          return "other"
        end)
        async.sleep(1)
        dies:cancel()
        async.checkpoint()
        assert.equal("cancelled", tied:status())
        return other:join()
      end)
      assert.equal("other", result)
    end
  end))

  it("fails its scope like any other", in_task(function()
    local ok, err = pcall(async.scope, function(scope)
      scope:spawn({ token = token }, helper.fail, "oh")
      async.sleep(60)
    end)
    assert.same({ false, "oh" }, { ok, err })
  end))

  it("has failed if it ends by the error of another token", in_task(function()
    local other = desist.cancelled "else"
    local ok, err = pcall(async.scope, function(scope)
      scope:spawn({ token = token }, other.throw_if_cancelled, other)
    end)
    assert.is_false(ok)
    assert.is_true(desist.is_cancelled(err, other))
  end))

  it("may run in the background", in_task(function()
    async.scope(function(scope)
      local task = scope:background({ token = token }, async.sleep, 60)
      async.sleep(1)
      source:cancel "over"
      async.checkpoint()
      check_cancelled(task, "over")
    end)
  end))

  it("gives its cancellation to what it opens", function()
    local task = spawn(function()
      async.scope(function(scope)
        scope:spawn(async.sleep, 60)
        async.timeout(60, async.sleep, 50)
      end)
    end)
    loop:step(0)
    source:cancel "all of it"
    loop:step(0)
    check_cancelled(task, "all of it")
    assert.is_true(loop:is_idle())
  end)

  it("hides it inside a shield", function()
    local task = spawn(function()
      async.shield(async.sleep, 2)
      calls.note "shielded"
      async.sleep(1)
    end)
    loop:step(1)
    source:cancel()
    loop:step(1)
    assert.equal("shielded", calls:order())
    check_cancelled(task, "cancelled")
  end)

  it("ends what it has spawned, though its function has ended", function()
    local task = spawn(function()
      async.spawn(function()
        local _ <close> = setmetatable({}, { __close = calls.note })
        async.sleep(60)
      end)
    end)
    loop:step(1)
    assert.equal("suspended", task:status())
    source:cancel()
    loop:step(0)
    assert.equal(1, calls.n)
    assert.is_true(loop:is_idle())
    assert.equal("cancelled", task:status())
  end)

  it("has a token of its own that is linked to it", function()
    local inner
    spawn(function()
      inner = async.token()
      inner:register(calls.note)
      async.sleep(60)
    end)
    loop:step(0)
    assert.not_equal(token, inner)
    assert.is_false(inner:is_cancelled())
    source:cancel "linked"
    assert.equal("linked", inner:reason())
    assert.same({ n = 1, "linked" }, calls:arguments(1))
    loop:step(0)
  end)

  it("sees deadlines of its token", function()
    local left
    source:cancel_after(100)
    spawn(function() left = async.token():remaining() end)
    loop:step(0)
    assert.is_true(left > 90 and left <= 100)
  end)

  it("leaves nothing on its token", function()
    local function run(count)
      for _ = 1, count do spawn(async.sleep, 1) end
      loop:step(1)
      assert.is_true(loop:is_idle())
    end
    run(helper.many(100))
    local before = helper.kilobytes()
    for _ = 1, 10 do run(helper.many(500)) end
    assert.is_true(helper.kilobytes() - before < 60)
  end)

  it("leaves its token with its loop", function()
    local tasks = {}
    local before = helper.kilobytes()
    for i = 1, helper.many(500) do
      tasks[i] = spawn(calls.note)
    end
    loop:close()
    for i = 1, #tasks do
      assert.equal("cancelled", tasks[i]:status())
      tasks[i] = nil
    end
    loop = nil
    assert.is_true(helper.kilobytes() - before < 60)
    source:cancel()
    assert.equal(0, calls.n)
  end)

  it("has no callback on its token once its loop is closed", function()
    local task = spawn(async.sleep, 60)
    loop:close()
    source:cancel_async()
    assert.equal(0, desist.dispatch())
    assert.equal("cancelled", task:status())
  end)

  it("is collected with a loop that is dropped", function()
    local weak = helper.survivors(function()
      local dropped = async.loop()
      local task = dropped:spawn({ token = token }, async.sleep, 60)
      dropped:step(0)
      return dropped, task
    end)
    assert.is_nil(weak[1])
    assert.is_nil(weak[2])
    source:cancel()
  end)
end)
