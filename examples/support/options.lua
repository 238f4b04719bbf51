--- A command line of `--flag` and `--name VALUE`, read into a table.

local LIMIT = 1000 -- no example wants more of anything

local Options = {}

local readers = {
  flag = function()
    return true
  end,
  number = function(name, word)
    local number = tonumber(word)
    if not (number and number >= 0 and number <= LIMIT) then
      error(("--%s wants a number from 0 to %d"):format(name, LIMIT), 0)
    end
    return number
  end,
  text = function(name, word)
    if not word then
      error(("--%s wants a value"):format(name), 0)
    end
    return word
  end,
}

--- `kinds` maps each option to "flag", "number" or "text". Dashes in a name
-- become underscores: --no-cancel is found as `no_cancel`. A word that is no
-- option raises a message for the user.
function Options.read(words, kinds)
  local options = {}
  local at = 1
  while words[at] do
    local name = words[at]:match("^%-%-(.+)$")
    local kind = kinds[name]
    if not kind then
      error(("unknown option %s; --help lists them"):format(words[at]), 0)
    end
    local value = readers[kind](name, words[at + 1])
    options[name:gsub("%-", "_")] = value
    at = at + (kind == "flag" and 1 or 2)
  end
  return options
end

return Options
