//! Minting: new tickets for one person or for many, signed with the key file's signing key.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Algorithm, KeyFile};
use crate::clock::UnixMs;
use crate::domain::ids::{DropId, IdError, PersonId, check_person};
use crate::limits::{MINT_TICKETS_MAX, TICKET_VALID_MAX};
use crate::outfile::OutFile;

/// Why tickets could not be minted.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The drop's id is none.
    #[error("drop {text:?} {cause}")]
    Drop {
        /// What was given.
        text: String,
        /// Why it is refused.
        cause: IdError,
    },
    /// The person's id is none.
    #[error("user {text:?} {cause}")]
    Person {
        /// What was given.
        text: String,
        /// Why it is refused.
        cause: IdError,
    },
    /// None or too many tickets were asked for.
    #[error("count must be 1 to {MINT_TICKETS_MAX}, is {0}")]
    Count(u32),
    /// The tickets would end at once, or hardly ever.
    #[error("tickets must be valid for 1 s to {} s, not {} s", TICKET_VALID_MAX.as_secs(), .0.as_secs_f64())]
    ValidFor(Duration),
    /// The tickets could not be written.
    #[error("{}: cannot be written: {cause}", path.display())]
    File {
        /// Where to.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The output stopped taking tickets.
    #[error("the tickets cannot be written: {0}")]
    Output(#[from] io::Error),
    /// The library could not sign.
    #[error("a ticket cannot be signed: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// What stands before the seed in the PKCS #8 form of an Ed25519 key.
/// Source: RFC 8410, section 7
const ED25519_PKCS8: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Signs new tickets.
#[derive(Debug)]
pub struct TicketMint {
    header: Header,
    key: EncodingKey,
}

#[derive(Serialize)]
struct NewClaims<'a> {
    sub: &'a str,
    drop: &'a str,
    nbf: i64,
    exp: i64,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dev: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
}

/// What a ticket is bound to, beside its drop.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// Who may claim.
    pub person: &'a str,
    /// From when, cut to whole seconds.
    pub from_ms: UnixMs,
    /// Until when, cut to whole seconds.
    pub until_ms: UnixMs,
    /// The hash of the device, [`device_hash`].
    pub device: Option<&'a str>,
    /// Where the person is at home.
    pub region: Option<&'a str>,
}

impl TicketMint {
    /// A mint for the signing key of `keys`.
    #[must_use]
    pub fn new(keys: &KeyFile) -> Self {
        let key = keys.signing();
        // The key file has a signing key with a secret, or it is refused.
        let secret = key.secret().map_or(&[][..], |secret| secret.bytes());
        let (algorithm, encoding) = match key.algorithm() {
            Algorithm::Hs256 => (jsonwebtoken::Algorithm::HS256, EncodingKey::from_secret(secret)),
            Algorithm::EdDsa => {
                let private = [ED25519_PKCS8, secret].concat();
                (jsonwebtoken::Algorithm::EdDSA, EncodingKey::from_ed_der(&private))
            }
        };
        let header = Header { kid: Some(key.kid().into()), ..Header::new(algorithm) };
        Self { header, key: encoding }
    }

    /// A ticket for `person` in `drop`, valid from `now_ms` for `valid_for`, both cut to whole seconds, and
    /// with a random id. Whether the drop exists is not asked.
    ///
    /// # Errors
    /// [`MintError::Sign`] when the library cannot sign.
    pub fn mint(
        &self,
        person: &PersonId,
        drop: &DropId,
        now_ms: UnixMs,
        valid_for: Duration,
    ) -> Result<String, MintError> {
        self.sign(person.as_str(), drop, now_ms, valid_for)
    }

    /// Writes `count` tickets, one a line, for the persons `<prefix>000000`, `<prefix>000001` and so on.
    ///
    /// # Errors
    /// [`MintError::Count`] or [`MintError::Person`] before anything is written; later what stopped it.
    pub fn mint_many(
        &self,
        prefix: &str,
        count: u32,
        drop: &DropId,
        now_ms: UnixMs,
        valid_for: Duration,
        out: &mut impl Write,
    ) -> Result<(), MintError> {
        if count == 0 || count > MINT_TICKETS_MAX {
            return Err(MintError::Count(count));
        }
        let numbered = |index: u32| format!("{prefix}{index:06}");
        check(&numbered(count - 1))?;
        for index in 0..count {
            let ticket = self.sign(&numbered(index), drop, now_ms, valid_for)?;
            out.write_all(ticket.as_bytes())?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn sign(
        &self,
        person: &str,
        drop: &DropId,
        now_ms: UnixMs,
        valid_for: Duration,
    ) -> Result<String, MintError> {
        let valid_ms = i64::try_from(valid_for.as_secs()).unwrap_or(i64::MAX).saturating_mul(1_000);
        let from_ms = now_ms.div_euclid(1_000).saturating_mul(1_000);
        let until_ms = from_ms.saturating_add(valid_ms);
        self.mint_pass(drop, &Pass { person, from_ms, until_ms, device: None, region: None })
    }

    /// A ticket that is bound to all that `pass` says, with a random id.
    ///
    /// # Errors
    /// [`MintError::Sign`] when the library cannot sign.
    pub fn mint_pass(&self, drop: &DropId, pass: &Pass<'_>) -> Result<String, MintError> {
        let jti = BASE64URL_NOPAD.encode(&rand::random::<[u8; 16]>());
        let claims = NewClaims {
            sub: pass.person,
            drop: drop.as_str(),
            nbf: pass.from_ms.div_euclid(1_000),
            exp: pass.until_ms.div_euclid(1_000),
            jti: &jti,
            dev: pass.device,
            region: pass.region,
        };
        Ok(jsonwebtoken::encode(&self.header, &claims, &self.key)?)
    }
}

/// What a ticket says of a device: the first half of the SHA-256 of the name that the device gave itself, base64url.
#[must_use]
pub fn device_hash(device: &[u8]) -> String {
    let digest = Sha256::digest(device);
    BASE64URL_NOPAD.encode(digest.first_chunk::<16>().map_or(&[][..], |half| half))
}

fn check(person: &str) -> Result<(), MintError> {
    check_person(person).map_err(|cause| MintError::Person { text: person.into(), cause })
}

/// For whom tickets are asked.
#[derive(Debug, Clone, Copy)]
pub enum Persons<'a> {
    /// One person.
    One(&'a str),
    /// `<prefix>000000`, `<prefix>000001` and so on.
    Numbered {
        /// What every person's id begins with.
        prefix: &'a str,
        /// How many, 1 to [`MINT_TICKETS_MAX`].
        count: u32,
    },
}

/// What `claimrush ticket mint` was asked for.
#[derive(Debug, Clone, Copy)]
pub struct MintRequest<'a> {
    /// The drop's id.
    pub drop: &'a str,
    /// For whom.
    pub persons: Persons<'a>,
    /// How long the tickets are valid.
    pub valid_for: Duration,
    /// The file that they go to; without one they go to the standard output.
    pub out: Option<&'a Path>,
}

/// Mints what `request` asks for, one ticket a line, to its file or else to `stdout`. The file gets mode 0600
/// and appears whole or not at all, in place of an older one.
///
/// # Errors
/// [`MintError`] names what was wrong with the request, or what could not be written.
pub fn run(
    keys: &KeyFile,
    request: &MintRequest<'_>,
    now_ms: UnixMs,
    stdout: impl Write,
) -> Result<(), MintError> {
    let Some(path) = request.out else {
        return write(keys, request, now_ms, stdout);
    };
    let failed = |cause| MintError::File { path: path.into(), cause };
    let file = OutFile::create(path).map_err(failed)?;
    write(keys, request, now_ms, file.file()).map_err(|error| match error {
        MintError::Output(cause) => failed(cause),
        other => other,
    })?;
    file.finish().map_err(failed)
}

fn write(
    keys: &KeyFile,
    request: &MintRequest<'_>,
    now_ms: UnixMs,
    out: impl Write,
) -> Result<(), MintError> {
    let drop =
        DropId::new(request.drop).map_err(|cause| MintError::Drop { text: request.drop.into(), cause })?;
    if request.valid_for < Duration::from_secs(1) || request.valid_for > TICKET_VALID_MAX {
        return Err(MintError::ValidFor(request.valid_for));
    }
    let mint = TicketMint::new(keys);
    let mut out = BufWriter::with_capacity(64 * 1024, out);
    match request.persons {
        Persons::One(person) => {
            check(person)?;
            writeln!(out, "{}", mint.sign(person, &drop, now_ms, request.valid_for)?)?;
        }
        Persons::Numbered { prefix, count } => {
            mint.mint_many(prefix, count, &drop, now_ms, request.valid_for, &mut out)?;
        }
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::guard::ticket::{Scratch, TicketVerifier};

    const NOW_MS: UnixMs = 1_700_000_000_999;

    fn request<'a>(persons: Persons<'a>, out: Option<&'a Path>) -> MintRequest<'a> {
        MintRequest { drop: "caiyun-100-25", persons, valid_for: Duration::from_secs(60), out }
    }

    #[test]
    fn many_tickets_go_to_a_private_file_one_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tickets.txt");
        std::fs::write(&path, "older").expect("own folder");
        let keys = KeyFile::generate();
        let mut stdout = Vec::new();
        let persons = Persons::Numbered { prefix: "user-", count: 1_000 };
        run(&keys, &request(persons, Some(&path)), NOW_MS, &mut stdout).expect("minted");
        assert!(stdout.is_empty());
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).expect("a text");
        let verifier = TicketVerifier::new(&keys, 0);
        let mut scratch = Scratch::new();
        let mut ids = std::collections::HashSet::new();
        for (index, line) in text.lines().enumerate() {
            let ticket = verifier.verify(line, "caiyun-100-25", NOW_MS, &mut scratch).expect("good");
            assert_eq!(ticket.person, format!("user-{index:06}"));
            assert_eq!(ticket.expires_at_ms, 1_700_000_060_000);
            assert!(ids.insert(ticket.ticket_id.expect("a jti").into_owned()), "every jti is new");
        }
        assert_eq!(ids.len(), 1_000);
    }

    #[test]
    fn one_ticket_goes_to_the_output() {
        let mut stdout = Vec::new();
        run(&KeyFile::generate(), &request(Persons::One("ann"), None), NOW_MS, &mut stdout).expect("minted");
        let text = String::from_utf8(stdout).expect("a text");
        assert_eq!((text.lines().count(), text.ends_with('\n')), (1, true));
    }

    #[test]
    fn a_bad_request_is_named_and_leaves_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tickets.txt");
        let prefix = "x".repeat(123);
        let one = request(Persons::One("ann"), Some(&path));
        let many = |prefix, count| request(Persons::Numbered { prefix, count }, Some(&path));
        for (bad, message) in [
            (MintRequest { drop: "Caiyun", ..one }, "drop \"Caiyun\" may not contain 'C'".to_owned()),
            (request(Persons::One("a b"), Some(&path)), "user \"a b\" may not contain ' '".into()),
            (many("u-", 0), "count must be 1 to 10000000, is 0".into()),
            (many(&prefix, 1), format!("user \"{prefix}000000\" must have 1 to 128 characters, has 129")),
            (
                MintRequest { valid_for: Duration::from_millis(999), ..one },
                "tickets must be valid for 1 s to 315619200 s, not 0.999 s".into(),
            ),
        ] {
            let error = run(&KeyFile::generate(), &bad, NOW_MS, io::sink()).expect_err("refused");
            assert_eq!(error.to_string(), message);
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        let nowhere = folder.path().join("no/such/folder");
        let error =
            run(&KeyFile::generate(), &request(Persons::One("ann"), Some(&nowhere)), NOW_MS, io::sink());
        assert!(matches!(error, Err(MintError::File { path, .. }) if path == nowhere));
    }
}
