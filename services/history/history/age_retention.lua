-- Removes the notes at the beginning of a room's stream that have grown too old.
--
-- The stream itself stays, also when it is empty: its last id tells a late worker that
-- it is late.
--
-- KEYS: 1 the room's stream
-- ARGV: 1 the age in milliseconds that a note may reach, by Redis's clock, as are outbox ids
--       2 how many notes to look at
-- Returns how many notes were removed.
if redis.call('TYPE', KEYS[1]).ok ~= 'stream' then
  return 0
end
local now = redis.call('TIME')
local oldest_kept = now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(ARGV[1])

local function accepted_at(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'o' then
      return tonumber(string.match(fields[i + 1], '^%d+'))
    end
  end
end

local removed = 0
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[2])) do
  local milliseconds = accepted_at(entry[2])
  if not milliseconds or milliseconds >= oldest_kept then
    break
  end
  removed = removed + 1
end
if removed > 0 then
  redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', redis.call('XLEN', KEYS[1]) - removed)
end
return removed
