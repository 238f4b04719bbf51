--- Runs every example as a user would: as a program of its own.
-- helper_examples.lua says how.

local examples = require "spec.helper_examples"

local assert_tells = examples.assert_tells
local assert_terminal_restored = examples.assert_terminal_restored
local example, run, run_example = examples.command, examples.run,
  examples.run_alone
local has_luv, has_script = examples.has_luv, examples.has_script
local run_on_terminal, wait_for = examples.run_on_terminal, examples.wait_for
local content_of, exists = examples.content_of, examples.exists
local temporary_file = examples.temporary_file

local function needs(condition, what)
  if not condition then
    pending(what)
  end
  return condition
end

-- What has a test below or, with tasks, in examples_async_spec.lua; the first
-- test compares it with the folder.
local TESTED = {
  "crawler", "ctrl_c", "graceful_shutdown", "linked", "object_cancellation",
  "polling", "register_callback", "retries", "scene", "wait_descriptor",
}

describe("the examples", function()
  if not examples.run_here then
    pending("are written for Lua 5.4")
    return
  end

  after_each(examples.remove_temporary_files)

  it("are all run here, and all say how to run them", function()
    local found = {}
    for path in io.popen(('ls "%s"*.lua'):format(examples.FOLDER)):lines() do
      local name = path:match("([%w_]+)%.lua$")
      found[#found + 1] = name
      assert_tells(content_of(path), "---", "Neighbour of",
        ("Run:  lua5.4 examples/%s.lua"):format(name))
    end
    assert.same(TESTED, found)
  end)

  describe("register_callback", function()
    describe("with luv", function()
      local function it_with_luv(title, test)
        it(title, function()
          if needs(has_luv, "luv is not installed") then
            test()
          end
        end)
      end

      it_with_luv("cancels by itself where there is no terminal", function()
        local status, output = run_example("register_callback", "--after 0.3")
        assert.equal(0, status, output)
        assert_tells(output,
          "Serving 8.0 MiB slowly at http://127.0.0.1:",
          "Cancelling after 0.3 seconds.",
          "Cancelled: 0.3 seconds went by. The download is aborted.",
          "Received ", " of 8,388,608 bytes",
          'The callback ran: client:abort("0.3 seconds went by").',
          "A late registration ran at once, before register returned.")
      end)

      it_with_luv("receives and sends no more than a part then", function()
        local _, output = run_example("register_callback", "--after 0.3")
        local received, sent = output:match(
          "Received ([%d,]+) of .- stopped after ([%d,]+) bytes")
        received = tonumber((received:gsub(",", "")))
        sent = tonumber((sent:gsub(",", "")))
        assert.is_true(0 < received and received <= sent, output)
        assert.is_true(sent < 8 * 2 ^ 20, output)
      end)

      it_with_luv("leaves no file behind when it used a temporary one",
        function()
          for _, options in ipairs({ "--after 0.1", "--no-cancel --size 1" }) do
            local _, output = run_example("register_callback", options)
            local path = output:match("Downloading to (%S+)")
            assert.is_false(exists(path))
            assert.is_false(exists(path .. ".part"))
          end
        end)

      it_with_luv("leaves an older file alone when it is cancelled", function()
        local path = temporary_file("older")
        local status, output = run_example("register_callback",
          "--after 0.1 --out " .. path)
        assert.equal(0, status, output)
        assert.equal("older", content_of(path))
        assert.is_false(exists(path .. ".part"))
      end)

      it_with_luv("completes and verifies with --no-cancel", function()
        local path = temporary_file("older")
        local status, output = run_example("register_callback",
          "--no-cancel --out " .. path)
        assert.equal(0, status, output)
        assert_tells(output, "Nobody is going to cancel.", "100 %",
          "Received all 8,388,608 bytes; size and checksum (e8d4bc21)",
          "It is unregistered and will never run.")
        assert.equal(8 * 2 ^ 20, #content_of(path))
      end)

      it_with_luv("fails when the download was faster than the cancellation",
        function()
          local status, output = run_example("register_callback",
            "--after 20 --seconds 0.1 --size 1")
          assert.equal(1, status, output)
          assert_tells(output, "complete before it could be cancelled")
        end)

      it_with_luv("stops like that at a signal, and says so", function()
        local log = temporary_file("")
        local status, output = run(("%s > %s </dev/null & %s"):format(
          example("register_callback", "--after 20"), log,
          wait_for("Cancelling after", log) .. "; kill $!; wait $!"
          .. "; status=$?; cat " .. log .. "; exit $status"))
        assert.equal(0, status, output)
        assert_tells(output, "Cancelled: SIGTERM. The download is aborted.")
      end)
    end)

    describe("on a terminal", function()
      local function it_on_terminal(title, test)
        it(title, function()
          if needs(has_luv, "luv is not installed")
            and needs(has_script, "script (util-linux) is not installed") then
            test()
          end
        end)
      end

      it_on_terminal("cancels when c is pressed", function()
        local output, status, settings = run_on_terminal({ "Press c", "c" },
          example("register_callback"))
        assert.equal(0, status, output)
        assert_tells(output, "Press c to cancel.",
          "Cancelled: the user pressed c. The download is aborted.",
          'The callback ran: client:abort("the user pressed c").',
          "A late registration ran at once")
        assert_terminal_restored(settings)
      end)

      it_on_terminal("cancels at Ctrl-C", function()
        local output, status, settings = run_on_terminal(
          { "Press c", "\\003" }, example("register_callback"))
        assert.equal(0, status, output)
        assert_tells(output, "Cancelled: Ctrl-C. The download is aborted.")
        assert_terminal_restored(settings)
      end)

      it_on_terminal("cancels by itself if it is told to", function()
        local output, status, settings = run_on_terminal({},
          example("register_callback", "--after 0.3"))
        assert.equal(0, status, output)
        assert_tells(output, "Press c to cancel.",
          "Cancelled: 0.3 seconds went by. The download is aborted.")
        assert_terminal_restored(settings)
      end)

      it_on_terminal("completes if nobody presses c", function()
        local output, status, settings = run_on_terminal({},
          example("register_callback", "--seconds 0.5 --size 1"))
        assert.equal(0, status, output)
        assert_tells(output, "Received all 1,048,576 bytes")
        assert_terminal_restored(settings)
      end)

      it_on_terminal("redraws its progress bar in one line", function()
        local output = run_on_terminal({},
          example("register_callback", "--no-cancel --size 1"))
        assert_tells(output, "\r[#", "\r[##", "] 100 %  1.0 of 1.0 MiB")
        assert.is_nil(output:find("\n[", 1, true), "the bar scrolls")
      end)

      it_on_terminal("puts the terminal back when the file cannot be made",
        function()
          local output, status, settings = run_on_terminal({},
            example("register_callback", "--out /does/not/exist"))
          assert.equal(1, status, output)
          assert_tells(output, "the download failed: /does/not/exist.part: ")
          assert_terminal_restored(settings)
        end)

      it_on_terminal("puts the terminal back after an error in a callback",
        function()
          local program = temporary_file(([[
            package.path = "%s?.lua;" .. package.path
            local loop <close> = require "support.luv.loop"
            local Input = require "support.luv.input"
            local input <close> = Input.open(function() end, true)
            assert(input.has_keys)
            loop.after(0.1, function() error("a mistake") end)
            loop.after(60, function() end)
            loop.run()
          ]]):format(examples.FOLDER))
          local output, status, settings = run_on_terminal({},
            "lua5.4 " .. program)
          assert.equal(1, status, output)
          assert_tells(output, "a mistake")
          assert_terminal_restored(settings)
        end)
    end)

    describe("on the stand-in", function()
      it("tells the same story", function()
        local status, output = run_example("register_callback",
          "--without-luv --after 0.3")
        assert.equal(0, status, output)
        assert_tells(output,
          "Running without luv, as asked",
          "Cancelled: 0.3 seconds went by. The download is aborted.",
          " of 8,388,608 bytes",
          'The callback ran: client:abort("0.3 seconds went by").',
          "A late registration ran at once, before register returned.")
      end)

      it("is taken, and named, where luv is missing", function()
        local status, output = run(examples.TIME_LIMIT .. examples.WITHOUT_LUV
          .. example("register_callback", "--after 0.1"):gsub("^%S+", ""))
        assert.equal(0, status, output)
        assert_tells(output, "luv is not installed here",
          "Cancelled: 0.1 seconds went by. The download is aborted.")
      end)

      it("completes and verifies with --no-cancel", function()
        local status, output = run_example("register_callback",
          "--without-luv --no-cancel")
        assert.equal(0, status, output)
        assert_tells(output, "Received all 8,388,608 bytes; size and checksum",
          "It is unregistered and will never run.")
      end)
    end)

    it("explains its options", function()
      local status, output = run_example("register_callback", "--help")
      assert.equal(0, status)
      assert_tells(output, "usage:", "--after SECONDS", "--no-cancel")
    end)

    it("refuses options that it does not know", function()
      for options, message in pairs({
        ["--aftr 1"] = "unknown option --aftr",
        ["--after"] = "--after wants a number",
        ["--after soon"] = "--after wants a number",
        ["--seconds -1"] = "--seconds wants a number from 0 to 1000",
        ["--after inf"] = "--after wants a number from 0 to 1000",
        ["--out"] = "--out wants a value",
      }) do
        local status, output = run_example("register_callback", options)
        assert.equal(1, status)
        assert_tells(output, "register_callback: " .. message)
      end
    end)
  end)

  describe("the demo's HTTP reader", function()
    local http = dofile(examples.FOLDER .. "support/http.lua")

    it("takes a head in pieces of any size", function()
      local response = http.download_head(5, "062c0215") .. "hello"
      for size = 1, #response do
        local reader = http.response_reader()
        local head, fed
        for from = 1, #response, size do
          fed = math.min(from + size - 1, #response)
          head = reader:feed(response:sub(from, fed))
          if head then
            break
          end
        end
        assert.equal(200, head.status)
        assert.equal("OK", head.text)
        assert.equal("5", head.fields["content-length"])
        assert.equal("adler32=062c0215", head.fields.digest)
        assert.equal("hello", head.rest .. response:sub(fed + 1))
      end
    end)

    it("refuses what is not HTTP, and heads without an end", function()
      local head, message = http.response_reader():feed("SSH-2.0\r\n\r\n")
      assert.is_nil(head)
      assert_tells(message, "not an HTTP/1.1 response: SSH-2.0")
      head, message = http.response_reader():feed(("x"):rep(20000))
      assert.is_nil(head)
      assert_tells(message, "longer than 16384 bytes")
    end)
  end)

  it("polling stops at its deadline, with and without a part", function()
    local status, output = run_example("polling")
    assert.equal(0, status, output)
    assert_tells(output, "All 20 rows, with ", " seconds to spare.",
      "0.3 seconds for it:",
      'nothing (deadline exceeded, kind "deadline")')
  end)

  it("wait_descriptor is woken by the pipe and by the token", function()
    if needs(has_luv, "luv is not installed") then
      local status, output = run_example("wait_descriptor")
      assert.equal(0, status, output)
      assert_tells(output, "the pipe was first: order 1",
        "the pipe was first: order 2", "the pipe was first: order 3",
        "the token was first: deadline exceeded", "Served 3 of 3 orders.",
        "still readable")
    end
  end)

  it("wait_descriptor says so where luv is missing", function()
    local status, output = run(examples.WITHOUT_LUV
      .. example("wait_descriptor"):gsub("^%S+", ""))
    assert.equal(1, status)
    assert_tells(output, "this example needs luv")
  end)

  it("linked tells who stopped the work", function()
    local status, output = run_example("linked")
    assert.equal(0, status, output)
    assert_tells(output, "complete: 3 pages",
      "the service gave up (deadline exceeded)",
      "the service gave up (deadline exceeded)",
      "the caller stopped it (two pages are enough)",
      "somebody further out stopped it (logged out)")
  end)

  it("object_cancellation stops the objects, last first", function()
    local status, output = run_example("object_cancellation")
    assert.equal(0, status, output)
    assert_tells(output, "Printer 2 has finished", "Alarm:",
      "the oven cools down to 20 degrees: there is smoke",
      "printer 1 stops: there is smoke", "1 of the callbacks failed:",
      "the back door is stuck", "printer 3 stops: there is smoke")
    assert.is_nil(output:find("printer 2 stops", 1, true))
  end)

  describe("ctrl_c", function()
    it("ends in good order where there is no terminal", function()
      local status, output = run_example("ctrl_c")
      assert.equal(0, status, output)
      assert_tells(output, "No terminal: Ctrl-C comes by itself.",
        "order 1 is filled", "SIGINT: stopping after this order.",
        "closing the books", "Ended in good order after ")
    end)

    it("stops at the first Ctrl-C and is killed by the second", function()
      if needs(has_script, "script (util-linux) is not installed") then
        local output, status = run_on_terminal(
          { "order 1", "\\003", "closing", "\\003" }, example("ctrl_c"))
        assert_tells(output, "Press Ctrl-C to stop.",
          "SIGINT: stopping after this order.",
          "Press Ctrl-C again to stop at once.", "interrupted!")
        assert.is_nil(output:find("Ended in good order", 1, true))
        assert.equal(1, status)
      end
    end)
  end)
end)
