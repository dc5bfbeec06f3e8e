-- Lets an owner hold places under a limit (Ledger.claim).
--
-- KEYS  hash of claims: "o OWNER" -> "PLACES UNTIL TURN" (milliseconds), "users" -> the highest count a claimer has read
-- ARGV  owner, need, extra, allowed, users as the owner read them, milliseconds that places outlive their owner, turn: a
--       number that rises with every claim of the owner, so that one which arrives late changes nothing
-- Reply places, users.
local time = redis.call('TIME')
local now, lease = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), tonumber(ARGV[6])
local fields, own, held, users = redis.call('HGETALL', KEYS[1]), 'o ' .. ARGV[1], 0, tonumber(ARGV[5])
for index = 1, #fields, 2 do
  if fields[index] == 'users' then
    users = math.max(users, tonumber(fields[index + 1]))
  elseif fields[index] == own then
    local places, _, turn = fields[index + 1]:match('^(%d+) (%d+) (%d+)$')
    if tonumber(turn) >= tonumber(ARGV[7]) then return {tonumber(places), users} end
  else
    local places, till = fields[index + 1]:match('^(%d+) (%d+) ')
    if tonumber(till) <= now then redis.call('HDEL', KEYS[1], fields[index]) else held = held + tonumber(places) end
  end
end
local room = math.max(tonumber(ARGV[4]) - users - held, 0)
local granted = math.min(tonumber(ARGV[2]), room)
granted = granted + math.min(tonumber(ARGV[3]), math.floor((room - granted) / 4))
redis.call('HSET', KEYS[1], 'users', string.format('%.0f', users))
redis.call('HSET', KEYS[1], own, string.format('%.0f %.0f %s', granted, now + lease, ARGV[7])) -- none too: for its turn
redis.call('PEXPIRE', KEYS[1], 2 * lease)
return {granted, users}
