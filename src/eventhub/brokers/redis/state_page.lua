-- Reads a page of one channel's state (state.lua).
--
-- KEYS: metadata, log, epoch, and the three of the state. ARGV: the epoch and the offset of the
-- reader's position ("": it has none), the offset up to which deletions are left out, most events,
-- most bytes, now, retention age (-1: any), 1 for `latest`, age of keys (-1: any), and milliseconds
-- until unused metadata expire.
-- Returns epoch, end, start, what was lost ("": nothing), up to where deletions are left out, 1 if
-- more follows, then ID and body of each event.
local state, order, deletions = KEYS[4], KEYS[5], KEYS[6]
local asked, position, begun = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local limit, page_bytes = tonumber(ARGV[4]), tonumber(ARGV[5])
local now, age, latest, state_age = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
local CHUNK = 128

local function id_of(value)
  local offset, time = string.match(value, '^(%d+)-(%d+)')
  return tonumber(offset), tonumber(time)
end

if not absent then
  local left = redis.call('PTTL', meta)
  if left >= 0 and left < tonumber(ARGV[10]) / 2 then
    redis.call('PEXPIRE', meta, ARGV[10])
  end
end

-- The offset up to which entries are beyond retention.
local function gone()
  if absent then
    return tip
  elseif latest ~= '1' then
    local first = not base and entry_at(0)
    if first and age >= 0 then
      local offset, time = id(first)
      if time < now - age then
        first = first_since(now - age, offset + 1, tip)
      end
    end
    return first and id(first) - 1 or tip
  elseif state_age < 0 then
    return 0
  end
  local last, place = 0, 0
  while true do
    local keys = redis.call('ZRANGE', order, place, place + CHUNK - 1)
    for _, key in ipairs(keys) do
      local offset, time = id_of(redis.call('HGET', state, key))
      if time >= now - state_age then
        return last
      end
      last = offset
    end
    if #keys < CHUNK then
      return last
    end
    place = place + CHUNK
  end
end

-- Whether this log has given the position, and has not lost it since.
local function is_known(offset)
  if absent or base then
    return offset % STEP == 0
  elseif offset >= start or offset == 0 then
    return true
  end
  local entry = entry_at(offset)
  if entry and id(entry) == offset then
    return true
  end
  return #redis.call('ZRANGEBYSCORE', order, text(offset), text(offset), 'LIMIT', 0, 1) > 0
end

local trimmed = gone()
local forgotten = math.max(trimmed, tonumber(redis.call('HGET', meta, 'forgotten') or 0))
local after, lost = 0, ''
if asked == '' then
  begun = tip
elseif asked ~= epoch or position > tip then
  begun, lost = tip, 'reset'
elseif not is_known(position) or not absent and not base and position < forgotten then
  begun, lost = tip, 'expired'
else
  after = position
end

local page = {epoch, tip, after, lost, begun, 0}
local next, size = math.max(after, trimmed), 0
while not absent do
  local entries = redis.call(
    'ZRANGEBYSCORE', order, '(' .. text(next), '+inf', 'WITHSCORES', 'LIMIT', 0, CHUNK
  )
  for i = 1, #entries, 2 do
    local key, offset = entries[i], tonumber(entries[i + 1])
    if offset > begun or not redis.call('ZSCORE', deletions, key) then
      if limit == 0 or size >= page_bytes then
        page[6] = 1
        return page
      end
      local value = redis.call('HGET', state, key)
      local entry_id, body = string.match(value, '^(%d+-%d+)\n(.*)$')
      if not entry_id then
        entry_id = value
        local entry = redis.call('XRANGE', log, value, value)[1]
        body = entry and entry[2][2] or ''
      end
      page[#page + 1] = entry_id
      page[#page + 1] = body
      size = size + #body
      limit = limit - 1
    end
    next = offset
  end
  if #entries < 2 * CHUNK then
    return page
  end
end
return page
