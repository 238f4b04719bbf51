--- What the specs of the examples share: running them as a user would, each as
-- a program of its own.
--
-- The children find desist by the LUA_PATH and LUA_CPATH of the environment.

local assert = require "luassert"

local ROOT = debug.getinfo(1, "S").source:match("^@(.*)spec[/\\]") or "./"

local examples = {
  FOLDER = ROOT .. "examples/",
  WITHOUT_LUV = "lua5.4 -e 'package.preload.luv = error' ",
  TIME_LIMIT = "timeout 60 ", -- an example that hangs fails, not the suite
}

local function is_true(command)
  local status = os.execute(command .. " >/dev/null 2>&1")
  return status == true or status == 0
end

local function has_module(name)
  return is_true(("lua5.4 -e 'require %q'"):format(name))
end

examples.run_here = _VERSION == "Lua 5.4" and is_true("lua5.4 -v")
examples.has_luv = examples.run_here and has_module("luv")
examples.has_script = is_true("script --version | grep util-linux")

--- Runs a shell command; gives its exit status and all that it said.
function examples.run(command)
  local pipe = assert(io.popen(("{ %s; } 2>&1"):format(command)))
  local output = pipe:read("a"):gsub("\r\n", "\n")
  local _, how, status = pipe:close()
  return how == "exit" and status or how, output
end

function examples.command(name, options)
  return ('lua5.4 "%s%s.lua" %s'):format(examples.FOLDER, name, options or "")
end

--- Runs an example where there is no terminal.
function examples.run_alone(name, options)
  return examples.run(examples.TIME_LIMIT .. examples.command(name, options)
    .. " </dev/null")
end

function examples.exists(path)
  local file = io.open(path)
  return file ~= nil and file:close()
end

function examples.content_of(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("a")
  file:close()
  return content
end

local temporary_files = {} -- of the running test

--- A file with this content, which is removed after the test.
function examples.temporary_file(content)
  local path = os.tmpname()
  table.insert(temporary_files, path)
  local file = assert(io.open(path, "wb"))
  file:write(content)
  file:close()
  return path
end

function examples.remove_temporary_files()
  while #temporary_files > 0 do
    os.remove(table.remove(temporary_files))
  end
end

--- Shell code that waits until the file tells this text; at most 20 seconds.
function examples.wait_for(text, path)
  return ("for _ in $(seq 400); do grep -q '%s' %s && break; sleep 0.05; done")
    :format(text, path)
end

--- Runs a command on a pseudo terminal on which somebody presses a key (as
-- printf takes it) whenever a prompt is seen: `presses` is a list of prompt,
-- key, prompt, key. Gives the output, the exit status and what the terminal's
-- settings are then.
function examples.run_on_terminal(presses, command)
  local screen = examples.temporary_file("")
  local typist = {}
  for i = 1, #presses, 2 do
    typist[#typist + 1] = examples.wait_for(presses[i], screen)
    typist[#typist + 1] = ("printf '%s'"):format(presses[i + 1])
  end
  typist[#typist + 1] = examples.wait_for("^status ", screen)
  local _, output = examples.run(("{ %s; } | %s script -qefc '%s' %s"):format(
    table.concat(typist, "; "), examples.TIME_LIMIT,
    -- the shell hears Ctrl-C as well, and some give up then
    "trap : INT; " .. command .. "; echo status $?; stty -a", screen))
  local told, status, settings = output:match("(.*)status (%d+)\n(.*)")
  return told or output, tonumber(status), settings or ""
end

--- Checks that these texts are in the output, in this order.
function examples.assert_tells(output, ...)
  local from = 1
  for _, text in ipairs({ ... }) do
    local _, last = output:find(text, from, true)
    assert(last, ("%q is missing, or too early, in:\n%s"):format(text, output))
    from = last + 1
  end
end

function examples.assert_terminal_restored(settings)
  for _, setting in ipairs({ "isig", "icanon", "echo", "icrnl" }) do
    assert(settings:find("[%s]" .. setting .. "[%s]"),
      setting .. " is off in:\n" .. settings)
  end
end

return examples
