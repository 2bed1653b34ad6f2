//! The way of log lines to standard error: who logs never waits for who reads.
//!
//! Owns a bounded buffer and the thread that writes it out. A reader that stands still (a full pipe) or has gone (a closed
//! one) costs lines, which are counted and told of, and nothing else: without this it would hold up every core that has
//! something to say, or end the process.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::limits;

/// How long to wait before the next attempt at an output that takes nothing at the moment and does not block.
const AGAIN_AFTER: Duration = Duration::from_millis(10);

/// Lines on their way out.
#[derive(Debug)]
pub(super) struct LogQueue {
    state: Mutex<State>,
    /// Something waits to be written.
    filled: Condvar,
    /// Nothing does.
    emptied: Condvar,
    bytes_max: usize,
    /// Lines that were not written, since the start.
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    is_writing: bool,
    /// Lines that were not written, and of which nothing was said yet.
    untold: u64,
}

impl LogQueue {
    /// A queue to an output, with a thread of its own, in which `tell_lost` is called when lines were lost and others
    /// are written again; what that logs goes the same way.
    ///
    /// # Errors
    /// What the system says when there is no thread.
    pub(super) fn start(
        output: impl Write + Send + 'static,
        bytes_max: usize,
        tell_lost: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            bytes_max,
            lost: AtomicU64::new(0),
        });
        let writer = Arc::clone(&queue);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(output, &tell_lost))?;
        Ok(queue)
    }

    /// Lines that were not written, since the start.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Takes whole lines; what has no room is lost.
    pub(super) fn push(&self, lines: &[u8]) {
        let mut state = self.lock();
        if state.waiting.len().saturating_add(lines.len()) > self.bytes_max {
            self.lose(&mut state, lines);
            return;
        }
        state.waiting.extend_from_slice(lines);
        drop(state);
        self.filled.notify_one();
    }

    /// Waits until all is written, but only so long.
    pub(super) fn flush(&self, patience: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        drop(self.emptied.wait_timeout_while(self.lock(), patience, is_busy));
    }

    fn run(&self, mut output: impl Write, tell_lost: &dyn Fn(u64)) {
        let mut lines = Vec::new();
        loop {
            let is_idle = |state: &mut State| state.waiting.is_empty();
            let mut state =
                self.filled.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut state.waiting, &mut lines);
            state.is_writing = true;
            drop(state);
            let left = write_out(&mut output, &lines);
            let mut state = self.lock();
            // Whoever takes nothing is not told either.
            let untold = if left.is_empty() { std::mem::take(&mut state.untold) } else { 0 };
            self.lose(&mut state, left);
            state.is_writing = false;
            let is_empty = state.waiting.is_empty();
            drop(state);
            lines.clear();
            if untold > 0 {
                tell_lost(untold);
            }
            if is_empty {
                self.emptied.notify_all();
            }
        }
    }

    fn lose(&self, state: &mut State, lines: &[u8]) {
        let count = lines.split(|byte| *byte == b'\n').skip(1).count() as u64;
        state.untold = state.untold.saturating_add(count);
        self.lost.fetch_add(count, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an event is written to: one call holds one event, whole.
impl Write for &LogQueue {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.push(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes all of it; what is left when the output has gone.
fn write_out<'b>(output: &mut impl Write, mut bytes: &'b [u8]) -> &'b [u8] {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => break,
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(AGAIN_AFTER),
            Err(_) => break,
        }
    }
    bytes
}

const _: () = assert!(limits::LOG_WAITING_BYTES_MAX >= 1 << 16, "a few hundred lines must have room");

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A queue to an output, and what it told of lost lines.
    fn queue(output: impl Write + Send + 'static, bytes_max: usize) -> (Arc<LogQueue>, mpsc::Receiver<u64>) {
        let (tell, told) = mpsc::channel();
        let queue = LogQueue::start(output, bytes_max, move |lost| {
            let _ = tell.send(lost);
        });
        (queue.unwrap(), told)
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_is_told_how_many() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (queue, told) = queue(writer, 100_000);
        let line = [&[b'x'; 999][..], b"\n"].concat();
        // As much as a pipe takes and as waits for it, and more: nothing of it waits for the reader.
        for _ in 0..2_000 {
            queue.push(&line);
        }
        let lost = queue.lost();
        assert!(lost > 0 && lost < 2_000, "{lost}");
        let mut bytes = vec![0; 1_000 * usize::try_from(2_000 - lost).unwrap()];
        reader.read_exact(&mut bytes).unwrap();
        assert!(bytes.chunks(1_000).all(|found| found == line), "whole lines alone");
        queue.flush(PATIENCE);
        let mut heard = 0;
        while heard < lost {
            heard += told.recv_timeout(PATIENCE).unwrap();
        }
        assert_eq!(heard, lost);
        queue.push(b"after\n");
        let mut after = [0; 6];
        reader.read_exact(&mut after).unwrap();
        assert_eq!((&after, queue.lost()), (b"after\n", lost));
    }

    #[test]
    fn a_reader_that_has_gone_costs_lines_alone() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let (queue, told) = queue(writer, 1_000);
        queue.push(b"one\ntwo\n");
        queue.flush(PATIENCE);
        queue.push(b"three\n");
        queue.flush(PATIENCE);
        assert_eq!(queue.lost(), 3);
        assert!(told.try_recv().is_err(), "nobody is there to be told");
    }

    #[test]
    fn nobody_waits_for_a_flush_for_ever() {
        let (_reader, writer) = io::pipe().unwrap();
        let (queue, _told) = queue(writer, 1 << 20);
        queue.push(&vec![b'\n'; 1 << 20]);
        queue.flush(Duration::from_millis(50));
        assert_eq!(queue.lost(), 0, "it waits for the reader");
    }

    #[test]
    fn an_output_that_does_not_block_is_tried_again() {
        struct Shy(mpsc::Sender<u8>, bool);
        impl Write for Shy {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let _ = self.0.send(bytes[0]);
                Ok(1)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (send, took) = mpsc::channel();
        let (queue, _told) = queue(Shy(send, false), 1_000);
        queue.push(b"ab\n");
        queue.flush(PATIENCE);
        assert_eq!((took.try_iter().collect::<Vec<_>>(), queue.lost()), (b"ab\n".to_vec(), 0));
    }
}
