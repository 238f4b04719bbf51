--- Registering a callback: a download that stops when its token says so.
--
-- A server on the loopback interface sends a large body slowly. A client
-- downloads it into a file. The client can abort, but it has never heard of
-- tokens; registering its method is what connects the two:
--
--     token:register(client.abort, client)
--
-- Neighbour of "How to: Register Callbacks for Cancellation Requests" in the
-- .NET documentation, where the object is a WebClient and the method
-- CancelAsync.
--
-- Run:  lua5.4 examples/register_callback.lua              and press c
--       lua5.4 examples/register_callback.lua --no-cancel  to let it complete

local USAGE = [[
usage: lua5.4 examples/register_callback.lua [options]

  --after SECONDS    cancel then; default: at the key c, or after 1 second
                     where there is no terminal to press it on
  --no-cancel        do not cancel: complete, and verify size and checksum
  --seconds SECONDS  how long the whole body takes (3; with --no-cancel 1)
  --size MIB         how long the body is (8)
  --out FILE         where the download goes, and stays once it is complete;
                     default: a temporary file
  --without-luv      no sockets: a stand-in for the server and the client
  --help             this text
]]

local here = arg[0]:match("^(.*[/\\])") or "./"
package.path = here .. "?.lua;" .. package.path

local desist = require "desist"
local checksum = require "support.checksum"
local Options = require "support.options"
local Progress = require "support.progress"
local text = require "support.text"

--- The side that works. It is given a token: it can hear, but not cancel.
local function start_download(host, url, path, token, on_done)
  local client = host.Client.new()
  local progress = Progress.new(io.stdout, host.is_terminal(1))

  -- The heart. When the token is cancelled, client:abort(reason) is called.
  local registration = token:register(client.abort, client)

  client:download(url, path, function(received, size)
    progress:update(received, size)
  end, function(outcome)
    progress:finish()
    on_done(outcome)
  end)
  return registration
end

local function expect(condition, message)
  if not condition then
    error(message, 0)
  end
end

local function tell_cancelled(outcome, server, registration, token)
  local size = outcome.size or 0 -- 0: not even the head had come
  print(("Received %s of %s bytes (%d %%). The part is removed."):format(
    text.grouped(outcome.received), text.grouped(size),
    outcome.received * 100 // math.max(size, 1)))
  print(("The server noticed, and stopped after %s bytes."):format(
    text.grouped(server.sent)))

  expect(outcome.reason == token:reason(), "the callback got another reason")
  expect(not registration:is_active(), "the callback is still to run")
  print(('The callback ran: client:abort("%s").'):format(outcome.reason))

  -- Whoever comes late is not left waiting: the callback runs on the spot.
  local late_reason
  token:register(function(reason)
    late_reason = reason
  end)
  expect(late_reason == token:reason(), "a late registration did not run")
  print("A late registration ran at once, before register returned.")
end

local function tell_completed(outcome, path, registration)
  local file <close> = assert(io.open(path, "rb"))
  local content = file:read("a")
  expect(#content == outcome.size, "the file has another size than announced")
  expect(checksum.adler32(content) == outcome.adler32,
    "the file has another checksum than announced")
  print(("Received all %s bytes; size and checksum (%s) are right."):format(
    text.grouped(#content), outcome.adler32))

  expect(registration:unregister(), "the callback ran, though nobody cancelled")
  print("The callback was not needed. It is unregistered and will never run.")
end

--- Removes these files when it goes out of scope, by an error too.
local function leftovers(...)
  return setmetatable({ ... }, { __close = function(paths)
    for _, path in ipairs(paths) do
      os.remove(path)
    end
  end })
end

local function demonstrate(options, host)
  local loop <close> = host.loop
  local path = options.out or os.tmpname()
  local _ <close> = leftovers(path .. ".part", not options.out and path or nil)
  local body = checksum.body(math.floor((options.size or 8) * 2 ^ 20))
  local server = host.Server.start(body,
    options.seconds or (options.no_cancel and 1 or 3))
  print(("Serving %s slowly at %s"):format(text.mebibytes(#body), server.url))
  print("Downloading to " .. path)

  -- The side that decides. It owns the source: it can cancel.
  local source <close> = desist.source({ name = "download" })
  local token = source:token()
  local outcome

  local function cancel(why)
    if source:cancel(why) then
      -- The callbacks have run: the download is over already.
      print(("Cancelled: %s. The download is %s."):format(why, outcome.status))
    end
  end

  local input <close> = host.Input.open(cancel, not options.no_cancel)
  local after = options.after or (not input.has_keys and 1)
  local timer
  if options.no_cancel then
    print("Nobody is going to cancel.")
  else
    if input.has_keys then
      print("Press c to cancel.")
    end
    if after then
      print("Cancelling after " .. text.seconds(after) .. ".")
      timer = loop.after(after, function()
        cancel(text.seconds(after) .. " went by")
      end)
    end
  end

  local registration = start_download(host, server.url, path, token,
    function(result)
      outcome = result
      server:close()
      input:close()
      if timer then
        timer.stop()
      end
    end)
  loop.run()

  expect(outcome, "the download never ended")
  expect(outcome.status ~= "failed",
    "the download failed: " .. tostring(outcome.reason))
  if outcome.status == "aborted" then
    tell_cancelled(outcome, server, registration, token)
    expect(not options.no_cancel, "the download was meant to complete")
  else
    tell_completed(outcome, path, registration)
    expect(options.no_cancel or not after,
      "the download was complete before it could be cancelled")
  end
end

local function choose_host(options)
  if options.without_luv then
    print("Running without luv, as asked: a stand-in, without sockets.")
  elseif not pcall(require, "luv") then
    print("luv is not installed here: this is a stand-in, without sockets.")
  else
    return require "support.luv.host"
  end
  return require "support.standin.host"
end

local function main()
  local options = Options.read(arg, {
    after = "number",
    ["no-cancel"] = "flag",
    seconds = "number",
    size = "number",
    out = "text",
    ["without-luv"] = "flag",
    help = "flag",
  })
  if options.help then
    io.write(USAGE)
  else
    demonstrate(options, choose_host(options))
  end
end

io.stdout:setvbuf("line") -- whoever reads along sees each line in time
local ok, message = pcall(main)
if not ok then
  io.stderr:write("register_callback: ", tostring(message), "\n")
end
os.exit(ok, true)
