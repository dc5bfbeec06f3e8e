-- KEYS  period hashes
-- Reply for each license: its name, users, users who came late, fewest sets of a group.
local order, users, late, sets = {}, {}, {}, {}
for _, key in ipairs(KEYS) do
  local fields = redis.call('HGETALL', key)
  for index = 1, #fields, 2 do
    local kind, license, number = fields[index]:sub(1, 1), fields[index]:sub(3), tonumber(fields[index + 1])
    if not users[license] then
      order[#order + 1], users[license], late[license] = license, 0, 0
    end
    if kind == 'n' then users[license] = users[license] + number
    elseif kind == 'l' then late[license] = late[license] + number
    elseif kind == 'k' then sets[license] = math.min(sets[license] or number, number) end
  end
end
local reply = {}
for _, license in ipairs(order) do
  for _, value in ipairs({license, users[license], late[license], sets[license] or 0}) do reply[#reply + 1] = value end
end
return reply
