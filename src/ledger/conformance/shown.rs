//! How a voucher is shown, what a campaign takes, and tills that take nothing.

use super::life::{at, pots, redeem, refund, sold};
use super::*;
use crate::domain::campaign::Taken;
use crate::ledger::life::{Action, Barred, Key, Outcome, Redeem, Refused, Request, ShownAs};

async fn keyed<L: Ledger>(ledger: &L, shown: ShownAs) -> Outcome {
    by_key(ledger, "k1", Redeem { shown, ..redeem(1, "m1", "o1") }).await
}

async fn by_key<L: Ledger>(ledger: &L, key: &str, redeem: Redeem) -> Outcome {
    let key = Key { actor: "m1".to_owned(), key: key.to_owned(), content: key.to_owned() };
    let request = Request { action: Action::Redeem(redeem), key: Some(key) };
    ledger.life(vec![request], NOW_MS + 5).await.unwrap().remove(0)
}

pub(super) async fn a_code_is_refused_where_qr_codes_alone_are_taken<L: Ledger>(ledger: &L) {
    sold(ledger, |rules| rules.code = Taken::Qr).await;
    let head = ledger.chain_head().await.unwrap();
    assert_eq!(keyed(ledger, ShownAs::Code).await, Err(Refused::QrRequired));
    assert_eq!(keyed(ledger, ShownAs::OldQr).await, Err(Refused::QrExpired));
    let trial = |shown| Action::Redeem(Redeem { trial: true, shown, ..redeem(1, "m1", "o1") });
    assert_eq!(at(ledger, 1, trial(ShownAs::Code)).await, Err(Refused::QrRequired));
    assert!(at(ledger, 1, trial(ShownAs::Qr)).await.is_ok());
    assert_eq!(ledger.chain_head().await.unwrap(), head, "what is refused leaves nothing");
    let done = keyed(ledger, ShownAs::Qr).await.unwrap();
    // Whoever asks again with the key is told again, however the voucher is shown.
    for shown in [ShownAs::Code, ShownAs::OldQr, ShownAs::Qr] {
        let again = keyed(ledger, shown).await.unwrap();
        assert_eq!((again.replayed, &again.step), (true, &done.step), "{shown:?}");
    }
    // How it stands is not said to who has a photograph alone.
    let used = Action::Redeem(redeem(1, "m1", "o2"));
    assert_eq!(at(ledger, 9, used).await, Err(Refused::QrRequired));
    assert_eq!(pots(ledger).await, [2_000, 1_000, 0, 0, 0, 0]);
    verified(ledger).await;
}

pub(super) async fn a_till_that_is_barred_is_told_what_it_did_and_takes_nothing<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let first = |barred| Redeem { barred, ..redeem(1, "m1", "o1") };
    let second = |barred| Redeem { barred, ..redeem(2, "m1", "o2") };
    let done = by_key(ledger, "k1", first(None)).await.unwrap();
    let head = ledger.chain_head().await.unwrap();
    for why in [Barred::Suspended, Barred::ShopUnnamed] {
        let again = by_key(ledger, "k1", first(Some(why))).await.unwrap();
        assert_eq!((again.replayed, &again.step), (true, &done.step), "{why:?}");
        assert_eq!(by_key(ledger, "k2", second(Some(why))).await, Err(Refused::Barred(why)));
        let trial = Redeem { trial: true, ..second(Some(why)) };
        assert_eq!(at(ledger, 5, Action::Redeem(trial)).await, Err(Refused::Barred(why)));
    }
    assert_eq!(ledger.chain_head().await.unwrap(), head, "what is refused leaves nothing");
    // A refusal leaves its key free.
    assert!(!by_key(ledger, "k2", second(None)).await.unwrap().replayed);
    at(ledger, 6, refund(done.step.number, None)).await.unwrap();
    assert_eq!(pots(ledger).await, [2_000, 1_000, 0, 0, 0, 0]);
    verified(ledger).await;
}
