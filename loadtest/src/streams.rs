//! Standard output and standard error.
//!
//! Owns what a reader that has gone means: `| head` has seen what it wanted, and a log that nobody keeps any more wants to
//! hear nothing. Neither ends a run. Nothing else in this crate prints (the lints in `lib.rs` see to it), but the live view,
//! which has the terminal for itself.

use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};

/// Writes a text to standard output. A reader that has gone is no error.
///
/// # Errors
/// It cannot be written for another reason: the disk is full, for instance.
pub fn print(text: &str) -> Result<()> {
    print_to(&mut io::stdout().lock(), text)
}

fn print_to(out: &mut impl Write, text: &str) -> Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("standard output"),
        _ => Ok(()),
    }
}

/// Says a line on standard error. Never fails: who closed it wants to hear nothing.
pub fn tell(line: &str) {
    // In one piece, so that lines of several threads do not mix.
    let _unheard = io::stderr().write_all(format!("{line}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refuses everything for one reason.
    struct Refuses(ErrorKind);

    impl Write for Refuses {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_a_reader_that_has_gone_is_no_error() {
        print_to(&mut Refuses(ErrorKind::BrokenPipe), "x").unwrap();
        let error = print_to(&mut Refuses(ErrorKind::StorageFull), "x").unwrap_err();
        assert!(format!("{error:#}").starts_with("standard output: "), "{error:#}");
    }
}
