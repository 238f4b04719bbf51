-- Tasks in a module of Prosody, which runs for these tests and is asked over
-- HTTP.

local async = require "desist.async"
local desist = require "desist"
local helper = require "spec.helper"
local helper_luv = require "spec.helper_luv"
local luv = require "desist.loop.luv"
local uv = require "luv"

-- The module under test. Its routes count what becomes of their tasks.
local MODULE = [[
module:depends "http"

local async = require "desist.async"
local desist = require "desist"
local prosody_loop = require "desist.loop.prosody"
local promise = require "util.promise"
local errors = require "util.error"
local timer = require "util.timer"

local loop = prosody_loop.loop { name = module.name }
local counts = { waiting = 0, cancelled = 0, ["after"] = 0 }
local on_error = "none"
desist.on_error(function(err) on_error = tostring(err) end)

local function wait_for_ever()
  async.sleep(math.huge)
end

local routes = {}

function routes.hello(event)
  return "hello " .. (event.request.url.query or "you")
end

function routes.sleep(event)
  async.sleep(tonumber(event.request.url.query))
  return "slept"
end

function routes.children(event)
  local response = { body = "" }
  for i = 3, 1, -1 do
    async.spawn(function()
      async.sleep(i / 10)
      response.body = response.body .. i
    end)
  end
  return response
end

function routes.wait()
  counts.waiting = counts.waiting + 1
  local ok, err = pcall(wait_for_ever)
  counts.waiting = counts.waiting - 1
  counts.cancelled = counts.cancelled + 1
  counts.reason = err.reason
  error(err, 0)
end

function routes.outside()
  local source = desist.after(0.05)
  local _, err = async.scope({ token = source:token() }, wait_for_ever)
  return err.reason
end

function routes.timeout()
  async.timeout(0.02, wait_for_ever)
end

function routes.failure()
  error "secret"
end

function routes.code()
  return 418
end

function routes.error()
  error(errors.new { code = 409, text = "there is one already" })
end

function routes.nothing() end

local function promised(seconds, fails)
  return promise.new(function(resolve, reject)
    timer.add_task(seconds, function()
      if fails then reject "broken" else resolve "kept" end
    end)
  end)
end

function routes.promise()
  local first = prosody_loop.await(promised(0.01))
  local _, second = pcall(prosody_loop.await, promised(0.01, true))
  local _, third = async.move_on_after(0.001, prosody_loop.await,
    promised(0.2))
  async.sleep(0.3)
  return first .. " " .. second .. " " .. third.kind
end

function routes.many()
  local done = 0
  async.scope(function(scope)
    for i = 1, 1000 do
      scope:spawn(function()
        async.sleep(i / 1e5)
        done = done + 1
      end)
    end
  end)
  return tostring(done)
end

function routes.close()
  timer.add_task(0.01, function() loop:close() end)
  wait_for_ever()
end

local route = {}
for name, fn in pairs(routes) do
  route["GET /" .. name] = prosody_loop.handler(loop, fn)
end
route["GET /path/*"] = prosody_loop.handler(loop, function(_, path)
  async.sleep(0)
  return path
end)
route["GET /counts"] = function()
  return ("waiting %d cancelled %d reason %s idle %s on_error %s"):format(
    counts.waiting, counts.cancelled, tostring(counts.reason),
    tostring(loop:is_idle()), on_error)
end
module:provides("http", { route = route, default_path = "/" })
]]

-- The example of docs/loops.md.
local function example()
  local file = assert(io.open "docs/loops.md")
  local text = file:read "a"
  file:close()
  return assert(text:match "\n```lua module\n(.-)\n```\n")
end

local CONFIG = [[
run_as_root = true
network_backend = %q
plugin_paths = { %q }
data_path = %q
modules_enabled = { "http", "desist", "example" }
modules_disabled = { "c2s", "s2s", "offline", "tls", "saslauth", "posix" }
interfaces = { "127.0.0.1" }
http_interfaces = { "127.0.0.1" }
http_ports = { %d }
https_ports = { }
http_default_host = "localhost"
log = { info = %q }
VirtualHost "localhost"
]]

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

-- In a task: a connection that has sent its request.
local function ask(port, path)
  local stream, message = luv.connect(uv.new_tcp(), "127.0.0.1", port)
  if not stream then return nil, message end
  assert(luv.write(stream, "GET " .. path .. " HTTP/1.1\r\n"
    .. "Host: localhost\r\nConnection: close\r\n\r\n"))
  return stream
end

-- In a task: status and body of the answer.
local function get(port, path)
  local stream, message = ask(port, path)
  if not stream then return nil, message end
  local _ <close> = setmetatable({}, { __close = function()
    luv.close(stream)
  end })
  local text = ""
  for chunk in luv.read, stream do text = text .. chunk end
  return tonumber(text:match "^HTTP/1.1 (%d+)"), text:match "\r\n\r\n(.*)"
end

-- Files for a Prosody on a free port: their folder, the port.
local function prepare(backend)
  local socket, port = helper_luv.bound()
  socket:close()
  local folder = assert(uv.fs_mkdtemp "/tmp/desist_prosody_XXXXXX")
  write(folder .. "/mod_desist.lua", MODULE)
  write(folder .. "/mod_example.lua", example())
  write(folder .. "/prosody.cfg.lua", CONFIG:format(backend, folder, folder,
    port, folder .. "/log"))
  return folder, port
end

-- Ours, but for Lua's paths: Prosody goes to another folder.
local function environment()
  local list = {}
  for name, value in pairs(uv.os_environ()) do
    if not name:find "^LUA_" then list[#list + 1] = name .. "=" .. value end
  end
  for name, paths in pairs {
    LUA_PATH = package.path, LUA_CPATH = package.cpath,
  } do
    paths = (";" .. paths):gsub(";([^/;])", ";" .. uv.cwd() .. "/%1"):sub(2)
    list[#list + 1] = name .. "=" .. paths
  end
  return list
end

for _, backend in ipairs { "epoll", "select" } do
  describe("a module of Prosody, on " .. backend .. ",", function()
    local folder, port, server, exit_code

    setup(function()
      folder, port = prepare(backend)
      server = assert(uv.spawn("prosody", {
        args = { "-F", "--config", folder .. "/prosody.cfg.lua" },
        env = environment(),
      }, function(code) exit_code = code end))
      luv.run(async.timeout, 60, function()
        local limit = desist.now() + 30
        while get(port, "/counts") ~= 200 do
          if exit_code or desist.now() > limit then
            error("Prosody does not serve: " .. read(folder .. "/log"))
          end
          async.sleep(0.02)
        end
      end)
      server:unref()
    end)

    teardown(function()
      server:ref()
      server:kill "sigterm"
      luv.run(async.timeout, 60, async.wait_until,
        function() return exit_code end)
      luv.close(server)
      uv.run "nowait"
      os.execute("rm -r " .. folder)
      assert.equal(0, exit_code)
    end)

    helper.leave_nothing(before_each, after_each)
    helper_luv.leave_nothing(before_each, after_each)

    local function client(name, fn)
      it(name, function() luv.run(async.timeout, 30, fn) end)
    end

    -- Asks until the module's counts match the pattern.
    local function counts_become(pattern)
      local limit = desist.now() + 10
      local counts
      repeat
        counts = select(2, get(port, "/counts"))
        if counts:find(pattern) then return counts end
        async.sleep(0.005)
      until desist.now() > limit
      error(("%q does not match %q"):format(counts, pattern))
    end

    client("answers requests from tasks", function()
      assert.same({ 200, "hello you" }, { get(port, "/hello") })
      assert.same({ 200, "hello me" }, { get(port, "/hello?me") })
      assert.same({ 200, "a/b" }, { get(port, "/path/a/b") })
      assert.equal(418, (get(port, "/code")))
      assert.equal(404, (get(port, "/nothing")))
    end)

    client("answers when the task has ended, and all it spawned", function()
      local start = desist.now()
      assert.same({ 200, "slept" }, { get(port, "/sleep?0.05") })
      assert.is_true(desist.now() - start >= 0.05)
      assert.same({ 200, "123" }, { get(port, "/children") })
      assert.same({ 200, "1000" }, { get(port, "/many") })
    end)

    client("answers others meanwhile", function()
      local start = desist.now()
      local list = {}
      for i = 1, 20 do
        list[i] = function() return (get(port, "/sleep?0.2")) end
      end
      local statuses = async.all(list)
      for i = 1, 20 do assert.equal(200, statuses[i]) end
      assert.is_true(desist.now() - start < 2)
    end)

    -- Prosody does not read what a client sends while it is being answered; of
    -- its backends epoll sees all the same that it has left.
    if backend == "epoll" then
      client("cancels the task of a client that leaves early", function()
        local stream = ask(port, "/wait")
        counts_become "waiting 1 cancelled 0 reason nil idle false"
        luv.close(stream)
        counts_become "waiting 0 cancelled 1 reason the client has left "
        counts_become "idle true"
      end)
    end

    client("is woken by what other threads queue", function()
      local start = desist.now()
      assert.same({ 200, "deadline exceeded" }, { get(port, "/outside") })
      assert.is_true(desist.now() - start < 5)
    end)

    client("tells the client 500 for a failure, and the log all", function()
      local status, body = get(port, "/failure")
      assert.equal(500, status)
      assert.is_nil(body:find "secret")
      assert.equal(500, (get(port, "/timeout")))
      local log = read(folder .. "/log")
      assert.is_truthy(log:find "error\t[^\n]*mod_desist.lua:%d+: secret")
      assert.is_truthy(log:find "timeout of 0.02 s in task")
      assert.is_truthy(log:find "stack traceback:\n[^\n]*mod_desist.lua")
      assert.equal(409, (get(port, "/error")))
      counts_become "on_error none$"
    end)

    client("is written as in docs/loops.md", function()
      local start = desist.now()
      assert.same({ 200, "lift-off\n" }, { get(port, "/example/start") })
      assert.is_true(desist.now() - start >= 1)
    end)

    client("awaits promises", function()
      assert.same({ 200, "kept broken deadline" }, { get(port, "/promise") })
    end)

    client("tells those who still wait 503 when its loop is closed", function()
      assert.equal(503, (get(port, "/close")))
      assert.equal(503, (get(port, "/hello")))
    end)
  end)
end
