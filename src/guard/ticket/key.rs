//! One signing key: its name, its algorithm and its secret.

use std::fmt;

use data_encoding::{BASE64URL, BASE64URL_NOPAD};

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
}

impl Algorithm {
    /// The name in a ticket's header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
        }
    }

    fn read(name: &str) -> Result<Self, KeyFlaw> {
        if name == Self::Hs256.name() { Ok(Self::Hs256) } else { Err(KeyFlaw::AlgorithmUnknown(name.into())) }
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
    secret: Secret,
}

impl TicketKey {
    pub(super) fn generate(kid: &str, algorithm: Algorithm) -> Self {
        Self { kid: kid.into(), algorithm, secret: Secret::random() }
    }

    pub(super) fn read(kid: String, alg: &str, secret: Option<toml::Value>) -> Result<Self, KeyFlaw> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        if kid.is_empty() || kid.len() > KID_BYTES_MAX || !kid.bytes().all(plain) {
            return Err(KeyFlaw::Kid);
        }
        Ok(Self { kid, algorithm: Algorithm::read(alg)?, secret: Secret::read(secret)? })
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

    /// What the key signs with.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
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
    #[error("alg {0:?} is unknown, takes \"HS256\"")]
    AlgorithmUnknown(String),
    /// There is no secret.
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
    /// Another key is marked with `sign = true` too.
    #[error("sign = true stands at more than one key")]
    SignTwice,
}
