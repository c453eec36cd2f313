-- Begins a new epoch where another run of Redis than the remembered one answers: its
-- newest writes may be lost. Any number of callers may ask; the first of them does it.
--
-- KEYS: epoch, run, heads, epochs (of one partition)
-- ARGV: the run id, the prefix of the keys that hold where rooms stood when an epoch
--       ended, how many such epochs to remember
-- Returns the epoch, or '' where the partition has none yet; an error that begins with
-- CORRUPT where a key is of another type than it should be, or the epoch no number.
local function holds(key, wanted)
  local found = redis.call('TYPE', key).ok
  return found == wanted or found == 'none'
end

-- With one of these two wrong no note is accepted in this epoch: it may stay as it is.
if not holds(KEYS[1], 'string') then
  return redis.error_reply('CORRUPT ' .. KEYS[1] .. ' is no string')
end
if not holds(KEYS[3], 'hash') then
  return redis.error_reply('CORRUPT ' .. KEYS[3] .. ' is no hash')
end
local epoch = redis.call('GET', KEYS[1])
if epoch and not tonumber(epoch) then
  return redis.error_reply('CORRUPT ' .. KEYS[1] .. ' is no number')
end

if holds(KEYS[2], 'string') and redis.call('GET', KEYS[2]) == ARGV[1] then
  return epoch or ''
end
redis.call('SET', KEYS[2], ARGV[1])
if not epoch then
  return ''
end
local now = redis.call('TIME')
local new = math.max(now[1] * 1000 + math.floor(now[2] / 1000), tonumber(epoch) + 1)
redis.call('SET', KEYS[1], string.format('%d', new))

-- The epoch has begun whatever becomes of the one before: without a record of it, those
-- who come with its cursors are told of a break.
if not holds(KEYS[4], 'list') then
  return redis.error_reply('CORRUPT ' .. KEYS[4] .. ' is no list: no past epoch is known')
end
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('COPY', KEYS[3], ARGV[2] .. epoch, 'REPLACE')
end
redis.call('RPUSH', KEYS[4], epoch)
while redis.call('LLEN', KEYS[4]) > tonumber(ARGV[3]) do
  redis.call('UNLINK', ARGV[2] .. redis.call('LPOP', KEYS[4]))
end
return string.format('%d', new)
