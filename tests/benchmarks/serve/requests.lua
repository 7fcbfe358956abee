-- Sends the requests of a file one after the other: a line is "METHOD PATH BODY".
-- Arguments: the file, the key, and how many lines to leave out at first.

local requests, place, n_events = {}, 0, 0
local event_id = string.rep("@", 20)
local started = math.floor(os.time()) % 10000000

function init(args)
  local headers = { ["X-API-Key"] = args[2], ["Content-Type"] = "application/json" }
  local skipped = tonumber(args[3])
  for line in io.lines(args[1]) do
    if skipped > 0 then
      skipped = skipped - 1
    else
      local method, path, body = line:match("^(%S+) (%S+) (.*)$")
      requests[#requests + 1] = wrk.format(method, path, headers, body ~= "" and body or nil)
      if #requests >= 60000 then break end
    end
  end
end

function request()
  place = place % #requests + 1
  local found = requests[place]
  if found:find(event_id, 1, true) then
    n_events = n_events + 1
    found = found:gsub(event_id, string.format("%07d-%012d", started, n_events))
  end
  return found
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"n_requests":%d,"duration_s":%f,"n_failed":%d,"p50_ms":%f,"p99_ms":%f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
