-- Asks each of so many hosts in turn: wrk -s hosts.lua URL -- COUNT
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "done.lua")

local requests, last = {}, 0

init = function(arguments)
  for number = 0, tonumber(arguments[1]) - 1 do
    requests[number + 1] = wrk.format("GET", "/", { Host = "host-" .. number .. ".example" })
  end
end

request = function()
  last = last % #requests + 1
  return requests[last]
end
