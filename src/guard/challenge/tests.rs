//! What nobody gets through with: changed, foreign, expired, spliced and oversized solutions.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW_MS: UnixMs = 1_700_445_600_000;

fn challenges() -> Challenges {
    Challenges::new(b"a secret of the service's own")
}

fn decoded(solution: &str) -> Value {
    serde_json::from_slice(&BASE64.decode(solution.as_bytes()).unwrap()).unwrap()
}

fn encoded(payload: &Value) -> String {
    BASE64.encode(payload.to_string().as_bytes())
}

fn solved() -> (Challenges, String) {
    let challenges = challenges();
    let challenge = challenges.make("d-1", NOW_MS + 60_000, 2_000);
    let solution = solve(&challenge).expect("there is a number");
    (challenges, solution)
}

#[test]
fn a_solution_is_taken_for_its_drop_until_it_ends() {
    let (challenges, solution) = solved();
    let first = challenges.check(&solution, "d-1", NOW_MS).expect("it is right");
    assert_eq!(first.expires_at_ms, NOW_MS + 60_000);
    assert_eq!(
        challenges.check(&solution, "d-1", NOW_MS + 59_999),
        Ok(first),
        "the same id, to be spent once"
    );
    assert_eq!(challenges.check(&solution, "d-2", NOW_MS), Err(ChallengeFlaw::Drop));
    assert_eq!(challenges.check(&solution, "d-1", NOW_MS + 60_000), Err(ChallengeFlaw::Expired));
    let other = Challenges::new(b"another secret");
    assert_eq!(other.check(&solution, "d-1", NOW_MS), Err(ChallengeFlaw::Signature));
}

/// The hash is that of the published form: SHA-256 over salt and decimal number, checked with coreutils:
/// `printf '%s' '000102030405060708090a0b?drop=d-1&expires=1700445660&1234' | sha256sum`.
#[test]
fn the_hash_is_what_any_other_program_computes() {
    let nonce = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    let made = challenges().make_with(nonce, "d-1", NOW_MS + 60_999, 2_000, 1_234);
    assert_eq!(made.salt, "000102030405060708090a0b?drop=d-1&expires=1700445660&");
    assert_eq!(made.challenge, "17015a08c618476f2ebabcbebeee9a529905b15b8f98114abbc08c621314cd69");
    assert_eq!((made.algorithm.as_str(), made.maxnumber), ("SHA-256", 2_000));
}

#[test]
fn every_member_is_bound() {
    let (challenges, solution) = solved();
    let good = decoded(&solution);
    let salt = good["salt"].as_str().unwrap();
    let later = salt.replace("expires=1700445660", "expires=1700449999");
    let spliced = salt.trim_end_matches('&');
    for (member, value, flaw) in [
        ("number", json!(good["number"].as_u64().unwrap() + 1), ChallengeFlaw::Number),
        ("number", json!(-1), ChallengeFlaw::Malformed),
        ("number", json!("7"), ChallengeFlaw::Malformed),
        ("number", json!(7.5), ChallengeFlaw::Malformed),
        ("salt", json!(later), ChallengeFlaw::Signature),
        ("salt", json!(spliced), ChallengeFlaw::Signature),
        ("salt", json!(salt.replace("d-1", "d-2")), ChallengeFlaw::Signature),
        ("challenge", json!(hash(salt, 5)), ChallengeFlaw::Signature),
        ("algorithm", json!("SHA-1"), ChallengeFlaw::Malformed),
        ("algorithm", json!("sha-256"), ChallengeFlaw::Malformed),
        ("signature", json!(""), ChallengeFlaw::Signature),
        ("signature", json!("zz"), ChallengeFlaw::Malformed),
        ("signature", json!(good["signature"].as_str().unwrap().to_uppercase()), ChallengeFlaw::Malformed),
    ] {
        let mut changed = good.clone();
        changed[member] = value.clone();
        assert_eq!(challenges.check(&encoded(&changed), "d-1", NOW_MS), Err(flaw), "{member} = {value}");
    }
}

/// Where the salt does not end with a delimiter, its last digits can be given to the number: the hash stays, the
/// expiry changes. Here they cannot.
#[test]
fn digits_cannot_move_between_expiry_and_number() {
    let (challenges, solution) = solved();
    let good = decoded(&solution);
    let (salt, number) = (good["salt"].as_str().unwrap(), good["number"].as_u64().unwrap());
    let moved = format!("{salt}{number}");
    for at in 1..moved.len() {
        let (left, right) = moved.split_at(at);
        let Ok(number) = right.parse::<u64>() else { continue };
        let mut changed = good.clone();
        changed["salt"] = json!(left);
        changed["number"] = json!(number);
        let outcome = challenges.check(&encoded(&changed), "d-1", NOW_MS);
        assert_eq!(outcome.is_ok(), left == salt, "{left} {number}");
    }
}

#[test]
fn what_is_no_solution_is_malformed() {
    let challenges = challenges();
    let long = BASE64.encode(&vec![b' '; limits::SOLUTION_BYTES_MAX]);
    let nested = BASE64.encode("{\"algorithm\":".repeat(500).as_bytes());
    let list = BASE64.encode(br#"["SHA-256","x",1,"y","z"]"#);
    for text in ["", "e30=", "e30", "%%%%", "bnVsbA==", &long, &nested, &list] {
        assert_eq!(challenges.check(text, "d-1", NOW_MS), Err(ChallengeFlaw::Malformed), "{text:.40}");
    }
}

proptest! {
    #[test]
    fn no_text_gets_through(text in ".{0,300}", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let challenges = challenges();
        prop_assert!(challenges.check(&text, "d-1", NOW_MS).is_err());
        prop_assert!(challenges.check(&BASE64.encode(&bytes), "d-1", NOW_MS).is_err());
    }
}
