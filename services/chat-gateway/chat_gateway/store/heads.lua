-- Reads the heads of rooms of one partition.
--
-- KEYS: epoch, heads, outbox
-- ARGV: the rooms
-- Returns the epoch, the newest outbox id, and then each room's newest sequence. If Redis has
-- nothing of a room: the partition's floor (accept.lua), as a negative number.
-- Begins an epoch if the partition has none, because each cursor has one.
local epoch = tonumber(redis.call('GET', KEYS[1]))
if not epoch then
  local now = redis.call('TIME')
  -- Never before 2020, whatever the clock says: cursors of earlier epochs are refused.
  epoch = math.max(now[1] * 1000 + math.floor(now[2] / 1000), 1577836800000)
  redis.call('DEL', KEYS[1]) -- first, as it takes no memory: otherwise a full Redis refuses the script
  redis.call('SET', KEYS[1], string.format('%d', epoch))
end
local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1]
local answer = {epoch, newest and newest[1] or '0-0'}
local floor = tonumber(redis.call('HGET', KEYS[2], '')) or 0
for index, head in ipairs(redis.call('HMGET', KEYS[2], unpack(ARGV))) do
  answer[index + 2] = tonumber(head) or -floor
end
return answer
