//! The key file, `ticket.key`: the secrets that tickets and voucher codes are signed with.
//!
//! ```toml
//! voucher_secret = "<base64url, 32 bytes or more>"
//! voucher_secrets_old = ["…"]    # codes that were signed with these are still believed
//! identity_secret = "…"          # what persons are named with at the desk; without it the oldest voucher secret
//! [[key]]
//! kid = "k1"
//! alg = "HS256"
//! secret = "<base64url, 32 bytes or more>"
//! sign = true    # mints new tickets; without it the first key with a secret does
//! [[key]]
//! kid = "partner"
//! alg = "EdDSA"
//! public = "<base64url, 32 bytes>"    # a partner mints with the other half
//! ```

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

use super::key::{Algorithm, KeyFlaw, Secret, TicketKey};
use crate::limits::{KEY_FILE_BYTES_MAX, TICKET_KEYS_MAX};

/// The key file's name in the data folder.
pub const KEY_FILE_NAME: &str = "ticket.key";

/// A key file that was read and checked whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    voucher_secret: Secret,
    /// The newest first.
    voucher_secrets_old: Vec<Secret>,
    identity_secret: Option<Secret>,
    keys: Vec<TicketKey>,
    signing: TicketKey,
}

/// Why a key file cannot be used: one line that names the file, the key and the cause, and quotes no secret.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub cause: KeyFileCause,
}

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileCause {
    /// Opening or reading it failed.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// It was missing and could not be made.
    #[error("cannot be made: {0}")]
    Make(io::Error),
    /// Its group or others may read or change it.
    #[error("mode {mode:04o} lets others at it; run: chmod 600 {}", path.display())]
    Mode {
        /// The permission bits found.
        mode: u32,
        /// The file.
        path: PathBuf,
    },
    /// Longer than [`KEY_FILE_BYTES_MAX`].
    #[error("is longer than {KEY_FILE_BYTES_MAX} bytes")]
    TooLong,
    /// Not the TOML that is expected.
    #[error("line {line}: {message}")]
    Syntax {
        /// The line, counted from 1.
        line: usize,
        /// The parser's message.
        message: String,
    },
    /// No `[[key]]` at all, or more than [`TICKET_KEYS_MAX`].
    #[error("has {0} keys, takes 1 to {TICKET_KEYS_MAX}")]
    Count(usize),
    /// No key has a secret to mint with.
    #[error("has no key with a secret: one is needed to mint tickets")]
    NoSecret,
    /// `voucher_secret` is missing, malformed or short.
    #[error("voucher_secret: {0}")]
    Voucher(KeyFlaw),
    /// One of `voucher_secrets_old` is malformed or short.
    #[error("voucher_secrets_old: {0}")]
    VoucherOld(KeyFlaw),
    /// `identity_secret` is malformed or short.
    #[error("identity_secret: {0}")]
    Identity(KeyFlaw),
    /// A `[[key]]` cannot be used.
    #[error("key {kid:?}: {flaw}")]
    Key {
        /// The key's `kid`.
        kid: String,
        /// What is wrong with it.
        flaw: KeyFlaw,
    },
}

impl KeyFileError {
    /// Whether it may be over without any change of the file: it was not read at all.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(&self.cause, KeyFileCause::Read(error) if error.kind() != io::ErrorKind::InvalidData)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    voucher_secret: Option<toml::Value>,
    #[serde(default)]
    voucher_secrets_old: Vec<toml::Value>,
    identity_secret: Option<toml::Value>,
    #[serde(default)]
    key: Vec<RawKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    kid: String,
    alg: String,
    secret: Option<toml::Value>,
    public: Option<toml::Value>,
    #[serde(default)]
    sign: bool,
}

impl KeyFile {
    /// Fresh random secrets under the one key `k1`.
    #[must_use]
    pub fn generate() -> Self {
        let signing = TicketKey::generate("k1", Algorithm::Hs256);
        Self {
            voucher_secret: Secret::random(),
            voucher_secrets_old: Vec::new(),
            identity_secret: None,
            keys: vec![signing.clone()],
            signing,
        }
    }

    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// [`KeyFileError`] names the file, the key and the cause. A file that others may read or change is refused.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        read_private(path)
            .and_then(|text| Self::parse(&text))
            .map_err(|cause| KeyFileError { path: path.into(), cause })
    }

    /// Reads the file at `path`; makes it first, with random secrets and mode 0600, when it is missing. Of
    /// several processes that do so at once, all read the file of the first.
    ///
    /// # Errors
    /// As [`KeyFile::load`], or [`KeyFileCause::Make`].
    pub fn load_or_create(path: &Path) -> Result<Self, KeyFileError> {
        match Self::load(path) {
            Err(KeyFileError { cause: KeyFileCause::Read(error), .. })
                if error.kind() == io::ErrorKind::NotFound =>
            {
                match create_private(path, &Self::generate().to_toml()) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        Err(KeyFileError { path: path.into(), cause: KeyFileCause::Make(error) })
                    }
                    _ => Self::load(path),
                }
            }
            loaded => loaded,
        }
    }

    /// Reads and checks a key file's text.
    ///
    /// # Errors
    /// [`KeyFileCause`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, KeyFileCause> {
        let raw: RawFile = toml::from_str(text).map_err(|error| syntax(text, &error))?;
        let voucher_secret = Secret::read(raw.voucher_secret).map_err(KeyFileCause::Voucher)?;
        if raw.voucher_secrets_old.len() > TICKET_KEYS_MAX {
            return Err(KeyFileCause::Count(raw.voucher_secrets_old.len()));
        }
        let old = raw.voucher_secrets_old.into_iter().map(|value| Secret::read(Some(value)));
        let voucher_secrets_old = old.collect::<Result<_, _>>().map_err(KeyFileCause::VoucherOld)?;
        let identity_secret = match raw.identity_secret {
            None => None,
            value => Some(Secret::read(value).map_err(KeyFileCause::Identity)?),
        };
        if raw.key.len() > TICKET_KEYS_MAX {
            return Err(KeyFileCause::Count(raw.key.len()));
        }
        let mut keys: Vec<TicketKey> = Vec::with_capacity(raw.key.len());
        let mut signing = None;
        for raw_key in raw.key {
            let (kid, sign) = (raw_key.kid.clone(), raw_key.sign);
            let key = TicketKey::read(raw_key.kid, &raw_key.alg, raw_key.secret, raw_key.public.as_ref())
                .and_then(|key| check_unique(&key, &keys, &voucher_secret).map(|()| key))
                .and_then(|key| if sign && signing.is_some() { Err(KeyFlaw::SignTwice) } else { Ok(key) })
                .and_then(|key| {
                    if sign && key.secret().is_none() { Err(KeyFlaw::SignWithoutSecret) } else { Ok(key) }
                })
                .map_err(|flaw| KeyFileCause::Key { kid, flaw })?;
            if sign {
                signing = Some(key.clone());
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeyFileCause::Count(0));
        }
        let first = || keys.iter().find(|key| key.secret().is_some()).cloned();
        let signing = signing.or_else(first).ok_or(KeyFileCause::NoSecret)?;
        Ok(Self { voucher_secret, voucher_secrets_old, identity_secret, keys, signing })
    }

    /// What codes were signed with before, the newest first.
    #[must_use]
    pub fn voucher_secrets_old(&self) -> &[Secret] {
        &self.voucher_secrets_old
    }

    /// What persons and challenges are named and signed with at the desk. It must stay as long as a campaign runs.
    #[must_use]
    pub fn identity_secret(&self) -> &Secret {
        let oldest = self.voucher_secrets_old.last();
        self.identity_secret.as_ref().or(oldest).unwrap_or(&self.voucher_secret)
    }

    /// What voucher codes are signed with.
    #[must_use]
    pub fn voucher_secret(&self) -> &Secret {
        &self.voucher_secret
    }

    /// The keys that tickets may be signed with, in the file's order.
    #[must_use]
    pub fn keys(&self) -> &[TicketKey] {
        &self.keys
    }

    /// The key that new tickets are signed with.
    #[must_use]
    pub fn signing(&self) -> &TicketKey {
        &self.signing
    }

    fn to_toml(&self) -> String {
        let mut text = format!(
            "# Secrets of this service: keep this file at mode 0600. Whoever has it can mint tickets and vouchers.\n\
             voucher_secret = \"{}\"\n",
            BASE64URL_NOPAD.encode(self.voucher_secret.bytes())
        );
        for key in &self.keys {
            let secret =
                key.secret().map_or_else(String::new, |secret| BASE64URL_NOPAD.encode(secret.bytes()));
            text.push_str("\n[[key]]\nkid = \"");
            text.push_str(key.kid());
            text.push_str("\"\nalg = \"");
            text.push_str(key.algorithm().name());
            text.push_str("\"\nsecret = \"");
            text.push_str(&secret);
            text.push_str("\"\n");
        }
        text
    }
}

fn syntax(text: &str, error: &toml::de::Error) -> KeyFileCause {
    // The parser's own rendering would print the offending line, and with it a secret.
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    KeyFileCause::Syntax {
        line: before.matches('\n').count() + 1,
        message: without_text(&error.message().replace('\n', " ")),
    }
}

/// The message without the text that it quotes, which stands where something else is expected and may be a secret.
fn without_text(message: &str) -> String {
    let Some((before, quoted)) = message.split_once("string \"") else { return message.to_owned() };
    let after = quoted.rsplit_once('"').map_or("", |(_, after)| after);
    format!("{before}a text{after}")
}

fn check_unique(key: &TicketKey, others: &[TicketKey], voucher_secret: &Secret) -> Result<(), KeyFlaw> {
    if others.iter().any(|other| other.kid() == key.kid()) {
        return Err(KeyFlaw::KidTwice);
    }
    let Some(secret) = key.secret() else { return Ok(()) };
    if secret == voucher_secret || others.iter().any(|other| other.secret() == Some(secret)) {
        return Err(KeyFlaw::SecretTwice);
    }
    Ok(())
}

/// Reads a file that nobody else may read. The open file is asked for its mode, not the path, so that it
/// cannot be exchanged in between.
fn read_private(path: &Path) -> Result<String, KeyFileCause> {
    let file = File::open(path).map_err(KeyFileCause::Read)?;
    let mode = file.metadata().map_err(KeyFileCause::Read)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileCause::Mode { mode, path: path.into() });
    }
    let mut text = String::new();
    let len = file.take(KEY_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(KeyFileCause::Read)?;
    if u64::try_from(len).is_ok_and(|len| len > KEY_FILE_BYTES_MAX) {
        return Err(KeyFileCause::TooLong);
    }
    Ok(text)
}

/// Makes a file with mode 0600 that appears whole or not at all, and never replaces one.
fn create_private(path: &Path, text: &str) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // A folder that is not there is said as such; the temporary file's name would tell nobody anything.
    fs::metadata(folder)?;
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .map_err(|error| io::Error::from(error.kind()))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
