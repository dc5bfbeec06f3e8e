-- KEYS  sets of one group
-- Reply the members of all of them.
local reply = {}
for _, key in ipairs(KEYS) do
  for _, user in ipairs(redis.call('SMEMBERS', key)) do reply[#reply + 1] = user end
end
return reply
