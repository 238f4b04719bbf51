local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"
local sync = require "desist.sync"

local function here(offset)
  local info = debug.getinfo(2, "Sl")
  return ("%s:%d"):format(info.short_src, info.currentline + (offset or 0))
end

local function assert_shows(lines, value)
  assert.equal(table.concat(lines, "\n"), desist.inspect(value))
end

describe("desist.inspect of tasks", function()
  helper.leave_nothing(before_each, after_each)
  after_each(function() desist.trace(false) end)

  it("shows a loop, its tasks and where they wait", function()
    local loop = async.loop { name = "game", start = 5 }
    assert_shows({ "loop 'game' live, 0 tasks, at 5 s" }, loop)
    loop:spawn({ name = "main" }, function() async.sleep(1) end)
    local line = here(-1)
    assert_shows({
      "loop 'game' live, 1 task, at 5 s",
      "  task 1 'main' not started, function at " .. line,
    }, loop)
    loop:step(0.5)
    assert_shows({
      "loop 'game' live, 1 task, at 5.5 s",
      "  task 1 'main' suspended in async.sleep at " .. line,
    }, loop)
    helper.finish(loop)
    loop:close()
    assert.is_truthy(desist.inspect(loop):find "^loop 'game' closed, 0 tasks")
  end)

  it("shows blocks and the tasks in them", function()
    local loop, inner, lines = async.loop(), nil, {}
    loop:spawn(function()
      async.scope({ name = "level", timeout = 10 }, function(scope)
        inner = scope
        scope:spawn({ name = "patrol" }, async.sleep, 1)
        scope:background(async.shield, function()
          lines.shield = here(1)
          async.sleep(2)
        end)
        async.timeout(3, function()
          lines.gather = here(1)
          async.all { async.checkpoint, async.next_step }
        end)
      end)
    end)
    loop:step(0)
    local tree = {
      "task 1 suspended in async.all at " .. lines.gather,
      "  scope 'level' live, deadline in 10 s",
      "    task 3 in the background, suspended in async.sleep at "
        .. lines.shield,
      "      shield live",
      "    task 2 'patrol' suspended in async.sleep",
      "    timeout of 3 s live, deadline in 3 s",
      "      group live",
      "        task 4 suspended in async.checkpoint",
      "        task 5 suspended in async.checkpoint",
    }
    assert.equal("loop live, 5 tasks, at 0 s\n  "
      .. table.concat(tree, "\n  "), desist.inspect(loop))
    assert.equal("scope 'level' live, deadline in 10 s, of " .. tree[1] .. "\n"
      .. table.concat(tree, "\n", 3):gsub("  ( *)", "%1"),
      (desist.inspect(inner)))
    inner:cancel()
    helper.finish(loop)
    assert_shows({ "scope 'level' cancelled: \"cancelled\"" }, inner)
  end)

  it("names what a task waits in", function()
    local loop, event, queue = async.loop(), sync.event(), sync.queue()
    local sleep, tasks = async.sleep, {}
    local function show(name, fn)
      tasks[name] = loop:spawn(function()
        fn()
        fn()
      end)
    end
    show("async.checkpoint", async.checkpoint)
    show("async.sleep", function() sleep(1) end)
    show("async.await", function() async.await(function() end) end)
    show("task:join", function() tasks["async.sleep"]:join() end)
    show("async.scope", function()
      async.scope(function(scope) scope:spawn(sleep, 5) end)
    end)
    show("event:wait", function() event:wait() end)
    show("queue:get", function() queue:get() end)
    show("async.wait_until", function()
      async.wait_until(function() return false end)
    end)
    loop:step(0)
    for name, task in pairs(tasks) do
      if name ~= "async.scope" then
        assert.is_truthy(desist.inspect(task):find(" suspended in " .. name
          .. " at spec/", 1, true), desist.inspect(task))
      end
    end
    assert.is_truthy(desist.inspect(tasks["async.scope"])
      :find "^task %d+ waits for its tasks at [^\n]*\n  scope live\n    task")
    loop:close()
  end)

  it("shows the running task and those that have ended", function()
    local loop, seen = async.loop(), nil
    local task = loop:spawn(function()
      seen = desist.inspect(loop)
    end)
    loop:step(0)
    assert.equal("loop live, 1 task, at 0 s\n  task 1 running at " .. here(-3),
      seen)
    assert_shows({ "task 1 returned" }, task)
    local failed = loop:spawn(error, { "odd" })
    loop:spawn(function() pcall(failed.join, failed) end)
    loop:step(0)
    assert.is_truthy(desist.inspect(failed):find "^task 2 failed: table: ")
    local cancelled = loop:spawn(print)
    cancelled:cancel()
    loop:step(0)
    assert_shows({ "task 4 cancelled" }, cancelled)
  end)

  it("says what was cancelled by what", function()
    local loop, scope, inner = async.loop(), nil, nil
    loop:spawn(function()
      async.scope({ name = "level" }, function(self)
        scope = self
        self:spawn({ name = "saver" }, async.shield, function()
          inner = here(1)
          async.sleep(1)
        end)
        async.sleep(5)
      end)
    end)
    loop:step(0)
    scope:cancel "killed"
    loop:step(0)
    local place = desist.inspect(scope):match "waits for its tasks at ([^\n]*)"
    assert_shows({
      "scope 'level' cancelled: \"killed\", of task 1 waits for its tasks at "
        .. place,
      "  task 2 'saver' suspended in async.sleep at " .. inner
        .. ", cancelled with scope 'level'",
      "    shield live",
    }, scope)
    helper.finish(loop)
  end)

  it("shows tokens of blocks with what is registered on them", function()
    local loop, outside, place = async.loop(), desist.source(), nil
    local scope, kept
    loop:spawn(function()
      async.scope({ token = outside:token() }, function(self)
        scope = self
        self:token():register(function() end)
        place = here(-1)
        async.scope(function(inner)
          inner:token()
          kept = desist.linked(inner:token())
          async.sleep(1)
        end)
      end)
    end)
    loop:step(0)
    local wait = here(-5)
    assert.equal(table.concat({
      "loop live, 1 task, at 0 s",
      "  task 1 suspended in async.sleep at " .. wait,
      "    scope live",
      "      follows token live",
      "      token live",
      "        registration of " .. place,
      "      scope live",
      "        token live",
      "          link live",
    }, "\n"), desist.inspect(loop))
    assert_shows({
      "source live",
      "  link live, any of 3 inputs",
      "    link live, any of 2 inputs",
      "      link live",
      "    registration of " .. place,
      "  registration of desist.async",
    }, outside)
    outside:cancel "enough"
    assert.is_truthy(desist.inspect(scope):find "^scope cancelled: \"enough\"")
    helper.finish(loop)
    kept:close()
  end)

  it("notes ages and places while tracing", function()
    desist.trace(true)
    local loop, here_is = async.loop(), debug.getinfo(1, "l").currentline
    local task = loop:spawn(function()
      async.scope({ timeout = 5 }, function(scope)
        scope:spawn(function() async.shield(async.sleep, 9) end)
        async.sleep(9)
      end)
    end)
    local function line(number)
      return " at spec/inspect_async_spec.lua:" .. here_is + number
    end
    loop:step(1.5)
    assert_shows({
      "task 1 suspended in async.sleep" .. line(4)
        .. ", 1.5 s old, spawned" .. line(1),
      "  scope live, 1.5 s old, deadline in 3.5 s, opened" .. line(2),
      "    task 2 suspended in async.shield" .. line(3)
        .. ", 1.5 s old, spawned" .. line(3),
      "      shield live, 1.5 s old, opened" .. line(3),
    }, task)
    loop:step(4.5)
    local text = desist.inspect(task)
    assert.is_truthy(text:find("\n  scope cancelled by a deadline 1 s ago, 6 s",
      1, true), text)
    helper.finish(loop)
  end)

  it("traces what is loaded later", function()
    local output = helper.child [[
      local desist = require "desist"
      desist.trace(true)
      local loop = require "desist.async".loop()
      local task = loop:spawn(print)
      print((desist.inspect(task):gsub(" at .*:", " at :")))
    ]]
    assert.equal("task 1 not started, 0 s old, spawned at :4\n", output)
  end)

  it("takes no objects in disguise", function()
    local loop, scope = async.loop(), nil
    local task = loop:spawn(function()
      async.scope(function(self) scope = self end)
    end)
    loop:step(0)
    for _, object in ipairs { loop, task, scope } do
      local class = getmetatable(object)
      helper.argument_error(1, "inspect", "expected, got table", function()
        desist.inspect(setmetatable({}, class))
      end)
    end
  end)

  it("limits itself", function()
    local loop = async.loop()
    for _ = 1, 1100 do loop:spawn(print) end
    local text = desist.inspect(loop)
    assert.equal(1000, select(2, text:gsub("\n", "")))
    assert.is_truthy(text:find "\n%.%.%. and 101 more at least$")
    loop:close()
  end)
end)
