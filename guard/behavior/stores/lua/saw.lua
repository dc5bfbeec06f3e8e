-- Notes that an identity had a template on a day.
--
-- KEYS  set of the identities of a template and a day
-- ARGV  identity, most members, seconds that the set is kept
-- Reply the number of identities.
local count = redis.call('SCARD', KEYS[1])
if count < tonumber(ARGV[2]) and redis.call('SADD', KEYS[1], ARGV[1]) == 1 then
  count = count + 1
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
return count
