-- The C code of docs/embedding.md is that of spec/c/lua_hosts.c, which is
-- compiled and run.

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

describe("docs/embedding.md", function()
  local program = read "spec/c/lua_hosts.c"
  local number = 0

  for code in read("docs/embedding.md"):gmatch "```c\n(.-)```" do
    number = number + 1
    it(("shows C code that is run, block %d"):format(number), function()
      for part in (code .. "\n"):gmatch "(.-)\n\n" do
        assert.is_truthy(program:find(part, 1, true), part)
      end
    end)
  end

  it("shows some", function() assert.is_true(number > 5) end)
end)
