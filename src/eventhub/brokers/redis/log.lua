-- One channel in Redis: the code that publish.lua and history.lua share. codec.py puts it in front.
--
-- KEYS[1]: metadata, a hash.
--   epoch
--   tip      the newest offset
--   start    where the run of consecutive offsets that ends at tip begins
--   lineage  the server's replication id when tip was written
--   due      when the log is next trimmed by age
--   first    the offset of the log's first event
--   base     as long as there was no event
--   noticed  when the newest event was published; in a channel that retains nothing, the time of its
--            last birth (publish.lua)
-- KEYS[2]: the log, a stream. The ID is offset-time, field e the event. Offsets are consecutive,
--   except for jumps (publish.lua). The first event after a jump also has p, the offset before it,
--   and s, where the run that ended at p begins. The log's first event has p, and b, its base.
-- KEYS[3]: the epoch that all channels begin with. It is lost together with the channels, so a
--   server that lost everything makes another one.
--
-- The position of a channel without metadata is the server's clock in microseconds, rounded down
-- to a STEP. Reading stores nothing, and every node gives the same position. Metadata outlive the
-- last event by more than KEPT. So nothing was published to a channel without metadata since
-- `base`, KEPT ago: no event lies between a STEP after `base` and the first event, whose offset is
-- the clock's, too.
local STEP, KEPT = 14400000000, 86400000000
local meta, log = KEYS[1], KEYS[2]

local function text(number)
  return string.format('%d', number)
end

local function micros()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- It changes with every start of a server and every change of the master. Offsets given out before
-- may then be lost.
local function lineage()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end

local function entry_at(offset) -- the first entry at or after the offset
  return redis.call('XRANGE', log, text(offset), '+', 'COUNT', 1)[1]
end

local function id(entry)
  local offset, time = string.match(entry[1], '(%d+)-(%d+)')
  return tonumber(offset), tonumber(time)
end

local function previous(entry)
  return tonumber(entry[2][4]) or id(entry) - 1
end

-- The first entry from offset low to high that is not older than `oldest`.
local function first_since(oldest, low, high)
  local found
  while low <= high do
    local middle = math.floor((low + high) / 2)
    local entry = entry_at(middle)
    local offset, time
    if entry then
      offset, time = id(entry)
    end
    if entry and time < oldest then
      low = offset + 1
    else
      found, high = entry or found, middle - 1
    end
  end
  return found
end

local known = redis.call('HMGET', meta, 'epoch', 'tip', 'start', 'lineage', 'due', 'first', 'base',
  'noticed')
local epoch, tip, start, base = known[1], tonumber(known[2]), tonumber(known[3]), tonumber(known[7])
-- Nothing was ever published, or the metadata expired: the rest of a log then has no meaning.
local absent = not epoch
if absent then
  local now = micros()
  epoch = redis.call('GET', KEYS[3])
  if not epoch then
    epoch = string.format('%x', now)
    redis.call('SET', KEYS[3], epoch)
  end
  tip, base = now - now % STEP, math.ceil((now - KEPT) / STEP) * STEP
end
