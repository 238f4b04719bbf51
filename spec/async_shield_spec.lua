local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"

local in_task = helper.in_task

local function sleeper(seconds, ...)
  async.sleep(seconds)
  return ...
end

-- The error that fn(...) raises.
local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "no error raised")
  return err
end

describe("async.shield", function()
  helper.leave_nothing(before_each, after_each)
  local calls

  before_each(function() calls = helper.recorder() end)

  it("returns the results of fn, which got the arguments", in_task(
  function()
    local function give(...) return ... end
    assert.same({ n = 3, nil, 2, nil },
      table.pack(async.shield(give, nil, 2, nil)))
    assert.same({ n = 3, nil, 2, nil },
      table.pack(async.shield({ name = "named" }, give, nil, 2, nil)))
  end))

  it("hides a cancellation that was there before", in_task(function(loop)
    async.scope(function(scope)
      scope:cancel()
      assert.equal("slept", async.shield(sleeper, 3, "slept"))
      assert.equal(3, loop:now())
    end)
  end))

  it("hides one that comes while it waits", in_task(function(loop)
    async.scope(function(scope)
      scope:spawn(function()
        async.sleep(1)
        scope:cancel()
      end)
      assert.equal("slept", async.shield(sleeper, 3, "slept"))
      assert.equal(3, loop:now())
    end)
  end))

  it("hides task:cancel and loop:cancel", function()
    local loop = async.loop()
    local function body()
      async.shield(sleeper, 3)
      calls.note "went on"
      async.checkpoint()
    end
    local first, second = loop:spawn(body), loop:spawn(body)
    loop:step(1)
    first:cancel()
    loop:cancel()
    loop:step(1)
    assert.equal(0, calls.n)
    loop:step(1)
    assert.equal(2, calls.n)
    assert.equal("cancelled", first:status())
    assert.equal("cancelled", second:status())
  end)

  it("lets it be seen again at the first checkpoint after", in_task(
  function()
    local result, err = async.scope(function(scope)
      scope:cancel "hidden"
      async.shield(async.sleep, 1)
      calls.note "after"
      async.checkpoint()
      calls.note "never"
    end)
    assert.is_nil(result)
    assert.equal("hidden", err.reason)
    assert.equal("after", calls:order())
  end))

  it("works again and again in a cancelled scope", in_task(function(loop)
    async.scope(function(scope)
      scope:cancel()
      for _ = 1, 3 do
        async.shield(async.sleep, 1)
        failure(async.checkpoint)
      end
    end)
    assert.equal(3, loop:now())
  end))

  it("serves cleanup in __close", in_task(function(loop)
    async.scope(function(scope)
      scope:cancel()
      local _ <close> = setmetatable({}, { __close = function()
        async.shield(async.sleep, 2)
        calls.note "closed"
      end })
      async.sleep(100)
    end)
    assert.equal("closed", calls:order())
    assert.equal(2, loop:now())
  end))

  it("gives a token that does not see it either", in_task(function()
    async.scope(function(scope)
      local outer = async.token()
      async.shield(function()
        local inner = async.token()
        assert.not_equal(outer, inner)
        scope:cancel()
        assert.is_true(outer:is_cancelled())
        assert.is_false(inner:is_cancelled())
      end)
    end)
  end))

  it("hides deadlines from its token", in_task(function()
    async.timeout(10, function()
      assert.equal(10, async.token():remaining())
      async.shield(function()
        assert.equal(math.huge, async.token():remaining())
        assert.is_nil(async.token():deadline())
        async.scope({ timeout = 1000 }, function()
          assert.equal(1000, async.token():remaining())
        end)
      end)
    end)
  end))

  it("holds for the tasks spawned in it, and waits for them", in_task(
  function(loop)
    local task
    async.scope(function(scope)
      async.shield(function()
        task = async.spawn(sleeper, 3, "kept")
        scope:cancel()
      end)
      assert.equal(3, loop:now())
    end)
    assert.same({ true, "kept" }, { task:result() })
  end))

  it("holds not for tasks that it spawns into the scope outside", in_task(
  function()
    local task
    async.scope(function(scope)
      async.shield(function()
        task = scope:spawn(async.sleep, 100)
        async.sleep(1)
        scope:cancel()
        async.sleep(1)
        assert.equal("cancelled", task:status())
      end)
    end)
  end))

  it("hides nothing from tasks that were spawned outside of it", in_task(
  function()
    async.scope(function(scope)
      local task = scope:spawn(async.sleep, 100)
      async.shield(function()
        async.sleep(1)
        scope:cancel()
        async.sleep(1)
        assert.equal("cancelled", task:status())
      end)
    end)
  end))

  it("sees what is cancelled inside", in_task(function()
    local result, err = async.shield(function()
      return async.scope(function(scope)
        scope:cancel "inside"
        async.checkpoint()
      end)
    end)
    assert.is_nil(result)
    assert.equal("inside", err.reason)
  end))

  it("hides the outermost from scopes inside, however deep", in_task(
  function(loop)
    async.scope(function(outer)
      outer:cancel()
      async.shield(function()
        async.scope(function()
          async.scope(function()
            async.sleep(2)
            calls.note "seen nothing"
          end)
        end)
      end)
    end)
    assert.equal("seen nothing", calls:order())
    assert.equal(2, loop:now())
  end))

  it("between two cancelled scopes lets the inner error be raised", in_task(
  function()
    async.scope(function(outer)
      outer:cancel "outer"
      async.shield(function()
        local result, err = async.scope(function(inner)
          inner:cancel "inner"
          async.checkpoint()
        end)
        assert.is_nil(result)
        assert.equal("inner", err.reason)
      end)
      assert.equal("outer", failure(async.checkpoint).reason)
    end)
  end))

  it("in a shield hides as well", in_task(function(loop)
    async.scope(function(scope)
      async.shield(function()
        scope:cancel()
        async.shield(async.sleep, 1)
        async.sleep(1)
      end)
    end)
    assert.equal(2, loop:now())
  end))

  it("does not let a failing sibling cut it short", in_task(function(loop)
    local err = failure(async.scope, function(scope)
      scope:spawn(async.shield, sleeper, 5)
      scope:spawn(function()
        async.sleep(1)
        error("sibling", 0)
      end)
    end)
    assert.equal("sibling", err)
    assert.equal(5, loop:now())
  end))

  it("raises the error of fn", in_task(function()
    local value = {}
    assert.equal(value, failure(async.shield, error, value))
  end))

  it("fails with its tasks", in_task(function()
    assert.equal("failed", failure(async.shield, function()
      async.spawn(error, "failed", 0)
      async.sleep(100)
    end))
  end))

  it("returns nil and the error when its own timeout cut it", in_task(
  function(loop)
    local result, err = async.shield({ timeout = 2 }, sleeper, 10, "result")
    assert.is_nil(result)
    assert.equal("deadline", err.kind)
    assert.is_true(desist.is_cancelled(err))
    assert.equal(2, loop:now())
  end))

  it("sees its own timeout in a cancelled scope", in_task(function(loop)
    async.scope({ timeout = 1 }, function()
      local result, err = async.shield({ timeout = 5 }, function()
        assert.equal(5, async.token():remaining())
        async.sleep(10)
      end)
      assert.is_nil(result)
      assert.equal("deadline", err.kind)
      assert.equal(5, loop:now())
    end)
  end))

  it("sees its own deadline and token", in_task(function(loop)
    assert.is_nil((async.shield({ deadline = 3 }, async.sleep, 10)))
    assert.equal(3, loop:now())
    local source = desist.source()
    async.spawn(source.cancel, source, "its own")
    local result, err = async.shield({ token = source:token() },
      async.sleep, 10)
    assert.is_nil(result)
    assert.equal("its own", err.reason)
    assert.equal(3, loop:now())
  end))

  it("that nothing has cut gives results in a cancelled scope", in_task(
  function()
    async.scope(function(scope)
      scope:cancel()
      assert.equal("result", async.shield({ timeout = 5 }, sleeper, 1,
        "result"))
    end)
  end))

  it("keeps a wait of it cheap: nothing turns meanwhile", in_task(
  function(loop)
    async.scope(function(scope)
      scope:cancel()
      scope:spawn(calls.note)
      async.shield(function()
        async.sleep(1)
        assert.is_nil(loop:next_time())
      end)
    end)
  end))
end)

describe("a scope with the option shield", function()
  helper.leave_nothing(before_each, after_each)

  it("hides what is outside", in_task(function(loop)
    async.scope(function(outer)
      outer:cancel()
      local result = async.scope({ shield = true }, function(scope)
        assert.is_false(scope:is_cancelled())
        scope:spawn(async.sleep, 2)
        async.sleep(1)
        return "result"
      end)
      assert.equal("result", result)
      assert.equal(2, loop:now())
    end)
  end))

  it("sees its own cancellation", in_task(function()
    async.scope(function(outer)
      outer:cancel "outer"
      local result, err = async.scope({ shield = true }, function(scope)
        scope:cancel "own"
        async.checkpoint()
      end)
      assert.is_nil(result)
      assert.equal("own", err.reason)
    end)
  end))

  it("with shield = false is an ordinary one", in_task(function()
    async.scope(function(outer)
      outer:cancel "outer"
      async.scope({ shield = false }, function()
        assert.equal("outer", failure(async.checkpoint).reason)
      end)
    end)
  end))
end)
