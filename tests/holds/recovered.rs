//! Redis is lost after a hold was given back, and made anew from the ledger: the unit goes back once more.

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
