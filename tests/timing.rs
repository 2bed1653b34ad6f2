//! What is secret is compared in constant time: by the functions that are made for it, and nowhere else. How long the
//! checks take is measured by `make timing`; here its method is tried on times that are known.

use std::path::Path;

use rand::{RngExt, SeedableRng, rngs::StdRng};

#[path = "../benches/timing/welch.rs"]
mod welch;

use welch::difference;

/// Where something secret meets what somebody sent, and what compares the two.
const COMPARED: [(&str, &str); 8] = [
    ("src/guard/ticket/verify.rs", ".verify_slice(&given)"),
    ("src/guard/challenge.rs", ".verify_slice(&signature)"),
    ("src/domain/voucher.rs", ".verify_truncated_left(mac)"),
    ("src/domain/qr.rs", ".verify_truncated_left(mac)"),
    ("src/domain/webhook.rs", ".verify_slice(&mac)"),
    ("src/backoffice/access.rs", ".ct_eq(token.as_bytes())"),
    ("src/domain/access.rs", ".ct_eq(other.0.as_bytes())"),
    ("src/desk/identity.rs", "jsonwebtoken::decode"),
];

/// What makes a MAC to be compared by hand.
const BY_HAND: [&str; 3] = [".finalize().into_bytes() ==", "into_bytes()[..] ==", "== mac"];

fn read(place: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(place)).expect(place)
}

#[test]
fn secrets_are_compared_by_what_is_made_for_it() {
    for (place, how) in COMPARED {
        let text = read(place);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        assert!(code.contains(how), "{place} does not compare by {how}");
        for by_hand in BY_HAND {
            assert!(!code.contains(by_hand), "{place} compares by {by_hand}");
        }
    }
}

/// Times of calls that take `ns`, with noise of a busy machine: some jitter, and now and then something long.
fn times(ns: f64, rng: &mut StdRng) -> Vec<f64> {
    let noisy = |rng: &mut StdRng| {
        let jitter: f64 = (0..4).map(|_| rng.random_range(-20.0..20.0)).sum();
        let interrupt = if rng.random_range(0..100) == 0 { rng.random_range(1_000.0..90_000.0) } else { 0.0 };
        ns + jitter + interrupt
    };
    (0..30_000).map(|_| noisy(rng)).collect()
}

#[test]
fn the_method_finds_a_leak_of_nanoseconds_and_none_where_there_is_none() {
    let mut rng = StdRng::seed_from_u64(7);
    let (early, late) = (times(700.0, &mut rng), times(702.0, &mut rng));
    let found = difference(&early, &late).expect("there are enough");
    assert!(found.is_found() && (-2.5..-1.0).contains(&found.mean), "{found:?}");
    for _ in 0..4 {
        let same = difference(&times(700.0, &mut rng), &times(700.0, &mut rng)).expect("there are enough");
        assert!(!same.is_found() && same.give_or_take < 1.0, "{same:?}");
    }
    assert_eq!(difference(&early[..50], &late[..50]), None, "too few to say anything");
}
