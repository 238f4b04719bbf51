local helper = require "spec.helper"

-- The examples of the documents. Each ```lua block runs in a process of its
-- own and must end well; what it prints must be what its comments say: the
-- text behind each "-->", one per line, blanks alike. Each ```c block must
-- compile. (A ```lua module is in loop_prosody_spec.lua.)

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

-- The blocks of that language, with the numbers of the lines they begin at.
local function blocks(path, language)
  local found, block = {}, nil
  local number = 0
  for line in read(path):gmatch "([^\n]*)\n" do
    number = number + 1
    if block and line:match "^```" then
      block.text = table.concat(block.lines, "\n") .. "\n"
      block = nil
    elseif block then
      table.insert(block.lines, line)
    elseif line:match "^```(.*)$" == language then
      block = { number = number + 1, lines = {} }
      table.insert(found, block)
    end
  end
  assert(not block, path .. ": a block is not closed")
  return found
end

-- Blanks and tabs are one; none at the ends.
local function plain(line)
  return (line:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

local function promised(block)
  local lines = {}
  for _, line in ipairs(block.lines) do
    local text = line:match "%-%->(.*)$"
    if text then table.insert(lines, plain(text)) end
  end
  return table.concat(lines, "\n")
end

local function printed(output)
  local lines = {}
  for line in output:gmatch "([^\n]*)\n" do
    table.insert(lines, plain(line))
  end
  return table.concat(lines, "\n")
end

-- The script is shifted, so that messages name the lines of the document.
local function assert_runs(block)
  local script = ("\n"):rep(block.number - 1) .. block.text
  local output, how, code = helper.child(script)
  assert.equal(promised(block), printed(output))
  assert.equal("exit", how)
  assert.equal(0, code)
end

local function assert_compiles(block)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write(block.text)
  file:close()
  local pipe = assert(io.popen(([[
    unset LD_PRELOAD
    gcc -x c -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -Isrc \
      $(pkg-config --cflags lua5.4 2>/dev/null || echo -I/usr/include/lua5.4) \
      %s 2>&1]]):format(name)))
  local output = pipe:read "a"
  local ok = pipe:close()
  os.remove(name)
  assert.equal("", output)
  assert.is_true(ok)
end

local function has_gcc()
  return (os.execute "unset LD_PRELOAD; gcc --version >/dev/null 2>&1")
end

for _, path in ipairs { "README.md", "docs/lua-api.md", "docs/loops.md",
  "docs/inspect.md", "docs/guard.md" } do
  describe(path, function()
    helper.leave_nothing(before_each, after_each)

    it("has examples", function()
      assert.is_true(#blocks(path, "lua") > 0)
    end)

    for _, block in ipairs(blocks(path, "lua")) do
      it(("runs as written from line %d"):format(block.number), function()
        assert_runs(block)
      end)
    end

    for _, block in ipairs(blocks(path, "c")) do
      it(("has C from line %d that compiles"):format(block.number), function()
        if not has_gcc() then return pending "gcc is not there" end
        assert_compiles(block)
      end)
    end
  end)
end
