-- Takes or renews the lease of one partition.
--
-- KEYS: 1 the lease
-- ARGV: 1 who asks, 2 for how many milliseconds, 3 from whom to take it over; empty: nobody
-- Returns {who holds it now, for how many milliseconds}
local holder = redis.call('GET', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
-- What does not expire is no lease: nobody would ever take it over.
if left <= 0 or holder == ARGV[1] or holder == ARGV[3] then
  redis.call('DEL', KEYS[1]) -- first, since it takes no memory: a full Redis refuses the script else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return {ARGV[1], tonumber(ARGV[2])}
end
return {holder, left}
