//! What an intruder may do to steps and books, and where the audit chain shows it.

use super::life::{at, redeem, redeemed, refund, sold};
use super::*;
use crate::ledger::life::{Action, Request};

/// A ledger with a redemption that was refunded in part, one that stands, one that was taken back, a closed period, and a payment:
/// records 3 to 8, each of one step but that of the period.
pub(crate) async fn lived<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let part = redeemed(ledger, 1, 1, "o1").await;
    redeemed(ledger, 2, 2, "o2").await;
    let requests = [refund(part, Some(5_000)), Action::Redeem(redeem(3, "m2", "o3"))];
    let requests = requests.into_iter().map(|action| Request { action, key: None }).collect();
    let outcomes = ledger.life(requests, NOW_MS + 3).await.unwrap();
    let reversed = outcomes[1].as_ref().unwrap().step.number;
    let back = Action::Reverse { redemption: reversed, merchant: "m2".to_owned() };
    at(ledger, 4, back).await.unwrap();
    ledger.close_period(&campaign().id, NOW_MS + 4, "ann", NOW_MS + 5).await.unwrap().unwrap();
    let (campaign, merchant, payment) = (campaign().id, "m1".to_owned(), "T1".to_owned());
    let pay = Action::Settle { campaign, merchant, amount: Fen(1), payment, detail: None };
    at(ledger, 6, pay).await.unwrap();
}

/// (what an intruder does to [`lived`], the record that shows it, a word of the explanation); the triggers that keep
/// steps, lines and references are gone.
pub(crate) const LIFE_TAMPERED: &[(&str, u64, &str)] = &[
    ("UPDATE step SET amount = 20000 WHERE number = 1", 3, "steps are not those"),
    ("UPDATE step SET person = 'eve' WHERE number = 2", 4, "steps are not those"),
    ("UPDATE step SET merchant = 'm9' WHERE number = 2", 4, "steps are not those"),
    ("UPDATE step SET state = 'issued' WHERE number = 3", 5, "steps are not those"),
    ("UPDATE step SET moved = 1 WHERE number = 3", 5, "steps are not those"),
    ("DELETE FROM step WHERE number = 2", 4, "0 of its 1 steps"),
    ("DELETE FROM step WHERE number = 5", 6, "0 of its 1 steps"),
    (
        "INSERT INTO step (number, at_ms, step, campaign, refunded, back, moved) VALUES (7, 1, 'moved', 1, 0, 0, 0)",
        9,
        "7 steps stand there, the records cover 6",
    ),
    (
        "INSERT INTO step (number, at_ms, step, campaign, refunded, back, moved) VALUES (0, 1, 'moved', 1, 0, 0, 0)",
        9,
        "7 rows of steps stand there, the records cover 6",
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
    ("UPDATE money_reference SET reference = 'T2'", 9, "1 references of payments are not"),
    ("UPDATE money_reference SET step = 1", 9, "1 references of payments are not"),
];
