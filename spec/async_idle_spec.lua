local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"
local sync = require "desist.sync"

describe("a loop at rest", function()
  helper.leave_nothing(before_each, after_each)

  local COUNT = 10000
  local SECONDS = 0.5

  -- What share of half a second the processor works for COUNT tasks that do
  -- `wait`, and a task that sleeps meanwhile.
  local function share_used(wait)
    local waiting, took, used = 0, nil, nil
    async.run(async.scope, function(scope)
      for _ = 1, COUNT do
        scope:spawn(function()
          waiting = waiting + 1
          wait()
          waiting = waiting - 1
        end)
      end
      async.checkpoint()
      assert.equal(COUNT, waiting)
      helper.full_gc()
      local start, clock = desist.now(), os.clock()
      async.sleep(SECONDS)
      took, used = desist.now() - start, os.clock() - clock
      assert.equal(COUNT, waiting)
      scope:cancel()
    end)
    assert.is_true(took >= SECONDS)
    return used / took
  end

  local function expect_idle(wait)
    local share = share_used(wait)
    assert.is_true(share < 0.03, ("%.1f %% of the time"):format(share * 100))
  end

  it("costs no processor time with 10,000 sleepers", function()
    expect_idle(function() async.sleep(600 + math.random()) end)
  end)

  it("costs none with 10,000 tasks that wait under a timeout", function()
    local event = sync.event()
    expect_idle(function()
      async.timeout(600 + math.random(), event.wait, event)
    end)
  end)
end)
