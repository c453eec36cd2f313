-- Says up to where a partition was persisted an age ago, and remembers how far persisting has
-- come by now.
--
-- What tells an entry's age is when its place was seen to be persisted. Outbox ids begin with
-- Redis's time and are no clock: where that was ahead once, all ids stay ahead until real time
-- gets there. A time that was noted then, and is still to come, becomes the present one.
--
-- The marks are kept beside the data, so that they are as old as these are, and whoever goes on
-- with a partition goes on with its marks.
--
-- KEYS: 1 the persisted position, 2 the marks: `milliseconds position`, oldest first
-- ARGV: 1 the age in milliseconds
--       2 how many marks an age is divided into
-- Returns the outbox id up to which all was persisted an age ago, or '' where it is not known yet.
redis.call('LTRIM', KEYS[2], 0, -1) -- nothing, and first: a full Redis refuses the script else
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local age = tonumber(ARGV[1])

local due, newest, newest_at = '', '', nil
local passed = 0
local marks = redis.call('LRANGE', KEYS[2], 0, -1)
for index, mark in ipairs(marks) do
  local at, position = string.match(mark, '^(%d+) (%d+%-%d+)$')
  at = tonumber(at)
  if at > now then
    at = now
    redis.call('LSET', KEYS[2], index - 1, string.format('%.0f %s', now, position))
  end
  if at <= now - age then
    due, passed = position, index - 1
  end
  newest, newest_at = position, at
end
if passed > 0 then
  redis.call('LTRIM', KEYS[2], passed, -1)
end

local position = redis.call('GET', KEYS[1])
if position and position ~= newest
    and (not newest_at or newest_at <= now - age / tonumber(ARGV[2])) then
  redis.call('RPUSH', KEYS[2], string.format('%.0f %s', now, position))
end
return due
