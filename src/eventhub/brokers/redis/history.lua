-- Reads a page of one channel's log.
--
-- ARGV: the kind of `since` (position, earliest, last, age), its epoch, its number, most events,
-- most bytes, now, retention age (-1: any), milliseconds until unused metadata expire, and "keep"
-- to store the position of a channel without events, which is else known for KEPT.
-- Returns epoch, end, start, what was lost ("": nothing), then ID, body and p (or "") of each
-- event.
local kind, number = ARGV[1], tonumber(ARGV[3])
local limit, page_bytes = tonumber(ARGV[4]), tonumber(ARGV[5])
local now, age, ttl = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

if not absent then
  local left = redis.call('PTTL', meta)
  if left >= 0 and left < ttl / 2 then
    redis.call('PEXPIRE', meta, ttl)
  end
elseif ARGV[9] == 'keep' then
  redis.call('HSET', meta, 'epoch', epoch, 'tip', text(tip), 'base', text(base))
  redis.call('PEXPIRE', meta, ttl)
end

local first = not base and entry_at(0)
if first and age >= 0 then
  local offset, time = id(first)
  if time < now - age then
    first = first_since(now - age, offset + 1, tip)
  end
end
local trimmed = first and previous(first) or tip
local offset, lost = trimmed, ''

-- What was lost for a position before the first event. While the log is complete, nothing is
-- missing after a position that the channel had without events, nor after 0, which is before any.
local function before_first(position)
  local oldest = base or first and first[2][5] == 'b' and tonumber(first[2][6])
  if not oldest then
    return 'expired'
  elseif position % STEP ~= 0 then
    return 'reset'
  end
  return position > 0 and position < oldest and 'expired' or ''
end

-- Where to read from for a position beyond `trimmed`: in its run, or after the jump that it lies
-- in. The first event of a later run is in the log, because it is beyond `trimmed`, too.
local function locate(position)
  local begin = start
  while position < begin do
    local entry = entry_at(begin)
    local last = entry and tonumber(entry[2][4])
    if not last then
      return trimmed, 'reset'
    elseif position > last then
      return math.max(last, trimmed), 'reset'
    end
    begin = tonumber(entry[2][6])
  end
  return position, ''
end

-- The offset before the last `count` events. Reads one event per run, and none within the last run.
local function before_last(count)
  local begin, last = start, tip
  while last > trimmed do
    if count <= last - begin then
      return math.max(last - count, trimmed)
    end
    local entry = begin > trimmed and entry_at(begin)
    local before = entry and tonumber(entry[2][4])
    if not before then
      return trimmed
    end
    count, begin, last = count - (last - begin + 1), tonumber(entry[2][6]), before
    if count == 0 then
      return math.max(last, trimmed)
    end
  end
  return trimmed
end

if kind == 'position' then
  if ARGV[2] ~= epoch or number > tip then
    lost = 'reset'
  elseif number < trimmed then
    lost = before_first(number)
  elseif number > trimmed then
    offset, lost = locate(number)
  end
elseif kind == 'last' then
  offset = before_last(number)
elseif kind == 'age' then
  local entry = first and first_since(now - number, id(first), tip)
  offset = entry and previous(entry) or tip
end

local page = {epoch, tip, offset, lost}
local next, count, size = offset + 1, 1, 0
while limit > 0 and size < page_bytes and next <= tip do
  local entries = redis.call('XRANGE', log, text(next), '+', 'COUNT', math.min(count, limit))
  if #entries == 0 then
    break
  end
  for _, entry in ipairs(entries) do
    if size < page_bytes then
      page[#page + 1] = entry[1]
      page[#page + 1] = entry[2][2]
      page[#page + 1] = entry[2][4] or ''
      size = size + #entry[2][2]
      limit = limit - 1
    end
  end
  next = id(entries[#entries]) + 1
  local likely_to_fit = math.floor((page_bytes - size) * #page / 3 / (size + 1))
  count = math.max(1, math.min(2 * count, 256, likely_to_fit))
end
return page
