//! What the guard costs a claim, in nanoseconds: `cargo bench --bench guard`.
//!
//! Each row walks over many different tickets, persons or addresses, so that neither a cache nor the branch
//! predictor knows the next one. Rounds are short: on a busy machine the best one is the cost of the code, and
//! the median says how busy the machine was.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use claimrush::guard::Guard;
use claimrush::guard::address::AddressRules;
use claimrush::guard::blocked::{BlockList, Blocked};
use claimrush::guard::rate::{Allowance, LimitRules, Limits};
use claimrush::guard::tables::{AddressTables, Asn, AsnTable};
use claimrush::guard::ticket::{KeyFile, MintRequest, Persons, Scratch, TicketVerifier, mint_tickets};
use hyper::header::HeaderMap;

#[path = "../tests/support/mmdb.rs"]
#[expect(
    dead_code,
    clippy::expect_used,
    reason = "shared with the tests, which use the rest of it, and may fail"
)]
mod mmdb;

const DROP: &str = "caiyun-100-25";
const NOW_MS: i64 = 1_700_000_000_000;
const ITEMS: u32 = 100_000;
const CALLS_PER_ROUND: u32 = 5_000;
const ROUNDS: usize = 180;

/// Best and median nanoseconds a call of `call`, which is given 0, 1, 2 … and does not start again between
/// rounds.
fn measure(name: &str, mut call: impl FnMut(u32)) {
    let mut next = 0;
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..CALLS_PER_ROUND {
                call(next);
                next += 1;
            }
            start.elapsed() / CALLS_PER_ROUND
        })
        .collect();
    rounds.sort_unstable();
    let nth = |at: usize| rounds.get(at).copied().unwrap_or_default().as_nanos();
    println!("{name:<42}{:>6} ns best{:>8} ns median", nth(0), nth(ROUNDS / 2));
}

fn mint(keys: &KeyFile) -> anyhow::Result<Vec<String>> {
    let persons = Persons::Numbered { prefix: "user-", count: ITEMS };
    let request = MintRequest { drop: DROP, persons, valid_for: Duration::from_secs(3_600), out: None };
    let mut text = Vec::new();
    let start = Instant::now();
    mint_tickets(keys, &request, NOW_MS, &mut text)?;
    println!("{:<42}{:>6} ms", format!("mint {ITEMS} tickets"), start.elapsed().as_millis());
    Ok(String::from_utf8(text)?.lines().map(str::to_owned).collect())
}

/// Limits that refuse nothing, so that the way through is measured.
fn wide_limits() -> anyhow::Result<Limits> {
    let wide = Allowance::new(1_000_000, Duration::from_nanos(1))?;
    Ok(Limits::new(LimitRules {
        person: wide,
        address: wide,
        network: wide,
        asn: wide,
        device: wide,
        keys_max: 4_000_000,
    }))
}

/// Calls `with` for each of `all` in turn, again and again.
fn measure_each<T>(name: &str, all: &[T], mut with: impl FnMut(&T)) {
    let mut turn = all.iter().cycle();
    measure(name, |_| {
        if let Some(item) = turn.next() {
            with(item);
        }
    });
}

fn main() -> anyhow::Result<()> {
    let keys = KeyFile::generate();
    let tickets = mint(&keys)?;
    let persons: Vec<String> = (0..ITEMS).map(|n| format!("user-{n:06}")).collect();
    let verifier = TicketVerifier::new(&keys, 0);
    let mut scratch = Scratch::new();

    measure_each("verify a ticket", &tickets, |ticket| {
        let verified = verifier.verify(black_box(ticket), DROP, NOW_MS, &mut scratch);
        assert!(black_box(verified).is_ok());
    });

    let fresh = wide_limits()?;
    let mut person = String::new();
    measure("person limit, every person new", |n| {
        person.clear();
        person.push_str(itoa::Buffer::new().format(n));
        assert!(fresh.check(black_box(&person), None).is_ok());
    });

    let known = wide_limits()?;
    for person in &persons {
        assert!(known.check(person, None).is_ok());
    }
    measure_each("person limit, 100,000 known persons", &persons, |person| {
        assert!(known.check(black_box(person), None).is_ok());
    });

    let addresses = wide_limits()?;
    measure("address limit, 65,536 addresses", |n| {
        let address = IpAddr::V4(Ipv4Addr::from_bits(n.wrapping_mul(0x9e37_79b9) >> 16));
        assert!(addresses.check_address(black_box(Some(address))).is_ok());
    });

    let start = Instant::now();
    fresh.upkeep();
    let held = fresh.person().keys();
    println!("{:<42}{:>6} ms", "upkeep of 900,000 keys", start.elapsed().as_millis());
    println!("{:<42}{held:>6}", "keys left");

    let limits = wide_limits()?;
    let peer = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    measure_each("verify, person limit and address limit", &tickets, |ticket| {
        let verified = verifier.verify(black_box(ticket), DROP, NOW_MS, &mut scratch);
        let passed = verified.is_ok_and(|ticket| limits.check(&ticket.person, peer).is_ok());
        assert!(black_box(passed));
    });

    let public = KeyFile::parse(&format!(
        "voucher_secret = \"{}\"\n[[key]]\nkid = \"ed\"\nalg = \"EdDSA\"\nsecret = \"{}\"\n",
        data_encoding::BASE64URL_NOPAD.encode(&[1; 32]),
        data_encoding::BASE64URL_NOPAD.encode(&[2; 32])
    ))?;
    let signed: Vec<String> = mint(&public)?.into_iter().take(1_000).collect();
    let verifier = TicketVerifier::new(&public, 0);
    measure_each("verify a ticket of EdDSA", &signed, |ticket| {
        assert!(black_box(verifier.verify(black_box(ticket), DROP, NOW_MS, &mut scratch)).is_ok());
    });

    let wide = Allowance::new(1_000_000, Duration::from_nanos(1))?;
    let rules = LimitRules {
        person: wide,
        address: wide,
        network: wide,
        asn: wide,
        device: wide,
        keys_max: 4_000_000,
    };
    let blocked = Blocked::default();
    let many: Vec<String> = (0..100_000).map(|n| format!("blocked-{n},,why")).collect();
    blocked.replace(BlockList::read(&many.join("\n"))?);
    let tables = AddressTables::default();
    let guard = Guard::new(&keys, 0, rules, AddressRules::default()).blocking(blocked);
    let guard = guard.by_asn(tables.clone(), &[Asn(1), Asn(2), Asn(3)]);
    let headers = HeaderMap::new();
    let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let bearers: Vec<Vec<u8>> =
        tickets.iter().map(|ticket| format!("Bearer {ticket}").into_bytes()).collect();
    measure_each("the whole guard, 100,000 persons blocked", &bearers, |bearer| {
        let admitted = guard.admit(Some(black_box(bearer)), &headers, DROP, peer, NOW_MS);
        assert!(black_box(admitted).is_ok());
    });

    let everywhere = measure_systems(&tables)?;
    for (name, from_ipv6) in [("with an ASN table, from IPv4", false), ("with an ASN table, from IPv6", true)]
    {
        let from = everywhere.iter().filter(|address| address.is_ipv6() == from_ipv6).copied();
        let asked: Vec<(&[u8], IpAddr)> = bearers.iter().map(Vec::as_slice).zip(from.cycle()).collect();
        measure_each(&format!("the whole guard, {name}"), &asked, |(bearer, peer)| {
            let admitted = guard.admit(Some(black_box(bearer)), &headers, DROP, *peer, NOW_MS);
            assert!(black_box(admitted).is_ok());
        });
    }

    let flood = Limits::new(LimitRules { keys_max: 1_000_000, ..rules });
    let before = resident_kb()?;
    for n in 0..10_000_000_u32 {
        let _ = flood.check_person(itoa::Buffer::new().format(n));
    }
    println!("{:<42}{:>6} keys", "10,000,000 persons leave", flood.person().keys());
    println!("{:<42}{:>6} MB", "and take", (resident_kb()? - before) / 1_024);
    Ok(())
}

/// Measures look-ups in a table as large as the real ones, leaves it in place, and gives the addresses that it was asked for.
fn measure_systems(tables: &AddressTables) -> anyhow::Result<Vec<IpAddr>> {
    let (bytes, addresses) = mmdb::systems(450_000);
    println!("{:<42}{:>6} MB", "a table of 450,000 networks", bytes.len() >> 20);
    let start = Instant::now();
    tables.replace_asns(AsnTable::read(bytes)?);
    println!("{:<42}{:>6} ms", "is read in", start.elapsed().as_millis());
    let (v6, v4): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|address| address.is_ipv6());
    for (name, asked) in [("ASN look-up, IPv4, all networks in turn", &v4), ("ASN look-up, IPv6", &v6)] {
        measure_each(name, asked, |address| assert!(tables.asn(black_box(*address)).is_some()));
    }
    Ok(addresses)
}

/// Memory of this process.
fn resident_kb() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line.unwrap_or("0").trim().trim_end_matches(" kB").parse()?)
}
