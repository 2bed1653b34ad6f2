//! Replies as they come, and bytes that are none.

use proptest::prelude::*;

use super::*;

const RECORD: [u8; 13] = [1, 0, 9, 0, 0, 1, 2, 0, 0, 0, 0, 3, 4];

fn drop_part(state: &str, results: &[Value]) -> Value {
    let mut values: Vec<_> = [9, 0, 1_000, 2_000, 1, 5, 258, 3].map(Value::Int).into();
    values[1] = Value::BulkString(state.into());
    values.extend_from_slice(results);
    Value::Array(values)
}

fn reply(parts: Vec<Value>) -> Value {
    let mut all = vec![Value::BulkString(b"42".into()), Value::Int(1_500)];
    all.extend(parts);
    Value::Array(all)
}

fn decode(reply: &Value, claims: &[usize]) -> Result<ClaimReply, ReplyError> {
    ClaimReply::decode(reply, 42, claims.iter().copied())
}

#[test]
fn a_reply_is_read() {
    let again = Value::BulkString(RECORD.into());
    let elsewhere = Value::Array(vec![Value::Int(-5), Value::Int(3), again.clone()]);
    let running = drop_part("running", &[Value::Int(258), again, Value::Int(-4), elsewhere]);
    let unknown = Value::Array(vec![Value::Int(Code::UnknownDrop.number())]);
    let read = decode(&reply(vec![running, unknown]), &[4, 1]).expect("well formed");
    assert_eq!((read.batch_id, read.now_ms, read.drops.len()), (42, 1_500, 2));
    assert_eq!(read.drops[1], None);
    let part = read.drops[0].as_ref().expect("known");
    assert_eq!((part.view.epoch, part.view.stock, part.view.seq), (Epoch(9), 5, 258));
    let grant = Grant { epoch: Epoch(9), seq: 258, claimed_at_ms: 0x0304, returned: true, mark: None };
    let expected = [
        Outcome::Granted { seq: 258 },
        Outcome::Again(grant),
        Outcome::Refused(Code::SoldOut),
        Outcome::Elsewhere { place: 2, grant },
    ];
    assert_eq!(part.outcomes, expected);
}

#[test]
fn a_reply_that_is_not_the_calls_own_is_refused() {
    let good = || drop_part("running", &[Value::Int(1)]);
    assert!(decode(&reply(vec![good()]), &[1]).is_ok());
    let other = ReplyError::OtherBatch { expected: 43, found: 42 };
    assert_eq!(ClaimReply::decode(&reply(vec![good()]), 43, [1].into_iter()), Err(other));
    let two_records = Value::BulkString([RECORD, RECORD].concat());
    let short_record = Value::BulkString(RECORD[1..].into());
    let record = || Value::BulkString(RECORD.into());
    let elsewhere = |code, place| {
        let parts = vec![Value::Int(code), Value::Int(place), record()];
        (reply(vec![drop_part("running", &[Value::Array(parts)])]), &[1][..])
    };
    let malformed: [(Value, &[usize]); 14] = [
        elsewhere(-5, 0),
        elsewhere(-4, 1),
        (reply(vec![drop_part("running", &[Value::Array(vec![Value::Int(-5), record()])])]), &[1]),
        (reply(vec![good()]), &[2]),
        (reply(vec![good()]), &[1, 1]),
        (reply(vec![good(), good()]), &[1]),
        (reply(vec![drop_part("open", &[Value::Int(1)])]), &[1]),
        (reply(vec![drop_part("running", &[Value::Int(0)])]), &[1]),
        (reply(vec![drop_part("running", &[Value::Int(-99)])]), &[1]),
        (reply(vec![drop_part("running", &[Value::Int(1 << 32)])]), &[1]),
        (reply(vec![drop_part("running", &[two_records])]), &[1]),
        (reply(vec![drop_part("running", &[short_record])]), &[1]),
        (reply(vec![Value::Nil]), &[1]),
        (Value::Okay, &[1]),
    ];
    for (reply, claims) in malformed {
        assert!(matches!(decode(&reply, claims), Err(ReplyError::Malformed(_))), "{reply:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        epoch: u16, seq: u32, claimed_at_ms in 0..(1_i64 << 48), returned: bool, again: bool,
        mark in proptest::option::of(any::<[u8; 8]>()),
    ) {
        let grant = Grant { epoch: Epoch(epoch), seq, claimed_at_ms, returned, mark: mark.map(Mark) };
        let record = encode_record(&grant, again);
        prop_assert_eq!(record[0] & 2 != 0, returned && again);
        prop_assert_eq!(decode_records(&record), Ok(vec![grant]));
        let counting = if returned && again { vec![] } else { vec![grant] };
        prop_assert_eq!(decode_counting(&record), Ok(counting));
    }

    #[test]
    fn records_are_read_back_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(grants) = decode_records(&bytes) {
            let sizes = grants.iter().map(|grant| if grant.mark.is_some() { 21 } else { 13 });
            prop_assert_eq!(sizes.sum::<usize>(), bytes.len());
        }
    }

    #[test]
    fn whole_records_are_read(flags in 0_u8..8, bytes in any::<[u8; 20]>(), count in 0_usize..5) {
        let size = if flags < 4 { 13 } else { 21 };
        let mut record = vec![flags];
        record.extend(&bytes[..size - 1]);
        let grants = decode_records(&record.repeat(count)).expect("whole records");
        prop_assert_eq!(grants.len(), count);
        for grant in grants {
            prop_assert_eq!(grant.returned, flags & 1 == 1);
            prop_assert_eq!(grant.mark.is_some(), flags & 4 == 4);
            prop_assert_eq!(&grant.seq.to_be_bytes()[..], &bytes[2..6]);
        }
    }
}
