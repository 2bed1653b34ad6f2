//! Reads one HTTP/1.1 reply from pieces, wherever they are cut.
//!
//! Owns how a reply is framed (RFC 9112, section 6) and how long it may be; `httparse` reads the lines. Knows nothing
//! of sockets. No method that the harness sends has replies without the body that their head announces.

use std::mem::{self, MaybeUninit};

use httparse::{EMPTY_HEADER, Header, ParserConfig, Response, Status};

use super::wire::Reply;

/// The largest reply body that is read, in bytes.
pub(super) const REPLY_BYTES_MAX: usize = 64 * 1024;
/// The longest head, trailer or line of a chunk, in bytes.
pub(super) const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The most headers of a reply.
const HEADERS_MAX: usize = 100;
/// The end of a chunk.
const CHUNK_END: &[u8] = b"\r\n";

/// The reply is none, or longer than is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// What is read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Head,
    /// So many bytes of body are left.
    Sized(usize),
    ChunkSize,
    /// So many bytes of this chunk are left.
    Chunk(usize),
    ChunkEnd,
    Trailer,
    /// The body ends with the connection.
    UntilClose,
    /// Nothing: the reply is whole.
    Nothing,
}

/// A reply as far as it has come.
#[derive(Debug)]
pub(super) struct Reading {
    next: Next,
    reply: Reply,
    /// The connection carries nothing after this reply.
    is_last: bool,
    /// What came and cannot be read without what follows.
    pending: Vec<u8>,
}

impl Reading {
    pub(super) fn new() -> Self {
        let reply = Reply { status: 0, retry_after: None, body: Vec::new() };
        Self { next: Next::Head, reply, is_last: false, pending: Vec::new() }
    }

    /// Takes what came; `true` when the reply is whole.
    ///
    /// # Errors
    /// It is no reply.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<bool, Broken> {
        let mut pending = mem::take(&mut self.pending);
        if pending.is_empty() {
            self.take_all(piece)?;
        } else {
            pending.extend_from_slice(piece);
            self.take_all(&pending)?;
        }
        Ok(self.next == Next::Nothing)
    }

    /// What has come of a head that is not whole; `None` behind it.
    pub(super) fn of_head(&self) -> Option<&[u8]> {
        (self.next == Next::Head).then_some(&self.pending)
    }

    /// Takes that nothing more comes.
    ///
    /// # Errors
    /// The reply is not whole.
    pub(super) fn end(&mut self) -> Result<(), Broken> {
        self.is_last = true;
        match self.next {
            Next::UntilClose | Next::Nothing => Ok(()),
            _ => Err(Broken),
        }
    }

    /// The reply, and whether its connection can carry another.
    pub(super) fn finish(self) -> (Reply, bool) {
        (self.reply, !self.is_last)
    }

    /// Takes what came, with what came before and could not be read.
    fn take_all(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let taken = self.advance(bytes).and_then(|used| self.keep(bytes.get(used..).unwrap_or_default()));
        if taken.is_err() {
            // For who asks what it was.
            self.pending = bytes.get(..HEAD_BYTES_MAX).unwrap_or(bytes).to_vec();
        }
        taken
    }

    fn keep(&mut self, rest: &[u8]) -> Result<(), Broken> {
        if self.next == Next::Nothing {
            // What comes after the reply was not asked for.
            self.is_last |= !rest.is_empty();
        } else if rest.len() > HEAD_BYTES_MAX {
            return Err(Broken);
        } else if !rest.is_empty() {
            self.pending.extend_from_slice(rest);
        }
        Ok(())
    }

    /// Reads as far as it goes; returns how many bytes that were.
    fn advance(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            let read = match self.next {
                Next::Head => self.head(rest)?,
                Next::Sized(left) => self.body(rest, left, Next::Sized, Next::Nothing)?,
                Next::ChunkSize => self.chunk_size(rest)?,
                Next::Chunk(left) => self.body(rest, left, Next::Chunk, Next::ChunkEnd)?,
                Next::ChunkEnd => self.chunk_end(rest)?,
                Next::Trailer => self.trailer(rest)?,
                Next::UntilClose => {
                    self.body(rest, rest.len() + 1, |_| Next::UntilClose, Next::UntilClose)?
                }
                Next::Nothing => None,
            };
            match read {
                Some(read) => used += read,
                None => return Ok(used),
            }
        }
    }

    /// Reads a head; one that only announces another is passed over.
    fn head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let mut room = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut response = Response::new(&mut []);
        let parsed =
            ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut room);
        let Status::Complete(read) = parsed.map_err(|_| Broken)? else { return Ok(None) };
        let head = Head { version: response.version, headers: &*response.headers };
        match response.code.ok_or(Broken)? {
            // Another protocol is nothing that was asked for.
            0..100 | 101 => return Err(Broken),
            100..200 => return Ok(Some(read)),
            status => self.reply.status = status,
        }
        self.is_last = head.is_last();
        self.reply.retry_after = head.retry_after();
        self.next = match self.reply.status {
            204 | 304 => Next::Nothing,
            _ => head.framing()?,
        };
        match self.next {
            Next::Sized(length) => self.reply.body.reserve_exact(length),
            Next::UntilClose => self.is_last = true,
            _ => {}
        }
        Ok(Some(read))
    }

    /// Reads as much of a body as there is of the `left` bytes of it.
    fn body(
        &mut self,
        bytes: &[u8],
        left: usize,
        more: impl FnOnce(usize) -> Next,
        then: Next,
    ) -> Result<Option<usize>, Broken> {
        let part = bytes.get(..left).unwrap_or(bytes);
        if self.reply.body.len() + part.len() > REPLY_BYTES_MAX {
            return Err(Broken);
        }
        self.reply.body.extend_from_slice(part);
        self.next = if part.len() == left { then } else { more(left - part.len()) };
        Ok((part.len() == left || !part.is_empty()).then_some(part.len()))
    }

    fn chunk_size(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        // The library takes no digit at all for 0.
        if bytes.first().is_some_and(|first| !first.is_ascii_hexdigit()) {
            return Err(Broken);
        }
        let Status::Complete((read, size)) = httparse::parse_chunk_size(bytes).map_err(|_| Broken)? else {
            return Ok(None);
        };
        let size = usize::try_from(size).ok().filter(|size| *size <= REPLY_BYTES_MAX).ok_or(Broken)?;
        self.next = if size == 0 { Next::Trailer } else { Next::Chunk(size) };
        Ok(Some(read))
    }

    fn chunk_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        match bytes.get(..CHUNK_END.len()) {
            Some(end) if end == CHUNK_END => {
                self.next = Next::ChunkSize;
                Ok(Some(end.len()))
            }
            None if CHUNK_END.starts_with(bytes) => Ok(None),
            _ => Err(Broken),
        }
    }

    fn trailer(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        match httparse::parse_headers(bytes, &mut headers).map_err(|_| Broken)? {
            Status::Complete((read, _)) => {
                self.next = Next::Nothing;
                Ok(Some(read))
            }
            Status::Partial => Ok(None),
        }
    }
}

/// The head of a reply.
struct Head<'piece> {
    version: Option<u8>,
    headers: &'piece [Header<'piece>],
}

impl<'piece> Head<'piece> {
    fn all(&self, name: &'static str) -> impl DoubleEndedIterator<Item = &'piece [u8]> + use<'piece> {
        let headers = self.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        headers.map(|header| header.value)
    }

    /// The parts of a list in all headers of this name.
    fn parts(&self, name: &'static str) -> impl DoubleEndedIterator<Item = &'piece [u8]> + use<'piece> {
        self.all(name).flat_map(|value| value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii))
    }

    fn is_last(&self) -> bool {
        self.version == Some(0) || self.parts("connection").any(|part| part.eq_ignore_ascii_case(b"close"))
    }

    fn retry_after(&self) -> Option<u64> {
        std::str::from_utf8(self.all("retry-after").next()?).ok()?.parse().ok()
    }

    /// How the body is framed. Its length is nothing to go by where there is a transfer coding as well.
    fn framing(&self) -> Result<Next, Broken> {
        if let Some(coding) = self.parts("transfer-encoding").next_back() {
            return match coding {
                _ if self.version == Some(0) => Err(Broken),
                coding if coding.eq_ignore_ascii_case(b"chunked") => Ok(Next::ChunkSize),
                _ => Ok(Next::UntilClose),
            };
        }
        let mut lengths = self.parts("content-length").map(length);
        let Some(length) = lengths.next() else { return Ok(Next::UntilClose) };
        let length = length.filter(|length| *length <= REPLY_BYTES_MAX).ok_or(Broken)?;
        if lengths.any(|other| other != Some(length)) {
            return Err(Broken);
        }
        Ok(Next::Sized(length))
    }
}

/// Digits and nothing else.
fn length(text: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(text).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
