//! A service whose clock is not Redis', by which vouchers are claimed: they end by that one alone.

use super::street::{Plan, Street, file, order};
use crate::support::campaign::DropFile;
use crate::support::clock::FakeClock;
use crate::support::redis::RedisServer;
use crate::support::service::PATIENCE;
use crate::support::wait_for;

/// What a Redis of one's own has to have set.
const SAFE: [&str; 4] =
    ["appendonly yes", "appendfsync always", "maxmemory-policy noeviction", "no-appendfsync-on-rewrite no"];

#[test]
fn a_clock_that_is_ahead_ends_no_voucher_before_its_time() {
    let mut clock = FakeClock::new();
    clock.set(2 * 3_600);
    let valid = |id: &str, drop: &str, valid_for: &str| {
        file(id, &DropFile::open(drop, 5), "")
            .replace("valid_for = \"7d\"", &format!("valid_for = \"{valid_for}\""))
    };
    let street = Street::of(Plan {
        clock: Some(clock),
        redis: Some(RedisServer::start(&SAFE)),
        files: vec![valid("c-1", "d-1", "1h"), valid("c-2", "d-2", "1s")],
        ..Plan::default()
    });
    wait_for("it is known how far Redis' clock is behind", PATIENCE, || {
        let offset_s = street.service.gauge("claimrush_redis_clock_offset_seconds")?;
        (-7_260.0..-7_140.0).contains(&offset_s).then_some(())
    });
    let (code, ticket) = street.voucher("ann");
    let (short, _) = street.vouchers("d-2", "bob", 1);
    // The sweep has come past ann's voucher when bob's has expired.
    wait_for("a voucher expires", PATIENCE, || {
        street.service.metric("claimrush_vouchers_expired_total").filter(|expired| *expired > 0)
    });
    assert_eq!(street.status(&code, &ticket), "issued", "an hour is not over by any clock");
    let till = street.key("m-1");
    let taken = street.redeem(&till, &code, "k-1", &order("o-1", "6.00"));
    assert_eq!(taken.status, 201, "{}", taken.json());
    let late = street.redeem(&till, &short[0], "k-2", &order("o-2", "6.00"));
    assert_eq!((late.status, late.code().as_str()), (409, "voucher_not_live"), "{}", late.json());
}

/// What was claimed on a day counts on it by the clock by which it was claimed, also where the service's own still shows an hour at
/// which the drop was not open.
#[test]
fn a_clock_that_is_behind_lets_no_drop_leave_its_day() {
    let mut clock = FakeClock::new();
    clock.set(-2 * 3_600);
    let daily = |drop: &DropFile| {
        file("c-1", drop, "").replace("time_zone", "daily_budget = \"5.00 CNY\"\ntime_zone")
    };
    let drop = DropFile::open("d-1", 5);
    let street = Street::of(Plan {
        clock: Some(clock),
        redis: Some(RedisServer::start(&SAFE)),
        files: vec![daily(&drop)],
        ..Plan::default()
    });
    street.voucher("ann");
    let (exit, out, err) = street.service.apply(&daily(&drop.later(3 * 24)));
    assert!(exit == 1 && err.contains("drop \"d-1\" was open on "), "{out}{err}");
}
