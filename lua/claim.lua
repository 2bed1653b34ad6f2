#!lua
-- claim: grants claims of one shard, many persons and several drops in one call. The only place that grants.
--
-- Everything is decided first and written last: Redis does not roll back a script that fails half way.
-- Safe to run twice with the same arguments: who was granted in the first run is a holder in the second.
--
-- KEYS[1]        journal of the shard (stream)
-- KEYS[2d]       drop hash of the d-th drop
-- KEYS[2d+1]     holders hash of the d-th drop
-- ARGV[1]        batch id, given back so that a reply is known to be this call's
-- then for each drop d:
-- ARGV[i]        drop id
-- ARGV[i+1]      n, the number of claims in it
-- ARGV[i+2..]    n times: person, mark (8 bytes; empty where the person is the idempotency key)
--
-- Reply: { batch id, now_ms, then for each drop: { epoch, state, opens_at, closes_at, limit, stock, seq,
--          returned, result 1 .. n } }
-- Reply for an unknown drop: { UNKNOWN_DROP }
-- A result is:
--   seq (integer > 0)   granted now, in this epoch at now_ms
--   record (string)     the person's claim again, as it was first granted
--   NOT_OPEN      -1    before opens_at
--   PAUSED        -2    the campaign is paused
--   CLOSED        -3    closes_at has passed
--   SOLD_OUT      -4    no stock left
--   LIMIT_REACHED -5    the person has all that one person may have
--   FROZEN        -6    the shard is being loaded or rebuilt
--   UNKNOWN_DROP  -7    there is no such drop
--
-- A record is: flags (1 byte: 1 returned, 2 may claim again, 4 has a mark), epoch (2), seq (4),
-- claimed_at_ms (6), and the mark (8) if flag 4 is set; big-endian. A person's records follow one another.

local NOT_OPEN, PAUSED, CLOSED, SOLD_OUT, LIMIT_REACHED, FROZEN, UNKNOWN_DROP = -1, -2, -3, -4, -5, -6, -7

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

-- The claim that answers this mark, and how many count against the limit.
local function look_up(records, mark)
  local at, counting, found = 1, 0, nil
  while at <= #records do
    local flags = string.byte(records, at)
    local size = flags >= 4 and 21 or 13
    local returned = flags % 2 == 1
    local may_claim_again = flags % 4 >= 2
    if not (returned and may_claim_again) then
      counting = counting + 1
    end
    if not returned then
      if mark == '' or (flags >= 4 and string.sub(records, at + 13, at + 20) == mark) then
        found = string.sub(records, at, at + size - 1)
      end
    elseif mark ~= '' and flags >= 4 and string.sub(records, at + 13, at + 20) == mark then
      found = string.sub(records, at, at + size - 1)
    end
    at = at + size
  end
  return found, counting
end

local function refusal(state, opens_at, closes_at)
  if state == 'paused' then return PAUSED end
  if now_ms < opens_at then return NOT_OPEN end
  if now_ms >= closes_at then return CLOSED end
  return nil
end

local reply = { ARGV[1], now_ms }
local writes = {}
local journal = {}
local i = 2

for d = 1, (#KEYS - 1) / 2 do
  local drop_key, holders_key = KEYS[2 * d], KEYS[2 * d + 1]
  local drop_id, n = ARGV[i], tonumber(ARGV[i + 1])
  local first = i + 2
  i = first + 2 * n

  local f = redis.call('HMGET', drop_key, 'epoch', 'state', 'opens_at', 'closes_at', 'limit', 'stock', 'seq', 'returned')
  if not f[1] then
    reply[d + 2] = { UNKNOWN_DROP }
  else
    local epoch, state, opens_at, closes_at = tonumber(f[1]), f[2], tonumber(f[3]), tonumber(f[4])
    local limit, stock, seq, returned = tonumber(f[5]), tonumber(f[6]), tonumber(f[7]), tonumber(f[8])
    local out = { epoch, state, opens_at, closes_at, limit, stock, seq, returned }
    reply[d + 2] = out

    if state == 'frozen' then
      for c = 1, n do out[c + 8] = FROZEN end
    else
      local refused = refusal(state, opens_at, closes_at)
      local persons = {}
      for c = 1, n do persons[c] = ARGV[first + 2 * c - 2] end
      local held = redis.call('HMGET', holders_key, unpack(persons))
      local granted, pairs_out, takers, first_seq = {}, {}, {}, seq + 1
      local order = {}

      for c = 1, n do
        local person, mark = persons[c], ARGV[first + 2 * c - 1]
        local records = granted[person] or held[c]
        local found, counting = nil, 0
        if records then found, counting = look_up(records, mark) end
        if found then
          out[c + 8] = found
        elseif refused then
          out[c + 8] = refused
        elseif counting >= limit then
          out[c + 8] = LIMIT_REACHED
        elseif stock <= 0 then
          out[c + 8] = SOLD_OUT
        else
          stock, seq = stock - 1, seq + 1
          out[c + 8] = seq
          local record = struct.pack('>BI2I4I6', mark == '' and 0 or 4, epoch, seq, now_ms) .. mark
          if records then
            record = records .. record
          end
          if not granted[person] then order[#order + 1] = person end
          granted[person] = record
          if mark == '' then
            takers[#takers + 1] = person
          else
            takers[#takers + 1] = person .. '\t' .. string.gsub(mark, '.', function(byte)
              return string.format('%02x', string.byte(byte))
            end)
          end
        end
      end

      if #takers > 0 then
        for p = 1, #order do
          pairs_out[2 * p - 1], pairs_out[2 * p] = order[p], granted[order[p]]
        end
        writes[#writes + 1] = { drop_key, holders_key, stock, seq, pairs_out }
        journal[#journal + 1] = 'claims'
        journal[#journal + 1] = string.format('%s %d %.0f %d ', drop_id, epoch, now_ms, first_seq)
          .. table.concat(takers, ' ')
        out[6], out[7] = stock, seq
      end
    end
  end
end

for w = 1, #writes do
  local drop_key, holders_key, stock, seq, pairs_out = unpack(writes[w])
  redis.call('HSET', drop_key, 'stock', stock, 'seq', seq)
  redis.call('HSET', holders_key, unpack(pairs_out))
end
if #journal > 0 then
  redis.call('XADD', KEYS[1], '*', unpack(journal))
end
return reply
