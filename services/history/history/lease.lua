-- Takes or renews the lease of one partition.
--
-- KEYS: 1 the lease
-- ARGV: 1 the replica that asks, 2 for how many milliseconds, 3 the replica to take it from; empty:
--       none
-- Returns {its holder now, the remaining milliseconds}
local holder = redis.call('GET', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
-- A key that does not expire is no lease: no replica would ever take it over.
if left <= 0 or holder == ARGV[1] or holder == ARGV[3] then
  redis.call('DEL', KEYS[1]) -- first, as it takes no memory: otherwise a full Redis refuses the script
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return {ARGV[1], tonumber(ARGV[2])}
end
return {holder, left}
