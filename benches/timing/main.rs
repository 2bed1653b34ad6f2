//! Whether a MAC that is wrong in its first byte takes as long as one that is wrong in its last: `make timing`.
//!
//! Each row compares the two for one of the checks of the service. The last two rows are controls. In one both forgeries are the
//! same: what the method finds there is its own. In the other the ticket's MAC is compared byte by byte until the first
//! that differs: the method must find that one, or it proves nothing about the others.

mod welch;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use claimrush::desk::identity::{self, IdentityKeys, IdentityRules};
use claimrush::domain::ids::{ClaimNumber, DropId, DropNumber, Epoch, PersonId, Shard};
use claimrush::domain::voucher::VoucherSigner;
use claimrush::guard::challenge::{Challenges, solve};
use claimrush::guard::ticket::{KeyFile, Scratch, TicketMint, TicketVerifier};
use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use welch::difference;

const DROP: &str = "caiyun-100-25";
const NOW_MS: i64 = 1_700_000_000_000;
const CALLS: usize = 200_000;
/// Calls of one kind between two looks at the clock, which has a grain of its own.
const CALLS_PER_LOOK: u32 = 4;
/// Differences below this are the method's own, as its control shows: a processor's cycle takes 0.3 ns, and the careless
/// comparison of the other control 20 ns.
const FLOOR_NS: f64 = 0.5;
const CROCKFORD: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// One check, with a forgery that is wrong at the beginning and one that is wrong at the end.
struct Row {
    what: &'static str,
    leaks: bool,
    check: Box<dyn FnMut(&str) -> bool>,
    wrong_first: String,
    wrong_last: String,
}

impl Row {
    /// Measures, prints, and tells whether it is as it should be.
    fn measure(&mut self) -> bool {
        let Self { what, leaks, check, wrong_first, wrong_last } = self;
        let (mut first, mut last) = (Vec::with_capacity(CALLS), Vec::with_capacity(CALLS));
        let mut rng = rand::rng();
        // Both are checked in one place: two places may differ by where they lie in the caches.
        let mut forged = String::with_capacity(wrong_first.len().max(wrong_last.len()));
        for _ in 0..CALLS {
            let is_first: bool = rng.random();
            forged.clear();
            forged.push_str(if is_first { wrong_first } else { wrong_last });
            let began = Instant::now();
            for _ in 0..CALLS_PER_LOOK {
                assert!(!black_box(check(black_box(&forged))), "{what}: a forgery is believed");
            }
            let ns = began.elapsed().as_nanos() as f64 / f64::from(CALLS_PER_LOOK);
            if is_first { first.push(ns) } else { last.push(ns) }
        }
        let mut sorted = first.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        let Some(found) = difference(&first, &last) else { return false };
        let differs = found.is_found() && found.mean.abs() > FLOOR_NS;
        let verdict = if differs { "different" } else { "the same" };
        println!(
            "{what:<44}{median:>7.0} ns{:>9.2} ± {:.2} ns{:>9.1}   {verdict}",
            found.mean, found.give_or_take, found.t
        );
        differs == *leaks
    }
}

/// The text with one byte of its encoded MAC changed, at the first or at the last place that may change.
fn ticket_with(good: &str, change: impl Fn(&mut [u8])) -> String {
    let Some((signed, mac)) = good.rsplit_once('.') else { return String::new() };
    let mut mac = data_encoding::BASE64URL_NOPAD.decode(mac.as_bytes()).unwrap_or_default();
    change(&mut mac);
    format!("{signed}.{}", data_encoding::BASE64URL_NOPAD.encode(&mac))
}

fn flip_first(mac: &mut [u8]) {
    if let Some(byte) = mac.first_mut() {
        *byte ^= 1;
    }
}

fn flip_last(mac: &mut [u8]) {
    if let Some(byte) = mac.last_mut() {
        *byte ^= 1;
    }
}

fn ticket(keys: &KeyFile) -> anyhow::Result<Row> {
    let good = good_ticket(keys)?;
    let verifier = TicketVerifier::new(keys, 0);
    let mut scratch = Scratch::new();
    assert!(verifier.verify(&good, DROP, NOW_MS, &mut scratch).is_ok());
    Ok(Row {
        what: "a ticket's MAC",
        leaks: false,
        check: Box::new(move |token| verifier.verify(token, DROP, NOW_MS, &mut scratch).is_ok()),
        wrong_first: ticket_with(&good, flip_first),
        wrong_last: ticket_with(&good, flip_last),
    })
}

fn good_ticket(keys: &KeyFile) -> anyhow::Result<String> {
    let (person, drop) = (PersonId::new("person-17")?, DropId::new(DROP)?);
    Ok(TicketMint::new(keys).mint(&person, &drop, NOW_MS, std::time::Duration::from_secs(600))?)
}

/// The control: the MAC is computed as in a check, and compared as a careless one would.
fn control(
    keys: &KeyFile,
    what: &'static str,
    equal: fn(&[u8], &[u8]) -> bool,
    leaks: bool,
) -> anyhow::Result<Row> {
    let good = good_ticket(keys)?;
    let secret = keys.signing().secret().map(|secret| secret.bytes().to_vec()).unwrap_or_default();
    let keyed = Hmac::<Sha256>::new_from_slice(&secret)?;
    let check = move |token: &str| {
        let Some((signed, mac)) = token.rsplit_once('.') else { return false };
        let mac = data_encoding::BASE64URL_NOPAD.decode(mac.as_bytes()).unwrap_or_default();
        equal(&keyed.clone().chain_update(signed).finalize().into_bytes(), &mac)
    };
    assert!(check(&good));
    let (wrong_first, wrong_last) = (ticket_with(&good, flip_first), ticket_with(&good, flip_last));
    Ok(Row { what, leaks, check: Box::new(check), wrong_first, wrong_last })
}

/// The row with its first forgery in both places.
fn twice(row: Row) -> Row {
    Row { wrong_last: row.wrong_first.clone(), ..row }
}

/// Ends at the first byte that differs.
fn equal_until_it_differs(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| black_box(*one) == black_box(*other))
}

fn equal_in_constant_time(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

fn voucher() -> Row {
    let signer = VoucherSigner::new(&[7; 32]);
    let number = ClaimNumber { drop: DropNumber(3), shard: Shard(0), epoch: Epoch(1), seq: 17 };
    let good = signer.code(number);
    assert!(signer.verify(&good).is_ok());
    // A character is five bits, of which the last one's lowest is the MAC's last; the MAC begins after the number.
    let changed = |place: usize, flip: usize| {
        let mut code = good.clone().into_bytes();
        if let Some(character) = code.get_mut(place) {
            let value = CROCKFORD.iter().position(|known| known == character).unwrap_or_default();
            *character = CROCKFORD.get(value ^ flip).copied().unwrap_or(*character);
        }
        String::from_utf8_lossy(&code).into_owned()
    };
    let first = (ClaimNumber::BYTES * 8).div_ceil(5);
    Row {
        what: "a voucher code's MAC",
        leaks: false,
        wrong_first: changed(first, 1),
        wrong_last: changed(good.len() - 1, 1),
        check: Box::new(move |code| signer.verify(code).is_ok()),
    }
}

fn challenge() -> anyhow::Result<Row> {
    let challenges = Challenges::new(&[9; 32]);
    let made = challenges.make(DROP, NOW_MS + 60_000, 20);
    let good = solve(&made).unwrap_or_default();
    assert!(challenges.check(&good, DROP, NOW_MS).is_ok());
    let payload: serde_json::Value = serde_json::from_slice(&data_encoding::BASE64.decode(good.as_bytes())?)?;
    let changed = |change: fn(&mut [u8])| -> anyhow::Result<String> {
        let mut payload = payload.clone();
        let mut mac = data_encoding::HEXLOWER.decode(made.signature.as_bytes())?;
        change(&mut mac);
        if let Some(signature) = payload.get_mut("signature") {
            *signature = data_encoding::HEXLOWER.encode(&mac).into();
        }
        Ok(data_encoding::BASE64.encode(payload.to_string().as_bytes()))
    };
    Ok(Row {
        what: "a challenge's signature",
        leaks: false,
        wrong_first: changed(flip_first)?,
        wrong_last: changed(flip_last)?,
        check: Box::new(move |solution| challenges.check(solution, DROP, NOW_MS).is_ok()),
    })
}

fn identity_token() -> anyhow::Result<Row> {
    let keys = IdentityKeys::read(include_str!("../../src/desk/identity/keys/set.json"))?;
    let secret: Vec<u8> = (0..32).collect();
    let header = data_encoding::BASE64URL_NOPAD.encode(br#"{"alg":"HS256","kid":"hs"}"#);
    let claims = data_encoding::BASE64URL_NOPAD.encode(br#"{"sub":"ann","exp":1700000600}"#);
    let signed = format!("{header}.{claims}");
    let mac = Hmac::<Sha256>::new_from_slice(&secret)?.chain_update(&signed).finalize().into_bytes();
    let good = format!("{signed}.{}", data_encoding::BASE64URL_NOPAD.encode(&mac));
    let rules = IdentityRules::default();
    assert!(identity::check(&good, &keys, &rules, NOW_MS).is_ok());
    Ok(Row {
        what: "an identity token's MAC (HS256)",
        leaks: false,
        wrong_first: ticket_with(&good, flip_first),
        wrong_last: ticket_with(&good, flip_last),
        check: Box::new(move |token| identity::check(token, &keys, &rules, NOW_MS).is_ok()),
    })
}

fn main() -> anyhow::Result<ExitCode> {
    let keys = KeyFile::generate();
    println!(
        "{:<44}{:>10}{:>17}{:>9}",
        "wrong in the first byte, or in the last", "median", "first - last", "t"
    );
    let mut rows = [
        ticket(&keys)?,
        voucher(),
        challenge()?,
        identity_token()?,
        control(&keys, "as the admin token: ct_eq", equal_in_constant_time, false)?,
        Row { what: "control: one forgery twice", ..twice(ticket(&keys)?) },
        control(&keys, "control: until a byte differs", equal_until_it_differs, true)?,
    ];
    let mut all_well = true;
    for row in &mut rows {
        all_well &= row.measure();
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
