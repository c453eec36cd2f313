-- Removes the oldest notes of a room's stream that are too old, and forgets a room without notes.
--
-- Forgetting removes the stream, the room's head, and its heads at the ends of epochs. Its sequences
-- must not be given out again while cursors of it may come. So the floor, the head of all rooms of
-- the partition that have none, rises above them. It also rises above the earlier floor, so that
-- each floor is another position.
--
-- The room's last sequence is remembered until a number of other rooms is forgotten. A client with
-- an earlier cursor has missed notes if the cursor is below that sequence, otherwise not
-- (room_log.py). The latest epoch at whose end the room existed is remembered too: its head then is
-- no longer known (epoch_ends.lua).
--
-- KEYS: 1 the room's stream, 2 the heads, 3 the epochs (of its partition),
--       4 the last sequences of forgotten rooms, 5 those of the period before
-- ARGV: 1 the outbox id up to which notes are too old (position_marks.lua)
--       2 how many notes to look at
--       3 the room
--       4 the prefix of the keys that hold the rooms' heads at the end of an epoch
--       5 the minimum number of forgotten rooms to remember; at most twice as many are
-- Returns {number of removed notes, 1 if the room was forgotten, else 0}.
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

-- The last sequence that the stream ever had, even if it was trimmed.
local function last_sequence()
  local facts = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #facts, 2 do
    if facts[i] == 'last-generated-id' then
      return tonumber(string.match(facts[i + 1], '^%d+'))
    end
  end
end

-- A room with a note that is not persisted yet stays.
local head = tonumber(redis.call('HGET', KEYS[2], ARGV[3]))
if not head or redis.call('XLEN', KEYS[1]) > 0 or last_sequence() ~= head then
  return {removed, 0}
end
local floor_before = tonumber(redis.call('HGET', KEYS[2], '')) or 0
local floor = math.max(floor_before, head) + 1
redis.call('HDEL', KEYS[2], ARGV[3]) -- first, as it takes no memory: otherwise a full Redis refuses the script
redis.call('HSET', KEYS[2], '', string.format('%.0f', floor))
redis.call('UNLINK', KEYS[1])

-- If the room lived through the end of an epoch, its loss at that end is no longer known.
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
