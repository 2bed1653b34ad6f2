//! Everything that a hostile or careless minter may send, and what it must be answered.

use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha2::{Sha256, Sha512};

use super::*;
use crate::domain::ids::IdError;
use crate::limits::TICKET_BYTES_MAX;

const NOW_MS: i64 = 1_700_000_000_000;
const DROP: &str = "caiyun-100-25";
const HEADER: &str = r#"{"typ":"JWT","alg":"HS256","kid":"k1"}"#;
const CLAIMS: &str = r#"{"sub":"ann","drop":"caiyun-100-25","nbf":1700000000,"exp":1700000600,"jti":"a1"}"#;
/// Bytes 0 to 31.
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const OTHER: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8";
const VOUCHER: &str = "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8";

fn keys() -> KeyFile {
    let key = |kid, secret| format!("[[key]]\nkid = \"{kid}\"\nalg = \"HS256\"\nsecret = \"{secret}\"\n");
    let text = format!("voucher_secret = \"{VOUCHER}\"\n{}{}", key("k1", SECRET), key("k2", OTHER));
    KeyFile::parse(&text).expect("a good key file")
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    data_encoding::BASE64URL_NOPAD.encode(bytes.as_ref())
}

fn sign(signed: &str, secret: &str) -> String {
    let secret = data_encoding::BASE64URL_NOPAD.decode(secret.as_bytes()).expect("base64url");
    let mac = Hmac::<Sha256>::new_from_slice(&secret).expect("any length").chain_update(signed).finalize();
    format!("{signed}.{}", base64(mac.into_bytes()))
}

fn token(header: &str, claims: impl AsRef<[u8]>) -> String {
    sign(&format!("{}.{}", base64(header), base64(claims)), SECRET)
}

fn verify_at(token: &str, drop: &str, now_ms: i64) -> Result<(String, Option<String>), TicketRefusal> {
    let mut scratch = Scratch::new();
    let ticket = TicketVerifier::new(&keys(), 0).verify(token, drop, now_ms, &mut scratch)?;
    Ok((ticket.person.into_owned(), ticket.region.map(std::borrow::Cow::into_owned)))
}

fn flaw(token: &str) -> TicketFlaw {
    match verify_at(token, DROP, NOW_MS) {
        Err(TicketRefusal::Invalid(flaw)) => flaw,
        other => panic!("{token}: {other:?}"),
    }
}

/// Made with Python's `hmac` and `json`, so that no code of ours vouches for itself.
#[test]
fn tickets_of_another_library_are_accepted() {
    let usual = concat!(
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.",
        "eyJzdWIiOiJwZXJzb24tMTciLCJkcm9wIjoiY2FpeXVuLTEwMC0yNSIsIm5iZiI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDAw",
        "NjAwLCJqdGkiOiJhMSJ9.YUbj5Mmncz2Hr6m6qvCCAPoNN4TX9GmPpz3Mo1JH4T0"
    );
    assert_eq!(verify_at(usual, DROP, NOW_MS), Ok(("person-17".into(), None)));
    // Blanks in the JSON, `typ` in lower case, an `exp` with a fraction, and claims that are not looked at.
    let spaced = concat!(
        "eyJhbGciOiAiSFMyNTYiLCAia2lkIjogImsxIiwgInR5cCI6ICJqd3QifQ.",
        "eyJzdWIiOiAicGVyc29uLTE3IiwgImRyb3AiOiAiY2FpeXVuLTEwMC0yNSIsICJpYXQiOiAxNzAwMDAwMDAwLCAiZXhwIjog",
        "MTcwMDAwMDYwMC41LCAiZGV2IjogImQtOSIsICJyZWdpb24iOiAiNTMwMTAwIiwgImlzcyI6ICJnYXRld2F5IiwgImF1ZCI6",
        "IFsiYSIsICJiIl19.x2i743x4k3Tlw5EHz9Ei1GwBCXCpCCxARUSQU0h90Uo"
    );
    assert_eq!(verify_at(spaced, DROP, NOW_MS), Ok(("person-17".into(), Some("530100".into()))));
    assert_eq!(verify_at(spaced, DROP, 1_700_000_600_499), Ok(("person-17".into(), Some("530100".into()))));
    assert_eq!(verify_at(spaced, DROP, 1_700_000_600_500), Err(TicketRefusal::Expired));
    // Escapes in header and claims, no `typ`, no `nbf`, `exp` with an exponent.
    let escaped = concat!(
        "eyJraWQiOiJrXHUwMDMxIiwiYWxnIjoiSFMyNTYiLCJ4Ijp7InkiOlsxXX19.",
        "eyJleHAiOjEuNzAwMDAwNmU5LCJkcm9wIjoiY2FpeXVuXHUwMDJkMTAwLTI1Iiwic3ViIjoicGVyc29uXC8xNyIsImRldiI6",
        "bnVsbH0.1VNXQJZ4L_4hLulyK_bX0yUCnnHRmLfBRdrhUtK6ybY"
    );
    assert_eq!(verify_at(escaped, DROP, NOW_MS), Ok(("person/17".into(), None)));
}

#[test]
fn minted_tickets_are_accepted_here_and_by_jsonwebtoken() {
    let keys = keys();
    let person = crate::domain::ids::PersonId::new("ann").expect("an id");
    let drop = crate::domain::ids::DropId::new(DROP).expect("an id");
    let ticket = TicketMint::new(&keys)
        .mint(&person, &drop, NOW_MS, std::time::Duration::from_secs(600))
        .expect("a ticket");
    assert_eq!(verify_at(&ticket, DROP, NOW_MS), Ok(("ann".into(), None)));
    assert_eq!(verify_at(&ticket, DROP, NOW_MS + 600_000), Err(TicketRefusal::Expired));

    let key = jsonwebtoken::DecodingKey::from_secret(keys.signing().secret().expect("a secret").bytes());
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    rules.validate_exp = false;
    let data = jsonwebtoken::decode::<serde_json::Value>(&ticket, &key, &rules).expect("a JWT");
    assert_eq!(data.header.kid.as_deref(), Some("k1"));
    assert_eq!(data.claims["exp"], 1_700_000_600);
    assert_eq!(data.claims["jti"].as_str().map(str::len), Some(22));
}

#[test]
fn every_key_of_the_file_is_accepted() {
    let header = HEADER.replace("k1", "k2");
    let signed = format!("{}.{}", base64(header), base64(CLAIMS));
    assert_eq!(verify_at(&sign(&signed, OTHER), DROP, NOW_MS), Ok(("ann".into(), None)));
    assert_eq!(flaw(&sign(&signed, SECRET)), TicketFlaw::Signature, "one key's name, another's secret");
    assert_eq!(flaw(&sign(&signed, VOUCHER)), TicketFlaw::Signature, "the voucher secret signs no ticket");
}

#[test]
fn headers_that_bend_the_rules_are_refused() {
    for (header, expected) in [
        (r#"{"alg":"none","kid":"k1"}"#, TicketFlaw::Algorithm),
        (r#"{"alg":"None","kid":"k1","typ":"JWT"}"#, TicketFlaw::Algorithm),
        (r#"{"alg":"","kid":"k1"}"#, TicketFlaw::Algorithm),
        (r#"{"alg":"hs256","kid":"k1"}"#, TicketFlaw::Algorithm),
        (r#"{"alg":"HS512","kid":"k1"}"#, TicketFlaw::Algorithm),
        (r#"{"alg":"RS256","kid":"k1"}"#, TicketFlaw::Algorithm),
        (r#"{"kid":"k1"}"#, TicketFlaw::Algorithm),
        (r#"{"alg":"HS256"}"#, TicketFlaw::KeyMissing),
        (r#"{"alg":"HS256","kid":null}"#, TicketFlaw::KeyMissing),
        (r#"{"alg":"HS256","kid":"k3"}"#, TicketFlaw::KeyUnknown),
        (r#"{"alg":"HS256","kid":"K1"}"#, TicketFlaw::KeyUnknown),
        (r#"{"alg":"HS256","kid":"../../dev/null"}"#, TicketFlaw::KeyUnknown),
        (r#"{"alg":"HS256","kid":"k3","jwk":{"kty":"oct","k":"AAAA"}}"#, TicketFlaw::KeyUnknown),
        (r#"{"alg":"HS256","kid":"k1","crit":["b64"],"b64":false}"#, TicketFlaw::Critical),
        (r#"{"alg":"HS256","kid":"k1","crit":null}"#, TicketFlaw::Critical),
        (r#"{"alg":"HS256","kid":"k1","typ":"JWE"}"#, TicketFlaw::Type),
        (r#"{"alg":"HS256","kid":"k1","alg":"none"}"#, TicketFlaw::Header),
        (r#"{"alg":"none","kid":"k1","alg":"HS256"}"#, TicketFlaw::Header),
        (r#"{"alg":["HS256"],"kid":"k1"}"#, TicketFlaw::Header),
        (r#"["HS256","k1","JWT"]"#, TicketFlaw::Header),
        (r#"{"alg":"HS256","kid":"k1""#, TicketFlaw::Header),
        ("", TicketFlaw::Header),
    ] {
        assert_eq!(flaw(&token(header, CLAIMS)), expected, "{header}");
        let unsigned = format!("{}.{}.", base64(header), base64(CLAIMS));
        assert_eq!(flaw(&unsigned), expected, "{header}");
    }
}

#[test]
fn forged_signatures_are_refused() {
    let good = token(HEADER, CLAIMS);
    let (signed, signature) = good.rsplit_once('.').expect("three segments");
    let secret: Vec<u8> = (0..32).collect();
    let sha512 = Hmac::<Sha512>::new_from_slice(&secret).expect("any length").chain_update(signed).finalize();
    for forged in [
        String::new(),
        base64([0; 32]),
        base64(sha512.into_bytes()),
        signature[..42].to_owned(),
        format!("{signature}A"),
        format!("{signature}="),
        format!(" {signature}"),
        format!("{signature}\n"),
        signature.replace(['-', '_'], "/"),
    ] {
        assert_eq!(flaw(&format!("{signed}.{forged}")), TicketFlaw::Signature, "{forged:?}");
    }
    // The MAC of other claims.
    let richer = base64(CLAIMS.replace("ann", "bob"));
    assert_eq!(flaw(&format!("{}.{richer}.{signature}", base64(HEADER))), TicketFlaw::Signature);
    // A forged ticket is never told more, however old it says it is and whatever drop it names.
    assert_eq!(verify_at(&format!("{signed}."), DROP, i64::MAX), Err(TicketFlaw::Signature.into()));
    assert_eq!(verify_at(&format!("{signed}."), "other", NOW_MS), Err(TicketFlaw::Signature.into()));
}

#[test]
fn payloads_with_a_good_signature_are_still_checked() {
    let with = |from: &str, to: &str| CLAIMS.replace(from, to);
    for (claims, expected) in [
        (String::new(), TicketFlaw::Payload),
        ("no json".into(), TicketFlaw::Payload),
        ("null".into(), TicketFlaw::Payload),
        (r#"["ann","caiyun-100-25",1700000600,null,null,null,null]"#.into(), TicketFlaw::Payload),
        (format!("{CLAIMS}x"), TicketFlaw::Payload),
        ("[".repeat(1_000), TicketFlaw::Payload),
        (format!(r#"{{"x":{}"#, "[".repeat(500)), TicketFlaw::Payload),
        (token(HEADER, CLAIMS), TicketFlaw::Payload),
        (with(r#""sub":"ann","#, ""), TicketFlaw::ClaimMissing("sub")),
        (with(r#""ann""#, "null"), TicketFlaw::ClaimMissing("sub")),
        (with(r#""ann""#, "17"), TicketFlaw::Payload),
        (with("ann", ""), TicketFlaw::Person(IdError::Length { len: 0, max: 128 })),
        (with("ann", &"x".repeat(129)), TicketFlaw::Person(IdError::Length { len: 129, max: 128 })),
        (with("ann", "an n"), TicketFlaw::Person(IdError::Character(' '))),
        (with("ann", r"ann\n"), TicketFlaw::Person(IdError::Character('\n'))),
        (with("ann", r"ann\tbob"), TicketFlaw::Person(IdError::Character('\t'))),
        (with("ann", r"\u0000"), TicketFlaw::Person(IdError::Character('\0'))),
        (with("ann", "安"), TicketFlaw::Person(IdError::Character('安'))),
        (with("ann", "a\n"), TicketFlaw::Payload),
        (with("ann", r"\ud800"), TicketFlaw::Payload),
        (with(r#""drop":"caiyun-100-25","#, ""), TicketFlaw::ClaimMissing("drop")),
        (with("caiyun-100-25", "caiyun-200-50"), TicketFlaw::Drop),
        (with("caiyun-100-25", "CAIYUN-100-25"), TicketFlaw::Drop),
        (with("caiyun-100-25", "caiyun-100-25 "), TicketFlaw::Drop),
        (with(r#""caiyun-100-25""#, r#"["caiyun-100-25"]"#), TicketFlaw::Payload),
        (with(r#","exp":1700000600"#, ""), TicketFlaw::ClaimMissing("exp")),
        (with("1700000600", "null"), TicketFlaw::ClaimMissing("exp")),
        (with("1700000600", r#""1700000600""#), TicketFlaw::Payload),
        (with("1700000600", "NaN"), TicketFlaw::Payload),
        (with("1700000600", "1e400"), TicketFlaw::Payload),
        (with("1700000600", "1e300"), TicketFlaw::Payload),
        (with("1700000600", "-1"), TicketFlaw::Payload),
        (with("1700000600", "1700000600000"), TicketFlaw::Payload),
        (with("1700000600", "99999999999999999999999999"), TicketFlaw::Payload),
        (with(r#""nbf":1700000000"#, r#""nbf":1700000001"#), TicketFlaw::NotYet),
        (with(r#""nbf":1700000000"#, r#""nbf":1700000000.001"#), TicketFlaw::NotYet),
        (with(r#""nbf":1700000000"#, r#""nbf":"soon""#), TicketFlaw::Payload),
        (with(r#""jti":"a1""#, r#""sub":"bob""#), TicketFlaw::Payload),
        (with(r#""jti":"a1""#, r#""\u0073ub":"bob""#), TicketFlaw::Payload),
        (with(r#""jti":"a1""#, r#""exp":1800000000"#), TicketFlaw::Payload),
        (with(r#""jti":"a1""#, r#""drop":"caiyun-200-50""#), TicketFlaw::Payload),
    ] {
        assert_eq!(flaw(&token(HEADER, &claims)), expected, "{claims}");
    }
    assert_eq!(flaw(&token(HEADER, b"{\"sub\":\"\xff\"}")), TicketFlaw::Payload);
}

#[test]
fn an_ending_is_an_instant_and_leeway_forgives_at_both_ends() {
    let token = token(HEADER, CLAIMS);
    let keys = keys();
    let verify = |leeway_ms, now_ms| {
        let mut scratch = Scratch::new();
        TicketVerifier::new(&keys, leeway_ms).verify(&token, DROP, now_ms, &mut scratch).map(|_| ())
    };
    let (starts_ms, ends_ms) = (NOW_MS, NOW_MS + 600_000);
    for leeway_ms in [0, 5_000] {
        assert_eq!(verify(leeway_ms, starts_ms - leeway_ms - 1), Err(TicketFlaw::NotYet.into()));
        assert_eq!(verify(leeway_ms, starts_ms - leeway_ms), Ok(()));
        assert_eq!(verify(leeway_ms, ends_ms + leeway_ms - 1), Ok(()));
        assert_eq!(verify(leeway_ms, ends_ms + leeway_ms), Err(TicketRefusal::Expired));
    }
    assert_eq!(verify(-5_000, starts_ms), Ok(()), "a negative leeway is none");
    assert_eq!(verify(i64::MAX, ends_ms), Ok(()), "no leeway overflows");
    assert_eq!(verify(0, i64::MIN), Err(TicketFlaw::NotYet.into()));
}

#[test]
fn a_ticket_has_one_spelling_only() {
    let good = token(HEADER, CLAIMS);
    for len in 0..good.len() {
        let cut = verify_at(&good[..len], DROP, NOW_MS).expect_err("a cut ticket");
        assert_eq!(cut.code(), "ticket_invalid", "cut to {len} bytes");
    }
    for at in 0..good.len() {
        for bit in 0..7 {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let flipped = String::from_utf8(bytes).expect("ASCII");
            let refusal = verify_at(&flipped, DROP, NOW_MS).expect_err("a flipped ticket");
            assert_eq!(refusal.code(), "ticket_invalid", "bit {bit} of byte {at}");
        }
    }
    let segments: Vec<&str> = good.split('.').collect();
    let [header, claims, signature] = segments[..] else { panic!("three segments") };
    for (spelling, expected) in [
        (String::new(), TicketFlaw::Segments),
        ("..".into(), TicketFlaw::Header),
        (format!("{good}."), TicketFlaw::Segments),
        (format!("{good}.{signature}"), TicketFlaw::Segments),
        (format!("{header}..{claims}.{signature}"), TicketFlaw::Segments),
        (format!(" {good}"), TicketFlaw::Header),
        (format!("{header}=.{claims}.{signature}"), TicketFlaw::Header),
        (format!("{header}.{claims}=.{signature}"), TicketFlaw::Signature),
    ] {
        assert_eq!(flaw(&spelling), expected, "{spelling}");
    }
    // Even its minter may not pad, break or bend the payload: 81 bytes of claims leave no trailing bits, 82 do.
    let tailed = base64(format!("{CLAIMS} "));
    let bent = format!("{}B", &tailed[..tailed.len() - 1]);
    assert_ne!(tailed, bent);
    for payload in [format!("{claims}="), format!("{claims}\n"), format!("{claims}+"), bent] {
        assert_eq!(flaw(&sign(&format!("{header}.{payload}"), SECRET)), TicketFlaw::Payload, "{payload:?}");
    }
}

#[test]
fn long_tickets_are_refused_unread() {
    let sized = |pad: usize| token(HEADER, CLAIMS.replace("a1", &"x".repeat(pad)));
    let pad_max = (0..TICKET_BYTES_MAX).rev().find(|pad| sized(*pad).len() <= TICKET_BYTES_MAX);
    let pad_max = pad_max.expect("some padding fits");
    assert!(sized(pad_max).len() >= TICKET_BYTES_MAX - 2);
    assert_eq!(verify_at(&sized(pad_max), DROP, NOW_MS), Ok(("ann".into(), None)));
    assert_eq!(flaw(&sized(pad_max + 3)), TicketFlaw::TooLong);
    assert_eq!(flaw(&".".repeat(1 << 20)), TicketFlaw::TooLong);
}

#[test]
fn a_scratch_keeps_nothing_of_the_ticket_before() {
    let verifier = TicketVerifier::new(&keys(), 0);
    let mut scratch = Scratch::new();
    let long = token(HEADER, CLAIMS.replace("ann", &"x".repeat(128)));
    assert!(verifier.verify(&long, DROP, NOW_MS, &mut scratch).is_ok());
    let short = token(HEADER, r#"{"sub":"b"}"#);
    assert_eq!(
        verifier.verify(&short, DROP, NOW_MS, &mut scratch).map(|_| ()),
        Err(TicketFlaw::ClaimMissing("drop").into())
    );
}

#[test]
fn whom_a_forged_ticket_names_is_announced_and_not_believed() {
    let verifier = TicketVerifier::new(&keys(), 0);
    let announced = |token: &str| {
        let (mut scratch, mut named) = (Scratch::new(), None);
        let announce = |person: &str| named = Some(person.to_owned());
        let verdict = verifier.verify_announcing(token, DROP, NOW_MS, &mut scratch, announce);
        let verdict = verdict.map(|ticket| ticket.person.into_owned());
        (named, verdict)
    };
    let signed = format!("{}.{}", base64(HEADER), base64(CLAIMS));
    assert_eq!(announced(&token(HEADER, CLAIMS)), (Some("ann".into()), Ok("ann".into())));
    let forged = Err(TicketFlaw::Signature.into());
    assert_eq!(announced(&sign(&signed, OTHER)), (Some("ann".into()), forged.clone()));
    assert_eq!(announced(&sign(&format!("{}.{}", base64(HEADER), base64("[1")), OTHER)), (None, forged));
    assert_eq!(announced(&token(HEADER, "[1")), (None, Err(TicketFlaw::Payload.into())));
    assert_eq!(announced("a.b"), (None, Err(TicketFlaw::Segments.into())));
}

#[test]
fn a_usual_ticket_is_read_without_copying() {
    let mut scratch = Scratch::new();
    let verifier = TicketVerifier::new(&keys(), 0);
    let claims = CLAIMS.replace('}', r#","dev":"d-9","region":"530100"}"#);
    let ticket = verifier.verify(&token(HEADER, claims), DROP, NOW_MS, &mut scratch).expect("good");
    for text in [Some(ticket.person), ticket.ticket_id, ticket.device, ticket.region] {
        assert!(matches!(text, Some(std::borrow::Cow::Borrowed(_))), "{text:?}");
    }
}

#[test]
fn refusals_speak_in_problem_codes_and_keep_secrets() {
    assert_eq!(TicketRefusal::Missing.code(), "ticket_missing");
    assert_eq!(TicketRefusal::Expired.code(), "ticket_expired");
    assert_eq!(TicketRefusal::from(TicketFlaw::Drop).code(), "ticket_invalid");
    assert_eq!(
        TicketRefusal::from(TicketFlaw::Person(IdError::Character(' '))).to_string(),
        "the ticket's `sub` may not contain ' '"
    );
    let verifier = format!("{:?}", TicketVerifier::new(&keys(), 0));
    assert_eq!(verifier, r#"TicketVerifier { kids: ["k1", "k2"], leeway_ms: 0 }"#);
    assert!(!format!("{:?}", TicketMint::new(&keys())).contains("[0, 1, 2"));
}

proptest! {
    #[test]
    fn no_text_at_all_is_accepted(text in "\\PC{0,200}") {
        prop_assert!(verify_at(&text, DROP, NOW_MS).is_err());
    }

    #[test]
    fn no_unsigned_bytes_are_accepted(
        header in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60)),
        claims in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..90)),
        signature in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let header = header.unwrap_or_else(|| HEADER.into());
        let claims = claims.unwrap_or_else(|| CLAIMS.into());
        let forged = format!("{}.{}.{}", base64(header), base64(claims), base64(signature));
        let refusal = verify_at(&forged, DROP, NOW_MS).expect_err("forged");
        prop_assert_eq!(refusal.code(), "ticket_invalid");
    }

    #[test]
    fn signed_nonsense_never_panics(claims in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(verify_at(&token(HEADER, claims), DROP, NOW_MS).is_err());
    }

    #[test]
    fn every_person_that_may_have_an_id_may_have_a_ticket(person in "[!-~]{1,128}") {
        let json = serde_json::to_string(&person).expect("JSON");
        let ticket = token(HEADER, CLAIMS.replace(r#""ann""#, &json));
        prop_assert_eq!(verify_at(&ticket, DROP, NOW_MS), Ok((person, None)));
    }
}
