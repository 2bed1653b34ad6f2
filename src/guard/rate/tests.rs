//! Limits against a clock that stands still, to the nanosecond, and against a small model.

use std::collections::HashMap;

use governor::clock::FakeRelativeClock;
use proptest::prelude::*;

use super::super::tables::AsnTable;
use super::super::tables::mmdb::{Table, system};
use super::*;
use crate::limits::{RATE_RECOVERY_MAX, RATE_SHARED_CELLS};

const MS: Duration = Duration::from_millis(1);
const NS: Duration = Duration::from_nanos(1);

fn limit(
    burst: u32,
    interval: Duration,
    keys_max: usize,
) -> (KeyedLimit<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    let allowance = Allowance::new(burst, interval).expect("an allowance");
    (KeyedLimit::new(allowance, keys_max, clock.clone()), clock)
}

/// Spreads small numbers as a hash would.
fn key(n: u64) -> u64 {
    let mixed = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

#[test]
fn a_burst_passes_and_the_next_call_waits_to_the_nanosecond() {
    let (limit, clock) = limit(3, 10 * MS, 100);
    for _ in 0..3 {
        assert_eq!(limit.check(key(1)), Ok(()));
    }
    assert_eq!(limit.check(key(1)), Err(RetryAfter(10 * MS)));
    assert_eq!(limit.check(key(2)), Ok(()), "keys are apart");
    clock.advance(9_999_999 * NS);
    assert_eq!(limit.check(key(1)), Err(RetryAfter(NS)));
    clock.advance(NS);
    assert_eq!(limit.check(key(1)), Ok(()));
    assert_eq!(limit.check(key(1)), Err(RetryAfter(10 * MS)));
}

#[test]
fn upkeep_drops_recovered_keys_and_no_other() {
    let (limit, clock) = limit(2, 10 * MS, 100);
    assert_eq!((limit.check(key(1)), limit.check(key(1)), limit.check(key(2))), (Ok(()), Ok(()), Ok(())));
    // Key 2 has recovered after 10 ms, key 1 after 20 ms; governor keeps a cell one interval longer.
    clock.advance(19_999_999 * NS);
    limit.upkeep();
    assert_eq!(limit.keys(), 2);
    clock.advance(NS);
    limit.upkeep();
    assert_eq!(limit.keys(), 1);
    clock.advance(10 * MS);
    limit.upkeep();
    assert_eq!(limit.keys(), 0);
    assert_eq!((limit.check(key(1)), limit.check(key(1))), (Ok(()), Ok(())));
    assert_eq!(limit.check(key(1)), Err(RetryAfter(10 * MS)));
}

#[test]
fn a_flood_of_a_million_keys_stays_bounded_and_frees_nobody() {
    let keys_max = 100_000;
    let (limit, clock) = limit(1, 1_000 * MS, keys_max);
    assert_eq!(limit.check(key(0)), Ok(()));
    let mut passed = 0;
    for n in 1..=1_000_000 {
        passed += usize::from(limit.check(key(n)).is_ok());
    }
    assert_eq!(limit.keys(), keys_max);
    assert_eq!(passed, keys_max - 1 + RATE_SHARED_CELLS, "own cells, then one call a shared cell");
    clock.advance(500 * MS);
    limit.upkeep();
    assert_eq!(limit.check(key(0)), Err(RetryAfter(500 * MS)), "a throttled key stays throttled");
    assert_eq!(limit.check(key(1_000_000)), Err(RetryAfter(500 * MS)), "so does one in a shared cell");
    clock.advance(1_500 * MS);
    limit.upkeep();
    assert_eq!(limit.keys(), 0);
    assert_eq!(limit.check(key(1_000_000)), Ok(()));
}

#[test]
fn a_key_that_moves_out_of_a_shared_cell_gains_no_second_allowance() {
    let clock = FakeRelativeClock::default();
    let allowance = Allowance::new(10, 1_000 * MS).expect("an allowance");
    let limit = KeyedLimit::new(allowance, 1, clock.clone());
    assert_eq!(limit.check(key(0)), Ok(()), "takes the only room");
    for _ in 0..10 {
        assert_eq!(limit.check(key(1)), Ok(()));
    }
    assert_eq!(limit.check(key(1)), Err(RetryAfter(1_000 * MS)));
    clock.advance(2_000 * MS);
    limit.upkeep();
    assert_eq!(limit.keys(), 0, "there is room again");
    assert_eq!((limit.check(key(1)), limit.check(key(1))), (Ok(()), Ok(())));
    assert_eq!(limit.keys(), 1);
    assert_eq!(limit.check(key(1)), Err(RetryAfter(1_000 * MS)));
}

#[test]
fn persons_and_addresses_are_limited_apart() {
    let clock = FakeRelativeClock::default();
    let rules = LimitRules {
        person: Allowance::new(1, 1_000 * MS).expect("an allowance"),
        address: Allowance::new(2, 100 * MS).expect("an allowance"),
        network: Allowance::new(4, 100 * MS).expect("an allowance"),
        asn: Allowance::new(4, 100 * MS).expect("an allowance"),
        device: Allowance::new(1, 300 * MS).expect("an allowance"),
        keys_max: 100,
    };
    let limits = Limits::with_clock(rules, clock);
    let address = Some(IpAddr::from([192, 0, 2, 1]));
    assert_eq!(limits.check("ann", address), Ok(()));
    let refused = limits.check("ann", address).expect_err("ann again");
    assert_eq!(refused, RateRefusal::Person(RetryAfter(1_000 * MS)));
    assert_eq!(limits.check("bob", address), Ok(()), "ann's refused call did not count");
    assert_eq!(limits.check("cid", address), Err(RateRefusal::Address(RetryAfter(100 * MS))));
    assert_eq!(limits.check("dan", None), Ok(()), "an exempt address");
    assert_eq!(limits.check_address(address), Err(RateRefusal::Address(RetryAfter(100 * MS))));
    assert_eq!((limits.person().keys(), limits.address().keys()), (4, 1));
    let keys = (limits.prefetch_person("eve"), limits.prefetch_address(Some(IpAddr::from([192, 0, 2, 2]))));
    assert_eq!((limits.person().keys(), limits.address().keys()), (4, 1), "fetching counts nothing");
    assert_eq!(limits.check_keys(keys.0, keys.1), Ok(()));
    assert_eq!((limits.person().keys(), limits.address().keys()), (5, 2));
}

#[test]
fn a_network_of_many_addresses_and_a_device_of_many_persons_are_limited() {
    let one = |burst| Allowance::new(burst, 100 * MS).expect("an allowance");
    let rules = LimitRules {
        person: one(9),
        address: one(1),
        network: one(4),
        asn: one(1),
        device: one(2),
        keys_max: 100,
    };
    let limits = Limits::with_clock(rules, FakeRelativeClock::default());
    let address = |text: &str| Some(text.parse().expect("an address"));
    // Somebody with a /48 has 65,536 networks of their own to come from.
    for n in 0..4 {
        assert_eq!(limits.check("ann", address(&format!("2001:db8:1:{n}::1"))), Ok(()));
    }
    let wait = RetryAfter(100 * MS);
    assert_eq!(limits.check("ann", address("2001:db8:1:ffff::1")), Err(RateRefusal::Network(wait)));
    assert_eq!(limits.check("ann", address("2001:db8:2::1")), Ok(()), "another /48");
    for n in 0..9 {
        assert_eq!(limits.check_address(address(&format!("192.0.2.{n}"))), Ok(()), "many people behind it");
    }
    assert_eq!((limits.check_device("d"), limits.check_device("d")), (Ok(()), Ok(())));
    let refused = limits.check_device("d").expect_err("the device again");
    assert_eq!((refused, refused.name()), (RateRefusal::Device(wait), "device"));
    assert_eq!(limits.allowance(refused).burst(), 2);
}

#[test]
fn an_autonomous_system_of_many_networks_is_limited_to_the_nanosecond() {
    let wide = Allowance::new(100, MS).expect("an allowance");
    let asn = Allowance::new(3, 100 * MS).expect("an allowance");
    let rules = LimitRules { person: wide, address: wide, network: wide, asn, device: wide, keys_max: 100 };
    let clock = FakeRelativeClock::default();
    let (tables, address) = (AddressTables::default(), |text: &str| Some(text.parse().expect("an address")));
    let limits = Limits::with_clock(rules, clock.clone()).by_asn(tables.clone(), &[Asn(9), Asn(4_134)]);
    for n in 0..9 {
        assert_eq!(limits.check_address(address(&format!("192.0.2.{n}"))), Ok(()), "there is no table");
    }
    let table = Table::of(
        "GeoLite2-ASN",
        &[
            ("192.0.2.0/24", system(64_496)),
            ("2001:db8::/32", system(64_496)),
            ("198.51.100.0/24", system(4_134)),
            ("203.0.113.0/24", system(64_497)),
        ],
    );
    tables.replace_asns(AsnTable::read(table.clone()).expect("a table"));
    // IPv4, mapped IPv4 and IPv6 of one system are one.
    for from in ["192.0.2.1", "::ffff:192.0.2.2", "2001:db8:1::1"] {
        assert_eq!(limits.check("ann", address(from)), Ok(()));
    }
    let wait = RetryAfter(100 * MS);
    let refused = limits.check("ann", address("2001:db8:ffff::1")).expect_err("a fourth call");
    assert_eq!((refused, refused.name()), (RateRefusal::Asn(wait), "asn"));
    assert_eq!((refused.retry_after(), limits.allowance(refused)), (wait, asn));
    for n in 0..9 {
        assert_eq!(limits.check("ann", address(&format!("198.51.100.{n}"))), Ok(()), "an exempt carrier");
        assert_eq!(
            limits.check("ann", address(&format!("10.0.0.{n}"))),
            Ok(()),
            "the table knows nothing of it"
        );
    }
    assert_eq!(limits.check("ann", address("203.0.113.1")), Ok(()), "another system");
    assert_eq!(limits.check("ann", None), Ok(()), "an exempt address");
    clock.advance(99_999_999 * NS);
    assert_eq!(limits.check_address(address("192.0.2.9")), Err(RateRefusal::Asn(RetryAfter(NS))));
    // A new table changes no count.
    tables.replace_asns(AsnTable::read(table).expect("a table"));
    assert_eq!(limits.check_address(address("192.0.2.9")), Err(RateRefusal::Asn(RetryAfter(NS))));
    clock.advance(NS);
    assert_eq!(limits.check_address(address("192.0.2.9")), Ok(()));
    clock.advance(1_000 * MS);
    limits.upkeep();
    assert_eq!(limits.asn.keys(), 0);
}

#[test]
fn addresses_of_one_subscriber_are_one() {
    let limited = |text: &str| limited_as(text.parse().expect("an address"));
    assert_eq!(limited("::ffff:192.0.2.1"), limited("192.0.2.1"));
    assert_ne!(limited("192.0.2.1"), limited("192.0.2.2"));
    assert_eq!(limited("2001:db8:1:2::1"), limited("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(limited("2001:db8:1:2::1"), limited("2001:db8:1:3::1"));
    assert_ne!(limited("::c000:201:0:0:0:0"), limited("192.0.2.1"), "families are apart");
}

#[test]
fn allowances_that_make_no_sense_are_refused() {
    assert_eq!(Allowance::new(0, MS), Err(AllowanceError::Burst(0)));
    assert_eq!(Allowance::new(1_000_001, NS), Err(AllowanceError::Burst(1_000_001)));
    assert_eq!(Allowance::new(1, Duration::ZERO), Err(AllowanceError::Interval));
    let refused = Allowance::new(2, RATE_RECOVERY_MAX).expect_err("too long").to_string();
    assert_eq!(refused, "burst times interval must be at most 86400 s, is 172800 s");
}

#[test]
fn threads_together_pass_no_more_than_the_allowance() {
    let (limit, _clock) = limit(100, 1_000 * MS, 100);
    let passed: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..1_000).filter(|_| limit.check(key(1)).is_ok()).count()))
            .collect();
        callers.into_iter().map(|caller| caller.join().expect("no panic")).sum()
    });
    assert_eq!((passed, limit.keys()), (100, 1));
}

/// The generic cell rate algorithm in plain words: a bucket of `burst` intervals, emptied as time goes by.
struct Model {
    burst: u128,
    interval: u128,
    filled_until: HashMap<u64, u128>,
}

impl Model {
    fn check(&mut self, key: u64, now: u128) -> Result<(), u128> {
        let until = self.filled_until.entry(key).or_insert(0);
        let filled = until.saturating_sub(now) + self.interval;
        let capacity = self.burst * self.interval;
        if filled > capacity {
            return Err(filled - capacity);
        }
        *until = now + filled;
        Ok(())
    }
}

proptest! {
    #[test]
    fn limits_agree_with_the_model(
        burst in 1_u32..6,
        interval_ns in 1_u64..1_000,
        steps in proptest::collection::vec((0_u64..4, 0_u64..1_500, any::<bool>()), 1..200),
    ) {
        let (limit, clock) = limit(burst, Duration::from_nanos(interval_ns), 100);
        let mut model =
            Model { burst: burst.into(), interval: interval_ns.into(), filled_until: HashMap::new() };
        let mut now = 0_u128;
        for (who, wait_ns, upkeep) in steps {
            let wait_ns = wait_ns.saturating_sub(750);
            clock.advance(Duration::from_nanos(wait_ns));
            now += u128::from(wait_ns);
            if upkeep {
                limit.upkeep();
            }
            let answer = limit.check(key(who)).map_err(|after| after.0.as_nanos());
            prop_assert_eq!(answer, model.check(who, now));
        }
    }

    #[test]
    fn no_key_ever_exceeds_its_allowance_however_little_room_there_is(
        keys_max in 0_usize..4,
        steps in proptest::collection::vec((0_u64..6, 0_u64..40, any::<bool>()), 1..200),
    ) {
        let (limit, clock) = limit(3, Duration::from_nanos(20), keys_max);
        let mut model = Model { burst: 3, interval: 20, filled_until: HashMap::new() };
        let mut now = 0_u128;
        for (who, wait_ns, upkeep) in steps {
            clock.advance(Duration::from_nanos(wait_ns));
            now += u128::from(wait_ns);
            if upkeep {
                limit.upkeep();
            }
            if limit.check(key(who)).is_ok() {
                prop_assert_eq!(model.check(who, now), Ok(()));
            }
            prop_assert!(limit.keys() <= keys_max);
        }
    }
}
