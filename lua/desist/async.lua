--- Tasks: structured cancellation for coroutines.
--
-- docs/tasks.md is the model, docs/lua-api.md has the functions one by one.

local gather = require "desist.async.gather"
local run = require "desist.async.run"
local scope = require "desist.async.scope"
local stepped = require "desist.async.stepped"
local wait = require "desist.async.wait"

return {
  -- loops
  run = run.run,
  loop = stepped.loop,

  -- blocks and tasks
  scope = scope.scope,
  spawn = scope.spawn,
  timeout = scope.timeout,
  move_on_after = scope.move_on_after,
  shield = scope.shield,
  token = scope.token,

  -- checkpoints
  sleep = wait.sleep,
  checkpoint = wait.checkpoint,
  next_step = wait.next_step,
  wait_until = wait.wait_until,
  await = wait.await,

  -- several at once
  all = gather.all,
  race = gather.race,
  any = gather.any,

  -- errors
  pcall = wait.pcall,
  xpcall = wait.xpcall,
}
