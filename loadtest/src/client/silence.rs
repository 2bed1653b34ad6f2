//! What was there in the place of a reply: for whoever has led the harness to something else than a service.

use std::fmt;

use serde::{Deserialize, Serialize};

/// So much of what was said is kept, in bytes.
const WORDS_BYTES_MAX: usize = 80;
/// How every reply begins.
const HTTP: &[u8] = b"HTTP/";

/// What came in the place of a reply; the most telling last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoReply {
    /// Nothing, in all the time that there was.
    Silence,
    /// The end of the connection.
    Closed,
    /// Words of another language, made harmless.
    Words(String),
}

impl NoReply {
    /// What was said before the connection ended, or before it was given up; `None` where that is a reply in part.
    #[must_use]
    pub(super) fn of(said: &[u8]) -> Option<Self> {
        if said.is_empty() {
            return Some(Self::Closed);
        }
        if said.starts_with(HTTP) || HTTP.starts_with(said) {
            return None;
        }
        let line = said.split(|byte| matches!(byte, b'\r' | b'\n')).find(|line| !line.is_empty());
        let line = line.unwrap_or(said);
        let shown = line.get(..WORDS_BYTES_MAX).unwrap_or(line).iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte).to_string(),
            _ => byte.escape_ascii().to_string(),
        });
        Some(Self::Words(shown.collect()))
    }
}

impl fmt::Display for NoReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence => f.write_str("connections are taken, and nothing is said on them"),
            Self::Closed => {
                f.write_str("connections are closed without a word, as by what does not speak HTTP")
            }
            Self::Words(words) => write!(f, "what is there does not speak HTTP, but says \"{words}\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_another_language_is_kept_and_does_no_harm() {
        let words = |said: &[u8]| match NoReply::of(said) {
            Some(NoReply::Words(words)) => words,
            other => panic!("{other:?}"),
        };
        assert_eq!(words(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "SSH-2.0-OpenSSH_9.2p1");
        assert_eq!(words(b"\r\n-ERR unknown command\r\nmore"), "-ERR unknown command");
        assert_eq!(words(b"\x15\x03\x03\0\x02\x02F"), r"\x15\x03\x03\x00\x02\x02F");
        assert_eq!(words(b"\x1b[2J'\"\xff"), r#"\x1b[2J'"\xff"#);
        assert_eq!(words(b"\n\n"), r"\n\n");
        assert_eq!(words(&[b'x'; 1_000]).len(), WORDS_BYTES_MAX);
    }

    #[test]
    fn a_reply_in_part_is_of_the_right_language() {
        assert_eq!(NoReply::of(b""), Some(NoReply::Closed));
        for said in [&b"H"[..], b"HTTP/", b"HTTP/1.1 408 Late\r\n"] {
            assert_eq!(NoReply::of(said), None);
        }
    }

    #[test]
    fn words_tell_more_than_an_end_and_that_more_than_nothing() {
        assert!(NoReply::Silence < NoReply::Closed && NoReply::Closed < NoReply::Words(String::new()));
    }
}
