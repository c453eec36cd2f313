-- Says up to where a partition was persisted an age ago, and remembers how far persisting has
-- come by now.
--
-- What tells an entry's age is when its place was seen to be persisted. Outbox ids begin with
-- Redis's time and are no clock: where that was ahead once, all ids stay ahead until real time
-- gets there. A time that was noted then, and is still to come, becomes the present one.
--
-- Where history's clock is asked too, a mark has the later of both times, and an age has passed when
-- it has by the earlier of them. So no clock alone makes anything older than it is: neither one that
-- jumps ahead, nor that of a server or a replica that is replaced. As long as one is right, what is
-- said here is never too much; where the other is wrong, it is late by the difference.
--
-- The marks are kept beside the data, so that they are as old as these are, and whoever goes on
-- with a partition goes on with its marks.
--
-- KEYS: 1 the persisted position, 2 the marks: `milliseconds position`, oldest first
-- ARGV: 1 the age in milliseconds
--       2 how many marks an age is divided into
--       3 the time by history's clock, in milliseconds; empty: Redis's counts alone
-- Returns {the outbox id up to which all was persisted an age ago, or '' where it is not known yet;
--   how many milliseconds Redis's clock is ahead of history's}.
local MOST_AGES = 2 -- of marks are kept; so many there are only where clocks differ
redis.call('LTRIM', KEYS[2], 0, -1) -- nothing, and first: a full Redis refuses the script else
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
