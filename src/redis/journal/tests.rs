//! Entries as the scripts write them, and what is no entry of theirs.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const ID: JournalId = JournalId { ms: 7, seq: 1 };

fn parse(fields: &[&str]) -> Result<Vec<JournalEvent>, Poison> {
    let fields: Vec<&[u8]> = fields.iter().map(|field| field.as_bytes()).collect();
    parse_entry(ID, &fields).content
}

#[test]
fn claims_and_returns_are_read() {
    let claims = "d-1 2 1700000000000 9 ann bob\t00ff00ff00ff00ff";
    let events = parse(&["claims", claims, "return", "d-2 1 1700000000001 3 cid again"]);
    let expected = [
        JournalEvent::Claimed {
            drop: DropId::new("d-1").expect("an id"),
            epoch: Epoch(2),
            claimed_at_ms: 1_700_000_000_000,
            first_seq: 9,
            takers: Takers::new("ann bob\t00ff00ff00ff00ff"),
        },
        JournalEvent::Returned {
            drop: DropId::new("d-2").expect("an id"),
            epoch: Epoch(1),
            seq: 3,
            person: "cid".into(),
            returned_at_ms: 1_700_000_000_001,
            may_claim_again: true,
        },
    ];
    assert_eq!(events.as_deref(), Ok(&expected[..]));
}

#[test]
fn what_the_scripts_do_not_write_is_poison() {
    let longest = format!("d 1 1 1 {}", vec!["p"; limits::BATCH_CLAIMS_MAX].join(" "));
    assert!(parse(&["claims", &longest]).is_ok());
    let too_long = format!("{longest} p");
    let poison: &[&[&str]] = &[
        &[],
        &["claims"],
        &["grants", "d 1 1 1 ann"],
        &["claims", "d 1 1 1"],
        &["claims", "d 1 1 1 "],
        &["claims", "d 1 1 1 ann "],
        &["claims", "d 1 1 1 ann  bob"],
        &["claims", "D 1 1 1 ann"],
        &["claims", "d 65536 1 1 ann"],
        &["claims", "d 1 -1 1 ann"],
        &["claims", "d 1 1e3 1 ann"],
        &["claims", "d 1 1 0 ann"],
        &["claims", "d 1 1 01 ann"],
        &["claims", "d 1 1 4294967296 ann"],
        &["claims", "d 1 1 4294967295 ann bob"],
        &["claims", "d 1 1 1 ann\t00ff"],
        &["claims", "d 1 1 1 ann\t00FF00FF00FF00FF"],
        &["claims", "d 1 1 1 ann\t00ff00ff00ff00ff\t"],
        &["claims", "d 1 1 1 \u{e9}mile"],
        &["claims", &too_long],
        &["claims", &longest, "claims", "e 1 1 1 ann"],
        &["claims", "d 1 1 1 ann", "return", "d 1 1 1 ann"],
        &["return", "d 1 1 1 ann maybe"],
        &["return", "d 1 1 0 ann again"],
        &["return", "d 1 1 1 ann again again"],
    ];
    for fields in poison {
        let found = parse(fields).expect_err("poison");
        let raw = found.raw.as_str();
        assert!(!found.reason.is_empty() && raw == cut(&fields.join(" "), raw.len()), "{found:?}");
    }
}

#[test]
fn raw_text_is_cut_between_characters() {
    let long = "\u{e9}".repeat(limits::POISON_BYTES_MAX);
    let raw = parse(&["x", &long]).expect_err("poison").raw;
    assert!(raw.len() <= limits::POISON_BYTES_MAX && raw.len() > limits::POISON_BYTES_MAX - 4);
}

proptest! {
    #[test]
    fn no_bytes_stop_the_reading(fields in vec(vec(any::<u8>(), 0..64), 0..6)) {
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(parse_entry(ID, &fields).id, ID);
    }

    #[test]
    fn nearly_right_texts_are_understood_whole_or_not_at_all(
        kind in "claims|return",
        text in "[a-z]{1,3} [0-9]{1,6} [0-9]{1,14} [0-9]{1,11} [!-~]{1,4}( [ !-~\t]{0,20})?",
    ) {
        if let Ok([JournalEvent::Claimed { takers, .. }]) = parse(&[&kind, &text]).as_deref() {
            prop_assert!(text.ends_with(takers.as_str()));
            prop_assert_eq!(takers.iter().count(), takers.count() as usize);
        }
    }

    #[test]
    fn no_reply_stops_the_reading(id in vec(any::<u8>(), 0..12), text in vec(any::<u8>(), 0..32)) {
        let fields = vec![Value::BulkString(b"claims".to_vec()), Value::BulkString(text)];
        let entry = Value::Array(vec![Value::BulkString(id.clone()), Value::Array(fields)]);
        let known = decode_id(&id).ok();
        prop_assert_eq!(decode_entry(&entry).ok().map(|entry| entry.id), known);
    }
}
