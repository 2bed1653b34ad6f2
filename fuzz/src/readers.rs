//! What reads bytes from outside, under whatever bytes there are: nothing panics, and nothing is believed.
//!
//! `make test` runs a short round of each with random and with remembered inputs; `make fuzz` runs them for long, guided by
//! what they reach (bolero, libFuzzer).

use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;

use claimrush::desk::identity::{self, IdentityKeys, IdentityRules};
use claimrush::domain::campaign::Campaign;
use claimrush::domain::claim::JournalId;
use claimrush::domain::ids::ClaimNumber;
use claimrush::domain::qr::{self, QrFlaw, QrSigner};
use claimrush::domain::voucher::VoucherSigner;
use claimrush::domain::webhook::{Signed, WebhookSecrets};
use claimrush::guard::address::AddressRules;
use claimrush::guard::challenge::Challenges;
use claimrush::guard::tables::{AsnTable, RegionTable};
use claimrush::guard::ticket::{KeyFile, Scratch, TicketVerifier, bearer};
use claimrush::http::probe;
use claimrush::redis::journal::parse_entry;
use claimrush::telemetry::trace::{Span, TraceParent};
use hyper::header::{HeaderMap, HeaderValue};

use crate::mmdb::{Table, place, system};

const NOW_MS: i64 = 1_700_000_000_000;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn ticket() {
    // A verifier changes nothing: one panic leaves it as it was.
    let verifier = AssertUnwindSafe(TicketVerifier::new(&KeyFile::generate(), 0));
    bolero::check!().for_each(|bytes: &[u8]| {
        let header = [b"Bearer ", bytes].concat();
        let Ok(token) = bearer(Some(&header)) else { return };
        let mut scratch = Scratch::new();
        assert!(verifier.verify(token, "d-1", NOW_MS, &mut scratch).is_err(), "nobody has signed it");
    });
}

#[test]
fn identity_token() {
    let keys = IdentityKeys::read(include_str!("../../src/desk/identity/keys/set.json")).expect("a good set");
    bolero::check!().for_each(|bytes: &[u8]| {
        let token = text(bytes);
        let _ = identity::kid_of(&token);
        assert!(
            identity::check(&token, &keys, &IdentityRules::default(), NOW_MS).is_err(),
            "nobody has signed it"
        );
    });
}

#[test]
fn key_set() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let _ = IdentityKeys::read(&text(bytes));
    });
}

#[test]
fn challenge() {
    let challenges = Challenges::new(b"a secret of nobody's");
    bolero::check!().for_each(|bytes: &[u8]| {
        let encoded = data_encoding::BASE64.encode(bytes);
        for solution in [text(bytes), encoded] {
            assert!(challenges.check(&solution, "d-1", NOW_MS).is_err(), "nobody has signed it");
        }
    });
}

#[test]
fn voucher_code() {
    let signer = VoucherSigner::new(b"a secret of nobody's");
    bolero::check!().for_each(|bytes: &[u8]| {
        assert!(signer.verify(&text(bytes)).is_err(), "nobody has signed it");
        if let Ok(number) = ClaimNumber::parse_claim_id(&text(bytes)) {
            assert_eq!(ClaimNumber::parse_claim_id(&number.claim_id()), Ok(number));
        }
    });
}

#[test]
fn qr_payload() {
    let signer = QrSigner::new(b"a secret of nobody's", 30);
    bolero::check!().for_each(|bytes: &[u8]| {
        let text = text(bytes);
        for payload in [format!("{}{text}", qr::PREFIX), text] {
            assert_eq!(signer.verify(&payload, NOW_MS), Err(QrFlaw::Invalid), "nobody has signed it");
        }
    });
}

#[test]
fn webhook() {
    let secrets = WebhookSecrets::parse(&format!("whsec_{}", data_encoding::BASE64.encode(&[7; 32])))
        .expect("a secret");
    bolero::check!().for_each(|bytes: &[u8]| {
        let text = text(bytes);
        let (id, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let (timestamp, signatures) = rest.split_once(' ').unwrap_or((rest, ""));
        let message = Signed { id, timestamp, signatures };
        assert!(secrets.verify(message, bytes, NOW_MS, i64::MAX).is_err(), "nobody has signed it");
        let _ = WebhookSecrets::parse(&text);
    });
}

#[test]
fn trace_header() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let Some(parent) = TraceParent::parse(bytes) else { return };
        assert!(bytes.len() >= 55 && bytes[..55].is_ascii(), "{}", text(bytes));
        assert!(parent.trace_id() != [0; 16] && parent.parent_id() != [0; 8], "{}", text(bytes));
        let told =
            TraceParent::parse(Span::below(parent).to_traceparent().as_bytes()).expect("it is read back");
        assert_eq!((told.trace_id(), told.is_sampled()), (parent.trace_id(), parent.is_sampled()));
    });
}

#[test]
fn path() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let path = text(bytes);
        if let Some(id) = probe::id_in_path(&path) {
            assert!(path.contains(&id) && !id.contains('/'), "{path}: {id}");
        }
    });
}

#[test]
fn body() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if probe::is_json_object(bytes) && !bytes.is_empty() {
            assert!(bytes.trim_ascii_start().starts_with(b"{"), "{}", text(bytes));
        }
    });
}

#[test]
fn forwarded_addresses() {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    let rules = AddressRules { trusted_proxies, limit_loopback: true };
    bolero::check!().for_each(|bytes: &[u8]| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", value);
        let _ = rules.client(peer, &headers);
    });
}

#[test]
fn address_table() {
    let small = Table::of("small", &[("1.2.0.0/16", system(7)), ("2400::/12", place("CN", &["YN"]))]);
    assert!(AsnTable::read(small.clone()).is_ok() && RegionTable::read(small.clone()).is_ok());
    bolero::check!().for_each(|bytes: &[u8]| {
        let address = IpAddr::V4(Ipv4Addr::from_bits(bytes.len().try_into().unwrap_or(u32::MAX)));
        // By itself, and laid over a good table where the first byte says.
        let at = bytes.first().map_or(0, |first| usize::from(*first) % small.len());
        let mut laid = small.clone();
        for (place, byte) in laid.iter_mut().skip(at).zip(bytes.iter().skip(1)) {
            *place = *byte;
        }
        for table in [bytes.to_vec(), laid] {
            let _ = AsnTable::read(table.clone()).map(|table| table.asn(address));
            let _ = RegionTable::read(table).map(|table| table.region(address));
        }
    });
}

#[test]
fn campaign_file() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(campaign) = Campaign::parse(&text(bytes)) {
            let stored = campaign.to_canonical().expect("it has a form");
            assert_eq!(Campaign::from_canonical(&stored).expect("it is read back"), campaign);
        }
    });
}

#[test]
fn journal_entry() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let half = bytes.len() / 2;
        let (field, words) = bytes.split_at(half);
        for fields in [&[field, words][..], &[b"claims", bytes], &[b"return", bytes], &[bytes]] {
            let _ = parse_entry(JournalId::START, fields);
        }
    });
}
