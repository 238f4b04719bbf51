-- embed.lua: writes the Lua files as one C header, for a library that needs no
-- package.path.
--
--   lua5.4 .ci/embed.lua lua/desist.lua lua/desist/async.lua >embedded.h
--
-- The header defines desist__embedded: module name, code, length; ended by an
-- entry of zeros. The code is written byte by byte: a string literal of that
-- length is beyond what C promises to take. embed.cmake writes the same, where
-- there is no Lua.

local function module_name(path)
  local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", "")
  return (name:gsub("/", "."))
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local code = file:read("*a")
  file:close()
  return code
end

-- 15 numbers a line.
local function write_bytes(code)
  for at = 1, #code, 15 do
    print("  " .. code:sub(at, at + 14):gsub(".", function(char)
      return ("0x%02x,"):format(char:byte())
    end))
  end
end

-- The longest object that C promises room for.
local LONGEST = 65535

print("/* Generated from the Lua files. */")
for i, path in ipairs(arg) do
  local code = read(path)
  assert(#code > 0 and #code <= LONGEST, path .. ": too short or too long")
  print(("\n/* %s */\nstatic const unsigned char desist__embedded_%d[] = {")
    :format(path, i))
  write_bytes(code)
  print("};")
end

print("\nstatic const struct {\n  const char *name;\n  const char *code;")
print("  size_t length;\n} desist__embedded[] = {")
for i, path in ipairs(arg) do
  local symbol = "desist__embedded_" .. i
  print(('  {"%s", (const char *)%s, sizeof %s},')
    :format(module_name(path), symbol, symbol))
end
print("  {NULL, NULL, 0},\n};")
