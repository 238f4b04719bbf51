--- Numbers as people like to read them.

--- 8388608 as "8,388,608".
local function grouped(number)
  local digits = ("%d"):format(number):reverse():gsub("(%d%d%d)", "%1,")
  return (digits:reverse():gsub("^,", ""))
end

--- A number of bytes as "8.0 MiB", without the unit if `bare`.
local function mebibytes(bytes, bare)
  return ("%.1f%s"):format(bytes / 2 ^ 20, bare and "" or " MiB")
end

--- 1 as "1 second", 0.25 as "0.25 seconds".
local function seconds(number)
  return ("%g second%s"):format(number, number == 1 and "" or "s")
end

return { grouped = grouped, mebibytes = mebibytes, seconds = seconds }
