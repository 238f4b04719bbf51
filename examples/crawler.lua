--- A crawler: so many workers, so many seconds, and an account of both.
--
-- It follows the links of a small site on the loopback interface, some of whose
-- pages are slow, broken, or both. A queue holds the addresses that nobody has
-- visited; whoever of the workers is free takes the next. The deadline is that
-- of the scope around them all: no request knows of it, and still each ends
-- when it is over, with its connection closed.
--
-- Neighbour of "Queue example - a concurrent web spider" in the documentation
-- of Tornado, where the deadline ends the waiting for the queue and then the
-- workers have to be told.
--
-- Run:  lua5.4 examples/crawler.lua     (needs luv, for the sockets)

local USAGE = [[
usage: lua5.4 examples/crawler.lua [options]

  --deadline SECONDS  for everything (1)
  --workers N         how many pages are asked for at the same time (3)
  --help              this text

Ctrl-C ends it like the deadline.
]]

local here = arg[0]:match("^(.*[/\\])") or "./"
package.path = here .. "?.lua;" .. package.path

if not pcall(require, "luv") then
  io.stderr:write("crawler: plain Lua has no sockets; ",
    "this example needs luv.\n")
  os.exit(1)
end
local async = require "desist.async"
local desist = require "desist"
local luv = require "desist.loop.luv"
local sync = require "desist.sync"
local get = require "support.luv.get"
local Options = require "support.options"
local Site = require "support.luv.site"
local text = require "support.text"

--- The pages: where they link to, and how many seconds they take. A page that
-- `hangs_up` does not answer at all.
local PAGES = {
  ["/"] = { links = { "/tea", "/coffee", "/contact", "/archive" } },
  ["/tea"] = { links = { "/", "/tea/green", "/tea/black", "/tea/blue" } },
  ["/tea/green"] = { links = { "/tea", "/contact" }, seconds = 0.2 },
  ["/tea/black"] = { links = { "/tea" }, seconds = 0.3 },
  ["/coffee"] = { links = { "/", "/coffee/beans", "/coffee/machine" } },
  ["/coffee/beans"] = { links = { "/coffee" }, seconds = 0.1 },
  ["/coffee/machine"] = { links = {}, seconds = 0.1, hangs_up = true },
  ["/contact"] = { links = { "/" } },
  ["/archive"] = { links = { "/archive/2024", "/archive/2023" } },
  ["/archive/2024"] = { links = { "/archive/2024/all" }, seconds = 0.4 },
  ["/archive/2024/all"] = { links = {}, seconds = 2 },
  ["/archive/2023"] = { links = { "/archive/2022", "/archive/2021",
    "/archive/2020" }, seconds = 0.2 },
  ["/archive/2022"] = { links = {}, seconds = 2 },
  ["/archive/2021"] = { links = { "/archive/2020" }, seconds = 2 },
  ["/archive/2020"] = { links = { "/" }, seconds = 2 },
}

-- --- The site ---------------------------------------------------------------

local function answer(target)
  local page = PAGES[target]
  if not page then
    return "404 Not Found", "<p>There is no such page.</p>"
  end
  async.sleep(page.seconds or 0.01)
  if page.hangs_up then
    return nil
  end
  local lines = { ("<h1>%s</h1>"):format(target) }
  for _, link in ipairs(page.links) do
    lines[#lines + 1] = ('<a href="%s">%s</a>'):format(link, link)
  end
  return "200 OK", table.concat(lines, "\n")
end

-- --- The crawler ------------------------------------------------------------

local Crawl = {}
Crawl.__index = Crawl

--- What it has come to know stands in `pages`, in the order of discovery:
-- { target, state, note }, with the states "waiting", "asked" and then for
-- ever "fetched" or "failed".
function Crawl.new(site)
  return setmetatable({
    pages = {},
    busy = 0, -- requests under way
    peak = 0, -- as many at most
    _site = site,
    _known = {},
    _unfinished = 0, -- pages that are waiting or asked for
    _queue = sync.queue(),
  }, Crawl)
end

function Crawl:_discover(target)
  if self._known[target] then
    return
  end
  self._known[target] = true
  local page = { target = target, state = "waiting" }
  table.insert(self.pages, page)
  self._unfinished = self._unfinished + 1
  -- Without a limit: workers, who empty the queue, must not wait to fill it.
  self._queue:put(page)
end

--- Asks for the page, and reads what it links to.
function Crawl:_visit(page)
  page.state = "asked"
  local response, message = get(self._site:url(page.target))
  if not response or response.status ~= 200 then
    page.state = "failed"
    page.note = message or ("%d %s"):format(response.status, response.text)
    return
  end
  page.state = "fetched"
  page.note = #response.body .. " bytes"
  for target in response.body:gmatch('href="([^"]*)"') do
    self:_discover(target)
  end
end

function Crawl:_work()
  for page in self._queue.get, self._queue do
    self.busy = self.busy + 1
    self.peak = math.max(self.peak, self.busy)
    self:_visit(page)
    self.busy = self.busy - 1

    self._unfinished = self._unfinished - 1
    if self._unfinished == 0 then
      self._queue:close() -- nobody is left who could discover a page
    end
  end
end

--- True when every page has been visited; or nil and the error of what ended
-- it before: the deadline, or the token.
function Crawl:run(workers, deadline, token)
  return async.scope({ timeout = deadline, token = token, name = "crawl" },
    function(scope)
      self:_discover("/")
      for _ = 1, workers do
        scope:spawn(self._work, self)
      end
      return true
    end)
end

-- --- The account ------------------------------------------------------------

local function tell_pages(pages, state, title)
  local lines = {}
  for _, page in ipairs(pages) do
    if page.state == state then
      lines[#lines + 1] = ("  %-20s %s"):format(page.target, page.note or "")
    end
  end
  print(("%s: %d"):format(title, #lines))
  for _, line in ipairs(lines) do
    print((line:gsub("%s+$", "")))
  end
end

local function tell(crawl, complete, err, seconds)
  tell_pages(crawl.pages, "fetched", "Fetched")
  tell_pages(crawl.pages, "failed", "Failed")
  if not complete then
    tell_pages(crawl.pages, "asked", "Cut off while they were asked for")
    tell_pages(crawl.pages, "waiting", "Known, but not asked for any more")
  end
  print(("%s after %.1f seconds, with at most %d requests at a time."):format(
    complete and "Complete" or "Ended by " .. err.reason, seconds, crawl.peak))
end

local function demonstrate(options)
  local interrupt <close> = desist.signal("INT", "TERM")
  local workers = math.max(1, math.floor(options.workers or 3))
  local deadline = options.deadline or 1

  luv.run(async.scope, function(scope)
    -- The site is outside of the scope of the crawl, and so of its deadline.
    local site = Site.open(scope, answer)
    print(("Crawling %s with %d workers, for at most %s."):format(
      site:url("/"), workers, text.seconds(deadline)))
    local crawl = Crawl.new(site)
    local started = desist.now()
    local complete, err = crawl:run(workers, deadline, interrupt:token())
    tell(crawl, complete, err, desist.now() - started)
    assert(crawl.peak <= workers, "more requests than workers")
  end)
end

local function main()
  local options = Options.read(arg, {
    deadline = "number",
    workers = "number",
    help = "flag",
  })
  if options.help then
    io.write(USAGE)
  else
    demonstrate(options)
  end
end

io.stdout:setvbuf("line") -- whoever reads along sees each line in time
local ok, message = pcall(main)
if not ok then
  io.stderr:write("crawler: ", tostring(message), "\n")
end
os.exit(ok, true)
