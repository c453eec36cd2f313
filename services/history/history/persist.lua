-- Appends a batch of one partition's outbox to the streams of its rooms.
--
-- Running it again with the same batch, or with an older one, changes nothing. A note that is not
-- after the position is in its stream, or retention has removed it, perhaps with the whole room. A
-- note whose sequence is not above its stream's last id was written by a run that was interrupted.
-- This holds because every worker follows the outbox's order from the shared position.
--
-- KEYS: 1 the epoch, 2 the persisted position, 3 the outbox, 4 the heads, 5 the rejected,
--       6... the rooms' streams
-- ARGV: 1 the epoch in which the batch was read; empty: there was none
--       2 the outbox id of the batch's last entry
--       3 how many notes a room keeps
--       4 the outbox id up to which to trim the outbox; empty: not now
--       5 how many rejected entries to keep
--       6 the outbox id of the batch's first entry; empty: there is none, only trim
--       7 the number of unreadable entries of the batch
--       8 the number of notes that came at a floor (accept.lua)
--       then for each unreadable entry: its outbox id, the reason;
--       for each note that came at a floor: its outbox id, the floor;
--       for each note: its stream's index in KEYS, room, sequence, epoch, outbox id, note
-- Returns {'refused'} if another epoch has begun, or the data went back, else
--   {'persisted', the persisted position, {outbox id, reason, and so on, of entries set aside}}
local REJECTION_ARGUMENTS, FLOOR_ARGUMENTS, NOTE_ARGUMENTS = 2, 2, 6
local OUTBOX_ID = 4 -- of a note's arguments, counted from 0
local FIRST_REJECTION = 9
local MOST_FIELDS_KEPT = 128 -- names and values of a rejected entry; valid ones have 10

-- A batch of an earlier epoch may have notes that no longer exist, under sequences that are given
-- again.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return {'refused'}
end

local function parts(outbox_id)
  local milliseconds, counter = string.match(outbox_id, '^(%d+)-(%d+)$')
  return tonumber(milliseconds), tonumber(counter)
end

local position = redis.call('GET', KEYS[2]) or '0-0'

local function is_before(outbox_id, other)
  local its_milliseconds, its_counter = parts(outbox_id)
  local other_milliseconds, other_counter = parts(other)
  return its_milliseconds < other_milliseconds
    or (its_milliseconds == other_milliseconds and its_counter < other_counter)
end

local function after_position(outbox_id)
  return is_before(position, outbox_id)
end

-- Trims nothing if nothing is due, and never what is not persisted.
local function trim_outbox()
  local up_to = ARGV[4]
  if up_to == '' then
    up_to = '0-0'
  elseif after_position(up_to) then
    up_to = position
  end
  redis.call('XTRIM', KEYS[3], 'MINID', '~', up_to)
end

if ARGV[6] == '' then
  trim_outbox()
  return {'persisted', position, {}}
end

-- A batch is a run of the outbox: it begins at the persisted position or before, and its last entry
-- is there. Otherwise Redis has older data than those that it was read from: its notes may no longer
-- exist, and others before it would be skipped.
if not after_position(ARGV[2]) then
  return {'persisted', position, {}} -- by another worker, according to these data
elseif not redis.call('XRANGE', KEYS[3], ARGV[2], ARGV[2])[1] then
  return {'refused'}
end
local next_entry = redis.call('XRANGE', KEYS[3], '(' .. position, '+', 'COUNT', 1)[1]
if is_before(next_entry[1], ARGV[6]) then
  return {'refused'}
end

-- First trim what is due already. This makes room. And in a full Redis, a script whose first write
-- takes no memory may go on (EVAL, "Using scripts in limited memory conditions"). The batch was
-- accepted already, and takes more room in the outbox than in the streams.
trim_outbox()

-- Sets an entry aside as it is in the outbox, once: another worker did it for entries that are not
-- after the position. A key of the wrong type here must not stop the partition.
local set_aside = {}
local function reject(outbox_id, reason)
  if not after_position(outbox_id) then
    return
  end
  table.insert(set_aside, outbox_id)
  table.insert(set_aside, reason)
  local kind = redis.call('TYPE', KEYS[5]).ok
  local entry = redis.call('XRANGE', KEYS[3], outbox_id, outbox_id)[1]
  if entry and (kind == 'none' or kind == 'stream') then
    redis.call('XADD', KEYS[5], 'MAXLEN', '=', ARGV[5], '*', 'outbox_id', outbox_id,
      'reason', reason, unpack(entry[2], 1, math.min(#entry[2], MOST_FIELDS_KEPT)))
  end
end

-- The last sequence that the stream ever had, even if it was trimmed; nil: it is no stream.
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

-- Once in the stream, a sequence that was never given out would hide all later ones.
local heads = {}
local function given_out(stream, room, sequence)
  if not heads[stream] then
    heads[stream] = tonumber(redis.call('HGET', KEYS[4], room)) or 0
  end
  return sequence <= heads[stream]
end

local NO_STREAM = "its room's key holds no stream"

-- XADD itself tells if the stream has the note already: asking first would double the cost of each
-- note.
local floors = {}
local function add(stream, sequence, epoch, outbox_id, note)
  local added
  if floors[outbox_id] then
    added = redis.pcall('XADD', KEYS[stream], 'MAXLEN', '=', ARGV[3], sequence .. '-0',
      'e', epoch, 'o', outbox_id, 'n', note, 'f', floors[outbox_id])
  else
    added = redis.pcall('XADD', KEYS[stream], 'MAXLEN', '=', ARGV[3], sequence .. '-0',
      'e', epoch, 'o', outbox_id, 'n', note)
  end
  if type(added) ~= 'table' or not added.err then
    return
  elseif string.find(added.err, 'WRONGTYPE', 1, true) then
    reject(outbox_id, NO_STREAM)
  elseif not string.find(added.err, 'equal or smaller', 1, true) then
    error(added.err)
  end
end

local function persist(stream, room, sequence, epoch, outbox_id, note)
  if given_out(stream, room, tonumber(sequence)) then
    add(stream, sequence, epoch, outbox_id, note)
    return
  end
  local last = last_sequence(KEYS[stream])
  if not last then
    reject(outbox_id, NO_STREAM)
  elseif tonumber(sequence) > last then
    reject(outbox_id, 's is beyond what its room has given out')
  end
end

local first_floor = FIRST_REJECTION + ARGV[7] * REJECTION_ARGUMENTS
for i = FIRST_REJECTION, first_floor - 1, REJECTION_ARGUMENTS do
  reject(ARGV[i], ARGV[i + 1])
end
local first_note = first_floor + ARGV[8] * FLOOR_ARGUMENTS
for i = first_floor, first_note - 1, FLOOR_ARGUMENTS do
  floors[ARGV[i]] = ARGV[i + 1]
end
local all_new = first_note > #ARGV or after_position(ARGV[first_note + OUTBOX_ID])
for i = first_note, #ARGV, NOTE_ARGUMENTS do
  if all_new or after_position(ARGV[i + OUTBOX_ID]) then
    persist(tonumber(ARGV[i]), unpack(ARGV, i + 1, i + NOTE_ARGUMENTS - 1))
  end
end

if after_position(ARGV[2]) then
  position = ARGV[2]
  redis.call('SET', KEYS[2], position)
end

-- Only here, because here the position can't be one that Redis has lost.
trim_outbox()
return {'persisted', position, set_aside}
