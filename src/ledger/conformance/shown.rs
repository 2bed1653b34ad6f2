//! How a voucher is shown, and what a campaign takes.

use super::life::{at, pots, redeem, sold};
use super::*;
use crate::domain::campaign::Taken;
use crate::ledger::life::{Action, Key, Outcome, Redeem, Refused, Request, ShownAs};

async fn keyed<L: Ledger>(ledger: &L, shown: ShownAs) -> Outcome {
    let key = Key { actor: "m1".to_owned(), key: "k1".to_owned(), content: "c1".to_owned() };
    let action = Action::Redeem(Redeem { shown, ..redeem(1, "m1", "o1") });
    ledger.life(vec![Request { action, key: Some(key) }], NOW_MS + 5).await.unwrap().remove(0)
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
