-- Writes a row if its revision is still the one it was read under.
--
-- KEYS  row: revision in 8 bytes, big-endian, then the data
-- ARGV  revision it was read under (8 bytes, zeros: there was none), row as it is to be, seconds that it is kept
-- Reply 1 if it was written, else 0.
local found = redis.call('GETRANGE', KEYS[1], 0, 7)
if found == '' then found = string.rep('\0', 8) end
if found ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
