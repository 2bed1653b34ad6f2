#!lua
-- restore: makes a drop anew, in a higher epoch, from what the ledger has of it, in three steps. Each is safe to run
-- twice. Until the last one the drop is frozen, and state.lua runs it for nobody; so it is from "lost" on, which says
-- of a drop that it lacks something.
--
-- KEYS[1]      journal of the shard (stream)
-- KEYS[2]      drop hash
-- KEYS[3]      holders hash of the drop
-- ARGV[1]      "begin" (empties the drop), "holders" (adds claims), "finish" (declares it complete); or "lost"
--              (freezes it until it is begun)
-- ARGV[2]      token of who restores, 1 to 64 characters: of two who begin, the later one goes on alone; with "lost"
--              one that nobody restores with
-- ARGV[3]      epoch that the drop gets, 1 to 65535; with "lost" the one of which something is lacking
-- with "begin":
-- ARGV[4]      total: units of this shard in this epoch, 0 to 2^32-1
-- ARGV[5]      opens_at, Unix milliseconds
-- ARGV[6]      closes_at, Unix milliseconds, above opens_at
-- ARGV[7]      limit per person, 1 to 100
-- ARGV[8]      up to where the ledger has the journal, as ms-seq: every later entry gets a higher id
-- with "holders":
-- ARGV[4..#ARGV]  1 to 1000 times a person and a record, as claim.lua writes it, in the order of granting; one that
--              is there already is passed over
--
-- Reply to "begin", "finish" and "lost": { epoch, state, opens_at, closes_at, limit, stock, seq, returned }
-- Reply to "holders": how many of the records were new
-- Reply when refused, nothing changed:
--   UNKNOWN_DROP -7   there is no such drop: it was not begun, or is gone
--   SUPERSEDED   -11  the drop is in a higher epoch or finished in this one, or somebody else has begun since; with
--                     "lost": it is in another epoch, or being restored
-- An error that begins with MALFORMED: the call is not as above; nothing was changed.

local UNKNOWN_DROP, SUPERSEDED = -7, -11

local LIMIT_MAX = 100
local PAIRS_MAX = 1000
local PLAIN_BYTES, MARKED_BYTES, FLAG_MARK = 13, 21, 4

local function integer(text, min, max)
  local number = tonumber(text)
  return number and number >= min and number <= max and math.floor(number) == number and number
end

-- Whether the claim of this record stands among a person's: epoch and seq are bytes 2 to 7.
local function has(records, record)
  local wanted, at = string.sub(record, 2, 7), 1
  while at <= #records do
    if string.sub(records, at + 1, at + 6) == wanted then return true end
    at = at + (string.byte(records, at) >= FLAG_MARK and MARKED_BYTES or PLAIN_BYTES)
  end
  return false
end

local journal_key, drop_key, holders_key = KEYS[1], KEYS[2], KEYS[3]
local step, token, epoch = ARGV[1], ARGV[2], integer(ARGV[3], 1, 2 ^ 16 - 1)
if #KEYS ~= 3 or not token or #token < 1 or #token > 64 or not epoch then
  return redis.error_reply('MALFORMED step, token and epoch')
end
local f = redis.call('HMGET', drop_key, 'epoch', 'rebuild')
local its_epoch, its_token = tonumber(f[1] or 0), f[2]

if step == 'begin' then
  local total, opens_at = integer(ARGV[4], 0, 2 ^ 32 - 1), integer(ARGV[5], 0, 2 ^ 48 - 1)
  local closes_at, limit, position = integer(ARGV[6], 0, 2 ^ 48 - 1), integer(ARGV[7], 1, LIMIT_MAX), ARGV[8]
  if #ARGV ~= 8 or not (total and opens_at and closes_at and limit and string.find(position, '^%d+%-%d+$')) then
    return redis.error_reply('MALFORMED total, window, limit and position')
  end
  if closes_at <= opens_at then return redis.error_reply('MALFORMED window') end
  if its_epoch > epoch or (its_epoch == epoch and not its_token) then return SUPERSEDED end
  -- The journal first: of the writes it alone can fail for a reason of its own.
  if position ~= '0-0' then
    local added = redis.pcall('XADD', journal_key, position, 'floor', '')
    if type(added) ~= 'table' then
      redis.call('XDEL', journal_key, position)
    elseif not string.find(added.err, 'equal or smaller', 1, true) then
      return redis.error_reply(added.err)
    end
  end
  redis.call('UNLINK', holders_key)
  redis.call('HDEL', drop_key, 'over')
  redis.call('HSET', drop_key, 'epoch', epoch, 'state', 'frozen', 'opens_at', opens_at, 'closes_at', closes_at,
    'limit', limit, 'stock', total, 'seq', 0, 'returned', 0, 'rebuild', token)
elseif not f[1] then
  return UNKNOWN_DROP
elseif step == 'holders' then
  if #ARGV < 5 or #ARGV > 3 + 2 * PAIRS_MAX or #ARGV % 2 == 0 then
    return redis.error_reply('MALFORMED number of persons and records')
  end
  if its_epoch ~= epoch or its_token ~= token then return SUPERSEDED end
  local given = { unpack(ARGV, 4, #ARGV) }
  local persons, place = {}, {}
  for p = 1, #given, 2 do
    local person, bytes = given[p], #given[p + 1]
    if person == '' or (bytes ~= PLAIN_BYTES and bytes ~= MARKED_BYTES) then
      return redis.error_reply('MALFORMED person or record ' .. (p + 1) / 2)
    end
    if not place[person] then
      persons[#persons + 1] = person
      place[person] = #persons
    end
  end
  local held, new = redis.call('HMGET', holders_key, unpack(persons)), 0
  for p = 1, #given, 2 do
    local at, record = place[given[p]], given[p + 1]
    local records = held[at] or ''
    if not has(records, record) then
      held[at], new = records .. record, new + 1
    end
  end
  if new > 0 then
    local writes = {}
    for p = 1, #persons do
      writes[2 * p - 1], writes[2 * p] = persons[p], held[p]
    end
    redis.call('HSET', holders_key, unpack(writes))
  end
  return new
elseif (step == 'finish' or step == 'lost') and #ARGV == 3 then
  if its_epoch ~= epoch or (its_token and its_token ~= token) then return SUPERSEDED end
  if step == 'lost' then
    redis.call('HSET', drop_key, 'state', 'frozen', 'rebuild', token)
  else
    redis.call('HDEL', drop_key, 'rebuild')
  end
else
  return redis.error_reply('MALFORMED step')
end
return redis.call('HMGET', drop_key, 'epoch', 'state', 'opens_at', 'closes_at', 'limit', 'stock', 'seq', 'returned')
