local helper = require "spec.helper"
local random_tasks = require "spec.random_tasks"

-- Which programs are run: DESIST_SEED is the first seed, DESIST_SEEDS how many
-- there are. What is printed on a failure begins with the seed.
local first = tonumber(os.getenv "DESIST_SEED") or 1
local count = tonumber(os.getenv "DESIST_SEEDS") or 500

describe("a random program of tasks", function()
  helper.leave_nothing(before_each, after_each)

  it("keeps the rules of the model, and runs the same way every time",
  function()
    for seed = first, first + count - 1 do
      local trace = random_tasks.run(seed)
      local again = random_tasks.run(seed)
      assert.is_true(trace == again,
        ("seed %d: two runs differ\n%s\n--- the other:\n%s")
          :format(seed, trace, again))
    end
  end)

  it("leaves nothing behind", function()
    local function run_some()
      for seed = 1, 50 do random_tasks.run(seed) end
    end
    run_some()
    local before = helper.kilobytes()
    run_some()
    local grown = helper.kilobytes() - before
    assert.is_true(grown < 32, ("grew by %.0f KB"):format(grown))
  end)

  it("is collected with its loop, tasks and scopes", function()
    local weak = helper.survivors(function()
      local list = {}
      for seed = 1, 50 do
        local _, world = random_tasks.run(seed)
        list[#list + 1] = world.loop
        for _, child in ipairs(world.tasks) do list[#list + 1] = child.task end
        for _, block in ipairs(world.scopes) do
          list[#list + 1] = block.scope
        end
      end
      return table.unpack(list)
    end)
    assert.is_nil(next(weak))
  end)
end)
