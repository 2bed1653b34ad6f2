//! Tickets read from a file, one a line, and their hand-out to the threads of a run.
//!
//! Owns the order in which tickets are used. Knows nothing of what a ticket means.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use hyper::header::HeaderValue;

/// The longest ticket line, in bytes.
pub const TICKET_BYTES_MAX: usize = 8_192;

/// The longest ticket file, in bytes.
pub const FILE_BYTES_MAX: u64 = 8 << 30;

/// Tickets that a thread takes at once. A block shares one allocation, and only one thread counts its references.
const BLOCK_TICKETS: u64 = 64;
/// The last tickets are taken one by one: no thread is out of tickets while another has a block of them.
const SINGLE_TICKETS: u64 = 1_024;

const SCHEME: &[u8] = b"Bearer ";

/// One ticket, ready to be sent.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Its line in the ticket file, from 1.
    pub line: u64,
    /// The value of the `Authorization` header.
    pub authorization: HeaderValue,
}

/// Which lines of a ticket file are used, and how often.
#[derive(Debug, Clone, Copy, Default)]
pub struct TicketUse {
    /// Lines at the start of the file that are left alone.
    pub skip: u64,
    /// The most tickets handed out, repeated ones included.
    pub requests_max: Option<u64>,
    /// Start again with the first ticket after the last.
    pub repeat: bool,
}

/// All tickets of a run, shared by its threads.
#[derive(Debug)]
pub struct TicketBook {
    tickets: Vec<HeaderValue>,
    usage: TicketUse,
    next_part: AtomicU64,
}

impl TicketBook {
    /// Reads the tickets that the run may use.
    ///
    /// # Errors
    /// The file cannot be read, has a line that is no ticket, or has no ticket left after `skip`.
    pub fn read(path: &Path, usage: TicketUse) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("ticket file {}", path.display()))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut tickets = Vec::new();
        let wanted = usage.requests_max.unwrap_or(u64::MAX);
        let mut block = BlockBuilder::default();
        let mut line = Vec::new();
        let mut line_number = 0;
        while (tickets.len() + block.ends.len()) as u64 != wanted {
            line.clear();
            let read = reader.by_ref().take(TICKET_BYTES_MAX as u64 + 2).read_until(b'\n', &mut line);
            if read.with_context(|| format!("ticket file {}", path.display()))? == 0 {
                break;
            }
            line_number += 1;
            if line_number <= usage.skip {
                continue;
            }
            let ticket = line.trim_ascii_end();
            if let Some(fault) = fault_of(ticket) {
                bail!("ticket file {}: line {line_number} {fault}", path.display());
            }
            block.push(ticket);
            if block.ends.len() as u64 == BLOCK_TICKETS {
                block.finish(&mut tickets)?;
            }
        }
        block.finish(&mut tickets)?;
        if tickets.is_empty() {
            bail!("ticket file {} holds no ticket after the first {} lines", path.display(), usage.skip);
        }
        Ok(Self { tickets, usage, next_part: AtomicU64::new(0) })
    }

    /// Takes the next part: the hand-outs before it, and the places of its tickets.
    fn next_part(&self) -> Option<(u64, Range<usize>)> {
        let tickets = self.tickets.len() as u64;
        let blocks = tickets.saturating_sub(SINGLE_TICKETS) / BLOCK_TICKETS;
        let in_blocks = blocks * BLOCK_TICKETS;
        let parts = blocks + (tickets - in_blocks);
        let taken = self.next_part.fetch_add(1, Ordering::Relaxed);
        let (cycle, part) = (taken / parts, taken % parts);
        if cycle > 0 && !self.usage.repeat {
            return None;
        }
        let (first, size) = match part.checked_sub(blocks) {
            None => (part * BLOCK_TICKETS, BLOCK_TICKETS),
            Some(single) => (in_blocks + single, 1),
        };
        let place = |at: u64| usize::try_from(at).ok();
        Some((cycle * tickets + first, place(first)?..place(first + size)?))
    }
}

/// Reads a whole ticket file, one ticket a line, and checks every line.
///
/// # Errors
/// The file cannot be read, is longer than [`FILE_BYTES_MAX`], or has a line that is no ticket.
pub fn read_lines(path: &Path) -> Result<String> {
    let named = || format!("ticket file {}", path.display());
    let mut text = String::new();
    let file = File::open(path).with_context(named)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).with_context(named)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        bail!("{} is longer than {FILE_BYTES_MAX} bytes", named());
    }
    for (at, line) in text.lines().enumerate() {
        if let Some(fault) = fault_of(line.as_bytes().trim_ascii_end()) {
            bail!("{}: line {} {fault}", named(), at + 1);
        }
    }
    if text.is_empty() {
        bail!("{} holds no ticket", named());
    }
    Ok(text)
}

/// Why a line is no ticket.
fn fault_of(ticket: &[u8]) -> Option<&'static str> {
    if ticket.is_empty() {
        Some("is empty")
    } else if ticket.len() > TICKET_BYTES_MAX {
        Some("is longer than 8192 bytes")
    } else if !ticket.iter().all(u8::is_ascii_graphic) {
        Some("has a character that no ticket has")
    } else {
        None
    }
}

#[derive(Default)]
struct BlockBuilder {
    bytes: BytesMut,
    ends: Vec<usize>,
}

impl BlockBuilder {
    fn push(&mut self, ticket: &[u8]) {
        self.bytes.extend_from_slice(SCHEME);
        self.bytes.extend_from_slice(ticket);
        self.ends.push(self.bytes.len());
    }

    /// Adds the block's header values to the others; they share one allocation.
    fn finish(&mut self, tickets: &mut Vec<HeaderValue>) -> Result<()> {
        let bytes: Bytes = std::mem::take(&mut self.bytes).freeze();
        let mut start = 0;
        for end in self.ends.drain(..) {
            tickets.push(HeaderValue::from_maybe_shared(bytes.slice(start..end))?);
            start = end;
        }
        Ok(())
    }
}

/// One thread's hand in the book.
#[derive(Debug)]
pub struct TicketHand {
    book: Arc<TicketBook>,
    places: Range<usize>,
    hand_outs: u64,
}

impl TicketHand {
    /// A hand that has not taken any ticket yet.
    #[must_use]
    pub fn new(book: Arc<TicketBook>) -> Self {
        Self { book, places: 0..0, hand_outs: 0 }
    }

    /// The next ticket, or `None` when all are used.
    pub fn take(&mut self) -> Option<Ticket> {
        if self.places.is_empty() {
            (self.hand_outs, self.places) = self.book.next_part()?;
        }
        let usage = &self.book.usage;
        if usage.requests_max.is_some_and(|most| self.hand_outs >= most) {
            return None;
        }
        let place = self.places.next()?;
        self.hand_outs += 1;
        let authorization = self.book.tickets.get(place)?.clone();
        Some(Ticket { line: usage.skip + place as u64 + 1, authorization })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn book(text: &str, usage: TicketUse) -> Result<Arc<TicketBook>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        TicketBook::read(file.path(), usage).map(Arc::new)
    }

    fn numbered(tickets: u64) -> String {
        (1..=tickets).map(|n| n.to_string() + "\n").collect()
    }

    fn lines(book: &Arc<TicketBook>) -> Vec<u64> {
        let mut hand = TicketHand::new(Arc::clone(book));
        std::iter::from_fn(|| hand.take().map(|ticket| ticket.line)).collect()
    }

    #[test]
    fn every_ticket_is_used_once_in_order() {
        let text = numbered(1_500);
        let book = book(&text, TicketUse::default()).unwrap();
        assert_eq!(lines(&book), (1..=1_500).collect::<Vec<_>>());
        assert!(TicketHand::new(book).take().is_none());
    }

    #[test]
    fn skip_repeat_and_the_cap_count_lines() {
        let text = numbered(70);
        let usage = TicketUse { skip: 2, requests_max: Some(140), repeat: true };
        let expected: Vec<u64> = (3..=70).chain(3..=70).chain(3..=6).collect();
        assert_eq!(lines(&book(&text, usage).unwrap()), expected);
    }

    #[test]
    fn no_hand_is_empty_while_another_has_a_block() {
        let book = book(&numbered(1_300), TicketUse::default()).unwrap();
        let (mut one, mut other) = (TicketHand::new(Arc::clone(&book)), TicketHand::new(book));
        let mut taken: Vec<_> =
            (0..650).flat_map(|_| [one.take().unwrap().line, other.take().unwrap().line]).collect();
        taken.sort_unstable();
        assert_eq!(taken, (1..=1_300).collect::<Vec<_>>());
    }

    #[test]
    fn the_value_is_a_bearer_token() {
        let book = book("abc", TicketUse::default()).unwrap();
        let ticket = TicketHand::new(book).take().unwrap();
        assert_eq!(ticket.authorization, "Bearer abc");
    }

    #[test]
    fn bad_files_name_the_line() {
        let error = |text: &str, usage| format!("{:#}", book(text, usage).unwrap_err());
        assert!(error("", TicketUse::default()).contains("holds no ticket"));
        assert!(error("a\n\nb\n", TicketUse::default()).contains("line 2 is empty"));
        assert!(error("a\nb c\n", TicketUse::default()).contains("line 2 has a character"));
        let long = "x".repeat(TICKET_BYTES_MAX + 1);
        assert!(error(&long, TicketUse::default()).contains("line 1 is longer"));
        assert!(error("a\n", TicketUse { skip: 1, ..TicketUse::default() }).contains("holds no ticket"));
    }
}
