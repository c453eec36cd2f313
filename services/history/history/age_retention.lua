-- Removes the notes at the beginning of a room's stream that have grown too old, and forgets
-- a room of which no note is left.
--
-- What is forgotten is the stream, the room's head, and where it stood when epochs ended. Its
-- sequences must not be given out again while cursors of it may come: the floor, which all
-- rooms of the partition stand at that are not there, rises above them, and above the floor as
-- it was: each floor is another place.
--
-- Its last sequence is remembered, for as long as some number of rooms is forgotten after it: who
-- comes with a cursor of before has missed notes if it is below that, and else has not (room_log.py).
-- And the latest epoch at the end of which it was there: where it stood then is known no more
-- (epoch_ends.lua).
--
-- KEYS: 1 the room's stream, 2 the heads, 3 the epochs (of its partition),
--       4 the last sequences of rooms that were forgotten, 5 those of before
-- ARGV: 1 the outbox id up to which notes are too old (position_marks.lua)
--       2 how many notes to look at
--       3 the room
--       4 the prefix of the keys that hold where rooms stood when an epoch ended
--       5 how many forgotten rooms to remember at least; twice as many are at most
-- Returns {how many notes were removed, 1 where the room was forgotten, else 0}.
if redis.call('TYPE', KEYS[1]).ok ~= 'stream' then
  return {0, 0}
end

local function parts(outbox_id)
  local milliseconds, counter = string.match(outbox_id, '^(%d+)-(%d+)$')
  return tonumber(milliseconds), tonumber(counter)
end

local milliseconds, counter = parts(ARGV[1])

local function is_too_old(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'o' then
      local its_milliseconds, its_counter = parts(fields[i + 1])
      return its_milliseconds and (its_milliseconds < milliseconds
        or (its_milliseconds == milliseconds and its_counter <= counter))
    end
  end
end

local removed = 0
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[2])) do
  if not is_too_old(entry[2]) then
    break
  end
  removed = removed + 1
end
if removed > 0 then
  redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', redis.call('XLEN', KEYS[1]) - removed)
end

-- The last sequence that the stream ever had, whatever was trimmed.
local function last_sequence()
  local facts = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #facts, 2 do
    if facts[i] == 'last-generated-id' then
      return tonumber(string.match(facts[i + 1], '^%d+'))
    end
  end
end

-- With a note that is not persisted yet it stays.
local head = tonumber(redis.call('HGET', KEYS[2], ARGV[3]))
if not head or redis.call('XLEN', KEYS[1]) > 0 or last_sequence() ~= head then
  return {removed, 0}
end
local floor_before = tonumber(redis.call('HGET', KEYS[2], '')) or 0
local floor = math.max(floor_before, head) + 1
redis.call('HDEL', KEYS[2], ARGV[3]) -- first, since it takes no memory: a full Redis refuses the script else
redis.call('HSET', KEYS[2], '', string.format('%.0f', floor))
redis.call('UNLINK', KEYS[1])

-- Of a room that lived through the end of an epoch, nobody can say any more what it lost then.
local lived_through = 0
if redis.call('TYPE', KEYS[3]).ok == 'list' then
  for _, ended in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
    if redis.call('HDEL', ARGV[4] .. ended, ARGV[3]) == 1 then
      lived_through = math.max(lived_through, tonumber(ended))
    end
  end
end

local kind = redis.call('TYPE', KEYS[4]).ok
if kind == 'hash' and redis.call('HLEN', KEYS[4]) > tonumber(ARGV[5]) then
  redis.call('RENAME', KEYS[4], KEYS[5])
end
if kind == 'hash' or kind == 'none' then
  local field = string.sub(redis.sha1hex(ARGV[3]), 1, 16)
  local known = redis.call('HGET', KEYS[4], field) or '0'
  local last = math.max(head, tonumber(string.match(known, '^%d+')))
  lived_through = math.max(lived_through, tonumber(string.match(known, ' (%d+)$')) or 0)
  redis.call('HSETNX', KEYS[4], '', string.format('%.0f', floor_before))
  redis.call('HSET', KEYS[4], field, string.format(
    lived_through > 0 and '%.0f %.0f' or '%.0f', last, lived_through))
end
return {removed, 1}
