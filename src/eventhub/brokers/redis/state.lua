-- The state of a channel whose events have keys (brokers/states.py). codec.py puts it between
-- log.lua and publish.lua.
--
-- KEYS[6]: a hash. The newest event of each key: its ID, and with `latest` a line break and its body.
-- KEYS[7]: a sorted set of the keys. The score is the offset.
-- KEYS[8]: the same, of deleted keys only.
-- ARGV[9]: 1 for `latest`. ARGV[10]: most keys. ARGV[11]: age of keys (-1: any). ARGV[12]: most
-- deletions. ARGV[13]: milliseconds until an unused state expires (0: never).
-- Each event has three more arguments: its key, 1 for a deletion, and the expected ID of the key's
-- newest event ("": any, "-": none).
-- The field `forgotten` of the metadata is as in brokers/states.py.
local REMOVED = 100 -- entries beyond retention that one call removes, besides one for each event
local latest, state_age = ARGV[9] == '1', tonumber(ARGV[11])
local states = {begin = 14, width = 6, keys = 8}

local function id_of(value)
  local offset, time = string.match(value, '^(%d+)-(%d+)')
  return tonumber(offset), tonumber(time)
end

local function is_kept(key, now, age)
  local value = redis.call('HGET', KEYS[6], key)
  if not value or redis.call('ZSCORE', KEYS[8], key) then
    return false
  end
  local offset, time = id_of(value)
  local oldest_age = latest and state_age or age
  if oldest_age >= 0 and time < now - oldest_age then
    return false
  end
  if latest then
    return offset
  end
  local oldest = entry_at(0)
  return oldest and offset >= id(oldest) and offset
end

-- What the event's result is if its precondition does not hold.
function states.refusal(key, expected, epoch, now, age)
  local newest = is_kept(key, now, age)
  if expected == (newest and epoch .. '-' .. text(newest) or '-') then
    return nil
  end
  return (newest and text(newest) or '-') .. ' unmet'
end

function states.keep(key, deleted, offset, time, body)
  local value = text(offset) .. '-' .. time
  redis.call('HSET', KEYS[6], key, latest and value .. '\n' .. body or value)
  redis.call('ZADD', KEYS[7], text(offset), key)
  if deleted then
    redis.call('ZADD', KEYS[8], text(offset), key)
  else
    redis.call('ZREM', KEYS[8], key)
  end
end

-- Removes entries beyond retention. `count` events were stored.
function states.tidy(count, now)
  local forgotten, budget = 0, REMOVED + count
  local function leave(key, offset)
    redis.call('HDEL', KEYS[6], key)
    redis.call('ZREM', KEYS[7], key)
    redis.call('ZREM', KEYS[8], key)
    forgotten = math.max(forgotten, tonumber(offset))
    budget = budget - 1
  end
  local deletions = redis.call('ZCARD', KEYS[8])
  local many = deletions - tonumber(ARGV[12])
  if many > 0 then
    local oldest = redis.call('ZRANGE', KEYS[8], 0, many - 1, 'WITHSCORES')
    for i = 1, #oldest, 2 do
      leave(oldest[i], oldest[i + 1])
    end
    deletions = deletions - many
  end
  local excess = redis.call('ZCARD', KEYS[7]) - deletions - tonumber(ARGV[10])
  local oldest_log = not latest and entry_at(0)
  local first = oldest_log and id(oldest_log)
  while budget > 0 do
    local oldest = redis.call('ZRANGE', KEYS[7], 0, 0, 'WITHSCORES')
    local key, offset = oldest[1], oldest[2]
    if not key then
      break
    end
    local outdated
    if latest then
      local _, time = id_of(redis.call('HGET', KEYS[6], key))
      outdated = excess > 0 or state_age >= 0 and time < now - state_age
    else
      outdated = not first or tonumber(offset) < first
    end
    if not outdated then
      break
    end
    if not redis.call('ZSCORE', KEYS[8], key) then
      excess = excess - 1
    end
    leave(key, offset)
  end
  if forgotten > tonumber(redis.call('HGET', meta, 'forgotten') or 0) then
    redis.call('HSET', meta, 'forgotten', text(forgotten))
  end
  for place = 6, 8 do
    if tonumber(ARGV[13]) > 0 then
      redis.call('PEXPIRE', KEYS[place], ARGV[13])
    else
      redis.call('PERSIST', KEYS[place])
    end
  end
end
