--- What is to be done when a block is left, also by an error or a cancellation:
--
--     local _ <close> = finally(os.remove, path)

local function run(self)
  self.fn(table.unpack(self, 1, self.n))
end

local Finally = { __close = run }

return function(fn, ...)
  return setmetatable({ fn = fn, n = select("#", ...), ... }, Finally)
end
