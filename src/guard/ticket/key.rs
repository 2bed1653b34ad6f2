//! One signing key: its name, its algorithm, and its secret or the public half of one.

use std::fmt;

use data_encoding::{BASE64URL, BASE64URL_NOPAD};
use ring::signature::KeyPair;

use crate::limits::SECRET_BYTES_MIN;

const KID_BYTES_MAX: usize = 64;

/// A secret. It is written into the key file and nowhere else; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// The bytes to sign with.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn random() -> Self {
        Self(Box::new(rand::random::<[u8; SECRET_BYTES_MIN]>()))
    }

    /// Reads base64url, with or without padding. The value is a [`toml::Value`] so that no parser's error
    /// message can quote it.
    pub(super) fn read(value: Option<toml::Value>) -> Result<Self, KeyFlaw> {
        let Some(value) = value else { return Err(KeyFlaw::SecretMissing) };
        let text = value.as_str().ok_or(KeyFlaw::SecretEncoding)?.as_bytes();
        let bytes = BASE64URL_NOPAD
            .decode(text)
            .or_else(|_| BASE64URL.decode(text))
            .map_err(|_| KeyFlaw::SecretEncoding)?;
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(KeyFlaw::SecretShort { len: bytes.len() });
        }
        Ok(Self(bytes.into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// How a key signs. Fixed by the key file; a ticket that says otherwise is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// Ed25519: whoever checks need not be able to mint.
    EdDsa,
}

impl Algorithm {
    /// The name in a ticket's header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::EdDsa => "EdDSA",
        }
    }

    fn read(name: &str) -> Result<Self, KeyFlaw> {
        let known = [Self::Hs256, Self::EdDsa].into_iter().find(|known| known.name() == name);
        known.ok_or_else(|| KeyFlaw::AlgorithmUnknown(name.into()))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One key that tickets may be signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketKey {
    kid: String,
    algorithm: Algorithm,
    /// Nothing where another one mints and this service only checks.
    secret: Option<Secret>,
    /// Of an `EdDSA` key.
    public: Option<PublicKey>,
}

/// The public half of an Ed25519 key.
pub type PublicKey = [u8; 32];

impl TicketKey {
    pub(super) fn generate(kid: &str, algorithm: Algorithm) -> Self {
        Self { kid: kid.into(), algorithm, secret: Some(Secret::random()), public: None }
    }

    pub(super) fn read(
        kid: String,
        alg: &str,
        secret: Option<toml::Value>,
        public: Option<&toml::Value>,
    ) -> Result<Self, KeyFlaw> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        if kid.is_empty() || kid.len() > KID_BYTES_MAX || !kid.bytes().all(plain) {
            return Err(KeyFlaw::Kid);
        }
        let algorithm = Algorithm::read(alg)?;
        match algorithm {
            Algorithm::Hs256 if public.is_some() => Err(KeyFlaw::PublicUnfit),
            Algorithm::Hs256 => {
                Ok(Self { kid, algorithm, secret: Some(Secret::read(secret)?), public: None })
            }
            Algorithm::EdDsa => {
                let secret = if secret.is_some() { Some(Secret::read(secret)?) } else { None };
                let given = public.map(read_public).transpose()?;
                let derived = secret.as_ref().map(public_of).transpose()?;
                if given.is_some() && derived.is_some() && given != derived {
                    return Err(KeyFlaw::PublicUnfit);
                }
                let public = derived.or(given).ok_or(KeyFlaw::SecretMissing)?;
                Ok(Self { kid, algorithm, secret, public: Some(public) })
            }
        }
    }

    /// The name by which a ticket's header calls the key.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// How the key signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What the key signs with; nothing where another one mints. Of an `EdDSA` key it is the seed.
    #[must_use]
    pub fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// What an `EdDSA` key is checked with.
    #[must_use]
    pub fn public(&self) -> Option<&PublicKey> {
        self.public.as_ref()
    }
}

/// Reads a public key: base64url, with or without padding.
fn read_public(value: &toml::Value) -> Result<PublicKey, KeyFlaw> {
    let text = value.as_str().ok_or(KeyFlaw::PublicUnfit)?.as_bytes();
    let bytes = BASE64URL_NOPAD.decode(text).or_else(|_| BASE64URL.decode(text));
    bytes.ok().and_then(|bytes| bytes.try_into().ok()).ok_or(KeyFlaw::PublicUnfit)
}

/// The public half of a seed.
fn public_of(seed: &Secret) -> Result<PublicKey, KeyFlaw> {
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(seed.bytes())
        .map_err(|_| KeyFlaw::SeedLength)?;
    pair.public_key().as_ref().try_into().map_err(|_| KeyFlaw::PublicUnfit)
}

/// What is wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFlaw {
    /// `kid` is empty, too long, or has characters that a header would have to escape.
    #[error("kid must have 1 to {KID_BYTES_MAX} letters, digits, '-', '_', '.' or ':'")]
    Kid,
    /// Another key has the same `kid`.
    #[error("kid is used twice")]
    KidTwice,
    /// `alg` is not supported.
    #[error("alg {0:?} is unknown, takes \"HS256\" or \"EdDSA\"")]
    AlgorithmUnknown(String),
    /// There is no secret, and no public key either.
    #[error("secret is missing")]
    SecretMissing,
    /// The secret is no base64url text.
    #[error("secret is not base64url")]
    SecretEncoding,
    /// The secret has too few bytes.
    #[error("secret has {len} bytes, needs at least {SECRET_BYTES_MIN}")]
    SecretShort {
        /// The bytes found.
        len: usize,
    },
    /// The secret also signs vouchers or other tickets.
    #[error("secret is used twice; every key and voucher_secret need one of their own")]
    SecretTwice,
    /// `public` is no Ed25519 key, not the secret's, or stands at a key that has none.
    #[error("public is not the 32 bytes of this key's public half in base64url (EdDSA alone has one)")]
    PublicUnfit,
    /// The secret of an `EdDSA` key is its seed.
    #[error("an EdDSA secret has 32 bytes")]
    SeedLength,
    /// The key is marked with `sign = true` and has no secret.
    #[error("sign = true needs a secret")]
    SignWithoutSecret,
    /// Another key is marked with `sign = true` too.
    #[error("sign = true stands at more than one key")]
    SignTwice,
}
