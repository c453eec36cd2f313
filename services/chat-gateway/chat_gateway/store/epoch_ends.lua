-- Reads the head of a room, now and at the ends of earlier epochs.
--
-- KEYS: 1 epoch, 2 heads, 3 epochs, 4 and 5 the records of forgotten rooms (of one partition)
-- ARGV: the room, the prefix of the keys that hold the rooms' heads at the end of an epoch
-- A room that is missing in one of these hashes was at its floor (accept.lua), or has been forgotten
-- since: it is not known that anything of it is left (age_retention.lua). The same may be true if
-- the record of rooms forgotten since then is no longer complete.
-- Returns {epoch, newest sequence (negative if it is the floor), and for each remembered epoch,
-- oldest first: the epoch, the room's end in it}; an empty list if the partition has no epoch.
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  return {}
end
local function stands(heads)
  local found = redis.call('HMGET', heads, ARGV[1], '')
  return tonumber(found[1] or found[2]) or 0
end

local newest = stands(KEYS[2])
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then
  newest = -newest
end
local lived_through = 0
local known_from = 0 -- the floor since which all forgotten rooms are remembered
for index = 4, 5 do
  if redis.call('TYPE', KEYS[index]).ok == 'hash' then
    local field = string.sub(redis.sha1hex(ARGV[1]), 1, 16)
    local known = redis.call('HMGET', KEYS[index], field, '')
    lived_through = math.max(lived_through, tonumber(string.match(known[1] or '', ' (%d+)$')) or 0)
    known_from = tonumber(known[2]) or known_from
  end
end

local answer = {tonumber(epoch), newest}
for _, ended in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
  local heads = ARGV[2] .. ended
  local may_be_forgotten = tonumber(ended) <= lived_through
    or (tonumber(redis.call('HGET', heads, '')) or 0) < known_from
  local was_forgotten = may_be_forgotten and redis.call('HEXISTS', heads, ARGV[1]) == 0
  table.insert(answer, tonumber(ended))
  table.insert(answer, was_forgotten and 0 or stands(heads))
end
return answer
