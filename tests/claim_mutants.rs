//! Broken claim scripts: the model and the invariants must notice each of them.

use proptest::test_runner::{Config, TestCaseError, TestError, TestRng, TestRunner};

use tokio::runtime::Runtime;

use crate::claim_model::{check, history, runtime};
use crate::support::redis::RedisServer;
use claimrush::redis::scripts;

/// How many histories a mutant may survive before the test gives up on noticing it.
const CASES_MAX: u32 = 400;

/// A name, a text of `claim.lua`, and what stands there instead.
const MUTANTS: &[(&str, &str, &str)] = &[
    ("stock off by one", "stock <= 0", "stock < 0"),
    ("stock not decremented", "stock - 1, seq + 1", "stock, seq + 1"),
    (
        "0 is true: flags tested by and",
        "returned = flags % (2 * FLAG_RETURNED) >= FLAG_RETURNED",
        "returned = flags % (2 * FLAG_RETURNED)",
    ),
    ("0 is true: a count as a condition", "elseif counting >= limit then", "elseif counting then"),
    ("decrement without journal", "redis.call('XADD', KEYS[1], '*', unpack(journal))", "journal = nil"),
    ("journal without decrement", "redis.call('HSET', drop_key, 'stock', stock, 'seq', seq)", "seq = nil"),
    ("stock not written", "'stock', stock, 'seq', seq)\nend", "'seq', seq)\nend"),
    ("seq not written", "'stock', stock, 'seq', seq)\nend", "'stock', stock)\nend"),
    ("seq not advanced", "stock - 1, seq + 1, taken + 1", "stock - 1, seq, taken + 1"),
    ("holders not written", "redis.call('HSET', holders_key, unpack(holders))", "holders = nil"),
    ("limit ignored", "counting >= limit", "false"),
    ("limit off by one", "counting >= limit", "counting > limit"),
    ("returned again still counts", "if not may_claim_again then counting", "if true then counting"),
    (
        "returned forfeit does not count",
        "if not may_claim_again then counting",
        "if not returned then counting",
    ),
    ("opening ignored", "if now_ms < opens_at then return NOT_OPEN end", ""),
    ("opening off by one", "now_ms < opens_at", "now_ms <= opens_at"),
    ("closing ignored", "if now_ms >= closes_at then return CLOSED end", ""),
    ("closing off by one", "now_ms >= closes_at", "now_ms > closes_at"),
    ("pause ignored", "if state == 'paused' then return PAUSED end", ""),
    ("frozen ignored", "state == 'frozen'", "false"),
    (
        "retry grants again",
        "if records then again, counting = look_up(records, mark) end",
        "if records then counting = 0 end",
    ),
    ("retry is refused", "if again then\n", "if again and not refused then\n"),
    ("mark ignored", "string.sub(records, at + PLAIN_BYTES, next_at - 1) == mark", "true"),
    ("mark not kept", "epoch, seq, now_ms) .. mark", "epoch, seq, now_ms) .. string.rep('m', 8)"),
    ("duplicates in one batch not seen", "granted[person] or held[c]", "held[c]"),
    ("earlier claims overwritten", "record = records .. record", "record = record"),
    ("journal begins one late", "now_ms, seq + 1)", "now_ms, seq + 2)"),
    ("epoch of another shard life", "epoch = epoch, refused", "epoch = 1, refused"),
];

/// What the first of `cases` histories that shows a difference says of it.
fn noticed(redis: &RedisServer, runtime: &Runtime, source: &str, cases: u32) -> Option<String> {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    // The same histories in every run: a mutant is not to be noticed by luck.
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let outcome = TestRunner::new_with_rng(config, rng).run(&history(), |history| {
        runtime.block_on(async {
            let checked = check(redis.connect().await, Some(source.to_owned()), &history).await;
            checked.map_err(|error| TestCaseError::fail(format!("{error:#}")))
        })
    });
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(reason, _)) => Some(reason.to_string()),
        Err(TestError::Abort(reason)) => panic!("no history was checked: {reason}"),
    }
}

#[test]
fn every_mutant_of_the_claim_script_is_noticed() {
    let runtime = runtime();
    let redis = RedisServer::in_memory();
    let mut survivors = Vec::new();
    for (name, text, replacement) in MUTANTS {
        let source = scripts::CLAIM.source;
        assert_eq!(source.matches(text).count(), 1, "{name}: claim.lua must have {text:?} once");
        if noticed(&redis, &runtime, &source.replacen(text, replacement, 1), CASES_MAX).is_none() {
            survivors.push(name);
        }
    }
    assert!(survivors.is_empty(), "nothing noticed {survivors:?}");
}

#[test]
fn the_script_itself_survives_the_same_check() {
    let runtime = runtime();
    let redis = RedisServer::in_memory();
    assert_eq!(noticed(&redis, &runtime, scripts::CLAIM.source, 20), None);
}
