-- Begins a new epoch where another run of Redis than the remembered one answers: its
-- newest writes may be lost. Any number of callers may ask; the first of them does it.
--
-- KEYS: epoch, run, heads, epochs (of one partition)
-- ARGV: the run id, the prefix of the keys that hold where rooms stood when an epoch
--       ended, how many such epochs to remember
-- Returns the epoch, or '' where the partition has none yet.
local epoch = redis.call('GET', KEYS[1])
if redis.call('GET', KEYS[2]) == ARGV[1] then
  return epoch or ''
end
redis.call('SET', KEYS[2], ARGV[1])
if not epoch then
  return ''
end
local now = redis.call('TIME')
local new = math.max(now[1] * 1000 + math.floor(now[2] / 1000), tonumber(epoch) + 1)
redis.call('SET', KEYS[1], string.format('%d', new))
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('COPY', KEYS[3], ARGV[2] .. epoch, 'REPLACE')
end
redis.call('RPUSH', KEYS[4], epoch)
while redis.call('LLEN', KEYS[4]) > tonumber(ARGV[3]) do
  redis.call('UNLINK', ARGV[2] .. redis.call('LPOP', KEYS[4]))
end
return string.format('%d', new)
