-- Returns the persisted position of a partition an age ago, and marks the one of now.
--
-- The age of an entry counts from the time when its position was seen to be persisted. Outbox ids
-- begin with Redis's time, but are no clock: if that was ahead once, all ids stay ahead until real
-- time catches up. A marked time that is in the future becomes the present one.
--
-- If history's clock is given, a mark has the later of both times, and an age has passed if it has
-- by the earlier one. So no single clock makes anything older than it is: neither one that jumps
-- ahead, nor that of a replaced server or replica. As long as one clock is right, the returned
-- position is never too new. If the other one is wrong, it is late by the difference.
--
-- The marks are stored with the data, so that they are as old as the data, and any replica that
-- continues with a partition continues with its marks.
--
-- KEYS: 1 the persisted position, 2 the marks: `milliseconds position`, oldest first
-- ARGV: 1 the age in milliseconds
--       2 how many marks an age is divided into
--       3 the time by history's clock, in milliseconds; empty: Redis's counts alone
-- Returns {the outbox id up to which all was persisted an age ago, or '' if it is not known yet;
--   the milliseconds by which Redis's clock is ahead of history's}.
local MOST_AGES = 2 -- bound on the marks, in ages; reached only if clocks differ
redis.call('LTRIM', KEYS[2], 0, -1) -- no change, and first: otherwise a full Redis refuses the script
local time = redis.call('TIME')
local by_redis = time[1] * 1000 + math.floor(time[2] / 1000)
local by_history = tonumber(ARGV[3]) or by_redis
local earliest, latest = math.min(by_redis, by_history), math.max(by_redis, by_history)
local age, marks_per_age = tonumber(ARGV[1]), tonumber(ARGV[2])

local due, newest, newest_at = '', '', nil
local passed = 0
local marks = redis.call('LRANGE', KEYS[2], 0, -1)
for index, mark in ipairs(marks) do
  local at, position = string.match(mark, '^(%d+) (%d+%-%d+)$')
  at = tonumber(at)
  if at > latest then
    at = latest
    redis.call('LSET', KEYS[2], index - 1, string.format('%.0f %s', latest, position))
  end
  if at <= earliest - age then
    due, passed = position, index - 1
  end
  newest, newest_at = position, at
end
if passed > 0 then
  redis.call('LTRIM', KEYS[2], passed, -1)
end

local position = redis.call('GET', KEYS[1])
if position and position ~= newest
    and (not newest_at or newest_at <= latest - age / marks_per_age)
    and #marks - passed <= MOST_AGES * marks_per_age then
  redis.call('RPUSH', KEYS[2], string.format('%.0f %s', latest, position))
end
return {due, by_redis - by_history}
