-- Says where a room stands, and where it stood when the epochs before ended.
--
-- KEYS: epoch, heads, epochs (of one partition)
-- ARGV: the room, the prefix of the keys that hold where rooms stood when an epoch ended
-- Returns {epoch, newest sequence, and of each epoch that is remembered, oldest first: the
-- epoch, the room's end in it}; an empty list where the partition has no epoch.
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  return {}
end
local answer = {tonumber(epoch), tonumber(redis.call('HGET', KEYS[2], ARGV[1])) or 0}
for _, ended in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
  table.insert(answer, tonumber(ended))
  table.insert(answer, tonumber(redis.call('HGET', ARGV[2] .. ended, ARGV[1])) or 0)
end
return answer
