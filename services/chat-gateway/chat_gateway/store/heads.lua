-- Says where rooms of one partition stand.
--
-- KEYS: epoch, heads, outbox
-- ARGV: the rooms
-- Returns the epoch, the newest outbox id, and after them each room's newest sequence; where Redis
-- has nothing of the room, the partition's floor (accept.lua), as a number below 0.
-- A partition without an epoch gets one: a cursor must be in one.
local epoch = tonumber(redis.call('GET', KEYS[1]))
if not epoch then
  local now = redis.call('TIME')
  -- Never before 2020, whatever the clock says: no cursor of an earlier epoch is taken.
  epoch = math.max(now[1] * 1000 + math.floor(now[2] / 1000), 1577836800000)
  redis.call('DEL', KEYS[1]) -- first, since it takes no memory: a full Redis refuses the script else
  redis.call('SET', KEYS[1], string.format('%d', epoch))
end
local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1]
local answer = {epoch, newest and newest[1] or '0-0'}
local floor = tonumber(redis.call('HGET', KEYS[2], '')) or 0
for index, head in ipairs(redis.call('HMGET', KEYS[2], unpack(ARGV))) do
  answer[index + 2] = tonumber(head) or -floor
end
return answer
