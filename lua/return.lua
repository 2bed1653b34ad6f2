#!lua
-- return: gives the unit of one claim back to stock, exactly once, and records it in the journal.
--
-- Works in every state but frozen: what is returned in a pause is there after it. Of a drop of which more is claimed
-- than it has, nothing comes on sale before that is made up for.
--
-- KEYS[1]      journal of the shard (stream)
-- KEYS[2]      drop hash
-- KEYS[3]      holders hash of the drop
-- ARGV[1]      drop id
-- ARGV[2]      person
-- ARGV[3]      epoch of the claim
-- ARGV[4]      seq of the claim
-- ARGV[5]      "again" (the claim no longer counts against the person's limit) or "forfeit" (it still does)
--
-- Reply: { epoch, state, opens_at, closes_at, limit, stock, seq, returned }, the drop as it now stands
-- Reply when refused, nothing changed:
--   FROZEN           -6    the drop is being loaded or rebuilt
--   UNKNOWN_DROP     -7    there is no such drop
--   ALREADY_RETURNED -9    the unit went back before; who runs this twice gets it the second time
--   NOT_FOUND        -10   the person has no claim of this epoch and seq
-- An error that begins with MALFORMED: the call is not as above; nothing was changed.

local FROZEN, UNKNOWN_DROP, ALREADY_RETURNED, NOT_FOUND = -6, -7, -9, -10

local FLAG_RETURNED, FLAG_MAY_CLAIM_AGAIN, FLAG_MARK = 1, 2, 4
local FLAGS_SET = { again = FLAG_RETURNED + FLAG_MAY_CLAIM_AGAIN, forfeit = FLAG_RETURNED }

-- Where the claim's record begins among the person's, and its flags.
local function find(records, epoch, seq)
  local at = 1
  while at <= #records do
    local flags, its_epoch, its_seq = struct.unpack('>BI2I4', records, at)
    if its_epoch == epoch and its_seq == seq then return at, flags end
    at = at + (flags >= FLAG_MARK and 21 or 13)
  end
end

local journal_key, drop_key, holders_key = KEYS[1], KEYS[2], KEYS[3]
local drop_id, person, mode = ARGV[1], ARGV[2], ARGV[5]
local epoch, seq = tonumber(ARGV[3]), tonumber(ARGV[4])
if #KEYS ~= 3 or #ARGV ~= 5 or not (epoch and seq and FLAGS_SET[mode]) then
  return redis.error_reply('MALFORMED drop, person, epoch, seq and again or forfeit')
end

local f = redis.call('HMGET', drop_key, 'epoch', 'state', 'opens_at', 'closes_at', 'limit', 'stock', 'seq', 'returned',
  'over')
if not f[1] then return UNKNOWN_DROP end
if f[2] == 'frozen' then return FROZEN end

local records = redis.call('HGET', holders_key, person)
if not records then return NOT_FOUND end
local at, flags = find(records, epoch, seq)
if not at then return NOT_FOUND end
if flags % 2 == 1 then return ALREADY_RETURNED end

local stock, returned, over = tonumber(f[6]), tonumber(f[8]) + 1, tonumber(f[9] or 0)
if over > 0 then over = over - 1 else stock = stock + 1 end
local kept = string.sub(records, 1, at - 1) .. string.char(flags + FLAGS_SET[mode]) .. string.sub(records, at + 1)
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local line = string.format('%s %d %.0f %.0f %s %s', drop_id, epoch, now_ms, seq, person, mode)

-- The journal first: of the writes it alone can still fail, and then nothing has been written.
redis.call('XADD', journal_key, '*', 'return', line)
redis.call('HSET', holders_key, person, kept)
redis.call('HSET', drop_key, 'stock', stock, 'returned', returned)
if over > 0 then
  redis.call('HSET', drop_key, 'over', over)
elseif f[9] then
  redis.call('HDEL', drop_key, 'over')
end

f[6], f[8], f[9] = stock, returned, nil
return f
