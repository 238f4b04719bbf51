--- Retries: a time for each try, a deadline for all of them, a user who may go.
--
-- A request to a flaky server on the loopback interface is tried again when it
-- failed in a way that may pass, or took too long; the pauses in between double
-- each time. What ends a try and what ends the whole are told apart by what
-- they are: the timeout of a try is an error, which `async.pcall` returns; the
-- overall deadline and the user's cancellation pass through it, so the code
-- that tries again never gets to see them.
--
-- Neighbour of "Retry pattern" in Microsoft's cloud design patterns, whose code
-- has to ask of each exception whether it is transient.
--
-- Run:  lua5.4 examples/retries.lua     (needs luv, for the sockets)

local USAGE = [[
usage: lua5.4 examples/retries.lua [options]

  --timeout SECONDS   for each try (0.2)
  --deadline SECONDS  for all tries of a request together (2)
  --help              this text

Ctrl-C is a user who does not want the answer any more.
]]

local here = arg[0]:match("^(.*[/\\])") or "./"
package.path = here .. "?.lua;" .. package.path

if not pcall(require, "luv") then
  io.stderr:write("retries: plain Lua has no sockets; ",
    "this example needs luv.\n")
  os.exit(1)
end
local async = require "desist.async"
local desist = require "desist"
local luv = require "desist.loop.luv"
local get = require "support.luv.get"
local Options = require "support.options"
local Site = require "support.luv.site"

local FIRST_PAUSE = 0.05 -- seconds; each pause is twice as long
local LONGEST_PAUSE = 1
local PATIENCE = 0.6 -- seconds until the impatient user leaves

-- --- The server -------------------------------------------------------------

local function busy()
  return "503 Service Unavailable", ""
end

local function hang_up() end

local function hang()
  async.sleep(60)
end

local function well()
  return "200 OK", "the answer"
end

local function missing()
  return "404 Not Found", ""
end

--- What each page does at the first visit, the second and so on; the last of it
-- for ever.
local MOODS = {
  ["/flaky"] = { hang_up, busy, hang, well },
  ["/ill"] = { busy, hang_up, busy, hang },
  ["/missing"] = { busy, missing },
}

--- Answers that remember how often each page was visited.
local function moody()
  local visits = {}
  return function(target)
    local moods = MOODS[target]
    local visit = (visits[target] or 0) + 1
    visits[target] = visit
    return moods[math.min(visit, #moods)]()
  end
end

-- --- Trying again -----------------------------------------------------------

--- Half of the pause is for sure and half by chance, so that those who failed
-- together do not come back together.
local function pause_after(try)
  local pause = math.min(FIRST_PAUSE * 2 ^ (try - 1), LONGEST_PAUSE)
  return pause * (1 + math.random()) / 2
end

--- The result of `fn`, or nil and why this try came to nothing. All else, the
-- cancellation of what is around included, is raised.
local function try_once(timeout, fn, ...)
  local ok, result, message = async.pcall(async.timeout, timeout, fn, ...)
  if ok then
    return result, message
  elseif desist.is_timeout(result) then
    return nil, tostring(result)
  end
  error(result, 0)
end

--- Calls fn(...) until it gives a result. For a failure that may pass it gives
-- nil and a message; others it raises. Tries for ever: an end is set from
-- outside, by a deadline or a token.
local function retry(timeout, fn, ...)
  for try = 1, math.huge do
    local result, message = try_once(timeout, fn, ...)
    if result then
      print(("  try %d: %s"):format(try, result))
      return result
    end
    local pause = pause_after(try)
    print(("  try %d: %s; again in %.2f s"):format(try, message, pause))
    async.sleep(pause)
  end
end

--- The body. 5xx and connections that break may pass; the rest stays.
local function request(url)
  local response, message = get(url)
  if not response then
    return nil, message
  elseif response.status >= 500 then
    return nil, ("%d %s"):format(response.status, response.text)
  elseif response.status ~= 200 then
    error(("%d %s"):format(response.status, response.text), 0)
  end
  return response.body
end

-- --- Four stories -----------------------------------------------------------

--- A request with all that limits it; tells how it ended.
local function fetch(site, target, options, user)
  local started = desist.now()
  local limits = { timeout = options.deadline, token = user, name = target }
  local ok, body, err = async.pcall(async.scope, limits, function()
    return retry(options.timeout, request, site:url(target))
  end)
  local ending, why
  if not ok then
    ending, why = "failed", body
  elseif body then
    ending, why = "answered", body
  elseif err.kind == "deadline" then
    ending, why = "too late", err.reason
  else
    ending, why = "unwanted", err.reason
  end
  print(("  %s after %.1f s: %s"):format(ending, desist.now() - started, why))
end

local function tell_stories(site, options, interrupt)
  local function tell(title, target, user)
    if not interrupt:is_cancelled() then -- else the real user has gone
      print(title)
      fetch(site, target, options, user)
    end
  end

  tell("A flaky server is asked until it answers:", "/flaky", interrupt)
  tell("What will not pass is not tried again:", "/missing", interrupt)
  tell("One that stays ill is asked until the deadline:", "/ill", interrupt)

  -- The source of a user who loses patience, or is the one at the keyboard.
  local user <close> = desist.linked(interrupt)
  async.scope(function(scope)
    scope:background(function()
      async.sleep(PATIENCE)
      user:cancel("the user has left")
    end)
    tell("Or until the user does not want the answer any more:",
      "/ill", user:token())
  end)
end

local function demonstrate(options)
  local interrupt <close> = desist.signal("INT", "TERM")
  luv.run(async.scope, function(scope)
    local site = Site.open(scope, moody())
    tell_stories(site, options, interrupt:token())
    print(("The server was asked %d times."):format(site.served))
  end)
end

local function main()
  local options = Options.read(arg, {
    timeout = "number",
    deadline = "number",
    help = "flag",
  })
  options.timeout = options.timeout or 0.2
  options.deadline = options.deadline or 2
  if options.help then
    io.write(USAGE)
  else
    demonstrate(options)
  end
end

io.stdout:setvbuf("line") -- whoever reads along sees each line in time
local ok, message = pcall(main)
if not ok then
  io.stderr:write("retries: ", tostring(message), "\n")
end
os.exit(ok, true)
