-- In front of every script that writes users.
--
-- The shape of a scope in a group: "K B F" with K sets for its users, B sets in the period before (0 if there is none
-- or it was forgotten), and F 1 if the scope itself was forgotten. Who writes must have computed keys from this shape.
-- K is chosen here, by the first who asks, so all processes agree: `base` sets, or enough for a quarter more users than
-- in the period before at `fill` users a set (fill 0: always `base`).
local function shape(scope, before, license, base, fill)
  local own = redis.call('HMGET', scope, 'k ' .. license, 'f ' .. license)
  local was = redis.call('HMGET', before, 'k ' .. license, 'n ' .. license, 'f ' .. license)
  local sets = own[1]
  if not sets then
    sets = tonumber(base)
    if tonumber(fill) > 0 then
      sets = math.max(sets, math.ceil((tonumber(was[2]) or 0) * 1.25 / tonumber(fill)))
    end
    sets = string.format('%.0f', sets)
    redis.call('HSET', scope, 'k ' .. license, sets)
  end
  local earlier = (was[1] and not was[3]) and was[1] or '0'
  return sets .. ' ' .. earlier .. ' ' .. (own[2] and '1' or '0')
end

-- Adds `new` to the total of the scope; who is late for a forgotten one is in the total of those. The first makes the
-- period one that has a count.
local function counted(scope, periods, period, license, forgotten, new)
  if new == 0 then return end
  local total = redis.call('HINCRBY', scope, (forgotten and 'l ' or 'n ') .. license, new)
  if total == new then redis.call('SADD', periods, period) end
end
