//! Broken scripts beside `claim.lua`'s: whoever changes drops, gives units back or makes a drop anew can bring stock back
//! that was sold, too.

use claimrush::redis::scripts;

use crate::claim_mutants::{Mutant, assert_noticed};

const CONFIGURE: &[Mutant] = &[
    ("the total put on sale again", "local left = total - seq + returned", "local left = total"),
    ("what came back not counted", "local left = total - seq + returned", "local left = total - seq"),
    ("stock below zero", "math.max(left, 0)", "left"),
    ("shrunk below what is claimed", "if left < 0 and shrinks then", "if false then"),
    ("nothing may be less than what is claimed", "if left < 0 and shrinks then", "if left < 0 then"),
    ("what is too many not kept", "redis.call('HSET', KEYS[d], 'over', overs[d])", "overs[d] = 0"),
    ("what was too many stays", "redis.call('HDEL', KEYS[d], 'over')", "overs[d] = 0"),
    ("claims numbered anew", "tonumber(f[3] or 0)", "0"),
    (
        "returns forgotten",
        "local seq, returned = tonumber(f[3] or 0), tonumber(f[4] or 0)",
        "local seq, returned = tonumber(f[3] or 0), 0",
    ),
    ("epoch of a drop that is there changed", "tonumber(f[1] or made_epoch)", "made_epoch"),
    ("state of a drop that is there changed", "f[2] or made_state", "made_state"),
    ("a drop made from nothing", "if not f[1] and mode ~= 'create' then", "if false then"),
    ("an older view believed", "if revision < set_to and overruled ~= set_to then", "if false then"),
    (
        "the same view refused",
        "if revision < set_to and overruled ~= set_to then",
        "if revision <= set_to then",
    ),
    (
        "stock that is taken away put on sale",
        "if revision == tonumber(f[7] or -1) and not shrinks then",
        "if false then",
    ),
    ("that stock is taken away not kept", "shrinks and revision or nil", "nil"),
    ("taking away never over", "redis.call('HDEL', KEYS[d], 'shrinking')", "shrinking[d] = nil"),
    (
        "changed before all is decided",
        "  overs[d] = over\n",
        "  overs[d] = over\n  redis.call('HSET', unpack(writes[d]))\n",
    ),
    ("only the first drop changed", "for d = 1, #writes do", "for d = 1, 1 do"),
    ("limit not written", "'limit', limit,\n", "\n"),
    ("window not written", "'opens_at', opens_at, 'closes_at', closes_at, 'limit'", "'limit'"),
    ("revision not written", "'returned', returned, 'revision', revision,", "'returned', returned,"),
    (
        "one win per campaign not written",
        "redis.call('HSET', key, 'once', once, 'once_revision', revision)",
        "key = nil",
    ),
    ("one win per campaign never over", "(once > 0 or known)", "once > 0"),
];

const STATE: &[Mutant] = &[
    ("nothing changed", "redis.call('HSET', KEYS[d], 'state', state)", "state = nil"),
    (
        "only the first drop changed",
        "for d = 1, #KEYS do\n  redis.call('HSET'",
        "for d = 1, 1 do\n  redis.call('HSET'",
    ),
    ("a drop made from nothing", "if not f[1] then return { UNKNOWN_DROP, d } end", ""),
    ("what is being made anew runs", "if f[8] and state ~= 'frozen' then return { FROZEN, d } end", ""),
    ("what is being made anew is not frozen", "if f[8] and state ~= 'frozen' then", "if f[8] then"),
    ("an older view believed", "if revision < tonumber(f[9] or 0) then return { OUT_OF_DATE, d } end", ""),
    ("the same view refused", "if revision < tonumber(f[9] or 0)", "if revision <= tonumber(f[9] or 0)"),
    (
        "changed before all is decided",
        "  reply[d] = {",
        "  redis.call('HSET', KEYS[d], 'state', state)\n  reply[d] = {",
    ),
];

const RETURN: &[Mutant] = &[
    ("given back twice", "if flags % 2 == 1 then return ALREADY_RETURNED end", "flags = flags - flags % 4"),
    ("given back by nobody", "if not at then return NOT_FOUND end", "if not at then at, flags = 1, 0 end"),
    ("given back while frozen", "if f[2] == 'frozen' then return FROZEN end", ""),
    ("given back in no drop", "if not f[1] then return UNKNOWN_DROP end", ""),
    ("not given back", "else stock = stock + 1 end", "end"),
    ("two given back", "else stock = stock + 1 end", "else stock = stock + 2 end"),
    (
        "on sale before it is made up for",
        "if over > 0 then over = over - 1 else stock = stock + 1 end",
        "stock = stock + 1",
    ),
    ("what is too many not made up for", "redis.call('HSET', drop_key, 'over', over)", "over = 0"),
    ("what was too many stays", "redis.call('HDEL', drop_key, 'over')", "over = 0"),
    ("not counted", "tonumber(f[8]) + 1", "tonumber(f[8])"),
    (
        "stock not written",
        "redis.call('HSET', drop_key, 'stock', stock, 'returned', returned)",
        "redis.call('HSET', drop_key, 'returned', returned)",
    ),
    (
        "count not written",
        "redis.call('HSET', drop_key, 'stock', stock, 'returned', returned)",
        "redis.call('HSET', drop_key, 'stock', stock)",
    ),
    ("holder not told", "redis.call('HSET', holders_key, person, kept)", "kept = nil"),
    ("no journal", "redis.call('XADD', journal_key, '*', 'return', line)", "line = nil"),
    (
        "journal alone",
        "redis.call('HSET', drop_key, 'stock', stock, 'returned', returned)",
        "redis.call('HDEL', drop_key, 'over')",
    ),
    ("again counts", "again = FLAG_RETURNED + FLAG_MAY_CLAIM_AGAIN,", "again = FLAG_RETURNED,"),
    (
        "forfeit does not count",
        "forfeit = FLAG_RETURNED }",
        "forfeit = FLAG_RETURNED + FLAG_MAY_CLAIM_AGAIN }",
    ),
    ("the person's first claim", "if its_epoch == epoch and its_seq == seq then", "if true then"),
    ("epoch ignored", "if its_epoch == epoch and its_seq == seq then", "if its_seq == seq then"),
    ("number ignored", "if its_epoch == epoch and its_seq == seq then", "if its_epoch == epoch then"),
    ("mark lost", "string.char(flags + FLAGS_SET[mode])", "string.char(FLAGS_SET[mode])"),
    ("later claims lost", "string.sub(records, at + 1)", "string.sub(records, at + 1, at + 12)"),
    ("earlier claims lost", "string.sub(records, 1, at - 1) ..", "'' .."),
];

const RESTORE: &[Mutant] = &[
    ("holders of before stay", "redis.call('UNLINK', holders_key)", ""),
    ("what was too many stays", "redis.call('HDEL', drop_key, 'over')", ""),
    (
        "epoch stays",
        "'epoch', epoch, 'state', 'frozen', 'opens_at'",
        "'epoch', its_epoch, 'state', 'frozen', 'opens_at'",
    ),
    ("runs before it is complete", "'state', 'frozen', 'opens_at'", "'state', 'running', 'opens_at'"),
    (
        "claims numbered on",
        "'stock', total, 'seq', 0, 'returned', 0, 'rebuild', token",
        "'stock', total, 'returned', 0, 'rebuild', token",
    ),
    (
        "returns counted on",
        "'stock', total, 'seq', 0, 'returned', 0, 'rebuild', token",
        "'stock', total, 'seq', 0, 'rebuild', token",
    ),
    (
        "stock of before stays",
        "'stock', total, 'seq', 0, 'returned', 0, 'rebuild', token",
        "'seq', 0, 'returned', 0, 'rebuild', token",
    ),
    ("token not kept", "'returned', 0, 'rebuild', token)\nelseif", "'returned', 0)\nelseif"),
    ("journal ids given again", "if position ~= '0-0' then", "if false then"),
    ("what holds the journal's place stays", "redis.call('XDEL', journal_key, position)", ""),
    (
        "an older epoch begun",
        "if its_epoch > epoch or (its_epoch == epoch and not its_token) then",
        "if its_epoch == epoch and not its_token then",
    ),
    (
        "a complete drop begun again",
        "if its_epoch > epoch or (its_epoch == epoch and not its_token) then",
        "if its_epoch > epoch then",
    ),
    (
        "whoever comes adds claims",
        "if its_epoch ~= epoch or its_token ~= token then return SUPERSEDED end",
        "",
    ),
    (
        "whoever comes ends it",
        "if its_epoch ~= epoch or (its_token and its_token ~= token) then return SUPERSEDED end",
        "if its_epoch ~= epoch then return SUPERSEDED end",
    ),
    (
        "an older epoch lost",
        "if its_epoch ~= epoch or (its_token and its_token ~= token) then return SUPERSEDED end",
        "if its_token and its_token ~= token then return SUPERSEDED end",
    ),
    ("the same claim twice", "if not has(records, record) then", "if true then"),
    ("one claim a person", "if not has(records, record) then", "if records == '' then"),
    ("marked claims misread", "and MARKED_BYTES or PLAIN_BYTES)\n", "and PLAIN_BYTES or PLAIN_BYTES)\n"),
    ("number alone compared", "string.sub(record, 2, 7), 1", "'\\0\\0' .. string.sub(record, 4, 7), 1"),
    ("order turned round", "records .. record, new + 1", "record .. records, new + 1"),
    ("claims not added", "redis.call('HSET', holders_key, unpack(writes))", "writes = nil"),
    ("never complete", "redis.call('HDEL', drop_key, 'rebuild')", ""),
    (
        "lost and running",
        "redis.call('HSET', drop_key, 'state', 'frozen', 'rebuild', token)",
        "redis.call('HSET', drop_key, 'rebuild', token)",
    ),
    (
        "lost and not marked",
        "redis.call('HSET', drop_key, 'state', 'frozen', 'rebuild', token)",
        "redis.call('HSET', drop_key, 'state', 'frozen')",
    ),
];

#[test]
fn every_mutant_of_the_script_that_changes_drops_is_noticed() {
    assert_noticed(&scripts::CONFIGURE, CONFIGURE);
}

#[test]
fn every_mutant_of_the_script_that_pauses_and_freezes_is_noticed() {
    assert_noticed(&scripts::STATE, STATE);
}

#[test]
fn every_mutant_of_the_script_that_gives_units_back_is_noticed() {
    assert_noticed(&scripts::RETURN, RETURN);
}

#[test]
fn every_mutant_of_the_script_that_makes_a_drop_anew_is_noticed() {
    assert_noticed(&scripts::RESTORE, RESTORE);
}
