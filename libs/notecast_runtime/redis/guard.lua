-- Begins a new epoch if the newest writes may be lost: another run of Redis than the remembered one
-- answers, or its data are older than what the caller has seen. Any number of callers may ask; the
-- first of them does it. If a later epoch has begun without the one that the caller has seen, moves
-- the end of the common log to where that one forked from these data.
--
-- KEYS: epoch, run, heads, epochs, outbox, began (of one partition)
-- ARGV: 1 the run id
--       2 the prefix of the keys that hold the rooms' heads at the end of an epoch
--       3 how many such epochs to remember
--       4 the latest epoch that the caller has seen; 0: none
--       5 entries of the outbox that it has seen in that epoch and does not find, oldest first, with
--         blanks between them; 0-0: none
--       6 where data of an earlier epoch forked from what the caller has seen: the last entry of the
--         outbox that they have in common; 0-0: none, or not known
--       7 the beginnings of epochs that the caller has seen: for each, oldest first, the epoch before
--         it and the last entry of the outbox then, with blanks between all
-- Returns the epoch, or '' if the partition has none yet, and how it began, or '' if that is not
-- known; an error that begins with CORRUPT if a key has a wrong type, or the epoch is no number.
local ENTRIES_PER_READ, MOST_READS = 500, 20

local function holds(key, wanted)
  local found = redis.call('TYPE', key).ok
  return found == wanted or found == 'none'
end

-- If one of these two is wrong, no note is accepted in this epoch: it may stay as it is.
if not holds(KEYS[1], 'string') then
  return redis.error_reply('CORRUPT ' .. KEYS[1] .. ' is no string')
end
if not holds(KEYS[3], 'hash') then
  return redis.error_reply('CORRUPT ' .. KEYS[3] .. ' is no hash')
end
local epoch = redis.call('GET', KEYS[1])
if epoch and not tonumber(epoch) then
  return redis.error_reply('CORRUPT ' .. KEYS[1] .. ' is no number')
end
local seen_epoch = tonumber(ARGV[4])
local has_outbox = redis.call('TYPE', KEYS[5]).ok == 'stream'

local function is_before(id, other)
  local milliseconds, counter = string.match(id, '^(%d+)-(%d+)$')
  local its_milliseconds, its_counter = string.match(other, '^(%d+)-(%d+)$')
  if milliseconds ~= its_milliseconds then
    return tonumber(milliseconds) < tonumber(its_milliseconds)
  end
  return tonumber(counter) < tonumber(its_counter)
end

-- Facts that the outbox remembers even if it is trimmed.
local function outbox_fact(name)
  local facts = redis.call('XINFO', 'STREAM', KEYS[5])
  for i = 1, #facts, 2 do
    if facts[i] == name then
      return facts[i + 1]
    end
  end
end

local function last_id()
  return has_outbox and outbox_fact('last-generated-id') or '0-0'
end

-- Whether an entry was never written to these data. One that comes before all that are there may
-- have been trimmed, if anything was.
local function was_never_here(entry)
  if not holds(KEYS[5], 'stream') then
    return false -- not known
  elseif is_before(last_id(), entry) then
    return true
  elseif redis.call('XRANGE', KEYS[5], entry, entry, 'COUNT', 1)[1] then
    return false
  end
  local first = redis.call('XRANGE', KEYS[5], '-', '+', 'COUNT', 1)[1]
  return first and is_before(first[1], entry)
    or outbox_fact('entries-added') == redis.call('XLEN', KEYS[5])
end

-- The first of them that shows older data; others before it may have been trimmed.
local lost
local function is_older()
  if not epoch or seen_epoch ~= tonumber(epoch) then
    return epoch and seen_epoch > tonumber(epoch)
  end
  for entry in string.gmatch(ARGV[5], '%S+') do
    if entry ~= '0-0' and was_never_here(entry) then
      lost = entry
      return true
    end
  end
end

-- Whether the outbox still has all entries after a given one.
local function tells_all_after(entry)
  local first = redis.call('XRANGE', KEYS[5], '-', '+', 'COUNT', 1)[1]
  return not is_before(entry, last_id())
    or first and not is_before(entry, first[1])
    or outbox_fact('entries-added') == redis.call('XLEN', KEYS[5])
end

-- After the fork, these data may have notes under sequences that the caller has seen for others. So a
-- room's common log ends at the fork. Rooms may also have been forgotten after it. The floor at that
-- time is not known, so nothing of a room that is at it, or came from it, counts as common. This is
-- also true if the outbox has no entry after the fork, and for another run: forgetting a room writes
-- no entry, and another run may serve the data of an abandoned primary that went on forgetting.
local function end_at_the_fork(ended, fork)
  if not holds(ended, 'hash') then
    redis.call('UNLINK', ended)
  end
  local knew_the_floor = redis.call('HDEL', ended, '') == 1
  if not tells_all_after(fork) then
    redis.call('UNLINK', ended) -- nothing of the epoch counts as common
    return
  end
  local place = fork
  for _ = 1, MOST_READS do
    local entries = redis.call('XRANGE', KEYS[5], '(' .. place, '+', 'COUNT', ENTRIES_PER_READ)
    for _, entry in ipairs(entries) do
      local fields = {}
      for i = 1, #entry[2], 2 do
        fields[entry[2][i]] = entry[2][i + 1]
      end
      local sequence = tonumber(fields.s)
      if fields.r and sequence then
        -- If it ended at another fork, or was empty, it stays so.
        local stood = redis.call('HGET', ended, fields.r) or (knew_the_floor and sequence or 0)
        local common = math.min(fields.f and 0 or sequence - 1, tonumber(stood) or 0)
        redis.call('HSET', ended, fields.r, string.format('%d', common))
      end
      place = entry[1]
    end
    if #entries < ENTRIES_PER_READ then
      return
    end
  end
  redis.call('UNLINK', ended) -- too many to find out
end

-- The last epoch of these data before the one that the caller has seen, if they never had that one:
-- it began in data that forked from these, in another Redis that took over for a while.
local function epoch_before_the_unknown()
  if not epoch or seen_epoch >= tonumber(epoch) or not holds(KEYS[4], 'list') then
    return
  end
  local before
  for _, past in ipairs(redis.call('LRANGE', KEYS[4], 0, -1)) do
    local number = tonumber(past) or math.huge
    if number == seen_epoch then
      return
    elseif number < seen_epoch then
      before = past
    end
  end
  return before
end

local function fork_after(previous)
  for its_previous, entry in string.gmatch(ARGV[7], '(%d+) (%S+)') do
    if its_previous == previous then
      return entry
    end
  end
  return '0-0'
end

local older = is_older()
local before = not older and epoch_before_the_unknown()
if before and has_outbox then
  end_at_the_fork(ARGV[2] .. before, fork_after(before))
end
local same_run = holds(KEYS[2], 'string') and redis.call('GET', KEYS[2]) == ARGV[1]
if same_run and not older then
  return { epoch or '', holds(KEYS[6], 'string') and redis.call('GET', KEYS[6]) or '' }
end
redis.call('DEL', KEYS[2]) -- first, as it takes no memory: otherwise a full Redis refuses the script
redis.call('SET', KEYS[2], ARGV[1])
if not epoch then
  return { '', '' }
end
local now = redis.call('TIME')
local new = math.max(
  now[1] * 1000 + math.floor(now[2] / 1000), tonumber(epoch) + 1, seen_epoch + 1)
redis.call('SET', KEYS[1], string.format('%d', new))
local began = epoch .. ' ' .. last_id()
redis.call('SET', KEYS[6], began)

-- The epoch has begun whatever happens to the record of the one before: without it, clients with
-- its cursors are told of a break.
if not holds(KEYS[4], 'list') then
  return redis.error_reply('CORRUPT ' .. KEYS[4] .. ' is no list: no past epoch is known')
end

local ended = ARGV[2] .. epoch
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('COPY', KEYS[3], ended, 'REPLACE')
end
if older and has_outbox then
  end_at_the_fork(ended, lost or ARGV[6])
end
redis.call('RPUSH', KEYS[4], epoch)
while redis.call('LLEN', KEYS[4]) > tonumber(ARGV[3]) do
  redis.call('UNLINK', ARGV[2] .. redis.call('LPOP', KEYS[4]))
end
return { string.format('%d', new), began }
