//! A request as it stands on the wire: its first lines, ready made, and the headers that callers add.

use anyhow::{Result, ensure};
use hyper::header::{HeaderName, HeaderValue};

/// The empty line that ends a head.
const END: &[u8] = b"\r\n";
/// What stands before a ticket.
const BEARER: &[u8] = b"authorization: Bearer ";

/// A whole request without a body, ready to be sent as often as needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    bytes: Vec<u8>,
}

impl Ask {
    /// A request with these first lines, each with its end; room for so many more bytes is made at once.
    pub(super) fn new(first_lines: &[u8], room: usize) -> Self {
        let mut bytes = Vec::with_capacity(first_lines.len() + room + END.len());
        bytes.extend_from_slice(first_lines);
        bytes.extend_from_slice(END);
        Self { bytes }
    }

    /// Adds a header after those that it has.
    pub fn header(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.add(&[name.as_str().as_bytes(), b": ", value.as_bytes()]);
    }

    /// Adds a ticket.
    ///
    /// # Errors
    /// It has a character that no header may have.
    pub fn bearer(&mut self, ticket: &str) -> Result<()> {
        // Looks at all of them, whatever comes up: so many at once.
        let bad = ticket.bytes().fold(false, |bad, byte| bad | byte.is_ascii_control());
        ensure!(!bad, "a ticket has a character that no header may have");
        self.add(&[BEARER, ticket.as_bytes()]);
        Ok(())
    }

    /// Adds a line, given in parts.
    fn add(&mut self, line: &[&[u8]]) {
        self.bytes.truncate(self.bytes.len() - END.len());
        for part in line.iter().chain(&[END, END]) {
            self.bytes.extend_from_slice(part);
        }
    }

    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use hyper::header;

    use super::*;

    #[test]
    fn a_request_is_whole_whatever_is_added() {
        let mut ask = Ask::new(b"POST / HTTP/1.1\r\nhost: h\r\n", 0);
        assert_eq!(ask.bytes(), b"POST / HTTP/1.1\r\nhost: h\r\n\r\n");
        ask.bearer("t").unwrap();
        ask.header(&header::CONNECTION, &HeaderValue::from_static("close"));
        assert_eq!(
            ask.bytes(),
            b"POST / HTTP/1.1\r\nhost: h\r\nauthorization: Bearer t\r\nconnection: close\r\n\r\n"
        );
    }

    #[test]
    fn a_ticket_adds_no_line_of_its_own() {
        let ask = Ask::new(b"POST / HTTP/1.1\r\nhost: h\r\n", 0);
        for ticket in ["a\r\nx: y", "\n", "a\u{7f}", "\0"] {
            let mut with = ask.clone();
            assert!(with.bearer(ticket).unwrap_err().to_string().contains("character"));
            assert_eq!(with, ask);
        }
        let mut with = ask.clone();
        with.bearer("\u{e9} ~").unwrap();
        assert!(with.bytes().ends_with("authorization: Bearer \u{e9} ~\r\n\r\n".as_bytes()));
    }
}
