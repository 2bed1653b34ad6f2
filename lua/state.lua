#!lua
-- state: runs, pauses or freezes drops of one shard, all of them or none. Safe to run twice.
--
-- KEYS[d]      drop hash of the d-th drop
-- ARGV[1]      running, paused or frozen
-- ARGV[2]      revision of the campaigns that says so; without it, it is so whatever they say
--
-- Reply: for each drop { epoch, state, opens_at, closes_at, limit, stock, seq, returned }, as it now stands
-- Reply when refused: { code, d }; no drop was changed
--   FROZEN       -6   the drop is being restored, and stays frozen until it is complete
--   UNKNOWN_DROP -7   there is no such drop
--   OUT_OF_DATE  -12  the drop was set to a later revision of the campaigns
-- An error that begins with MALFORMED: the call is not as above; no drop was changed.

local FROZEN, UNKNOWN_DROP, OUT_OF_DATE = -6, -7, -12

local STATES = { running = true, paused = true, frozen = true }

local state, revision = ARGV[1], tonumber(ARGV[2] or 2 ^ 53)
if #KEYS == 0 or #ARGV < 1 or #ARGV > 2 or not (STATES[state] and revision) then
  return redis.error_reply('MALFORMED one state for at least one drop, and a revision')
end

local reply = {}
for d = 1, #KEYS do
  local f = redis.call('HMGET', KEYS[d], 'epoch', 'opens_at', 'closes_at', 'limit', 'stock', 'seq', 'returned',
    'rebuild', 'revision')
  if not f[1] then return { UNKNOWN_DROP, d } end
  if f[8] and state ~= 'frozen' then return { FROZEN, d } end
  if revision < tonumber(f[9] or 0) then return { OUT_OF_DATE, d } end
  reply[d] = { f[1], state, f[2], f[3], f[4], f[5], f[6], f[7] }
end

for d = 1, #KEYS do
  redis.call('HSET', KEYS[d], 'state', state)
end
return reply
