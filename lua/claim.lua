#!lua
-- claim: grants claims of one shard, many persons and several drops in one call. The only place that grants.
--
-- Everything is decided first and written last: Redis does not roll back a script that fails half way.
-- Safe to run twice with the same arguments: who was granted in the first run is a holder in the second.
--
-- KEYS[1]           journal of the shard (stream)
-- KEYS[2d]          drop hash of the d-th drop; no drop stands twice in a call
-- KEYS[2d+1]        holders hash of the d-th drop
-- then for each campaign in which a person may win in one drop alone, for all of its drops:
-- KEYS[at]          drop hash
-- KEYS[at+1]        holders hash
-- ARGV[1]           batch id, given back so that a reply is known to be this call's
-- ARGV[2]           number of those campaigns, and for each of them:
-- ARGV[2+g]         how many drops the g-th has
-- then for each drop d, its first argument at i:
-- ARGV[i]           drop id
-- ARGV[i+1]         n, the number of claims in it, 1 to 1000
-- ARGV[i+2]         0 when persons alone follow; 1 when marks follow them; 2 when marks follow and an operator grants
--                   what is owed: then neither the window nor a pause refuses, all the rest does
-- ARGV[i+3]         g, the drop's campaign among those, or 0
-- ARGV[from..to]    n persons, from = i+4: 1 to 128 visible ASCII characters each, which the caller has checked.
--                   A person may stand more than once; claims are decided in their order.
-- ARGV[to+1..to+n]  when marks follow: n marks, 8 bytes each, or empty where the person is the idempotency key
--
-- Reply: { batch id, now_ms, then for each drop: { epoch, state, opens_at, closes_at, limit, stock, seq,
--          returned, result 1 .. n } }
-- Reply for an unknown drop: { UNKNOWN_DROP }
-- A result is what first applies, in this order:
--   FROZEN        -6    the drop is being loaded or rebuilt, and nobody is told anything
--                       (this comes first; where another drop is looked at, see below, it comes there)
--   record (string)     the person's claim again, as it was first granted, in whatever state the drop now is:
--                       with a mark, the claim of that mark, returned or not; without, the last claim not returned
--   PAUSED        -2    the drop is paused
--   NOT_OPEN      -1    before opens_at
--   CLOSED        -3    closes_at has come
--   LIMIT_REACHED -5    the person has all that one person may have (a claim that was returned so that the
--                       person may claim again does not count), or their records have 4200 bytes
--   SOLD_OUT      -4    no stock left, or no claim number
-- and then, where the drop's `once` says that a person may win in one drop of its campaign alone:
--   FROZEN              the campaign as given has another number of drops than `once` says, or another drop of it is
--                       not there, or is being loaded or rebuilt
--   { LIMIT_REACHED, s, record }  the person has a claim in the campaign's s-th drop that counts against its limit
--   seq (integer > 0)   granted now, in this epoch at now_ms
-- In place of the whole drop:
--   UNKNOWN_DROP  -7    there is no such drop
-- An error that begins with MALFORMED: the call is not as above; nothing was changed.
--
-- A record is: flags (1 byte: 1 returned, 2 may claim again, 4 has a mark), epoch (2), seq (4),
-- claimed_at_ms (6), and the mark (8) if flag 4 is set; big-endian. A person's records follow one another.

local NOT_OPEN, PAUSED, CLOSED, SOLD_OUT, LIMIT_REACHED, FROZEN, UNKNOWN_DROP = -1, -2, -3, -4, -5, -6, -7

local pack = struct.pack

local CLAIMS_MAX = 1000
local SEQ_MAX = 2 ^ 32 - 1
local FLAG_RETURNED, FLAG_MAY_CLAIM_AGAIN, FLAG_MARK = 1, 2, 4
local PLAIN_BYTES, MARKED_BYTES, MARK_BYTES = 13, 21, 8
-- Who claims and returns without end must not grow a value without end: 200 marked records, or 323 plain ones.
local RECORDS_BYTES_MAX = 4200

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

-- The claim that answers this mark, and how many count against the limit.
local function look_up(records, mark)
  if mark == '' and #records == PLAIN_BYTES and string.byte(records) == 0 then
    return records, 1 -- what nearly every holder is
  end
  local at, counting, found = 1, 0, nil
  while at <= #records do
    local flags = string.byte(records, at)
    local marked = flags >= FLAG_MARK
    local next_at = at + (marked and MARKED_BYTES or PLAIN_BYTES)
    local returned = flags % (2 * FLAG_RETURNED) >= FLAG_RETURNED
    local may_claim_again = flags % (2 * FLAG_MAY_CLAIM_AGAIN) >= FLAG_MAY_CLAIM_AGAIN
    if not may_claim_again then counting = counting + 1 end
    local answers
    if mark == '' then
      answers = not returned
    else
      answers = marked and string.sub(records, at + PLAIN_BYTES, next_at - 1) == mark
    end
    if answers then found = string.sub(records, at, next_at - 1) end
    at = next_at
  end
  if #records >= RECORDS_BYTES_MAX then counting = math.huge end
  return found, counting
end

-- Why nobody is granted a claim now, whoever asks.
local function refusal(state, opens_at, closes_at)
  if state == 'paused' then return PAUSED end
  if now_ms < opens_at then return NOT_OPEN end
  if now_ms >= closes_at then return CLOSED end
  return nil
end

-- The last claim that counts against the limit.
local function last_counting(records)
  local at, found = 1, nil
  while at <= #records do
    local flags = string.byte(records, at)
    local next_at = at + (flags >= FLAG_MARK and MARKED_BYTES or PLAIN_BYTES)
    if flags % (2 * FLAG_MAY_CLAIM_AGAIN) < FLAG_MAY_CLAIM_AGAIN then found = string.sub(records, at, next_at - 1) end
    at = next_at
  end
  return found
end

-- By holders hash, what this very call granted: it stands in no hash yet.
local granted_in = {}

-- Notes in `won` what each of these persons has won in another drop of the campaign, whose keys begin at `first`.
-- False when one of those drops cannot tell.
local function look_elsewhere(won, campaign, holders_key, persons)
  for s = 1, campaign.drops do
    local at = campaign.first + 2 * (s - 1)
    if KEYS[at + 1] ~= holders_key then
      local state = redis.call('HGET', KEYS[at], 'state')
      if not state or state == 'frozen' then return false end
      local granted = granted_in[KEYS[at + 1]]
      local held = redis.call('HLEN', KEYS[at + 1]) > 0 and redis.call('HMGET', KEYS[at + 1], unpack(persons))
      if granted or held then
        for c = 1, #persons do
          local records = granted and granted[persons[c]] or held and held[c]
          local record = records and last_counting(records)
          if record then won[persons[c]] = { LIMIT_REACHED, s, record } end
        end
      end
    end
  end
  return true
end

local function hex(mark)
  return string.format('%02x%02x%02x%02x%02x%02x%02x%02x', string.byte(mark, 1, MARK_BYTES))
end

-- Those who would be granted a claim, from the c-th on and as many as there is stock, and the last who was looked at.
local function next_takers(drop, persons, marks, held, c)
  local takers = {}
  while c <= #persons and #takers < drop.stock do
    local again, counting = nil, 0
    if held[c] then again, counting = look_up(held[c], marks and marks[c] or '') end
    if not again and counting < drop.limit then takers[#takers + 1] = persons[c] end
    c = c + 1
  end
  return takers, c - 1
end

-- What keeps the c-th person, who would be granted a claim, from it because of the campaign's other drops: nothing,
-- FROZEN, or the claim that they have there. `looks` goes from call to call.
local function elsewhere(looks, drop, persons, marks, held, c)
  if c > looks.through then
    local asked
    asked, looks.through = next_takers(drop, persons, marks, held, c)
    looks.blind = looks.blind or not look_elsewhere(looks.won, drop.campaign, drop.holders_key, asked)
  end
  return looks.blind and FROZEN or looks.won[persons[c]]
end

-- Decides the claims of one drop in their order and writes nothing. `drop` has epoch, refused, limit, stock, seq and
-- holders_key, and where a person may win in one drop of the campaign alone also `once` and the campaign, if it was
-- given as it is; stock and seq move. `results` takes the results from index 9. Gives the fields and values that the
-- holders hash must get, and the takers as the journal names them, in order of seq.
local function decide(drop, results, persons, marks, held)
  local epoch, refused, limit, seq = drop.epoch, drop.refused, drop.limit, drop.seq
  local granted, holders, takers, taken = {}, {}, {}, 0
  local looks = drop.once and { won = {}, through = 0, blind = not drop.campaign }
  granted_in[drop.holders_key] = granted
  for c = 1, #persons do
    local person, mark = persons[c], marks and marks[c] or ''
    -- What this very call granted stands in no hash yet.
    local records = granted[person] or held[c]
    local again, counting = nil, 0
    if records then again, counting = look_up(records, mark) end
    local refusal = refused
    if not again and not refusal then
      if counting >= limit then
        refusal = LIMIT_REACHED
      elseif drop.stock <= 0 or seq >= SEQ_MAX then
        refusal = SOLD_OUT
      elseif looks then
        refusal = elsewhere(looks, drop, persons, marks, held, c)
      end
    end
    if again then
      results[c + 8] = again
    elseif refusal then
      results[c + 8] = refusal
    else
      drop.stock, seq, taken = drop.stock - 1, seq + 1, taken + 1
      results[c + 8] = seq
      local record
      if mark == '' then
        record = pack('>BI2I4I6', 0, epoch, seq, now_ms)
        takers[taken] = person
      else
        record = pack('>BI2I4I6', FLAG_MARK, epoch, seq, now_ms) .. mark
        takers[taken] = person .. '\t' .. hex(mark)
      end
      if records then record = records .. record end
      granted[person] = record
      -- Of a person's several values the last is the one that stays, and it has all of their records.
      holders[2 * taken - 1], holders[2 * taken] = person, record
    end
  end
  drop.seq = seq
  return holders, takers
end

local named, campaigns, members = tonumber(ARGV[2]), {}, 0
if not named or named < 0 or named % 1 ~= 0 then return redis.error_reply('MALFORMED number of campaigns') end
for g = 1, named do
  local its_drops = tonumber(ARGV[2 + g])
  if not its_drops or its_drops < 1 or its_drops % 1 ~= 0 then
    return redis.error_reply('MALFORMED number of drops of campaign ' .. g)
  end
  campaigns[g] = { before = members, drops = its_drops }
  members = members + its_drops
end
local drops = (#KEYS - 1) / 2 - members
if drops < 1 or drops % 1 ~= 0 then
  return redis.error_reply('MALFORMED keys: the journal, then two for each of at least one drop, then the campaigns\'')
end
for g = 1, named do
  campaigns[g].first = 2 * (drops + campaigns[g].before + 1)
end

local reply = { ARGV[1], now_ms }
local writes = {}
local journal = {}
local seen = {}
local i = 3 + named

for d = 1, drops do
  local drop_key, holders_key = KEYS[2 * d], KEYS[2 * d + 1]
  local drop_id, n, follow, g = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3]
  if not n or n < 1 or n > CLAIMS_MAX or n % 1 ~= 0 then
    return redis.error_reply('MALFORMED number of claims of drop ' .. d)
  end
  if follow ~= '0' and follow ~= '1' and follow ~= '2' then return redis.error_reply('MALFORMED marks of drop ' .. d) end
  if seen[drop_key] then return redis.error_reply('MALFORMED drop ' .. d .. ' stands twice') end
  seen[drop_key] = true
  local campaign = campaigns[tonumber(g)]
  if g ~= '0' and not campaign then return redis.error_reply('MALFORMED campaign of drop ' .. d) end

  local from, to = i + 4, i + 3 + n
  local persons, marks = { unpack(ARGV, from, to) }, nil
  i = to + 1
  if follow ~= '0' then
    marks = { unpack(ARGV, to + 1, to + n) }
    i = to + n + 1
    for c = 1, n do
      if marks[c] ~= '' and #(marks[c] or '') ~= MARK_BYTES then
        return redis.error_reply('MALFORMED mark of claim ' .. c .. ' of drop ' .. d)
      end
    end
  end
  if #persons ~= n then return redis.error_reply('MALFORMED number of persons of drop ' .. d) end

  local f = redis.call('HMGET', drop_key, 'epoch', 'state', 'opens_at', 'closes_at', 'limit', 'stock', 'seq', 'returned',
    'once')
  if not f[1] then
    reply[d + 2] = { UNKNOWN_DROP }
  else
    local epoch, state, opens_at, closes_at = tonumber(f[1]), f[2], tonumber(f[3]), tonumber(f[4])
    local limit, stock, seq, returned = tonumber(f[5]), tonumber(f[6]), tonumber(f[7]), tonumber(f[8])
    local results = { epoch, state, opens_at, closes_at, limit, stock, seq, returned }
    reply[d + 2] = results

    if state == 'frozen' then
      for c = 1, n do results[c + 8] = FROZEN end
    else
      local refused = nil
      if follow ~= '2' then refused = refusal(state, opens_at, closes_at) end
      local drop = { epoch = epoch, refused = refused, limit = limit, stock = stock, seq = seq, holders_key = holders_key }
      -- Whoever sends an older view of the campaign would leave drops out in which the person may have won.
      drop.once = f[9] and f[9] ~= '0' and tonumber(f[9])
      drop.campaign = campaign and campaign.drops == drop.once and campaign
      local held = redis.call('HMGET', holders_key, unpack(persons))
      local holders, takers = decide(drop, results, persons, marks, held)
      if #takers > 0 then
        results[6], results[7] = drop.stock, drop.seq
        writes[#writes + 1] = { drop_key, holders_key, drop.stock, drop.seq, holders }
        journal[#journal + 1] = 'claims'
        journal[#journal + 1] = string.format('%s %d %.0f %.0f ', drop_id, epoch, now_ms, seq + 1)
          .. table.concat(takers, ' ')
      end
    end
  end
end
if i ~= #ARGV + 1 then return redis.error_reply('MALFORMED arguments after the last drop') end

-- The journal first: of the writes it alone can still fail, and then nothing has been written.
if #journal > 0 then
  redis.call('XADD', KEYS[1], '*', unpack(journal))
end
for w = 1, #writes do
  local drop_key, holders_key, stock, seq, holders = unpack(writes[w])
  redis.call('HSET', holders_key, unpack(holders))
  redis.call('HSET', drop_key, 'stock', stock, 'seq', seq)
end
return reply
