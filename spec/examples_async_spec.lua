--- Runs the examples of tasks as a user would. helper_examples.lua says how.

local examples = require "spec.helper_examples"

local assert_tells = examples.assert_tells
local example, run, run_example = examples.command, examples.run,
  examples.run_alone
local run_on_terminal, wait_for = examples.run_on_terminal, examples.wait_for

local function needs(condition, what)
  if not condition then
    pending(what)
  end
  return condition
end

local function it_with_luv(title, test)
  it(title, function()
    if needs(examples.has_luv, "luv is not installed") then
      test()
    end
  end)
end

--- Runs an example to which signals are sent: `prompts` are texts in what it
-- says; at each of them it gets a SIGINT of its own.
local function run_and_interrupt(name, options, prompts)
  local log = examples.temporary_file("")
  local steps = {}
  for i, prompt in ipairs(prompts) do
    steps[i] = wait_for(prompt, log) .. "; kill -INT $!; "
  end
  return run(("%s >%s 2>&1 </dev/null & %s wait $!; status=$?; cat %s; %s")
    :format(example(name, options), log, table.concat(steps), log,
      "exit $status"))
end

--- The names of the files in a folder, and the end of the folder.
local function take_away(folder)
  local names = {}
  for name in io.popen(("ls -A '%s'"):format(folder)):lines() do
    names[#names + 1] = name
  end
  os.execute(("rm -rf '%s'"):format(folder))
  return names
end

local function temporary_folder()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute(("mkdir '%s'"):format(path)))
  return path
end

--- How often the text is in the output.
local function count(output, text)
  local _, times = output:gsub(text, "")
  return times
end

--- The lines below a title in what the crawler tells.
local function listed(output, title)
  local lines, announced = {}, nil
  for line in output:gmatch("[^\n]+") do
    if line:find(title .. ": ", 1, true) == 1 then
      announced = tonumber(line:match("%d+$"))
    elseif announced and line:find("^  ") then
      lines[line:match("%S+")] = line
      announced = announced - 1
    elseif announced then
      break
    end
  end
  assert.equal(0, announced, title .. " in:\n" .. output)
  return lines
end

describe("the examples of tasks", function()
  if not examples.run_here then
    pending("are written for Lua 5.4")
    return
  end

  after_each(examples.remove_temporary_files)

  for _, name in ipairs({ "crawler", "graceful_shutdown", "retries" }) do
    local function it_if_it_runs(title, test)
      return (name == "graceful_shutdown" and it or it_with_luv)(title, test)
    end

    it_if_it_runs(name .. " explains its options", function()
      local status, output = run_example(name, "--help")
      assert.equal(0, status, output)
      assert_tells(output, "usage:", name .. ".lua [options]", "--help")
    end)

    it_if_it_runs(name .. " refuses options that it does not know", function()
      local status, output = run_example(name, "--aftr 1")
      assert.equal(1, status)
      assert_tells(output, name .. ": unknown option --aftr")
    end)
  end

  for _, name in ipairs({ "crawler", "retries" }) do
    it(name .. " says so where luv is missing", function()
      local status, output = run(examples.WITHOUT_LUV
        .. example(name):gsub("^%S+", ""))
      assert.equal(1, status)
      assert_tells(output, name .. ": plain Lua has no sockets",
        "this example needs luv")
    end)
  end

  describe("crawler", function()
    it_with_luv("fetches all there is when it has the time", function()
      local status, output = run_example("crawler", "--deadline 20")
      assert.equal(0, status, output)
      assert.truthy(listed(output, "Fetched")["/archive/2024/all"])
      assert_tells(output, "/tea/blue            404 Not Found",
        "/coffee/machine      the server hung up",
        "Complete after ", "with at most 3 requests at a time.")
      assert.is_nil(output:find("Cut off", 1, true))
    end)

    it_with_luv("tells what the deadline has cut off", function()
      local status, output = run_example("crawler", "--deadline 1")
      assert.equal(0, status, output)
      assert.truthy(listed(output, "Fetched")["/"])
      local cut = listed(output, "Cut off while they were asked for")
      assert.truthy(next(cut), output)
      for target in pairs(cut) do
        assert.truthy(target:find("^/archive/"), output)
      end
      listed(output, "Known, but not asked for any more")
      assert_tells(output, "Ended by deadline exceeded after ")
    end)

    it_with_luv("never asks for more pages than it has workers", function()
      local status, output = run_example("crawler", "--workers 1")
      assert.equal(0, status, output)
      assert_tells(output, "with 1 workers", "Ended by deadline exceeded",
        "with at most 1 requests at a time.")
    end)

    it_with_luv("ends at Ctrl-C like at its deadline", function()
      local status, output = run_and_interrupt("crawler", "--deadline 50",
        { "Crawling" })
      assert.equal(0, status, output)
      assert_tells(output, "Cut off while they were asked for: ",
        "Ended by SIGINT")
    end)
  end)

  describe("retries", function()
    it_with_luv("tries again what may pass, and nothing else", function()
      local status, output = run_example("retries")
      assert.equal(0, status, output)
      assert_tells(output,
        "asked until it answers",
        "try 1: the server hung up; again in ",
        "try 2: 503 Service Unavailable; again in ",
        "try 3: timeout of 0.2 s in scope '/flaky'; again in ",
        "try 4: the answer", "answered after",
        "will not pass",
        "try 1: 503 Service Unavailable; again in ",
        "failed after", ": 404 Not Found",
        "asked until the deadline",
        "timeout of 0.2 s in scope '/ill'; again in ",
        "too late after ", ": deadline exceeded",
        "does not want the answer",
        "unwanted after ", ": the user has left",
        "The server was asked ")
    end)

    it_with_luv("gives up at its deadline in the middle of a try", function()
      local status, output = run_example("retries",
        "--timeout 50 --deadline 0.5")
      assert.equal(0, status, output)
      assert_tells(output, "try 2: 503 Service Unavailable; again in ",
        "too late after ", ": deadline exceeded")
      assert.is_nil(output:find("timeout of", 1, true), output)
    end)

    it_with_luv("stops trying at Ctrl-C", function()
      local status, output = run_and_interrupt("retries", "--deadline 50",
        { "scope ./ill." })
      assert.equal(0, status, output)
      assert_tells(output, "until the deadline:", "timeout of 0.2 s",
        "unwanted after ", ": SIGINT\nThe server was asked ")
    end)
  end)

  describe("graceful_shutdown", function()
    --- Runs it with signals; gives what it said, and the files it left.
    local function shut_down(options, prompts)
      local folder = temporary_folder()
      local status, output = run_and_interrupt("graceful_shutdown",
        ("--press 0 --out '%s' %s"):format(folder, options), prompts)
      local names = take_away(folder)
      assert.equal(0, status, output)
      assert.equal(3, count(output, "has put the tools away"), output)
      return output, names
    end

    local function assert_complete(names)
      for _, name in ipairs(names) do
        assert.truthy(name:find("^order%-%d+%.txt$"), name)
      end
    end

    it("finishes what was begun after the first Ctrl-C", function()
      local output, names = shut_down("--grace 50", { "order 2 is filled" })
      assert_tells(output, "SIGINT: no new orders; 50 seconds",
        "is filled", "Every order that was begun has been finished.")
      assert_complete(names)
      local begun, filled = output:match("(%d+) orders begun, (%d+) filled")
      assert.equal(begun, filled)
      assert.equal(#names, tonumber(filled))
    end)

    it("stops at once at the second Ctrl-C", function()
      local output, names = shut_down("--grace 50 --work 40",
        { "begins order 3", "SIGINT: no new" })
      assert_tells(output, "SIGINT: no new orders; 50 seconds",
        "is given up, its part removed", "has put the tools away",
        "SIGINT again: stopped at once.", "3 orders begun, 0 filled.")
      assert.same({}, names)
    end)

    it("stops when the time after the first one is over", function()
      local output, names = shut_down("--grace 0.1 --work 40",
        { "begins order 3" })
      assert_tells(output, "SIGINT: no new orders; 0.1 seconds",
        "is given up, its part removed", "has put the tools away",
        "The time was over: what was left has been stopped.")
      assert.same({}, names)
    end)

    it("presses Ctrl-C itself where there is no terminal", function()
      local status, output = run_example("graceful_shutdown", "--work 0.2")
      assert.equal(0, status, output)
      assert_tells(output, "Ctrl-C comes by itself.", "order 1 is filled",
        "SIGINT: no new orders; 2 seconds",
        "Every order that was begun has been finished.")
    end)

    it("takes its signals from the keys of a terminal", function()
      if needs(examples.has_script, "script (util-linux) is not installed") then
        local output, status = run_on_terminal(
          { "begins order 3", "\\003", "no new orders", "\\003" },
          example("graceful_shutdown", "--work 40 --grace 50"))
        assert.equal(0, status, output)
        assert_tells(output, "Press Ctrl-C to stop.", "SIGINT: no new orders",
          "SIGINT again: stopped at once.")
        assert.equal(3, count(output, "has put the tools away"), output)
      end
    end)
  end)

  describe("scene", function()
    it("plays to its end, and leaves nothing behind", function()
      local status, output = run_example("scene")
      assert.equal(0, status, output)
      assert_tells(output, "=== the courtyard", "(pause at frame 240)",
        "(the game goes on at frame 300)", "guard: Well?", "guard: Pass.",
        "(an arrow, in slow motion)", "bat is gone: hit by the arrow",
        "(time runs as before)", "the courtyard: the gate is reached",
        "(the music stops)", "(the film is skipped)", "=== the tower",
        "(the player quits)", "(the music stops)",
        "The story was cancelled",
        "Left behind: 0 entities, music off, speed 1, next_time nil.")
    end)

    it("stands still in a pause", function()
      local _, output = run_example("scene")
      local before, after = output:match(
        "([^\n]+)%(pause at frame.-\n([^\n]+)%(the game goes on")
      assert.equal(before, after)
    end)

    it("runs the same way every time", function()
      local _, first = run_example("scene")
      local _, second = run_example("scene")
      assert.equal(first, second)
    end)
  end)
end)
