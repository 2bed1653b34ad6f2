//! Identities for rehearsals: a key set that a desk is told to believe, and tokens signed with it.
//!
//! No error quotes a secret.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{clock, scenario::Identity};

const FILE_BYTES_MAX: u64 = 1 << 20;
const SECRET_BYTES: usize = 32;
/// How long a token is good for.
const GOOD_FOR: Duration = Duration::from_secs(600);

/// Makes a key set for a rehearsal.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// Where it is written, as a JSON Web Key Set with one shared secret; nothing may be there
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Makes a key set with a secret of its own. A service that is told to believe it (`desk.keys_file`) believes whoever has
/// the file: it is for rehearsals alone.
///
/// # Errors
/// The file is there already, or cannot be written.
pub fn run(args: &KeysArgs) -> Result<()> {
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>());
    let key = json!({ "kty": "oct", "kid": "rehearsal", "use": "sig", "alg": "HS256", "k": secret });
    let set = serde_json::to_string_pretty(&json!({ "keys": [key] }))? + "\n";
    let named = || format!("key set {}", args.out.display());
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&args.out).with_context(named)?;
    file.write_all(set.as_bytes()).with_context(named)
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    k: Option<String>,
}

/// Signs identity tokens.
pub(super) struct Issuer {
    header: Header,
    key: EncodingKey,
}

impl Issuer {
    /// Takes the first shared secret of a key set.
    ///
    /// # Errors
    /// The file cannot be read, is no key set, or has no shared secret.
    pub(super) fn load(path: &Path) -> Result<Self> {
        let named = || format!("key set {}", path.display());
        let mut text = String::new();
        // What is longer is not read further: it may have no end.
        let file = File::open(path).with_context(named)?;
        let length = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).with_context(named)?;
        ensure!(length as u64 <= FILE_BYTES_MAX, "{}: is longer than {FILE_BYTES_MAX} bytes", named());
        Self::parse(&text).with_context(named)
    }

    fn parse(text: &str) -> Result<Self> {
        let set: KeySet = serde_json::from_str(text)
            .map_err(|error| anyhow::anyhow!("is no JSON Web Key Set: line {}", error.line()))?;
        let shared = set.keys.into_iter().find(|key| key.kty == "oct");
        let key =
            shared.context("has no shared secret (\"kty\": \"oct\"): nothing here can sign with another")?;
        let kid = key.kid.context("its shared secret has no kid")?;
        let secret = key.k.and_then(|k| URL_SAFE_NO_PAD.decode(k).ok());
        let secret = secret.filter(|secret| secret.len() >= SECRET_BYTES);
        let secret =
            secret.with_context(|| format!("key {kid:?}: k is not base64url of 32 bytes or more"))?;
        let header = Header { kid: Some(kid), ..Header::new(Algorithm::HS256) };
        Ok(Self { header, key: EncodingKey::from_secret(&secret) })
    }

    /// A token of this account, good from now on. `phone` is what it shows beside.
    ///
    /// # Errors
    /// It cannot be signed.
    pub(super) fn token(&self, account: &str, phone: Option<&str>, says: &Identity) -> Result<String> {
        let now = clock::unix_now();
        let mut claims = json!({ "sub": account, "exp": (now + GOOD_FOR).as_secs() });
        let since = says.account_age.map(|age| now.saturating_sub(age).as_secs());
        let more = [
            ("dims", phone.map(|phone| json!({ "phone": phone }))),
            ("region", says.region.as_deref().map(Value::from)),
            ("account_since", since.map(Value::from)),
        ];
        if let Some(claims) = claims.as_object_mut() {
            claims.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        }
        Ok(encode(&self.header, &claims, &self.key)?)
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;

    #[test]
    fn a_key_set_is_made_once_and_signs_what_people_are() {
        let folder = tempfile::tempdir().unwrap();
        let args = KeysArgs { out: folder.path().join("keys.json") };
        run(&args).unwrap();
        let text = std::fs::read_to_string(&args.out).unwrap();
        assert!(format!("{:#}", run(&args).unwrap_err()).contains("keys.json"), "nothing is written over");
        let issuer = Issuer::load(&args.out).unwrap();
        let says = Identity {
            region: Some("530100".into()),
            account_age: Some(Duration::from_secs(86_400)),
            ..Identity::default()
        };
        let token = issuer.token("person-1", Some("phone-1"), &says).unwrap();
        let set: Value = serde_json::from_str(&text).unwrap();
        let secret = URL_SAFE_NO_PAD.decode(set["keys"][0]["k"].as_str().unwrap()).unwrap();
        let read = decode::<Value>(&token, &DecodingKey::from_secret(&secret), &Validation::default());
        let read = read.unwrap();
        assert_eq!(read.header.kid.as_deref(), Some("rehearsal"));
        let claims = read.claims;
        assert_eq!((&claims["sub"], &claims["dims"]["phone"]), (&"person-1".into(), &"phone-1".into()));
        assert_eq!((&claims["region"], claims["account_since"].is_u64()), (&"530100".into(), true));
        let bare = issuer.token("a", None, &Identity::default()).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(bare.split('.').nth(1).unwrap()).unwrap();
        assert!(!String::from_utf8(payload).unwrap().contains("dims"));
    }

    #[test]
    fn a_wrong_key_set_says_what_is_wrong() {
        for (text, why) in [
            ("{", "is no JSON Web Key Set: line 1"),
            (r#"{"keys":[{"kty":"RSA","kid":"r"}]}"#, "has no shared secret"),
            (r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#, "its shared secret has no kid"),
            (
                r#"{"keys":[{"kty":"oct","kid":"s","k":"c2hvcnQ"}]}"#,
                "key \"s\": k is not base64url of 32 bytes",
            ),
        ] {
            let error = format!("{:#}", Issuer::parse(text).err().unwrap());
            assert!(error.contains(why) && !error.contains("c2hvcnQ"), "{error}");
        }
    }
}
