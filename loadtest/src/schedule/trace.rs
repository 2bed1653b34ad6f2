//! Arrival traces: the moments at which people once came.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use csv::{ByteRecord, ReaderBuilder, Terminator, Trim};

use super::{curve::seconds, spike::nanos};
use crate::scenario::{LENGTH_MAX, PEOPLE_MAX};

/// The column that is read; others are passed over.
const COLUMN: &[u8] = b"offset_s";
/// The largest trace file, in bytes.
const TRACE_BYTES_MAX: u64 = 4 << 30;
/// The longest line of it, in bytes: what is no trace at all may have no end of a line.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// The longest number in it, in bytes.
const NUMBER_BYTES_MAX: usize = 40;

/// A file whose lines are short; it cannot be read any further than the first that is not.
struct ShortLines<R> {
    file: R,
    /// Bytes since the last end of a line.
    since_end: usize,
}

impl<R: Read> Read for ShortLines<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(room)?;
        let mut lines = room.get(..read).unwrap_or_default().split(|byte| *byte == b'\n');
        self.since_end += lines.next().map_or(0, <[u8]>::len);
        for line in lines {
            self.check()?;
            self.since_end = line.len();
        }
        self.check()?;
        Ok(read)
    }
}

impl<R> ShortLines<R> {
    fn check(&self) -> io::Result<()> {
        if self.since_end <= LINE_BYTES_MAX {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "a line is longer than {LINE_BYTES_MAX} bytes, the most that is allowed"
        )))
    }
}

/// Reads a trace: CSV whose column `offset_s` holds seconds from the start of the run. Rows may stand in any order;
/// the offsets are sorted here. Returns them in nanoseconds.
///
/// # Errors
/// The file cannot be read or has no such column; a row that is no number from 0 s to 24 h is named by its line; there
/// are no rows, or more than [`PEOPLE_MAX`].
pub fn read_trace(path: &Path) -> Result<Vec<u64>> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("trace {shown}"))?;
    if file.metadata().with_context(|| format!("trace {shown}"))?.len() > TRACE_BYTES_MAX {
        bail!("trace {shown}: it is larger than {TRACE_BYTES_MAX} bytes, the most that is allowed");
    }
    let mut reader = ReaderBuilder::new()
        .trim(Trim::All)
        // The default counts lines wrongly where they end in CR LF; trimming takes the CR.
        .terminator(Terminator::Any(b'\n'))
        .flexible(true)
        .buffer_capacity(1 << 16)
        .from_reader(ShortLines { file: file.take(TRACE_BYTES_MAX), since_end: 0 });
    let header = reader.byte_headers().with_context(|| format!("trace {shown}"))?;
    let Some(column) = header.iter().position(|name| name == COLUMN) else {
        bail!("trace {shown}:1: there is no column offset_s; the first line must name it");
    };
    let mut offsets = Vec::new();
    let mut row = ByteRecord::new();
    while reader.read_byte_record(&mut row).with_context(|| format!("trace {shown}"))? {
        let line = row.position().map_or(0, csv::Position::line);
        let field = row.get(column).unwrap_or_default();
        let Some(offset) = offset_of(field) else {
            let head = String::from_utf8_lossy(field.get(..NUMBER_BYTES_MAX).unwrap_or(field));
            bail!(
                "trace {shown}:{line}: {head:?} is no offset; allowed are seconds from 0 to {}",
                LENGTH_MAX.as_secs()
            );
        };
        if offsets.len() as u64 == PEOPLE_MAX {
            bail!("trace {shown}:{line}: there are more than {PEOPLE_MAX} rows, the most that is allowed");
        }
        offsets.push(nanos(offset));
    }
    if offsets.is_empty() {
        bail!("trace {shown}: there is no row below the header");
    }
    offsets.sort_unstable();
    Ok(offsets)
}

fn offset_of(field: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(field).ok().filter(|text| text.len() <= NUMBER_BYTES_MAX)?;
    let offset: f64 = text.parse().ok()?;
    (0.0..=LENGTH_MAX.as_secs_f64()).contains(&offset).then(|| seconds(offset))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(text: &str) -> Result<Vec<u64>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        read_trace(file.path())
    }

    #[test]
    fn offsets_are_read_from_their_column_and_sorted() {
        let text = "who,offset_s\na, 2.5\nb,0\n\nc,1e-3\nd,86400\n";
        assert_eq!(read(text).unwrap(), [0, 1_000_000, 2_500_000_000, 86_400_000_000_000]);
        assert_eq!(read("offset_s\r\n0.25\r\n").unwrap(), [250_000_000]);
    }

    #[test]
    fn bad_rows_are_named_by_their_line() {
        for (text, complaint) in [
            ("", "no column offset_s"),
            ("offset\n1\n", ":1: there is no column offset_s"),
            ("offset_s\n", "no row below the header"),
            ("offset_s\n1\nsoon\n", ":3: \"soon\" is no offset; allowed are seconds from 0 to 86400"),
            ("offset_s\n1\n-1\n", ":3: \"-1\""),
            ("offset_s\n86401\n", ":2: \"86401\""),
            ("offset_s\r\n1\r\n2\r\nNaN\r\n", ":4: \"NaN\""),
            ("a,offset_s\n1\n", ":2: \"\""),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(complaint) && error.lines().count() == 1, "{text:?}: {error}");
        }
        let endless = format!("{:#}", read_trace(Path::new("/dev/zero")).unwrap_err());
        assert!(
            endless.contains("a line is longer than 65536 bytes") && endless.lines().count() == 1,
            "{endless}"
        );
        for before in ["", "offset_s\n1\n"] {
            let long = "x".repeat(LINE_BYTES_MAX);
            assert!(
                format!("{:#}", read(&format!("{before}{long}x")).unwrap_err()).contains("a line is longer")
            );
            assert!(
                !format!("{:#}", read(&format!("{before}{long}\n")).unwrap_err())
                    .contains("a line is longer")
            );
        }
        let missing = read_trace(Path::new("no-such-trace.csv")).unwrap_err();
        assert!(format!("{missing:#}").contains("no-such-trace.csv: No such file"));
    }
}
