-- Puts a batch of one partition's outbox into the streams of its rooms.
--
-- Running it again with the same batch, or with an older one, changes nothing: a note
-- whose sequence is not above its stream's last id is there already, or was and has been
-- removed by retention. That holds because every worker goes in the outbox's order from
-- the shared position.
--
-- KEYS: 1 the epoch, 2 the persisted position, 3 the outbox, 4... the rooms' streams
-- ARGV: 1 the epoch in which the batch was read, empty where there was none
--       2 the outbox id of the batch's last entry
--       3 how many notes a room keeps
--       4 how many milliseconds of the outbox to keep behind the persisted position
--       5... of each note: its stream's index in KEYS, sequence, epoch, outbox id, note
-- Returns {'refused'} where another epoch has begun, else
--   {'persisted', the persisted position, {the notes (1 is the batch's first) passed over
--   because their room's key holds something else than a stream}}
local NOTE_ARGUMENTS = 5

-- A batch of an epoch that is over may hold notes that no longer exist, under sequences
-- that are taken again.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return {'refused'}
end

-- The last sequence that the stream ever had, whatever was trimmed; nil: it's no stream.
local function last_sequence(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then
    return 0
  elseif kind ~= 'stream' then
    return nil
  end
  local facts = redis.call('XINFO', 'STREAM', key)
  for i = 1, #facts, 2 do
    if facts[i] == 'last-generated-id' then
      return tonumber(string.match(facts[i + 1], '^%d+'))
    end
  end
end

local last = {}
for i = 4, #KEYS do
  last[i] = last_sequence(KEYS[i])
end

local passed_over = {}
local number = 0
for i = 5, #ARGV, NOTE_ARGUMENTS do
  number = number + 1
  local stream, sequence = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if not last[stream] then
    table.insert(passed_over, number)
  elseif sequence > last[stream] then
    redis.call('XADD', KEYS[stream], ARGV[i + 1] .. '-0',
      'e', ARGV[i + 2], 'o', ARGV[i + 3], 'n', ARGV[i + 4])
    last[stream] = sequence
  end
end

for i = 4, #KEYS do
  if last[i] then
    redis.call('XTRIM', KEYS[i], 'MAXLEN', '=', ARGV[3])
  end
end

local function parts(outbox_id)
  local milliseconds, counter = string.match(outbox_id, '^(%d+)-(%d+)$')
  return tonumber(milliseconds), tonumber(counter)
end

local position = redis.call('GET', KEYS[2]) or '0-0'
local milliseconds, counter = parts(position)
local batch_milliseconds, batch_counter = parts(ARGV[2])
if batch_milliseconds > milliseconds
    or (batch_milliseconds == milliseconds and batch_counter > counter) then
  position, milliseconds = ARGV[2], batch_milliseconds
  redis.call('SET', KEYS[2], position)
end

-- Here and nowhere else, because here the position can't be one that Redis has lost.
local oldest_kept = milliseconds - tonumber(ARGV[4])
if oldest_kept > 0 then
  redis.call('XTRIM', KEYS[3], 'MINID', '~', string.format('%.0f', oldest_kept))
end
return {'persisted', position, passed_over}
