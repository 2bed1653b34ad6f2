//! The service's ticket key file, read for its signing key.
//!
//! ```toml
//! voucher_secret = "<base64url>"
//! [[key]]
//! kid = "k1"
//! alg = "HS256"
//! secret = "<base64url, 32 bytes or more>"
//! sign = true    # signs new tickets; without it the first key does
//! ```
//!
//! No error quotes a secret.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use base64::{
    Engine,
    engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD},
};
use serde::Deserialize;

const FILE_BYTES_MAX: u64 = 64 * 1024;
const SECRET_BYTES_MIN: usize = 32;
const KID_BYTES_MAX: usize = 64;
/// The algorithm that tickets are minted with here.
const MINTING: &str = "HS256";

/// The key that new tickets are signed with.
pub(crate) struct SigningKey {
    /// Its name in a ticket's header.
    pub(crate) kid: String,
    /// Its secret, as base64url without padding.
    pub(crate) secret: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(rename = "voucher_secret")]
    _voucher_secret: Option<toml::Value>,
    #[serde(rename = "voucher_secrets_old")]
    _voucher_secrets_old: Option<toml::Value>,
    #[serde(rename = "identity_secret")]
    _identity_secret: Option<toml::Value>,
    #[serde(default)]
    key: Vec<RawKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    kid: String,
    alg: String,
    secret: Option<toml::Value>,
    /// Of `EdDSA` keys, with which nothing is minted here.
    #[serde(rename = "public")]
    _public: Option<toml::Value>,
    #[serde(default)]
    sign: bool,
}

impl SigningKey {
    /// Reads a key file.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong; the error names the file, the key and the cause.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let named = || format!("key file {}", PathBuf::from(path).display());
        let mut text = String::new();
        let file = File::open(path).with_context(named)?;
        let length = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).with_context(named)?;
        if length as u64 > FILE_BYTES_MAX {
            bail!("{}: is longer than {FILE_BYTES_MAX} bytes", named());
        }
        Self::parse(&text).with_context(named)
    }

    fn parse(text: &str) -> Result<Self> {
        let raw: RawFile = toml::from_str(text).map_err(|error| syntax(text, &error))?;
        for key in &raw.key {
            key.check().with_context(|| format!("key {:?}", key.kid))?;
        }
        ensure!(
            raw.key.iter().filter(|key| key.sign).count() <= 1,
            "sign = true stands at more than one key"
        );
        let minting = || raw.key.iter().find(|key| key.alg == MINTING);
        let signing = raw.key.iter().find(|key| key.sign).or_else(minting);
        let key = signing.context("has no [[key]] of HS256")?;
        ensure!(
            key.alg == MINTING,
            "key {:?} signs with {}; tickets are minted here with {MINTING}",
            key.kid,
            key.alg
        );
        Ok(Self { kid: key.kid.clone(), secret: URL_SAFE_NO_PAD.encode(key.secret()?) })
    }
}

impl RawKey {
    fn check(&self) -> Result<()> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        ensure!(
            (1..=KID_BYTES_MAX).contains(&self.kid.len()) && self.kid.bytes().all(plain),
            "kid must have 1 to {KID_BYTES_MAX} letters, digits, '-', '_', '.' or ':'"
        );
        if self.alg == "EdDSA" {
            return Ok(());
        }
        ensure!(self.alg == MINTING, "alg {:?} is unknown, takes \"HS256\" or \"EdDSA\"", self.alg);
        self.secret().map(drop)
    }

    fn secret(&self) -> Result<Vec<u8>> {
        let value = self.secret.as_ref().context("secret is missing")?;
        let text = value.as_str().context("secret is not base64url")?;
        let secret = URL_SAFE_NO_PAD.decode(text).or_else(|_| URL_SAFE.decode(text));
        // The decoder's own error would quote a character of the secret.
        let Ok(secret) = secret else { bail!("secret is not base64url") };
        ensure!(
            secret.len() >= SECRET_BYTES_MIN,
            "secret has {} bytes, needs at least {SECRET_BYTES_MIN}",
            secret.len()
        );
        Ok(secret)
    }
}

/// The parser's own rendering would print the offending line, and with it a secret.
fn syntax(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    anyhow::anyhow!("line {}: {}", before.matches('\n').count() + 1, error.message().replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";

    fn key(kid: &str, more: &str) -> String {
        format!("[[key]]\nkid = \"{kid}\"\nalg = \"HS256\"\nsecret = \"{SECRET}\"\n{more}\n")
    }

    #[test]
    fn the_signing_key_or_else_the_first_is_taken() {
        let text = format!("voucher_secret = \"{SECRET}\"\n{}{}", key("a", ""), key("b", ""));
        assert_eq!(SigningKey::parse(&text).unwrap().kid, "a");
        let text = format!("{}{}", key("a", ""), key("b", "sign = true"));
        let key = SigningKey::parse(&text).unwrap();
        assert_eq!((key.kid.as_str(), key.secret.as_str()), ("b", SECRET));
    }

    #[test]
    fn a_bad_file_is_named_by_its_cause_and_gives_nothing_away() {
        let error = |text: &str| format!("{:#}", SigningKey::parse(text).err().unwrap());
        for (text, cause) in [
            (String::new(), "has no [[key]]"),
            (key("a", "colour = \"red\""), "line 5: unknown field `colour`"),
            (key("a b", ""), "key \"a b\": kid must have"),
            (key("a", "").replace("HS256", "none"), "alg \"none\" is unknown"),
            (key("a", "").replace(SECRET, "MDEy"), "secret has 3 bytes"),
            (key("a", "").replace(SECRET, "!!"), "secret is not base64url"),
            ("[[key]]\nkid = \"a\"\nalg = \"HS256\"".into(), "secret is missing"),
            (key("a", "sign = true") + &key("b", "sign = true"), "more than one key"),
        ] {
            let said = error(&text);
            assert!(said.contains(cause), "{said}");
            assert!(!said.contains(SECRET), "{said}");
        }
    }
}
