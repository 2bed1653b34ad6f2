#!lua
-- single-claim: grants one claim to one person. What the per-claim peers (pooled, webdis, node) call, once a request.
--
-- KEYS[1]  drop hash (stock, seq)
-- KEYS[2]  holders hash: person -> seq
-- KEYS[3]  journal (stream)
-- ARGV[1]  person
--
-- Reply: seq > 0 granted now, seq < 0 granted before, 0 sold out

local held = redis.call('HGET', KEYS[2], ARGV[1])
if held then
  return -tonumber(held)
end
local drop = redis.call('HMGET', KEYS[1], 'stock', 'seq')
local stock, seq = tonumber(drop[1] or 0), tonumber(drop[2] or 0) + 1
if stock <= 0 then
  return 0
end
redis.call('HSET', KEYS[1], 'stock', stock - 1, 'seq', seq)
redis.call('HSET', KEYS[2], ARGV[1], seq)
redis.call('XADD', KEYS[3], '*', 'person', ARGV[1], 'seq', seq)
return seq
