//! The secret that coordinator and workers share.
//!
//! Owns its reading and its comparison; it is never shown, not even by `Debug`.

use std::{
    fmt,
    fs::File,
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use hyper::header::HeaderValue;
use subtle::ConstantTimeEq;

/// The shortest token, in characters: sixteen random ones of base64 have 96 bits.
const CHARACTERS_MIN: usize = 16;
/// The longest token, in characters.
const CHARACTERS_MAX: usize = 1_024;
/// Permission bits of others and of the group.
const NOT_THE_OWNERS: u32 = 0o077;
const SCHEME: &str = "Bearer ";

/// A token, ready to be sent and to be compared.
#[derive(Clone)]
pub struct Token {
    /// `Bearer` and the token.
    authorization: HeaderValue,
}

impl Token {
    /// Reads a token file; spaces and line ends round the token are not part of it.
    ///
    /// # Errors
    /// The file cannot be read, can be read by others than its owner, or holds no token of 16 to 1,024 visible ASCII
    /// characters. No error quotes the token.
    pub fn load(path: &Path) -> Result<Self> {
        let named = || format!("token file {}", path.display());
        let mut file = File::open(path).with_context(named)?;
        let about = file.metadata().with_context(named)?;
        ensure!(about.is_file(), "{}: is not a file", named());
        let mode = about.permissions().mode();
        ensure!(
            mode & NOT_THE_OWNERS == 0,
            "{}: has mode {:04o}, so that others may read it (owner {}): chmod 600 it",
            named(),
            mode & 0o7777,
            about.uid()
        );
        let mut text = String::new();
        let bytes_max = CHARACTERS_MAX as u64 + 16;
        file.by_ref().take(bytes_max).read_to_string(&mut text).with_context(named)?;
        Self::new(text.trim()).with_context(named)
    }

    /// A token from its text.
    ///
    /// # Errors
    /// It has not 16 to 1,024 visible ASCII characters.
    pub fn new(text: &str) -> Result<Self> {
        ensure!(
            (CHARACTERS_MIN..=CHARACTERS_MAX).contains(&text.len()),
            "a token has {CHARACTERS_MIN} to {CHARACTERS_MAX} characters, not {}",
            text.chars().count()
        );
        ensure!(
            text.bytes().all(|byte| byte.is_ascii_graphic()),
            "a token has visible ASCII characters only, without spaces"
        );
        let mut authorization = HeaderValue::from_str(&format!("{SCHEME}{text}"))?;
        authorization.set_sensitive(true);
        Ok(Self { authorization })
    }

    /// The header that a call carries.
    pub(super) fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }

    /// Whether a call's header carries this token; takes as long for a wrong one as for the right one.
    pub(super) fn is(&self, authorization: Option<&HeaderValue>) -> bool {
        let given = authorization.map(HeaderValue::as_bytes).unwrap_or_default();
        self.authorization.as_bytes().ct_eq(given).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};

    use super::*;

    const TEXT: &str = "0123456789abcdef";

    fn load(text: &str, mode: u32) -> Result<Token> {
        let file = tempfile::NamedTempFile::new().unwrap();
        write(file.path(), text).unwrap();
        set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
        Token::load(file.path())
    }

    #[test]
    fn only_the_same_token_is_taken() {
        let token = load(&format!("{TEXT}\n"), 0o600).unwrap();
        let given = |text: &'static str| token.is(Some(&HeaderValue::from_static(text)));
        assert!(given("Bearer 0123456789abcdef"));
        assert!(!given("Bearer 0123456789abcdeg"));
        assert!(!given("Bearer 0123456789abcde"));
        assert!(!given("0123456789abcdef"));
        assert!(!token.is(None));
        assert!(!format!("{token:?} {:?}", token.authorization()).contains(TEXT));
    }

    #[test]
    fn a_bad_file_is_refused_by_its_cause() {
        for (text, mode, cause) in [
            (TEXT, 0o644, "has mode 0644"),
            (TEXT, 0o620, "chmod 600"),
            ("0123456789abcde", 0o600, "16 to 1024 characters, not 15"),
            ("0123456789 abcdef", 0o600, "without spaces"),
            ("", 0o400, "not 0"),
        ] {
            let error = format!("{:#}", load(text, mode).unwrap_err());
            assert!(error.contains(cause), "{error}");
            assert!(error.starts_with("token file ") && !error.contains("0123456789"), "{error}");
        }
        assert!(load(&"x".repeat(2_000), 0o600).is_err());
        assert!(Token::load(Path::new("/")).is_err());
    }
}
