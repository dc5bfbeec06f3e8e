-- Makes a scope one whose users are not kept, in one group.
--
-- KEYS  period hash, hash of the period before
-- ARGV  license, base, fill
-- Reply number of sets, and how many users came late so far.
local found = shape(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3])
redis.call('HSET', KEYS[1], 'f ' .. ARGV[1], 1)
return {tonumber(found:match('^%d+')), tonumber(redis.call('HGET', KEYS[1], 'l ' .. ARGV[1]) or 0)}
