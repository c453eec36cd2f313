-- Removes the notes at the beginning of a room's stream that have grown too old, and forgets
-- a room of which no note is left.
--
-- What is forgotten is the stream, the room's head, and where it stood when epochs ended. Its
-- sequences must not be given out again while cursors of it may come: the floor, which all
-- rooms of the partition stand at that are not there, rises above them. And above the floor
-- as it was, so that no cursor of before is taken for one of the room's end: who comes with
-- one is told that notes are gone.
--
-- KEYS: 1 the room's stream, 2 the heads, 3 the epochs (of its partition)
-- ARGV: 1 the outbox id up to which notes are too old (position_marks.lua)
--       2 how many notes to look at
--       3 the room
--       4 the prefix of the keys that hold where rooms stood when an epoch ended
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
local floor = math.max(tonumber(redis.call('HGET', KEYS[2], '')) or 0, head) + 1
redis.call('HDEL', KEYS[2], ARGV[3]) -- first, since it takes no memory: a full Redis refuses the script else
redis.call('HSET', KEYS[2], '', string.format('%.0f', floor))
redis.call('UNLINK', KEYS[1])
if redis.call('TYPE', KEYS[3]).ok == 'list' then
  for _, ended in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
    redis.call('HDEL', ARGV[4] .. ended, ARGV[3])
  end
end
return {removed, 1}
