-- Removes the notes at the beginning of a room's stream that have grown too old.
--
-- The stream itself stays, also when it is empty: its last id tells a late worker that
-- it is late.
--
-- KEYS: 1 the room's stream
-- ARGV: 1 the outbox id up to which notes are too old (age_marks.lua)
--       2 how many notes to look at
-- Returns how many notes were removed.
if redis.call('TYPE', KEYS[1]).ok ~= 'stream' then
  return 0
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
return removed
