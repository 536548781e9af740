-- Summarizes one channel for a list.
--
-- KEYS: metadata, log, epoch, names (publish.lua). ARGV: the channel's name.
-- Returns the epoch, the ID of the newest event ("": there is none) and how many events there are;
-- nothing for a channel that is forgotten, whose name is removed.
if absent then
  redis.call('ZREM', KEYS[4], ARGV[1])
  return {}
end
local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
return {epoch, newest and newest[1] or '', redis.call('XLEN', log)}
