//! How a run of the program ends: its exit code, the one line of a failure, and what it prints.
//!
//! Owns the codes. Which failure has which stands in [`crate::cli`], which knows all of them; every module may hand one on.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// It failed, or an invariant is broken.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is wrong.
    Config = 64,
    /// A needed service is unavailable.
    Unavailable = 69,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failed run: its exit code, and one line that names the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// The line, without the program's name.
    pub line: String,
}

impl Failure {
    /// A failure by its code and line.
    pub fn new(exit: Exit, line: impl Into<String>) -> Self {
        Self { exit, line: line.into() }
    }

    /// Puts what the failure is about in front of its line.
    #[must_use]
    pub fn about(self, what: impl fmt::Display) -> Self {
        Self { line: format!("{what}: {}", self.line), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// Writes to standard output. A reader that has gone (`| head`) has seen what it wanted.
///
/// # Errors
/// [`Failure`] with why it cannot be written: half of a list, or a report that nobody has, is not done.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Failed, error.to_string()).about("standard output"))
        }
        _ => Ok(()),
    }
}
