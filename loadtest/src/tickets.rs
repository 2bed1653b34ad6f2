//! Tickets read from a file, one a line, and their hand-out to the threads of a run.
//!
//! Owns the order in which tickets are used. Knows nothing of what a ticket means.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
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

/// Tickets that a thread takes at once. A block shares one allocation, and only one thread counts its references.
const BLOCK_TICKETS: u64 = 64;

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
    blocks: Vec<Box<[HeaderValue]>>,
    tickets: u64,
    usage: TicketUse,
    next_block: AtomicU64,
}

impl TicketBook {
    /// Reads the tickets that the run may use.
    ///
    /// # Errors
    /// The file cannot be read, has a line that is no ticket, or has no ticket left after `skip`.
    pub fn read(path: &Path, usage: TicketUse) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("ticket file {}", path.display()))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut book = Self { blocks: Vec::new(), tickets: 0, usage, next_block: AtomicU64::new(0) };
        let wanted = usage.requests_max.unwrap_or(u64::MAX);
        let mut block = BlockBuilder::default();
        let mut line = Vec::new();
        let mut line_number = 0;
        while book.tickets < wanted {
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
            book.tickets += 1;
            if book.tickets.is_multiple_of(BLOCK_TICKETS) {
                book.blocks.push(block.finish()?);
            }
        }
        if !block.ends.is_empty() {
            book.blocks.push(block.finish()?);
        }
        if book.tickets == 0 {
            bail!("ticket file {} holds no ticket after the first {} lines", path.display(), usage.skip);
        }
        Ok(book)
    }

    /// How many different tickets there are.
    pub fn tickets(&self) -> u64 {
        self.tickets
    }

    /// Takes the next block: the number of the hand-out of its first ticket, that ticket's line, and the block.
    fn next_block(&self) -> Option<(u64, u64, usize)> {
        let taken = self.next_block.fetch_add(1, Ordering::Relaxed);
        let blocks = self.blocks.len() as u64;
        let cycle = taken / blocks;
        if cycle > 0 && !self.usage.repeat {
            return None;
        }
        let in_cycle = taken % blocks;
        let first = cycle * self.tickets + in_cycle * BLOCK_TICKETS;
        if self.usage.requests_max.is_some_and(|most| first >= most) {
            return None;
        }
        Some((first, self.usage.skip + in_cycle * BLOCK_TICKETS + 1, usize::try_from(in_cycle).ok()?))
    }
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

    fn finish(&mut self) -> Result<Box<[HeaderValue]>> {
        let bytes: Bytes = std::mem::take(&mut self.bytes).freeze();
        let mut start = 0;
        let mut values = Vec::with_capacity(self.ends.len());
        for end in self.ends.drain(..) {
            values.push(HeaderValue::from_maybe_shared(bytes.slice(start..end))?);
            start = end;
        }
        Ok(values.into_boxed_slice())
    }
}

/// One thread's hand in the book.
#[derive(Debug)]
pub struct TicketHand {
    book: Arc<TicketBook>,
    block: usize,
    at: usize,
    hand_out: u64,
    line: u64,
}

impl TicketHand {
    /// A hand that has not taken any ticket yet.
    pub fn new(book: Arc<TicketBook>) -> Self {
        Self { book, block: usize::MAX, at: 0, hand_out: 0, line: 0 }
    }

    /// The next ticket, or `None` when all are used.
    pub fn take(&mut self) -> Option<Ticket> {
        let in_hand = self.book.blocks.get(self.block).and_then(|block| block.get(self.at));
        let authorization = if let Some(authorization) = in_hand {
            authorization
        } else {
            (self.hand_out, self.line, self.block) = self.book.next_block()?;
            self.at = 0;
            self.book.blocks.get(self.block)?.first()?
        };
        if self.book.usage.requests_max.is_some_and(|most| self.hand_out >= most) {
            return None;
        }
        let ticket = Ticket { line: self.line, authorization: authorization.clone() };
        self.at += 1;
        self.hand_out += 1;
        self.line += 1;
        Some(ticket)
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
        let text = numbered(150);
        let book = book(&text, TicketUse::default()).unwrap();
        assert_eq!(lines(&book), (1..=150).collect::<Vec<_>>());
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
