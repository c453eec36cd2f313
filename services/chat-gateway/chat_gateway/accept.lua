-- Accepts one note: takes the room's next sequence, puts the note into the outbox and
-- announces it, in one step, so that a room's announcements come in order of sequence.
--
-- KEYS: epoch, heads, outbox (of one partition)
-- ARGV: room, live channel, serialised note without its place
-- Returns {epoch, sequence}.
local epoch = tonumber(redis.call('GET', KEYS[1]))
if not epoch then
  local now = redis.call('TIME')
  epoch = now[1] * 1000 + math.floor(now[2] / 1000)
  redis.call('SET', KEYS[1], string.format('%d', epoch))
end
local sequence = redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
local id = redis.call('XADD', KEYS[3], '*',
  'r', ARGV[1], 'e', string.format('%d', epoch), 's', sequence, 'n', ARGV[3])
local milliseconds, counter = string.match(id, '(%d+)-(%d+)')
redis.call('PUBLISH', ARGV[2],
  struct.pack('>I8I8I8I8', epoch, sequence, tonumber(milliseconds), tonumber(counter)) .. ARGV[3])
return {epoch, sequence}
