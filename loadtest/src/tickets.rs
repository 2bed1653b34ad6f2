//! Tickets read from a file, one a line.
//!
//! Owns what a line of a ticket file may look like. Knows nothing of what a ticket means.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use anyhow::{Context, Result, bail};

/// The longest ticket line, in bytes.
pub const TICKET_BYTES_MAX: usize = 8_192;

/// What is wrong with a longer one. Lines are counted by their ends, so that not even a skipped one may be.
const TOO_LONG: &str = "is longer than 8192 bytes";

/// The longest ticket file, in bytes.
pub const FILE_BYTES_MAX: u64 = 8 << 30;

/// Reads the tickets of a file, one a line: at most `most` of them after the first `skip` lines. What stands
/// in other lines does not matter.
///
/// # Errors
/// The file cannot be read, is longer than [`FILE_BYTES_MAX`], has a line that is no ticket, or has none left after
/// `skip`.
pub fn read_lines(path: &Path, skip: u64, most: Option<u64>) -> Result<String> {
    let named = || format!("ticket file {}", path.display());
    let file = File::open(path).with_context(named)?;
    let bytes = file.metadata().with_context(named)?.len();
    if bytes > FILE_BYTES_MAX {
        bail!("{} has {bytes} bytes: at most {FILE_BYTES_MAX} are read", named());
    }
    // What is longer than a line may be is read no further than to see that.
    let line_bytes_max = TICKET_BYTES_MAX as u64 + 2;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut text = Vec::new();
    let mut line_number = 0_u64;
    while most.is_none_or(|most| line_number < most.saturating_add(skip)) {
        let start = text.len();
        if reader.by_ref().take(line_bytes_max).read_until(b'\n', &mut text).with_context(named)? == 0 {
            break;
        }
        line_number += 1;
        // What is no file (a pipe) has no length to be asked for.
        if text.len() as u64 > FILE_BYTES_MAX {
            bail!("{} has more than {FILE_BYTES_MAX} bytes: no more are read", named());
        }
        let line = text.get(start..).unwrap_or_default().trim_ascii_end();
        let is_skipped = line_number <= skip;
        if let Some(fault) = fault_of(line).filter(|fault| !is_skipped || *fault == TOO_LONG) {
            bail!("{}: line {line_number} {fault}", named());
        }
        if is_skipped {
            text.clear();
        }
    }
    if text.is_empty() {
        bail!("{} holds no ticket{}", named(), if skip > 0 { " after the lines skipped" } else { "" });
    }
    String::from_utf8(text).with_context(named)
}

/// Why a line is no ticket.
fn fault_of(ticket: &[u8]) -> Option<&'static str> {
    if ticket.is_empty() {
        Some("is empty")
    } else if ticket.len() > TICKET_BYTES_MAX {
        Some(TOO_LONG)
    } else if !ticket.iter().all(u8::is_ascii_graphic) {
        Some("has a character that no ticket has")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(text: &str, skip: u64, most: Option<u64>) -> Result<String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        read_lines(file.path(), skip, most)
    }

    #[test]
    fn only_the_lines_asked_for_are_read() {
        let text = "no ticket\na\nb\r\nc\nneither is this\n";
        assert_eq!(read(text, 1, Some(3)).unwrap(), "a\nb\r\nc\n");
        assert_eq!(read("a\nb", 0, None).unwrap(), "a\nb");
        assert_eq!(read("a\nb\n", 1, Some(u64::MAX)).unwrap(), "b\n");
    }

    #[test]
    fn bad_files_name_the_line() {
        let error = |text: &str, skip| format!("{:#}", read(text, skip, None).unwrap_err());
        assert!(error("", 0).contains("holds no ticket"));
        assert!(error("a\n\nb\n", 0).contains("line 2 is empty"));
        assert!(error("a\nb c\n", 0).contains("line 2 has a character"));
        assert!(error("a\nb\u{e9}\n", 1).contains("line 2 has a character"));
        let long = "x".repeat(TICKET_BYTES_MAX);
        assert_eq!(read(&format!("{long}\r\n{long}"), 0, None).unwrap().lines().count(), 2);
        assert!(error(&format!("{long}x\n"), 0).contains("line 1 is longer"));
        assert!(error(&format!("{long}xyz\n"), 0).contains("line 1 is longer"));
        assert!(error(&format!("{long}xyz\nb\n"), 1).contains("line 1 is longer"));
        assert!(error("a\n", 1).contains("holds no ticket after the lines skipped"));
    }
}
