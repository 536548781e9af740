-- Stores and announces events of one channel, in order.
--
-- KEYS: metadata, log, epoch, topic, names, then the idempotency key of each event that has one.
-- `names` is a sorted set of the names of all channels (of this slot, in a cluster), in which every
-- score is 0. channels.lua removes a name whose metadata have expired. So does each birth of a
-- channel, for some names at random: so at most about a third of the names are of such channels.
-- ARGV: now, retained events, retention age (-1: any), milliseconds until an unused log and unused
-- metadata expire (0: never), PUBLISH or SPUBLISH, the topic of births, milliseconds between two
-- births of a channel that retains nothing; then time, body and digest (empty without key) of each
-- event.
-- Where events have keys (state.lua), three KEYS and some ARGV stand in between.
-- Returns the epoch, then for each event its offset. For an event whose key is known it is "offset
-- time" of the first event with the key, or "offset conflict" if the first event has other data. If
-- its precondition does not hold, it is the offset of its state key's newest event, or -, and
-- "unmet".
-- Announces "epoch previous first time length time length …\n" and the bodies: the offsets of one
-- call are consecutive.
local KEY_TTL = KEY_AGE + 60000 -- KEY_AGE is put in front of the scripts (codec.py)
local JUMP = 1000000
local LOOKED_AT = 3
-- The log is trimmed by age each time another 1/16 of the age has passed. Readers check the times
-- themselves.
local TRIM_SLACK = 16

local channel = string.match(meta, '{([^{}]*)}$')
local now, keep, age = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local here = lineage()
local before, jumped = tip, false
local offset = tip + 1
if base then
  -- The first event. No forgotten log of this channel, and none that a failover lost, has reached
  -- the present clock.
  offset = math.max(offset, micros())
  redis.call('UNLINK', log)
  if states then
    redis.call('UNLINK', KEYS[6], KEYS[7], KEYS[8])
  end
  local names, begin = KEYS[5], string.match(meta, '^(.*{)')
  for _, name in ipairs(redis.call('ZRANDMEMBER', names, LOOKED_AT)) do
    if redis.call('EXISTS', begin .. name .. '}') == 0 then
      redis.call('ZREM', names, name)
    end
  end
  redis.call('ZADD', names, 0, channel)
elseif known[4] ~= here then
  -- The end of the log may be lost, and readers may know its offsets. The server's clock in
  -- microseconds is beyond all of these. So no offset is given out twice, and no reader at a lost
  -- offset takes a new event for an old one.
  offset, jumped = math.max(tip + JUMP, micros()), true
end

local first = offset
local log_first = base and first or tonumber(known[6]) or 0
-- After a jump the announcement names a predecessor that no reader has, so that each reader asks
-- history, which knows the jump. With the true predecessor, a reader at a lost offset could take
-- the new event for the next one.
local results, bodies = {epoch}, {''}
local header = {epoch, text(jumped and first - 1 or before), text(first)}
local key = states and states.keys or 5

for i = states and states.begin or 9, #ARGV, states and states.width or 3 do
  local time, body, digest = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local result
  if digest ~= '' then
    key = key + 1
    local record = redis.call('GET', KEYS[key])
    if record then
      local digest_then, epoch_then, offset_then, time_then =
        string.match(record, '(%S+) (%S+) (%d+) (%d+)')
      local in_log = epoch_then == epoch and tonumber(offset_then) >= log_first
      if in_log and now - time_then <= KEY_AGE then
        result = offset_then .. ' ' .. (digest_then == digest and time_then or 'conflict')
      end
    end
  end
  if states and not result and ARGV[i + 5] ~= '' then
    result = states.refusal(ARGV[i + 3], ARGV[i + 5], epoch, now, age)
  end
  if not result then
    result = offset
    if keep == 0 then
      if offset == first then
        redis.call('UNLINK', log)
      end
    elseif (base or jumped) and offset == first then
      local field, value = base and 'b' or 's', text(base or start)
      local entry_id = text(offset) .. '-' .. time
      redis.call('XADD', log, 'MAXLEN', keep, entry_id, 'e', body, 'p', text(before), field, value)
    else
      redis.call('XADD', log, 'MAXLEN', keep, text(offset) .. '-' .. time, 'e', body)
    end
    if digest ~= '' then
      local record = table.concat({digest, epoch, text(offset), time}, ' ')
      redis.call('SET', KEYS[key], record, 'PX', KEY_TTL)
    end
    if states then
      states.keep(ARGV[i + 3], ARGV[i + 4] == '1', offset, time, body)
    end
    header[#header + 1] = time
    header[#header + 1] = #body
    bodies[#bodies + 1] = body
    offset = offset + 1
  end
  results[#results + 1] = result
end

if offset == first then
  return results
end

local due = tonumber(known[5])
if age >= 0 and keep > 0 and (not due or now >= due or now + 2 * age < due) then
  local entry = entry_at(0)
  local oldest = now - age
  local _, time = id(entry)
  if time < oldest then
    entry = first_since(oldest, id(entry) + 1, offset - 1) or entry
    redis.call('XTRIM', log, 'MINID', entry[1])
    _, time = id(entry)
  end
  due = math.max(time + age, now) + math.ceil(age / TRIM_SLACK)
end

-- A birth: no event was retained, or none ever is and the last birth was long ago. Every server of a
-- cluster passes PUBLISH on; SPUBLISH would need a topic in each slot.
local noticed = not base and tonumber(known[8])
local pause = keep == 0 and tonumber(ARGV[8]) or age
local born = not noticed or noticed > now or pause >= 0 and noticed + pause < now
if keep > 0 or born then
  noticed = now
end

local run_start = text((base or jumped) and first or start)
redis.call('HSET', meta, 'epoch', epoch, 'tip', text(offset - 1), 'start', run_start,
  'lineage', here, 'due', text(due or 0), 'first', text(log_first), 'base', '',
  'noticed', text(noticed))
if states then
  states.tidy(offset - first, now)
end
for i, name in ipairs({log, meta}) do
  if tonumber(ARGV[3 + i]) > 0 then
    redis.call('PEXPIRE', name, ARGV[3 + i])
  else
    redis.call('PERSIST', name)
  end
end
bodies[1] = table.concat(header, ' ') .. '\n'
redis.call(ARGV[6], KEYS[4], table.concat(bodies))
if born then
  redis.pcall('PUBLISH', ARGV[7], channel)
end
return results
