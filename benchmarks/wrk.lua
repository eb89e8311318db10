-- wrk's side of benchmarks/load.py: what is sent, and whether the answers are what they should be.
--
-- Arguments after "--": a file with the request (method, path, headers, an empty line, the body),
-- a file with one item a line, the mode, the number of threads, the status and the text that every
-- answer must have, and a pattern. "{item}" stands for an item, and "{number}" for a number that
-- is another one each time, from 0 to 250 in three places: "10.{number}".
--
--   same     the first item, always
--   each     every thread takes its own share of the items, each in turn
--   chain    every thread begins with an item of its own and goes on with what the pattern finds
--            in the answer: it needs as many threads as connections

local threads = {}

function setup(thread)
  thread:set("place", #threads)
  table.insert(threads, thread)
end

local function lines(path)
  local found = {}
  for line in io.lines(path) do found[#found + 1] = line end
  return found
end

local function filled(text)
  local with_item = text:gsub("{item}", function() return item end)
  return (with_item:gsub("{number}", function()
    return string.format("%d.%d.%d", count / 62500 % 250, count / 250 % 250, count % 250)
  end))
end

function init(arguments)
  local request_file, items_file = arguments[1], arguments[2]
  mode, width = arguments[3], tonumber(arguments[4])
  status, text, pattern = tonumber(arguments[5]), arguments[6], arguments[7]
  items = lines(items_file)
  local parts = lines(request_file)
  method, path, headers, body = parts[1], parts[2], {}, nil
  for line = 3, #parts do
    if body ~= nil then
      body = body .. parts[line]
    elseif parts[line] == "" then
      body = ""
    else
      local name, value = parts[line]:match("^([^:]+): (.*)$")
      headers[name] = value
    end
  end
  good, bad, sample, count, turn = 0, 0, "", place * 1000003, place
  item = items[place % #items + 1]
  fixed = mode == "same" and not (body or ""):find("{number}") and not lines(request_file)[3]:find("{number}")
end

function request()
  count = count + 1
  if mode == "each" then
    item = items[turn % #items + 1]
    turn = turn + width
  elseif mode == "same" then
    item = items[1]
  end
  if fixed and ready then return ready end
  local sent = {}
  for name, value in pairs(headers) do sent[name] = filled(value) end
  ready = wrk.format(method, path, sent, body and filled(body))
  return ready
end

function response(answered, _, answer)
  if answered == status and answer:find(text, 1, true) then
    good = good + 1
    if mode == "chain" then item = answer:match(pattern) end
  else
    bad = bad + 1
    sample = answered .. " " .. answer:sub(1, 200)
  end
end

function done(summary, latency)
  local good, bad, sample = 0, 0, ""
  for _, thread in ipairs(threads) do
    good, bad = good + thread:get("good"), bad + thread:get("bad")
    if thread:get("sample") ~= "" then sample = thread:get("sample") end
  end
  local errors = summary.errors
  io.write(string.format(
    "\nRESULT %d %d %d %d %.3f %.3f\nSAMPLE %s\n", good, bad,
    errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration, latency:percentile(50), latency:percentile(99), sample))
end
