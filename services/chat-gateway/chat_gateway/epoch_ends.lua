-- Says where a room stands, and where it stood when the epochs before ended.
--
-- KEYS: epoch, heads, epochs (of one partition)
-- ARGV: the room, the prefix of the keys that hold where rooms stood when an epoch ended
-- A room that is not in one of these hashes stood at the floor (accept.lua) that is there.
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
local answer = {tonumber(epoch), newest}
for _, ended in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
  table.insert(answer, tonumber(ended))
  table.insert(answer, stands(ARGV[2] .. ended))
end
return answer
