-- Reads a range of channel names from several sorted sets (publish.lua), to merge them.
--
-- KEYS[1]: the first set. ARGV: the range's ends, most names of each set, then the other sets. They
-- are of other slots of a cluster, so they cannot be keys.
-- Returns the names; the last name of each set that may have more; and the places (1 is KEYS[1]) of
-- the sets that this server does not have.
local low, high, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local found, reached, elsewhere = {}, {}, {}
for place = 1, #ARGV - 2 do
  local set = place == 1 and KEYS[1] or ARGV[place + 2]
  local names = redis.pcall('ZRANGEBYLEX', set, low, high, 'LIMIT', 0, limit)
  if names.err then
    elsewhere[#elsewhere + 1] = place
  else
    for _, name in ipairs(names) do
      found[#found + 1] = name
    end
    if #names == limit then
      reached[#reached + 1] = names[limit]
    end
  end
end
return {found, reached, elsewhere}
