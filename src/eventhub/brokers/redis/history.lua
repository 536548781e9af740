-- Reads a page of one channel's log.
--
-- ARGV: what `since` is (position, earliest, last, age), its epoch, its number, most events, most bytes, now, age kept (-1: any),
-- milliseconds until unused metadata expire, "keep" to remember where a channel without events stands (beyond KEPT, that is).
-- Returns epoch, end, start, what was lost ("" nothing), then ID, body and p (or "") of each event.
local kind, number, limit, page_bytes = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
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

-- Before what is left of the log. Where that is all of it, nothing is missing after a place that the channel stood at without events.
local function before_first(position)
  local oldest = base or first and first[2][5] == 'b' and tonumber(first[2][6])
  if not oldest then
    return 'expired'
  elseif position % STEP ~= 0 then
    return 'reset'
  end
  return position < oldest and 'expired' or ''
end

-- The run that a position beyond `trimmed` is in, or the hole. A later run's first event is in the log: it is beyond `trimmed`, too.
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

-- What precedes the last `count` events. Reads one event a run, none where all are of the last.
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
  count = math.max(1, math.min(2 * count, 256, math.floor((page_bytes - size) * #page / 3 / (size + 1)))) -- no more than likely fit
end
return page
