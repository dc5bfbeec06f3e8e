-- Adds users to one scope in one group, and counts those who are new, in one step.
--
-- KEYS  period hash, periods, growth hash, hash of the period before, a set for each user, and, if their return is
--       asked for, a set of the period before for each user
-- ARGV  period, license, base, fill, shape, day ('' for no growth), users
-- Reply the shape if it is another one (nothing was added), else the number of new users.
local found = shape(KEYS[1], KEYS[4], ARGV[2], ARGV[3], ARGV[4])
if found ~= ARGV[5] then return found end
local users, forgotten = #ARGV - 6, found:sub(-1) == '1'
local back, new, returning, failure = #KEYS == 4 + 2 * users, 0, 0, nil
for index = 1, users do
  local user = ARGV[6 + index]
  local added = redis.pcall('SADD', KEYS[4 + index], user)
  if type(added) == 'table' then
    failure = added -- what was added before is counted all the same
    break
  end
  if added == 1 then
    new = new + 1
    if back and redis.pcall('SISMEMBER', KEYS[4 + users + index], user) == 1 then returning = returning + 1 end
  end
end
counted(KEYS[1], KEYS[2], ARGV[1], ARGV[2], forgotten, new)
if new > 0 and ARGV[6] ~= '' and not forgotten then
  redis.call('HINCRBY', KEYS[3], 'new ' .. ARGV[6], new - returning)
  redis.call('HINCRBY', KEYS[3], 'returning ' .. ARGV[6], returning)
  if not back and redis.call('HEXISTS', KEYS[4], 'f ' .. ARGV[2]) == 1 then
    redis.call('HSET', KEYS[3], 'unknown ' .. ARGV[6], 1) -- who was there before is forgotten
  end
end
return failure or new
