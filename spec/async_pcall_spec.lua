local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"

local in_task = helper.in_task

local function give(...) return ... end

describe("async.pcall", function()
  helper.leave_nothing(before_each, after_each)
  local calls

  before_each(function() calls = helper.recorder() end)

  it("returns true and the results, nil included", in_task(function()
    assert.same({ n = 4, true, nil, 2, nil },
      table.pack(async.pcall(give, nil, 2, nil)))
    assert.same({ n = 1, true }, table.pack(async.pcall(give)))
  end))

  it("returns false and any other error, unchanged", in_task(function()
    for _, value in ipairs { "text", 5, true, {}, print } do
      local results = table.pack(async.pcall(error, value, 0))
      assert.equal(2, results.n)
      assert.is_false(results[1])
      assert.is_true(rawequal(value, results[2]))
    end
    assert.same({ n = 2, false, nil }, table.pack(async.pcall(error)))
    assert.same({ n = 2, false, false },
      table.pack(async.pcall(error, false)))
  end))

  it("lets the cancellation of a scope around it pass", in_task(function()
    local result, err = async.scope(function(scope)
      scope:cancel "outside"
      async.pcall(async.checkpoint)
      calls.note "never"
    end)
    assert.is_nil(result)
    assert.equal("outside", err.reason)
    assert.equal(0, calls.n)
  end))

  it("lets that of any block around it pass", in_task(function()
    assert.is_nil((async.move_on_after(1, function()
      async.scope(function()
        async.pcall(async.pcall, async.sleep, 10)
        calls.note "never"
      end)
    end)))
    local ok, err = pcall(async.timeout, 1, async.pcall, async.sleep, 10)
    assert.is_false(ok)
    assert.is_true(desist.is_timeout(err))
    assert.equal(0, calls.n)
  end))

  it("lets that of the task pass", in_task(function()
    local task = async.spawn(function()
      async.pcall(async.sleep, 10)
      calls.note "never"
    end)
    async.checkpoint()
    task:cancel()
    async.checkpoint()
    assert.equal("cancelled", task:status())
    assert.equal(0, calls.n)
  end))

  it("lets a cancellation by failure of a sibling pass", in_task(function()
    local ok, err = pcall(async.scope, function(scope)
      scope:spawn(error, "sibling", 0)
      async.pcall(async.sleep, 10)
      calls.note "never"
    end)
    assert.is_false(ok)
    assert.equal("sibling", err)
    assert.equal(0, calls.n)
  end))

  it("lets it pass when it was caught inside and raised again", in_task(
  function()
    async.scope(function(scope)
      scope:cancel()
      async.pcall(function()
        local _, err = pcall(async.checkpoint)
        error(err, 0)
      end)
      calls.note "never"
    end)
    assert.equal(0, calls.n)
  end))

  it("lets what scope:token() throws pass", in_task(function()
    async.scope(function(scope)
      scope:cancel()
      local token = scope:token()
      async.pcall(token.throw_if_cancelled, token)
      calls.note "never"
    end)
    assert.equal(0, calls.n)
  end))

  it("returns the cancellation error of another token", in_task(function()
    local other = desist.cancelled("another")
    assert.same({ n = 2, false, other:error() },
      table.pack(async.pcall(other.throw_if_cancelled, other)))
    async.scope(function(scope)
      scope:cancel()
      assert.same({ n = 2, false, other:error() },
        table.pack(async.pcall(other.throw_if_cancelled, other)))
    end)
  end))

  it("returns the cancellation error of a joined task", in_task(function()
    local task = async.spawn(async.sleep, 10)
    async.checkpoint()
    task:cancel "only the task"
    local ok, err = async.pcall(task.join, task)
    assert.is_false(ok)
    assert.equal("only the task", err.reason)
  end))

  it("returns the error of a scope inside that has ended", in_task(
  function()
    local ok, err = async.pcall(function()
      local _, err = async.scope(function(scope)
        scope:cancel "inside"
        async.checkpoint()
      end)
      error(err, 0)
    end)
    assert.is_false(ok)
    assert.equal("inside", err.reason)
  end))

  it("lets a cancelled scope inside return", in_task(function()
    local ok, result, err = async.pcall(async.scope, function(scope)
      scope:cancel "inside"
      async.checkpoint()
    end)
    assert.is_true(ok)
    assert.is_nil(result)
    assert.equal("inside", err.reason)
  end))

  it("returns timeout errors", in_task(function()
    local ok, err = async.pcall(async.timeout, 1, async.sleep, 10)
    assert.is_false(ok)
    assert.is_true(desist.is_timeout(err))
  end))

  it("returns failures of a scope inside", in_task(function()
    local ok, err = async.pcall(async.scope, function(scope)
      scope:spawn(error, "failed", 0)
      async.sleep(10)
    end)
    assert.is_false(ok)
    assert.equal("failed", err)
  end))

  it("lets fn wait", in_task(function(loop)
    assert.is_true(async.pcall(async.sleep, 2))
    assert.equal(2, loop:now())
  end))

  it("outside of tasks is pcall", function()
    assert.same({ n = 3, true, 1, nil },
      table.pack(async.pcall(give, 1, nil)))
    local cancelled = desist.cancelled():error()
    assert.same({ false, cancelled }, { async.pcall(error, cancelled) })
    assert.is_false((async.pcall(nil)))
  end)
end)

describe("async.xpcall", function()
  helper.leave_nothing(before_each, after_each)
  local calls

  before_each(function() calls = helper.recorder() end)

  local function handler(err)
    calls.note(err)
    return "handled", "and more"
  end

  it("returns true and the results, nil included", in_task(function()
    assert.same({ n = 4, true, nil, 2, nil },
      table.pack(async.xpcall(give, handler, nil, 2, nil)))
    assert.equal(0, calls.n)
  end))

  it("returns false and what the handler made of an error", in_task(
  function()
    local ok, err = async.xpcall(error, handler, "wrong", 0)
    assert.is_false(ok)
    assert.equal("handled", err)
    assert.equal("wrong", calls:order())
  end))

  it("calls the handler where the error was raised", in_task(function()
    local function raise_here() error("wrong") end
    local line = debug.getinfo(raise_here, "S").linedefined
    local ok, text = async.xpcall(raise_here, debug.traceback)
    assert.is_false(ok)
    assert.matches("async_pcall_spec.lua:" .. line .. ": in", text)
  end))

  it("lets a cancellation pass, unseen by the handler", in_task(function()
    local result, err = async.scope(function(scope)
      scope:cancel "outside"
      async.xpcall(async.checkpoint, handler)
      calls.note "never"
    end)
    assert.is_nil(result)
    assert.equal("outside", err.reason)
    assert.equal(0, calls.n)
  end))

  it("handles the cancellation error of another token", in_task(function()
    local err = desist.cancelled("another"):error()
    assert.is_false((async.xpcall(error, handler, err)))
    assert.equal(err, calls:arguments(1)[1])
  end))

  it("lets it pass though an error was handled inside before", in_task(
  function()
    async.scope(function(scope)
      async.xpcall(function()
        async.xpcall(error, handler, "inner", 0)
        scope:cancel()
        async.checkpoint()
      end, handler)
      calls.note "never"
    end)
    assert.equal("inner", calls:order())
  end))

  it("outside of tasks is xpcall", function()
    assert.same({ true, 1 }, { async.xpcall(give, handler, 1) })
    assert.same({ false, "handled" }, { async.xpcall(error, handler, "x") })
  end)
end)
