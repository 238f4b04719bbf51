rockspec_format = "3.0"
package = "desist"
version = "scm-1"
source = {
  url = "git+file:///desist",
}
description = {
  summary = "Cooperative cancellation: sources, tokens, deadlines",
  detailed = [[
    One side owns a source and may cancel; the other side holds a token and
    may only observe: by polling, by registering a callback, or by waiting.
    A thread-safe core in C and a Lua module on top of it.
  ]],
  license = "MIT",
  labels = { "cancellation", "async", "threads" },
}
dependencies = {
  "lua >= 5.1, < 5.5",
}
build = {
  type = "builtin",
  modules = {
    desist = "lua/desist.lua",
    ["desist.async"] = "lua/desist/async.lua",
    ["desist.async.arguments"] = "lua/desist/async/arguments.lua",
    ["desist.async.block"] = "lua/desist/async/block.lua",
    ["desist.async.door"] = "lua/desist/async/door.lua",
    ["desist.async.gather"] = "lua/desist/async/gather.lua",
    ["desist.async.loop"] = "lua/desist/async/loop.lua",
    ["desist.async.outcome"] = "lua/desist/async/outcome.lua",
    ["desist.async.run"] = "lua/desist/async/run.lua",
    ["desist.async.running"] = "lua/desist/async/running.lua",
    ["desist.async.scope"] = "lua/desist/async/scope.lua",
    ["desist.async.stepped"] = "lua/desist/async/stepped.lua",
    ["desist.async.task"] = "lua/desist/async/task.lua",
    ["desist.async.wait"] = "lua/desist/async/wait.lua",
    ["desist.async.work"] = "lua/desist/async/work.lua",
    ["desist.hooks"] = "lua/desist/hooks.lua",
    ["desist.inspect"] = "lua/desist/inspect.lua",
    ["desist.inspect.blocks"] = "lua/desist/inspect/blocks.lua",
    ["desist.inspect.late"] = "lua/desist/inspect/late.lua",
    ["desist.inspect.source"] = "lua/desist/inspect/source.lua",
    ["desist.inspect.tasks"] = "lua/desist/inspect/tasks.lua",
    ["desist.inspect.text"] = "lua/desist/inspect/text.lua",
    ["desist.inspect.trace"] = "lua/desist/inspect/trace.lua",
    ["desist.loop.luv"] = "lua/desist/loop/luv.lua",
    ["desist.loop.luv.errors"] = "lua/desist/loop/luv/errors.lua",
    ["desist.loop.luv.handle"] = "lua/desist/loop/luv/handle.lua",
    ["desist.loop.luv.process"] = "lua/desist/loop/luv/process.lua",
    ["desist.loop.luv.request"] = "lua/desist/loop/luv/request.lua",
    ["desist.loop.luv.stream"] = "lua/desist/loop/luv/stream.lua",
    ["desist.loop.luv.turns"] = "lua/desist/loop/luv/turns.lua",
    ["desist.loop.prosody"] = "lua/desist/loop/prosody.lua",
    ["desist.sync"] = "lua/desist/sync.lua",
    ["desist.sync.event"] = "lua/desist/sync/event.lua",
    ["desist.sync.holding"] = "lua/desist/sync/holding.lua",
    ["desist.sync.mutex"] = "lua/desist/sync/mutex.lua",
    ["desist.sync.queue"] = "lua/desist/sync/queue.lua",
    ["desist.sync.semaphore"] = "lua/desist/sync/semaphore.lua",
    ["desist.sync.waiters"] = "lua/desist/sync/waiters.lua",
    ["desist.core"] = {
      sources = {
        "src/cancel.c",
        "src/clock.c",
        "src/deadline.c",
        "src/fork_lock.c",
        "src/handle.c",
        "src/inbox.c",
        "src/inspect.c",
        "src/link.c",
        "src/list.c",
        "src/memory.c",
        "src/platform_clock.c",
        "src/platform_event.c",
        "src/platform_signal.c",
        "src/platform_threads.c",
        "src/reason.c",
        "src/registration.c",
        "src/running.c",
        "src/service.c",
        "src/signal.c",
        "src/source.c",
        "src/wait.c",
        "src/wheel.c",
        "src/lua_async.c",
        "src/lua_call.c",
        "src/lua_clock.c",
        "src/lua_error.c",
        "src/lua_handle.c",
        "src/lua_host.c",
        "src/lua_inspect.c",
        "src/lua_leave.c",
        "src/lua_make.c",
        "src/lua_module.c",
        "src/lua_origin.c",
        "src/lua_pins.c",
        "src/lua_reason.c",
        "src/lua_registration.c",
        "src/lua_report.c",
        "src/lua_source.c",
        "src/lua_time.c",
        "src/lua_timers.c",
        "src/lua_token.c",
      },
      incdirs = { "src" },
    },
  },
  platforms = {
    unix = {
      modules = {
        ["desist.core"] = {
          libraries = { "pthread" },
        },
      },
    },
  },
}
test = {
  type = "command",
  command = "lua5.4 /usr/bin/busted",
}
