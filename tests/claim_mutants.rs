//! Broken claim scripts: the model and the invariants must notice each of them.

use anyhow::Result;
use claimrush::redis::scripts::{self, Script};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRng, TestRunner};

use crate::claim_model::mutant::Connection;
use crate::claim_model::step::{Step, history};
use crate::claim_model::{check, check_promises, runtime};
use crate::support::redis::RedisServer;

/// How many histories a mutant may survive before the test gives up on noticing it.
const CASES_MAX: u32 = 400;

/// A name, a text of a script, and what stands there instead.
pub(crate) type Mutant = (&'static str, &'static str, &'static str);

/// Those of `claim.lua`.
const MUTANTS: &[Mutant] = &[
    ("stock off by one", "stock <= 0", "stock < 0"),
    ("stock not decremented", "stock - 1, seq + 1", "stock, seq + 1"),
    (
        "0 is true: flags tested by and",
        "returned = flags % (2 * FLAG_RETURNED) >= FLAG_RETURNED",
        "returned = flags % (2 * FLAG_RETURNED)",
    ),
    ("0 is true: a count as a condition", "if counting >= limit then", "if counting then"),
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
    ("everybody is owed", "if follow ~= '2' then refused", "if follow == '2' then refused"),
    ("frozen ignored", "if state == 'frozen' then\n", "if false then\n"),
    (
        "retry grants again",
        "if records then again, counting = look_up(records, mark) end",
        "if records then counting = 0 end",
    ),
    ("retry is refused", "if again then\n", "if again and not refused then\n"),
    ("mark ignored", "string.sub(records, at + PLAIN_BYTES, next_at - 1) == mark", "true"),
    ("mark never found", "string.sub(records, at + PLAIN_BYTES, next_at - 1) == mark", "false"),
    ("mark not kept", "epoch, seq, now_ms) .. mark", "epoch, seq, now_ms) .. string.rep('m', 8)"),
    ("duplicates in one batch not seen", "granted[person] or held[c]", "held[c]"),
    ("earlier claims overwritten", "record = records .. record", "record = record"),
    ("journal begins one late", "now_ms, seq + 1)", "now_ms, seq + 2)"),
    (
        "a claim in another drop not seen",
        "local record = records and last_counting(records)",
        "local record = nil",
    ),
    (
        "a claim in another drop of the same batch not seen",
        "granted and granted[persons[c]] or held and held[c]",
        "held and held[c]",
    ),
    ("a drop that is being rebuilt passed over", "or state == 'frozen' then return false end", "then end"),
    ("a drop that is not there passed over", "if not state or state", "if state"),
    (
        "an older view of the campaign believed",
        "campaign and campaign.drops == drop.once and campaign",
        "campaign",
    ),
    (
        "a campaign that is not named believed",
        "local looks = drop.once and",
        "local looks = drop.campaign and",
    ),
    (
        "returned again still counts elsewhere",
        "if flags % (2 * FLAG_MAY_CLAIM_AGAIN) < FLAG_MAY_CLAIM_AGAIN then found",
        "if true then found",
    ),
    (
        "returned forfeit does not count elsewhere",
        "if flags % (2 * FLAG_MAY_CLAIM_AGAIN) < FLAG_MAY_CLAIM_AGAIN then found",
        "if flags % 2 == 0 then found",
    ),
    ("only the first takers looked up", "if c > looks.through then", "if looks.through == 0 then"),
    ("the rule is never over", "f[9] and f[9] ~= '0' and", "f[9] and"),
    ("epoch of another shard life", "epoch = epoch, refused", "epoch = 1, refused"),
];

/// The mutants that break a promise of the design outright, and how the break is told.
const BROKEN_PROMISES: &[(&str, &str)] = &[
    ("stock off by one", "I1"),
    ("stock not decremented", "I1"),
    ("decrement without journal", "I1"),
    ("journal without decrement", "I1"),
    ("holders not written", "I3"),
    ("seq not advanced", "I3"),
    ("duplicates in one batch not seen", "I3"),
    ("limit ignored", "I4"),
    ("a claim in another drop not seen", "I4"),
    ("a claim in another drop of the same batch not seen", "I4"),
    ("an older view of the campaign believed", "I4"),
    ("mark never found", "I6"),
];

/// A script with one mutation.
fn mutated(script: &Script, (name, text, replacement): &Mutant) -> String {
    let Script { file, source, .. } = script;
    assert_eq!(source.matches(text).count(), 1, "{name}: {file} must have {text:?} once");
    source.replacen(text, replacement, 1)
}

/// What the first of `cases` histories on which `check` fails says of it.
fn noticed(cases: u32, check: impl Fn(Vec<Step>) -> Result<()>) -> Option<String> {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    // The same histories in every run: a mutant is not to be noticed by luck.
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let outcome = TestRunner::new_with_rng(config, rng)
        .run(&history(), |history| check(history).map_err(|error| TestCaseError::fail(format!("{error:#}"))));
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(reason, _)) => Some(reason.to_string()),
        Err(TestError::Abort(reason)) => panic!("no history was checked: {reason}"),
    }
}

/// Fails where no history tells one of the mutants from the script itself.
pub(crate) fn assert_noticed(script: &Script, mutants: &[Mutant]) {
    let runtime = runtime();
    let redis = RedisServer::in_memory();
    let mut survivors = Vec::new();
    for mutant in mutants {
        let (name, source) = (mutant.0, mutated(script, mutant));
        let found = noticed(CASES_MAX, |history| {
            runtime.block_on(async {
                check(Connection::with(redis.connect().await, script, &source), &history).await
            })
        });
        // A mutant that does not even run would show nothing.
        assert!(!found.iter().any(|found| found.contains("script")), "{name}: {found:?}");
        if found.is_none() {
            survivors.push(name);
        }
    }
    assert!(survivors.is_empty(), "nothing noticed {survivors:?} of {}", script.file);
}

#[test]
fn every_mutant_of_the_claim_script_is_noticed() {
    assert_noticed(&scripts::CLAIM, MUTANTS);
}

#[test]
fn the_promises_alone_notice_the_worst_mutants() {
    let runtime = runtime();
    let redis = RedisServer::in_memory();
    let check = |source: &str, history: &[Step]| {
        runtime.block_on(async {
            let conn = Connection::with(redis.connect().await, &scripts::CLAIM, source);
            check_promises(conn, history).await
        })
    };
    for (name, promise) in BROKEN_PROMISES {
        let mutant = MUTANTS.iter().find(|mutant| mutant.0 == *name).expect("a known mutant");
        let source = mutated(&scripts::CLAIM, mutant);
        let found = noticed(CASES_MAX, |history| check(&source, &history)).unwrap_or_default();
        assert!(found.starts_with(promise), "{name} must break {promise}: {found:?}");
    }
    assert_eq!(noticed(20, |history| check(scripts::CLAIM.source, &history)), None, "the script itself");
}
