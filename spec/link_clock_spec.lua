local desist = require "desist"
local helper = require "spec.helper"

describe("a link's own deadline", function()
  helper.leave_nothing(before_each, after_each)

  local kept = {} -- a collected source is closed, and its token skipped

  local function on(clock)
    local source = desist.source { clock = clock }
    kept[#kept + 1] = source
    return source:token()
  end

  it("is on the clock that its inputs share", function()
    local clock = desist.manual_clock(100)
    for _, make in ipairs { desist.linked, desist.linked_all } do
      local a, b = desist.source { clock = clock }, desist.source {
        clock = clock }
      local link = make(a:token(), b:token())
      link:cancel_after(5)
      assert.equal(clock:now() + 5, link:token():deadline())
      clock:advance(5)
      assert.is_true(link:is_cancelled())
      assert.is_false(a:is_cancelled())
    end
  end)

  it("is on the clock of links that share one", function()
    local clock = desist.manual_clock()
    local a = desist.source { clock = clock }
    local link = desist.linked(desist.linked(a:token()):token(), a:token())
    link:cancel_after(5)
    clock:advance(5)
    assert.is_true(link:is_cancelled())
  end)

  it("is on the real clock when its inputs differ", function()
    local first, second = desist.manual_clock(), desist.manual_clock()
    local real = desist.source()
    for _, other in ipairs { on(second), real:token() } do
      local a = desist.source { clock = first }
      local link = desist.linked(a:token(), other)
      link:cancel_after(1000)
      first:advance(2000)
      second:advance(2000)
      assert.is_false(link:is_cancelled())
      assert.near(desist.now() + 1000, link:token():deadline(), 5)
    end
  end)

  it("does not count the inputs that are skipped", function()
    local clock, other = desist.manual_clock(), desist.manual_clock()
    local a = desist.source { clock = clock }
    local closed = desist.source { clock = other }
    closed:close()
    local link = desist.linked(nil, desist.none, closed:token(), a:token())
    link:cancel_after(5)
    clock:advance(5)
    assert.is_true(link:is_cancelled())
  end)

  it("is on the real clock without inputs", function()
    local link = desist.linked(nil, desist.none)
    link:cancel_after(1000)
    assert.near(desist.now() + 1000, link:token():deadline(), 5)
  end)

  it("is on the clock of the inputs that are left", function()
    local weak, link = setmetatable({}, { __mode = "v" }), nil
    local function make()
      local clock = desist.manual_clock(50)
      local input = desist.source { clock = clock }
      weak[1] = clock
      collectgarbage "stop"
      local token, lost = input:token(), desist.source():token()
      link = helper.collect_inside(desist.linked, lost, token)
    end
    make()
    link:cancel_after(5)
    assert.equal(55, link:token():deadline())
    helper.full_gc()
    assert.is_truthy(weak[1]) -- it keeps its clock
    weak[1]:advance(5)
    assert.is_true(link:is_cancelled())
  end)

  it("cancels the link alone", function()
    local clock = desist.manual_clock()
    local a = desist.source { clock = clock }
    local link = desist.linked(a:token())
    link:cancel_after(1)
    clock:advance(1)
    assert.equal("deadline", link:token():error().kind)
    assert.equal(link:token(), link:token():error().origin)
    assert.is_false(a:is_cancelled())
    assert.is_true(a:try_reset())
  end)
end)
