-- Adds users to the HyperLogLogs of one scope in one group, and adds to its total what their estimates grew by.
--
-- KEYS  period hash, periods, growth hash, hash of the period before, HyperLogLogs
-- ARGV  period, license, base, fill, shape, day ('' for no growth), then for each HyperLogLog: number of users, users
-- Reply the shape if it is another one (nothing was added), else 1.
local found = shape(KEYS[1], KEYS[4], ARGV[2], ARGV[3], ARGV[4])
if found ~= ARGV[5] then return found end
local new, at, failure = 0, 7, nil
for index = 5, #KEYS do
  local users = tonumber(ARGV[at])
  local before = redis.pcall('PFCOUNT', KEYS[index])
  if type(before) == 'table' then
    failure = before -- what was added before is counted all the same
    break
  end
  if redis.call('PFADD', KEYS[index], unpack(ARGV, at + 1, at + users)) == 1 then
    new = new + redis.call('PFCOUNT', KEYS[index]) - before
  end
  at = at + users + 1
end
local forgotten = found:sub(-1) == '1'
counted(KEYS[1], KEYS[2], ARGV[1], ARGV[2], forgotten, new)
if new ~= 0 and ARGV[6] ~= '' and not forgotten then redis.call('HINCRBY', KEYS[3], 'new ' .. ARGV[6], new) end
return failure or 1
