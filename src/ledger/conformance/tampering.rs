//! What an intruder may do to steps and books, and where the audit chain shows it.

use super::life::{VALID_MS, at, number, redeem, redeemed, refund, sold};
use super::*;
use crate::domain::campaign::CampaignState;
use crate::domain::life::Pot;
use crate::ledger::life::{Action, Key, Redeem, Request, Verdict};
use crate::ledger::{Bind, Grounds, PutDocument, Rebuilt, Settlement};

/// A ledger with a redemption that was refunded in part, one that was fraud, one that was taken back, a closed period, and a payment
/// and a transfer: records 3 to 8, of one step but the third, which has three, that of the period, and the last, which has two.
pub(crate) async fn lived<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let part = redeemed(ledger, 1, 1, "o1").await;
    redeemed(ledger, 2, 2, "o2").await;
    let fraud = "fraud".to_owned();
    let fraud = Action::Review { claim: number(1, 2), verdict: Verdict::Recover, reason: fraud, seen: None };
    let requests = [refund(part, Some(5_000)), Action::Redeem(redeem(3, "m2", "o3")), fraud];
    let requests = requests.into_iter().map(|action| Request { action, key: None }).collect();
    let outcomes = ledger.life(requests, NOW_MS + 3).await.unwrap();
    let reversed = outcomes[1].as_ref().unwrap().step.number;
    let back = Action::Reverse { redemption: reversed, merchant: "m2".to_owned() };
    at(ledger, 4, back).await.unwrap();
    ledger.close_period(&campaign().id, NOW_MS + 4, "ann", NOW_MS + 5).await.unwrap().unwrap();
    let (campaign, merchant, payment) = (campaign().id, "m1".to_owned(), "T1".to_owned());
    let requests = [
        Action::Settle {
            campaign: campaign.clone(),
            merchant,
            amount: Fen(1),
            payment,
            after: None,
            detail: None,
        },
        Action::Move {
            campaign,
            from: Pot::Recovered,
            to: Pot::Treasury,
            amount: Fen(9),
            reference: "D1".to_owned(),
            after: None,
            reason: "it ends".to_owned(),
            over: false,
        },
    ];
    let requests = requests.into_iter().map(|action| Request { action, key: None }).collect();
    let outcomes = ledger.life(requests, NOW_MS + 6).await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

/// The columns of which no record speaks, as (table, column): what is counted for the program's own use, which says nothing of claims or
/// money. Whatever else an intruder changes is found; a store has a test that changes each column of all tables.
pub(crate) const UNSEEN: &[(&str, &str)] = &[
    // Raised with every change of campaigns: tells front ends to read on.
    ("catalogue", "one"),
    ("catalogue", "revision"),
    // By which rules the ledger is written: programs that know earlier ones alone keep away.
    ("rules", "one"),
    ("rules", "number"),
    ("rules", "written_by"),
    // What recoveries go by, beside Redis and the claims: the earliest release, what was seen, and whether all was drained at a stop.
    ("campaign_drop", "opens_at_min_ms"),
    ("loaded", "seen_seq"),
    ("seal", "shard"),
    ("seal", "ms"),
    ("seal", "seq"),
];

/// A ledger with something in every column of every table; one in which not everything ever happened could hide what is not looked at.
pub(crate) async fn all_columns<L: Ledger>(ledger: &L) {
    lived(ledger).await;
    ledger.mark_loaded(DropNumber(1), Shard(0), Epoch::FIRST).await.unwrap();
    let (drop, shard, epoch) = (DropNumber(1), Shard(0), Epoch(2));
    let (lost, actor) = (Vec::new(), None);
    let rebuilt =
        Rebuilt { drop, shard, epoch, carried: 3, grounds: Grounds::Operator, lost, now_ms: NOW_MS, actor };
    ledger.note_rebuilt(&rebuilt).await.unwrap();
    let late = JournalEvent::Claimed {
        drop: DropId::new(MONEY).unwrap(),
        epoch: Epoch::FIRST,
        claimed_at_ms: NOW_MS + VALID_MS,
        first_seq: 5,
        takers: Takers::new("fay"),
    };
    let events = vec![claims(MONEY, 4, "dan"), late, claims(THINGS, 3, "eve\t00ff00ff00ff00ff")];
    let back = vec![returned(THINGS, 2, "bob", true)];
    written(ledger, group(1, vec![Ok(events), Err(poison("?")), Ok(back)])).await;
    let key = Key { actor: "m1".to_owned(), key: "k".to_owned(), content: "c".to_owned() };
    let told = Action::Redeem(Redeem { detail: Some("{}".to_owned()), ..redeem(4, "m1", "o4") });
    let outcomes = ledger.life(vec![Request { action: told, key: Some(key) }], NOW_MS + 7).await.unwrap();
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    assert!(ledger.expire(99, NOW_MS + VALID_MS + 99).await.unwrap().expired > 0);
    let dimensions = vec!["phone:1".to_owned()];
    let bind = Bind { campaign: campaign().id, person: "ann".to_owned(), dimensions, choice: None };
    ledger.bind(vec![bind], NOW_MS).await.unwrap();
    for (person, settlement) in
        [("ann", Settlement::Honoured(number(1, 1))), ("bob", Settlement::Void("no such".to_owned()))]
    {
        let receipt = ledger.register_receipt(number(1, 9), person, NOW_MS).await.unwrap().unwrap();
        ledger.settle_receipt(receipt.number, &settlement, "ann", NOW_MS).await.unwrap().unwrap();
    }
    let document = PutDocument::new("draft", "d", 0, &1, "ann").unwrap();
    ledger.put_document(document, NOW_MS).await.unwrap();
    ledger.set_campaign_state(&campaign().id, CampaignState::Ended, "ann", NOW_MS).await.unwrap();
    assert!(ledger.seal(Shard(0), id(4)).await.unwrap());
    verified(ledger).await;
}

/// The same of a ledger with claims, a return and an entry in quarantine in records 1 to 6, in words that every store understands.
pub(crate) const FULL_TAMPERED: &[(&str, u64, &str)] = &[
    (
        "INSERT INTO receipt (number, claim, person, shown_at_ms) VALUES (1, 'clm_0000200004000009', 'eve', 1)",
        7,
        "1 orphan receipts stand there",
    ),
    (
        "INSERT INTO bond (number, at_ms, campaign, field, value) VALUES (1, 1, 1, 'f', 'eve')",
        7,
        "bonds stand there",
    ),
    // Under a number that no record can cover.
    (
        "INSERT INTO claim_return (number, claim, returned_at_ms, may_claim_again) VALUES (0, 4294967297, 1, 1 = 1)",
        7,
        "2 returns stand there",
    ),
    (
        "INSERT INTO receipt (number, claim, person, shown_at_ms) VALUES (0, 'clm_0000200004000009', 'eve', 1)",
        7,
        "1 orphan receipts stand there",
    ),
    (
        "INSERT INTO bond (number, at_ms, campaign, field, value) VALUES (0, 1, 1, 'f', 'eve')",
        7,
        "bonds stand there",
    ),
    // With this another campaign pays for the drop.
    (
        "INSERT INTO campaign SELECT 2, 'eve', body, state FROM campaign; \
         UPDATE campaign_drop SET campaign = 2 WHERE number = 1",
        7,
        "drops or postings of a campaign",
    ),
];

/// (what an intruder does to [`lived`], the record that shows it, a word of the explanation); the triggers that keep
/// steps, lines and references are gone.
pub(crate) const LIFE_TAMPERED: &[(&str, u64, &str)] = &[
    ("UPDATE step SET amount = 20000 WHERE number = 1", 3, "steps are not those"),
    ("UPDATE step SET person = 'eve' WHERE number = 2", 4, "steps are not those"),
    ("UPDATE step SET merchant = 'm9' WHERE number = 2", 4, "steps are not those"),
    ("UPDATE step SET state = 'issued' WHERE number = 3", 5, "steps are not those"),
    ("UPDATE step SET moved = 1 WHERE number = 3", 5, "steps are not those"),
    ("DELETE FROM step WHERE number = 2", 4, "0 of its 1 steps"),
    ("DELETE FROM step WHERE number = 6", 6, "0 of its 1 steps"),
    (
        "INSERT INTO step (number, at_ms, step, campaign, refunded, back, moved) VALUES (9, 1, 'moved', 1, 0, 0, 0)",
        9,
        "9 steps stand there, the records cover 8",
    ),
    (
        "INSERT INTO step (number, at_ms, step, campaign, refunded, back, moved) VALUES (0, 1, 'moved', 1, 0, 0, 0)",
        9,
        "9 steps stand there, the records cover 8",
    ),
    ("UPDATE posting_line SET amount = 2 * amount WHERE posting = 3", 3, "postings are not those"),
    ("UPDATE day_count SET count = 0 WHERE person = '' AND merchant = 'm1'", 9, "counts of days are not"),
    ("UPDATE day_count SET count = count + 1 WHERE person = 'bob'", 9, "counts of days are not"),
    ("DELETE FROM day_count WHERE person = 'ann' AND merchant = 'm1'", 9, "counts of days are not"),
    (
        "INSERT INTO day_count SELECT campaign, day, 'eve', merchant, count FROM day_count WHERE person = 'bob'",
        9,
        "counts of days",
    ),
    ("UPDATE period_balance SET closing = 0 WHERE account = 'budget'", 9, "closed periods are not"),
    ("UPDATE period SET until_ms = until_ms - 1", 9, "closed periods are not"),
    ("DELETE FROM period_balance; DELETE FROM period", 9, "closed periods are not"),
    // With these finance notes more than a merchant is owed, or one transfer of the bank once more.
    ("UPDATE account SET amount = amount + 1 WHERE name = 'payable:m1'", 9, "1 sums of accounts are not"),
    ("DELETE FROM account WHERE name = 'settled'", 9, "1 sums of accounts are not"),
    (
        "INSERT INTO account (campaign, name, amount) VALUES (1, 'payable:m9', 5)",
        9,
        "1 sums of accounts are not",
    ),
    ("DELETE FROM money_reference WHERE reference = 'T1'", 9, "1 references of payments are not"),
    ("DELETE FROM money_reference WHERE reference = 'D1'", 9, "1 references of payments are not"),
    (
        "UPDATE money_reference SET reference = 'T2' WHERE reference = 'T1'",
        9,
        "2 references of payments are not",
    ),
    (
        "UPDATE money_reference SET reference = 'D2' WHERE reference = 'D1'",
        9,
        "2 references of payments are not",
    ),
    ("UPDATE money_reference SET paid_to = 'recycled' WHERE reference = 'D1'", 9, "2 references of payments"),
    ("UPDATE money_reference SET step = 1 WHERE reference = 'T1'", 9, "1 references of payments are not"),
    // With these stock shrinks below what is claimed, or money leaves that claims may still take.
    ("UPDATE series SET claims = claims - 1 WHERE number = 1", 9, "1 counts of series are not"),
    ("UPDATE series SET returned = returned + 1", 9, "2 counts of series are not"),
    // With these no voucher of the drop ends any more.
    (
        "INSERT INTO expiry SELECT number, number << 33 FROM series WHERE number = 1",
        9,
        "1 places of the sweep",
    ),
    ("INSERT INTO expiry VALUES (9, 9)", 9, "1 places of the sweep"),
    (
        "INSERT INTO expiry SELECT number, number << 32 | 3 FROM series WHERE number = 1",
        9,
        "1 voucher stands issued where",
    ),
];
