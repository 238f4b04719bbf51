--- The body that is downloaded, and the checksum that proves it arrived whole.
--
-- The bytes are pseudo-random, so that a chunk lost, doubled or swapped does
-- not go unnoticed, and the same on every machine, so that runs compare.
-- The checksum is Adler-32 (RFC 1950), which HTTP knows as a `Digest` (RFC
-- 3230) and which plain Lua computes fast enough for a few megabytes.

local SEED = 0x9E3779B97F4A7C15
local WORD = 8 -- bytes in a Lua integer
local BATCH = 128 -- words packed at a time

local MODULUS = 65521 -- the largest prime below 2^16
local BLOCK = 2048 -- bytes summed up between two divisions

--- `size` bytes, always the same ones.
local function body(size)
  local format = "<" .. ("i8"):rep(BATCH)
  local pieces, words, state = {}, {}, SEED
  for _ = 1, size, BATCH * WORD do
    for i = 1, BATCH do
      -- xorshift64 (Marsaglia, 2003)
      state = state ~ (state << 13)
      state = state ~ (state >> 7)
      state = state ~ (state << 17)
      words[i] = state
    end
    pieces[#pieces + 1] = format:pack(table.unpack(words, 1, BATCH))
  end
  return table.concat(pieces):sub(1, size)
end

--- The Adler-32 of a string, as eight hexadecimal digits.
local function adler32(text)
  local a, b = 1, 0
  for first = 1, #text, BLOCK do
    local bytes = { text:byte(first, first + BLOCK - 1) }
    for i = 1, #bytes do
      a = a + bytes[i]
      b = b + a
    end
    a, b = a % MODULUS, b % MODULUS
  end
  return ("%08x"):format(b << 16 | a)
end

return { body = body, adler32 = adler32 }
