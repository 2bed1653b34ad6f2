//! Identity tokens: every algorithm, and what must not be believed.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;

const NOW_MS: UnixMs = 1_700_445_600_000;
const NOW_S: i64 = NOW_MS / 1_000;
const SET: &str = include_str!("keys/set.json");

fn keys() -> IdentityKeys {
    IdentityKeys::read(SET).expect("a good set")
}

fn rules() -> IdentityRules {
    IdentityRules { issuer: "login".to_owned(), audience: "claims".to_owned(), leeway_ms: 0 }
}

fn claims() -> Value {
    json!({
        "iss": "login", "aud": "claims", "sub": "account-1", "exp": NOW_S + 60, "nbf": NOW_S - 60,
        "dims": {"phone": "h1", "id_card": "h2"}, "region": "530100", "account_since": NOW_S - 86_400,
    })
}

fn secret() -> Vec<u8> {
    (0..32).collect()
}

fn sign(kid: &str, claims: &Value) -> String {
    let (algorithm, key) = match kid {
        "rsa" => (Algorithm::RS256, EncodingKey::from_rsa_pem(include_bytes!("keys/rsa.pem")).unwrap()),
        "ec" => (Algorithm::ES256, EncodingKey::from_ec_pem(include_bytes!("keys/ec.pem")).unwrap()),
        "ed" => (Algorithm::EdDSA, EncodingKey::from_ed_pem(include_bytes!("keys/ed.pem")).unwrap()),
        _ => (Algorithm::HS256, EncodingKey::from_secret(&secret())),
    };
    encode(&Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) }, claims, &key).unwrap()
}

fn refusal(token: &str) -> IdentityRefusal {
    check(token, &keys(), &rules(), NOW_MS).expect_err("it is not to be believed")
}

/// A token with this header and payload and the signature of another.
fn with_header(header: &Value, token: &str) -> String {
    let header = data_encoding::BASE64URL_NOPAD.encode(header.to_string().as_bytes());
    format!("{header}.{}", token.split_once('.').unwrap().1)
}

#[test]
fn every_algorithm_is_believed_by_its_key() {
    assert_eq!(format!("{:?}", keys()), r#"[("rsa", RS256), ("ec", ES256), ("ed", EdDSA), ("hs", HS256)]"#);
    for kid in ["rsa", "ec", "ed", "hs"] {
        let token = sign(kid, &claims());
        assert_eq!(kid_of(&token).as_deref(), Some(kid));
        let identity = check(&token, &keys(), &rules(), NOW_MS).unwrap();
        assert_eq!((identity.subject.as_str(), identity.issuer.as_str()), ("account-1", "login"));
        assert_eq!(identity.dimensions.len(), 2);
        assert_eq!(identity.region.as_deref(), Some("530100"));
        assert_eq!(identity.account_since_ms, Some(NOW_MS - 86_400_000));
        assert_eq!(format!("{identity:?}"), "Identity", "its debug output names nobody");
    }
    let sparse = json!({"sub": "a", "exp": NOW_S + 60, "iss": "login", "aud": ["x", "claims"]});
    let identity = check(&sign("hs", &sparse), &keys(), &rules(), NOW_MS).unwrap();
    assert!(identity.dimensions.is_empty() && identity.region.is_none());
}

#[test]
fn the_key_fixes_the_algorithm() {
    let good = sign("rsa", &claims());
    // A public key as the secret of an HMAC: what a verifier falls for that believes the token's own algorithm.
    let public = EncodingKey::from_secret(include_bytes!("keys/rsa.pub.pem"));
    let header = Header { kid: Some("rsa".to_owned()), ..Header::new(Algorithm::HS256) };
    let confused = encode(&header, &claims(), &public).unwrap();
    assert_eq!(refusal(&confused), IdentityRefusal::Invalid("its algorithm is not the key's"));
    let none = with_header(&json!({"alg": "none", "kid": "rsa"}), &good);
    assert_eq!(refusal(&none), IdentityRefusal::Invalid("its header cannot be read"));
    let unsigned = format!("{}.", none.rsplit_once('.').unwrap().0);
    assert!(matches!(refusal(&unsigned), IdentityRefusal::Invalid(_)));
    let swapped = with_header(&json!({"alg": "ES256", "kid": "ec"}), &good);
    assert!(matches!(refusal(&swapped), IdentityRefusal::Invalid(_)));
    let critical = with_header(&json!({"alg": "RS256", "kid": "rsa", "crit": ["exp"]}), &good);
    assert_eq!(refusal(&critical), IdentityRefusal::Invalid("its header asks for an extension"));
    let foreign = with_header(&json!({"alg": "RS256", "kid": "for-encryption"}), &good);
    assert_eq!(refusal(&foreign), IdentityRefusal::UnknownKey);
    let nameless = with_header(&json!({"alg": "RS256"}), &good);
    assert_eq!(refusal(&nameless), IdentityRefusal::Invalid("its header has no kid"));
}

#[test]
fn every_wrong_claim_is_refused() {
    let cases = [
        ("exp", json!(NOW_S), IdentityRefusal::Expired),
        ("exp", json!(-5), IdentityRefusal::Invalid("exp is no date")),
        ("exp", json!(NOW_MS * 1_000), IdentityRefusal::Invalid("exp is no date")),
        ("exp", json!("soon"), IdentityRefusal::Invalid("its claims cannot be read")),
        ("nbf", json!(NOW_S + 1), IdentityRefusal::Invalid("it is not valid yet")),
        ("iss", json!("another"), IdentityRefusal::Invalid("it is another issuer's")),
        ("aud", json!("another"), IdentityRefusal::Invalid("it is for another audience")),
        ("aud", json!(null), IdentityRefusal::Invalid("it is for another audience")),
        ("sub", json!(""), IdentityRefusal::Invalid("sub must have 1 to 256 bytes")),
        ("sub", json!("x".repeat(257)), IdentityRefusal::Invalid("sub must have 1 to 256 bytes")),
        ("sub", json!(7), IdentityRefusal::Invalid("its claims cannot be read")),
        (
            "dims",
            json!({"phone": ""}),
            IdentityRefusal::Invalid("dims must be up to 8 names with texts of 1 to 256 bytes"),
        ),
        (
            "dims",
            json!({"Phone": "h"}),
            IdentityRefusal::Invalid("dims must be up to 8 names with texts of 1 to 256 bytes"),
        ),
        (
            "region",
            json!("53 01"),
            IdentityRefusal::Invalid("region must be a code of up to 16 letters and digits"),
        ),
        ("account_since", json!(-1), IdentityRefusal::Invalid("account_since is no date")),
    ];
    for (member, value, refused) in cases {
        let mut wrong = claims();
        wrong[member] = value.clone();
        assert_eq!(refusal(&sign("ed", &wrong)), refused, "{member} = {value}");
    }
    let late = IdentityRules { leeway_ms: 5_000, ..rules() };
    let mut ended = claims();
    ended["exp"] = json!(NOW_S - 4);
    assert!(check(&sign("ec", &ended), &keys(), &late, NOW_MS).is_ok(), "within the leeway");
}

#[test]
fn a_changed_or_malformed_token_is_refused() {
    assert_eq!(refusal(""), IdentityRefusal::Missing);
    for kid in ["rsa", "ec", "ed", "hs"] {
        let token = sign(kid, &claims());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut other = signature.as_bytes().to_vec();
        other[5] = if other[5] == b'A' { b'B' } else { b'A' };
        let forged = format!("{signed}.{}", String::from_utf8(other).unwrap());
        assert_eq!(refusal(&forged), IdentityRefusal::Invalid("its signature is wrong"), "{kid}");
        assert!(matches!(refusal(&token[..token.len() - 3]), IdentityRefusal::Invalid(_)), "{kid}");
    }
    let long = "a".repeat(limits::IDENTITY_BYTES_MAX + 1);
    assert_eq!(refusal(&long), IdentityRefusal::Invalid("it is too long"));
    for text in ["a", "a.b", "a.b.c", "....", "e30.e30.e30"] {
        assert!(matches!(refusal(text), IdentityRefusal::Invalid(_)), "{text}");
    }
}

#[test]
fn a_set_is_read_whole_or_refused_by_its_key() {
    let flaw = |text: &str| IdentityKeys::read(text).expect_err(text).to_string();
    assert!(flaw("{").starts_with("is no JSON Web Key Set: line 1"));
    assert!(flaw(r#"{"keys":[]}"#).starts_with("has no key for signatures"));
    assert_eq!(flaw(include_str!("keys/small.json")), r#"key "small": an RSA key needs 2048 bits or more"#);
    let short = r#"{"keys":[{"kty":"oct","kid":"s","k":"c2hvcnQ"}]}"#;
    assert_eq!(flaw(short), r#"key "s": a secret needs 32 bytes or more"#);
    let mut set: Value = serde_json::from_str(SET).unwrap();
    let first = set["keys"][0].clone();
    set["keys"].as_array_mut().unwrap().push(first);
    assert_eq!(flaw(&set.to_string()), r#"key "rsa": the kid is used twice"#);
    let padded = format!("{}{}", " ".repeat(limits::KEY_SET_BYTES_MAX), SET);
    assert!(flaw(&padded).contains("it is longer than"));
}

#[test]
fn keys_for_other_things_take_no_place_of_those_that_sign() {
    let set: Value = serde_json::from_str(SET).unwrap();
    let [rsa, ec, .., for_encryption] = set["keys"].as_array().unwrap().as_slice() else { panic!("keys") };
    let named = |key: &Value, kid: String| {
        let mut key = key.clone();
        key["kid"] = json!(kid);
        key
    };
    let others = |count: usize| (0..count).map(|n| named(for_encryption, format!("enc-{n}")));
    let text = |keys: Vec<Value>| json!({ "keys": keys }).to_string();
    let read = IdentityKeys::read(&text(others(100).chain([rsa.clone()]).collect())).expect("a good set");
    assert!(read.has("rsa") && !read.has("enc-0"));
    let signing = |count: usize| (0..count).map(|n| named(ec, format!("ec-{n}"))).collect();
    let max = limits::IDENTITY_KEYS_MAX;
    let read = IdentityKeys::read(&text(signing(max))).expect("as many as may be");
    assert!(read.has(&format!("ec-{}", max - 1)));
    let flaw = IdentityKeys::read(&text(signing(max + 1))).expect_err("one too many");
    assert_eq!(flaw.to_string(), "has more than 64 keys for signatures");
}
