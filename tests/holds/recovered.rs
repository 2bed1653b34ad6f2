//! Redis is lost after a hold was given back, and made anew from the ledger: the unit goes back once more.

use claimrush::domain::ids::{DropId, Shard};
use claimrush::redis::keys;
use redis::cmd;

use super::shop::{DROP, Shop};
use crate::support::clock::FakeClock;
use crate::support::drainer::Drainer;
use crate::support::service::PATIENCE;
use crate::support::wait_for;

#[test]
fn a_unit_whose_return_was_lost_goes_back_in_the_new_epoch() {
    let mut shop = Shop::with(Some(FakeClock::new()), (&[], &["--no-drain"]), 3, "hold_for = \"3h\"");
    let mut drain = Drainer::start(&shop.service);
    shop.claimed("ann");
    shop.wait_stock(2);
    drain.kill();
    shop.clock.as_mut().expect("a clock").advance(&shop.service, DROP, 3 * 3_600);
    wait_for("the unit goes back", PATIENCE, || (shop.service.redis_stock_left(DROP) == 3).then_some(()));
    assert_eq!(shop.service.journal_length(), 1, "only Redis knows that");

    let () = shop.service.ask_redis(&cmd("FLUSHALL"));
    shop.service.wait_unready("shard_frozen");
    let _drain = Drainer::start(&shop.service);
    shop.run(&["recover", "--apply", "--accept-loss"]);
    shop.wait_stock(3);
    assert_eq!(shop.statuses("ann"), ["lapsed"]);
    shop.audit();
}

/// The shop has the money, and the Redis that has the claim may be brought back: the callback must come again.
#[test]
fn a_payment_for_a_claim_that_redis_has_lost_is_not_refused_for_good() {
    let shop = Shop::with(None, (&[], &["--no-drain"]), 3, "hold_for = \"3h\"");
    let (paid, given_up) = (shop.claimed("ann"), shop.claimed("bob"));
    let id = DropId::new(DROP).expect("an id");
    let (drop, holders) = (keys::drop(Shard::FIRST, &id), keys::holders(Shard::FIRST, &id));
    let whole = [&drop, &holders].map(|key| shop.service.ask_redis::<Vec<u8>>(cmd("DUMP").arg(key)));
    let () = shop.service.ask_redis(cmd("DEL").arg(&holders));
    let () = shop.service.ask_redis(cmd("HSET").arg(&drop).arg("seq").arg(0).arg("stock").arg(3));
    shop.service.wait_unready("shard_frozen");
    for _ in 0..2 {
        assert_eq!(shop.pay(&paid, "m-1", "p-1").code(), "unavailable");
        assert_eq!(shop.cancel(&given_up, "bob").code(), "unavailable");
    }
    for (key, bytes) in [&drop, &holders].into_iter().zip(whole) {
        let () = shop.service.ask_redis(cmd("RESTORE").arg(key).arg(0).arg(bytes).arg("REPLACE"));
    }
    shop.service.wait_ready();
    let _drain = Drainer::start(&shop.service);
    assert_eq!(shop.pay(&paid, "m-1", "p-1").status, 200);
    assert_eq!(shop.cancel(&given_up, "bob").status, 200);
    shop.wait_stock(2);
    shop.audit();
}
