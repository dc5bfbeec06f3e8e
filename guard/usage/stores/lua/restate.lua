-- Sets an owner's unidentified requests in one scope, unless it stated more before, and keeps the sum over owners.
--
-- KEYS  hash of sums, hash of owners, periods
-- ARGV  period, license, owner, number
local more = tonumber(ARGV[4]) - tonumber(redis.call('HGET', KEYS[2], ARGV[3]) or 0)
if more > 0 then
  redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
  redis.call('HINCRBY', KEYS[1], ARGV[2], more)
  redis.call('SADD', KEYS[3], ARGV[1])
end
return 1
