//! Tickets that are signed with Ed25519: believed by the public half alone, and by nothing else.

use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};

use super::*;
use crate::domain::ids::{DropId, PersonId};

const NOW_MS: i64 = 1_700_000_000_000;
const DROP: &str = "caiyun-100-25";

/// Base64url of 32 times the same byte.
fn bytes(byte: u8) -> String {
    data_encoding::BASE64URL_NOPAD.encode(&[byte; 32])
}

/// The public half of the seed of 32 times `byte`.
fn public(byte: u8) -> String {
    use ring::signature::KeyPair;
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[byte; 32]).unwrap();
    data_encoding::BASE64URL_NOPAD.encode(pair.public_key().as_ref())
}

fn minting() -> KeyFile {
    let text = format!(
        "voucher_secret = \"{}\"\n[[key]]\nkid = \"ed\"\nalg = \"EdDSA\"\nsecret = \"{}\"\n",
        bytes(1),
        bytes(2)
    );
    KeyFile::parse(&text).unwrap()
}

/// A file that can check `ed` and mint with a key of its own.
fn checking() -> KeyFile {
    let text = format!(
        "voucher_secret = \"{}\"\n[[key]]\nkid = \"ed\"\nalg = \"EdDSA\"\npublic = \"{}\"\n\
         [[key]]\nkid = \"own\"\nalg = \"HS256\"\nsecret = \"{}\"\n",
        bytes(3),
        public(2),
        bytes(4)
    );
    KeyFile::parse(&text).unwrap()
}

fn ticket(keys: &KeyFile) -> String {
    let (person, drop) = (PersonId::new("ann").unwrap(), DropId::new(DROP).unwrap());
    TicketMint::new(keys).mint(&person, &drop, NOW_MS, Duration::from_secs(600)).unwrap()
}

fn verify(keys: &KeyFile, token: &str) -> Result<String, TicketRefusal> {
    let mut scratch = Scratch::new();
    let ticket = TicketVerifier::new(keys, 0).verify(token, DROP, NOW_MS, &mut scratch)?;
    Ok(ticket.person.into_owned())
}

#[test]
fn whoever_has_the_public_half_believes_it() {
    let token = ticket(&minting());
    assert_eq!(verify(&minting(), &token), Ok("ann".to_owned()));
    assert_eq!(verify(&checking(), &token), Ok("ann".to_owned()));
    assert_eq!(checking().signing().kid(), "own", "what has no secret cannot mint");
    for at in (0..token.len()).step_by(7) {
        let mut changed = token.clone().into_bytes();
        changed[at] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(verify(&checking(), &changed).unwrap_err().code(), "ticket_invalid", "byte {at}");
    }
}

#[test]
fn its_public_half_is_no_secret_of_another_algorithm() {
    let (_, claims) = ticket(&minting()).split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let payload = claims.split('.').next().unwrap();
    let claims: serde_json::Value =
        serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap();
    let public = data_encoding::BASE64URL_NOPAD.decode(public(2).as_bytes()).unwrap();
    for (algorithm, kid) in [(jsonwebtoken::Algorithm::HS256, "ed"), (jsonwebtoken::Algorithm::HS256, "own")]
    {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
        let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&public)).unwrap();
        assert_eq!(verify(&checking(), &token).unwrap_err().code(), "ticket_invalid", "{kid}");
    }
}

#[test]
fn a_key_is_whole_or_refused() {
    let file = |key: &str| {
        let text = format!("voucher_secret = \"{}\"\n[[key]]\nkid = \"k\"\n{key}\n", bytes(1));
        KeyFile::parse(&text).unwrap_err().to_string()
    };
    for (key, why) in [
        (
            format!("alg = \"EdDSA\"\npublic = \"{}\"", public(2)),
            "has no key with a secret: one is needed to mint tickets",
        ),
        (
            format!("alg = \"EdDSA\"\npublic = \"{}\"\nsign = true", public(2)),
            "key \"k\": sign = true needs a secret",
        ),
        ("alg = \"EdDSA\"".to_owned(), "key \"k\": secret is missing"),
        (
            format!("alg = \"EdDSA\"\nsecret = \"{}\"\npublic = \"{}\"", bytes(2), public(5)),
            "key \"k\": public is not the 32 bytes of this key's public half in base64url (EdDSA alone has one)",
        ),
        (
            format!("alg = \"HS256\"\nsecret = \"{}\"\npublic = \"{}\"", bytes(2), public(2)),
            "key \"k\": public is not the 32 bytes of this key's public half in base64url (EdDSA alone has one)",
        ),
        (
            format!("alg = \"EdDSA\"\nsecret = \"{}\"", data_encoding::BASE64URL_NOPAD.encode(&[2; 33])),
            "key \"k\": an EdDSA secret has 32 bytes",
        ),
        (
            "alg = \"EdDSA\"\npublic = \"short\"".to_owned(),
            "key \"k\": public is not the 32 bytes of this key's public half in base64url (EdDSA alone has one)",
        ),
    ] {
        assert_eq!(file(&key), why, "{key}");
    }
}
