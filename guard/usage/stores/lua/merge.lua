-- Adds the users of other scopes to one, set by set, in one group; all have the same number of sets.
--
-- KEYS  period hash, periods, hash of the period before, then for each set: target, sources
-- ARGV  period, license, base, fill, shape, keys for each set, SCARD or PFCOUNT, SUNIONSTORE or PFMERGE
-- Reply the shape if it is another one (nothing was done), else 1.
local found = shape(KEYS[1], KEYS[3], ARGV[2], ARGV[3], ARGV[4])
if found ~= ARGV[5] then return found end
local width, count, union, new = tonumber(ARGV[6]), ARGV[7], ARGV[8], 0
for first = 4, #KEYS, width do
  if redis.call('EXISTS', unpack(KEYS, first + 1, first + width - 1)) > 0 then
    local before = redis.call(count, KEYS[first])
    redis.call(union, KEYS[first], unpack(KEYS, first, first + width - 1))
    new = new + redis.call(count, KEYS[first]) - before
  end
end
counted(KEYS[1], KEYS[2], ARGV[1], ARGV[2], found:sub(-1) == '1', new)
return 1
