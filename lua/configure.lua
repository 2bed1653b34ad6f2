#!lua
-- configure: creates and changes drops of one shard, all of them or none.
--
-- Only this script makes a drop, and only when it is told to create: an empty Redis never opens a sale.
-- Safe to run twice: the stock left is computed from the total, not added to.
--
-- KEYS[d]      drop hash of the d-th drop
-- for each drop d, with i = 10 * (d - 1):
-- ARGV[i+1]    "create" (makes the drop when it is not there), "update" (refuses when it is not there) or "shrink" (the
--              same, and refuses a total that is less than what is claimed, of which the others leave nothing on sale)
-- ARGV[i+2]    total: units of this shard in this epoch, claimed ones included; -(2^32-1) to 2^32-1, below 0 where
--              claims of older epochs hold more than there is
-- ARGV[i+3]    opens_at, Unix milliseconds
-- ARGV[i+4]    closes_at, Unix milliseconds, above opens_at
-- ARGV[i+5]    limit per person, 1 to 100
-- ARGV[i+6]    epoch of a drop that is made, 1 to 65535; a drop that is there keeps its own
-- ARGV[i+7]    state of a drop that is made: running, paused or frozen; a drop that is there keeps its own
-- ARGV[i+8]    once: where a person may win in one drop of the campaign alone, how many drops the campaign has; else 0.
--              A campaign's drops only become more, so that the number tells which they are
-- ARGV[i+9]    revision of the campaigns that this is of
-- ARGV[i+10]   "keep" (refuses when a later revision was set), or the later revision that it goes over all the same: the
--              ledger has none so late
--
-- Reply: for each drop { epoch, state, opens_at, closes_at, limit, stock, seq, returned }, as it now stands
-- Reply when refused: { code, d }; no drop was changed
--   UNKNOWN_DROP         -7   "update" of a drop that is not there
--   SHRINK_BELOW_CLAIMED -8   "shrink", and total is less than what is claimed and not returned
--   OUT_OF_DATE          -12  the drop was set to a later revision of the campaigns, and to another one than this goes over
--   UNSETTLED            -13  not "shrink", and at this very revision stock was taken away from the drop, which the ledger may
--                             be about to be told
-- An error that begins with MALFORMED: the call is not as above; no drop was changed.

local UNKNOWN_DROP, SHRINK_BELOW_CLAIMED, OUT_OF_DATE, UNSETTLED = -7, -8, -12, -13

local LIMIT_MAX = 100
local MODES = { create = true, update = true, shrink = true }
local STATES = { running = true, paused = true, frozen = true }

local function integer(text, min, max)
  local number = tonumber(text)
  return number and number >= min and number <= max and math.floor(number) == number and number
end

local reply = {}
local writes, overs, shrinking = {}, {}, {}
local onces = {}
local seen = {}

if #KEYS == 0 or #ARGV ~= 10 * #KEYS then
  return redis.error_reply('MALFORMED ten arguments for each of at least one drop')
end
for d = 1, #KEYS do
  local key, i = KEYS[d], 10 * (d - 1)
  local mode, made_state = ARGV[i + 1], ARGV[i + 7]
  local total = integer(ARGV[i + 2], 1 - 2 ^ 32, 2 ^ 32 - 1)
  local opens_at = integer(ARGV[i + 3], 0, 2 ^ 48 - 1)
  local closes_at = integer(ARGV[i + 4], 0, 2 ^ 48 - 1)
  local limit = integer(ARGV[i + 5], 1, LIMIT_MAX)
  local made_epoch, once = integer(ARGV[i + 6], 1, 2 ^ 16 - 1), integer(ARGV[i + 8], 0, 2 ^ 16 - 1)
  local revision, keeps = integer(ARGV[i + 9], 0, 2 ^ 53 - 1), ARGV[i + 10] == 'keep'
  local overruled = integer(ARGV[i + 10], 1, 2 ^ 53 - 1)
  if not (MODES[mode] and total and opens_at and closes_at and limit and made_epoch and STATES[made_state])
    or not (once and revision and (keeps or overruled)) then
    return redis.error_reply('MALFORMED value for drop ' .. d)
  end
  if closes_at <= opens_at then return redis.error_reply('MALFORMED window of drop ' .. d) end
  if seen[key] then return redis.error_reply('MALFORMED drop ' .. d .. ' stands twice') end
  seen[key] = true

  local f = redis.call('HMGET', key, 'epoch', 'state', 'seq', 'returned', 'once_revision', 'revision',
    'shrinking')
  if not f[1] and mode ~= 'create' then return { UNKNOWN_DROP, d } end
  -- Of two who load, the one with an older view must not make Redis believe it again.
  local set_to = tonumber(f[6] or 0)
  if revision < set_to and overruled ~= set_to then return { OUT_OF_DATE, d } end
  -- Nor must somebody who loads while stock is taken away put it on sale again.
  local shrinks = mode == 'shrink'
  if revision == tonumber(f[7] or -1) and not shrinks then return { UNSETTLED, d } end
  local epoch, state = tonumber(f[1] or made_epoch), f[2] or made_state
  local seq, returned = tonumber(f[3] or 0), tonumber(f[4] or 0)
  local left = total - seq + returned
  if left < 0 and shrinks then return { SHRINK_BELOW_CLAIMED, d } end
  local stock, over = math.max(left, 0), math.max(-left, 0)

  reply[d] = { epoch, state, opens_at, closes_at, limit, stock, seq, returned }
  writes[d] = {
    key, 'epoch', epoch, 'state', state, 'opens_at', opens_at, 'closes_at', closes_at, 'limit', limit,
    'stock', stock, 'seq', seq, 'returned', returned, 'revision', revision,
  }
  overs[d] = over
  shrinking[d] = shrinks and revision or nil
  -- Redis may have been told of the rule by a script that kept no revision of the rest.
  local known = f[5] and tonumber(f[5])
  if (revision < set_to or revision >= (known or 0)) and (once > 0 or known) then
    onces[#onces + 1] = { key, once, revision }
  end
end

for d = 1, #writes do
  redis.call('HSET', unpack(writes[d]))
  if overs[d] > 0 then
    redis.call('HSET', KEYS[d], 'over', overs[d])
  else
    redis.call('HDEL', KEYS[d], 'over')
  end
  if shrinking[d] then
    redis.call('HSET', KEYS[d], 'shrinking', shrinking[d])
  else
    redis.call('HDEL', KEYS[d], 'shrinking')
  end
end
for o = 1, #onces do
  local key, once, revision = unpack(onces[o])
  redis.call('HSET', key, 'once', once, 'once_revision', revision)
end
return reply
