-- Stores and announces events of one channel, in order.
--
-- KEYS: metadata, log, epoch, where to announce, then the idempotency key of each event that has one.
-- ARGV: now, events kept, age kept (-1: any), milliseconds until an unused log and unused metadata expire (0: never), PUBLISH or SPUBLISH;
-- then time, body and digest (empty without key) of each event.
-- Returns the epoch, then for each event its offset, or of the first one with its key "offset time", or "offset conflict"
-- where that one has other data.
-- Announces "epoch previous first time length time length …\n" and the bodies: offsets of one call are consecutive.
local KEY_TTL = KEY_AGE + 60000 -- KEY_AGE is put in front of the scripts (codec.py)
local JUMP = 1000000
local TRIM_SLACK = 16 -- the log is trimmed by age each time another 1/16 of the age has passed; readers look at the times themselves

local now, keep, age = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local here = lineage()
local before, jumped = tip, false
local offset = tip + 1
if base then -- the first event. No forgotten log of this channel, and none that a failover lost, got as far as the clock is now.
  offset = math.max(offset, micros())
  redis.call('UNLINK', log)
elseif known[4] ~= here then
  -- The tail of the log may have been lost with its offsets, and readers may know them. Beyond all of these is the server's clock in
  -- microseconds, so no offset is given out twice, and no reader that is at a lost one takes a new event for an old one.
  offset, jumped = math.max(tip + JUMP, micros()), true
end

local first = offset
local log_first = base and first or tonumber(known[6]) or 0
-- After a jump the announcement names a predecessor that no reader stands at, so that each of them asks history, which knows the hole. With
-- the true one, a reader at a lost offset could take the new event for the next one.
local results, header, bodies = {epoch}, {epoch, text(jumped and first - 1 or before), text(first)}, {''}
local key = 4

for i = 7, #ARGV, 3 do
  local time, body, digest = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local result
  if digest ~= '' then
    key = key + 1
    local record = redis.call('GET', KEYS[key])
    if record then
      local digest_then, epoch_then, offset_then, time_then = string.match(record, '(%S+) (%S+) (%d+) (%d+)')
      if epoch_then == epoch and tonumber(offset_then) >= log_first and now - time_then <= KEY_AGE then
        result = offset_then .. ' ' .. (digest_then == digest and time_then or 'conflict')
      end
    end
  end
  if not result then
    result = offset
    if keep == 0 then
      if offset == first then
        redis.call('UNLINK', log)
      end
    elseif base and offset == first then
      redis.call('XADD', log, 'MAXLEN', keep, text(offset) .. '-' .. time, 'e', body, 'p', text(before), 'b', text(base))
    elseif jumped and offset == first then
      redis.call('XADD', log, 'MAXLEN', keep, text(offset) .. '-' .. time, 'e', body, 'p', text(before), 's', text(start))
    else
      redis.call('XADD', log, 'MAXLEN', keep, text(offset) .. '-' .. time, 'e', body)
    end
    if digest ~= '' then
      redis.call('SET', KEYS[key], table.concat({digest, epoch, text(offset), time}, ' '), 'PX', KEY_TTL)
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

redis.call('HSET', meta, 'epoch', epoch, 'tip', text(offset - 1), 'start', text((base or jumped) and first or start), 'lineage', here,
  'due', text(due or 0), 'first', text(log_first), 'base', '')
for i, name in ipairs({log, meta}) do
  if tonumber(ARGV[3 + i]) > 0 then
    redis.call('PEXPIRE', name, ARGV[3 + i])
  else
    redis.call('PERSIST', name)
  end
end
bodies[1] = table.concat(header, ' ') .. '\n'
redis.call(ARGV[6], KEYS[4], table.concat(bodies))
return results
