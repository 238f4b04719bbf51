--- Linked tokens: work that can be stopped from inside and from outside.
--
-- A service gives up by itself when an answer takes too long (its internal
-- token) and when its caller does not want the answer any more (the external
-- token). The work should not have to look at two tokens, so it is given the
-- token of a link: cancelled as soon as one of the inputs is. Afterwards the
-- error tells where it began: `err.origin`.
--
-- Neighbour of "How to: Listen for Multiple Cancellation Requests" in the .NET
-- documentation, where a worker with a timer of its own links it with the
-- token it was given.
--
-- Run:  lua5.4 examples/linked.lua

local desist = require "desist"

local STEP = 0.05 -- seconds of work between two looks at the token

--- The work: knows one token and nothing of where it comes from.
local function fetch_pages(pages, token, on_page)
  for page = 1, pages do
    token:wait(STEP) -- stands for the work; ends early when cancelled
    token:throw_if_cancelled()
    on_page(page)
  end
  return pages
end

--- The service: `external` is the caller's token, or nil, which the link
-- skips. Gives the number of pages, or nil and a message.
local function fetch(pages, timeout, external, on_page)
  local internal <close> = desist.after(timeout)
  local linked <close> = desist.linked(external, internal:token())

  local ok, result = pcall(fetch_pages, pages, linked:token(), on_page)
  if ok then
    return result
  elseif not desist.is_cancelled(result, linked:token()) then
    error(result, 0) -- a mistake in the work; not ours to explain
  elseif result.origin == internal:token() then
    return nil, ("the service gave up (%s)"):format(result.reason)
  elseif result.origin == external then
    return nil, ("the caller stopped it (%s)"):format(result.reason)
  end
  return nil, ("somebody further out stopped it (%s)"):format(result.reason)
end

local function tell(title, pages, message)
  print(("%-36s %s"):format(title,
    pages and ("complete: %d pages"):format(pages) or message))
  return message
end

local function ignore() end

-- 1. Fast enough, and nobody minds.
do
  local caller <close> = desist.source({ name = "caller" })
  local message = tell("3 pages, at most 5 seconds:",
    fetch(3, 5, caller:token(), ignore))
  assert(not message, message)
end

-- 2. No external token at all: the link is the timeout alone.
do
  local message = tell("1000 pages, at most 0.2 seconds:",
    fetch(1000, 0.2, nil, ignore))
  assert(message and message:find("gave up"), message)
end

-- 3. The same with a caller, who is not cancelled by what happens inside: a
-- link passes cancellation on in one direction.
do
  local caller <close> = desist.source({ name = "caller" })
  local message = tell("the same for a patient caller:",
    fetch(1000, 0.2, caller:token(), ignore))
  assert(message and message:find("gave up"), message)
  assert(not caller:is_cancelled(), "the caller must stay as it was")
end

-- 4. A caller who has seen enough after the second page.
do
  local caller <close> = desist.source({ name = "caller" })
  local message = tell("the same for an impatient one:",
    fetch(1000, 5, caller:token(), function(page)
      if page == 2 then
        caller:cancel("two pages are enough")
      end
    end))
  assert(message and message:find("caller stopped it"), message)
end

-- 5. Links of links: the caller itself works for somebody, and the origin is
-- the token where it began, however far away.
do
  local session <close> = desist.source({ name = "session" })
  local caller <close> = desist.linked(session:token())
  local message = tell("the same as the user logs out:",
    fetch(1000, 5, caller:token(), function()
      session:cancel("logged out")
    end))
  assert(message and message:find("further out"), message)
end
