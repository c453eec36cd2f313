-- Says where a room stands, and where it stood when the epochs before ended.
--
-- KEYS: 1 epoch, 2 heads, 3 epochs, 4 and 5 what is remembered of forgotten rooms (of one partition)
-- ARGV: the room, the prefix of the keys that hold where rooms stood when an epoch ended
-- A room that is not in one of these hashes stood at the floor (accept.lua) that is there, or was
-- forgotten since then: nothing is known to be left of what it had (age_retention.lua). So it may have
-- been, too, where rooms that were forgotten since are remembered no more.
-- Returns {epoch, newest sequence (below 0 where it is the floor), and of each epoch that is
-- remembered, oldest first: the epoch, the room's end in it}; an empty list where the partition
-- has no epoch.
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
local known_from = 0 -- the floor since which each room that was forgotten is remembered
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
