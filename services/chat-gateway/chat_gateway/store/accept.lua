-- Accepts one note: takes the room's next sequence, appends the note to the outbox and announces
-- it. It does so in one step, so that a room's announcements come in order of sequence.
--
-- As long as the note's id is remembered, running it again with that id stores nothing and returns
-- the first answer.
--
-- A room without a head is at the floor, which is the heads' field without a name: its next note
-- comes after all sequences of forgotten rooms (age_retention.lua). The outbox entry says so (`f`):
-- there are no notes between the floor and what was before.
--
-- KEYS: epoch, heads, outbox (of one partition), the record of the note's id
-- ARGV: 1 the room, 2 its live channel, 3 the serialised note without its position,
--       4 the digest of its content, 5 the time when it was made (ns since 1970),
--       6 how many ms to remember the id; 0: it is certainly new, and not remembered
-- Returns {'stored' or 'duplicate', epoch, sequence, time when made}, or {'taken'}
local window = tonumber(ARGV[6])
if window > 0 then
  local first = redis.call('HMGET', KEYS[4], 'e', 's', 't', 'd')
  if first[1] then
    if first[4] ~= ARGV[4] then
      return {'taken'}
    end
    return {'duplicate', first[1], first[2], first[3]}
  end
end

local epoch = tonumber(redis.call('GET', KEYS[1]))
if not epoch then
  local now = redis.call('TIME')
  -- Never before 2020, whatever the clock says: cursors of earlier epochs are refused.
  epoch = math.max(now[1] * 1000 + math.floor(now[2] / 1000), 1577836800000)
  redis.call('SET', KEYS[1], string.format('%d', epoch))
end
local sequence = redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
local floor = sequence == 1 and tonumber(redis.call('HGET', KEYS[2], ''))
local epoch_text = string.format('%d', epoch)
local id
if floor then
  sequence = floor + 1
  redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', sequence))
  id = redis.call('XADD', KEYS[3], '*', 'r', ARGV[1], 'e', epoch_text, 's', sequence, 'n', ARGV[3],
    'f', string.format('%.0f', floor))
else
  id = redis.call('XADD', KEYS[3], '*',
    'r', ARGV[1], 'e', epoch_text, 's', sequence, 'n', ARGV[3])
end
if window > 0 then
  redis.call('HSET', KEYS[4], 'e', epoch_text, 's', sequence, 't', ARGV[5], 'd', ARGV[4])
  redis.call('PEXPIRE', KEYS[4], window)
end
local milliseconds, counter = string.match(id, '(%d+)-(%d+)')
redis.call('PUBLISH', ARGV[2],
  struct.pack('>I8I8I8I8', epoch, sequence, tonumber(milliseconds), tonumber(counter)) .. ARGV[3])
return {'stored', epoch_text, tostring(sequence), ARGV[5]}
