//! The set-up of logs: where they go, in which form, and how much.
//!
//! Owns the process' tracing subscriber. Logs go to standard error, so that a command's own output stays clean; by a queue
//! ([`super::log_queue`]), so that nobody waits for whoever reads them.
//! Nothing here redacts: a ticket, secret or person's number must not be handed to `tracing` in the first place.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;

use super::log_queue::LogQueue;
use crate::limits;

/// The process' way to standard error, and how a line looks there, once its logs are set up.
static QUEUE: OnceLock<(Arc<LogQueue>, Format)> = OnceLock::new();

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// What to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// Text or JSON.
    pub format: Format,
    /// A level (`info`) or directives (`info,claimrush::drain=debug`).
    pub level: String,
}

impl Default for Logging {
    fn default() -> Self {
        Self { format: Format::Text, level: "info".to_owned() }
    }
}

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level is not understood.
    #[error("log level {level:?}: {cause}")]
    Level {
        /// As given.
        level: String,
        /// What is wrong with it.
        cause: ParseError,
    },
    /// A subscriber stands already.
    #[error("logs are set up already")]
    Twice,
    /// The system gives no thread.
    #[error("logs cannot be written: {0}")]
    Thread(#[from] io::Error),
}

/// Says a line on standard error, in turn with the log and in its form. Never fails: who closed it wants to hear nothing.
pub fn tell(line: &str) {
    match QUEUE.get() {
        Some((queue, Format::Text)) => queue.push(format!("{line}\n").as_bytes()),
        Some((queue, Format::Json)) => {
            queue.push(format!("{}\n", serde_json::json!({ "message": line })).as_bytes());
        }
        None => drop(io::stderr().write_all(format!("{line}\n").as_bytes())),
    }
}

/// Waits until all that was said is written; not for a reader that takes nothing.
pub fn flush() {
    if let Some((queue, _)) = QUEUE.get() {
        queue.flush(limits::LOG_FLUSH_PATIENCE);
    }
}

/// Lines of the log that nobody took.
#[must_use]
pub fn lines_lost() -> u64 {
    QUEUE.get().map_or(0, |(queue, _)| queue.lost())
}

impl Logging {
    /// Whether the level can be understood, without setting anything up: for checking a config.
    ///
    /// # Errors
    /// [`LoggingError::Level`].
    pub fn check(&self) -> Result<(), LoggingError> {
        self.filter().map(drop)
    }

    /// Sets the process' logs up, to standard error. Once a process.
    ///
    /// # Errors
    /// [`LoggingError`].
    pub fn install(&self) -> Result<(), LoggingError> {
        let tell_lost =
            |lines| tracing::warn!(lines, "lines of the log were lost: they were not read in time");
        let queue = LogQueue::start(io::stderr(), limits::LOG_WAITING_BYTES_MAX, tell_lost)?;
        let subscriber = self.subscriber(Arc::clone(&queue))?;
        tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::Twice)?;
        QUEUE.set((queue, self.format)).map_err(|_| LoggingError::Twice)
    }

    fn filter(&self) -> Result<EnvFilter, LoggingError> {
        EnvFilter::builder()
            .parse(&self.level)
            .map_err(|cause| LoggingError::Level { level: self.level.clone(), cause })
    }

    fn subscriber<W>(&self, writer: W) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, LoggingError>
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
        for<'a> <W as MakeWriter<'a>>::Writer: Write,
    {
        let lines = tracing_subscriber::fmt()
            .with_env_filter(self.filter()?)
            .with_writer(writer)
            .with_ansi(false)
            // It would be told on standard error too, in a way that ends the process where nothing can be written there.
            .log_internal_errors(false);
        Ok(match self.format {
            Format::Text => Box::new(lines.with_target(false).finish()),
            Format::Json => Box::new(lines.json().flatten_event(true).finish()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(logging: &Logging) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = logging.subscriber(move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(drop = "caiyun-100-25", "drop opened");
            tracing::debug!("unheard");
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_is_one_line_without_colour() {
        let text = logged(&Logging::default());
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("INFO drop opened drop=\"caiyun-100-25\""), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = logged(&Logging { format: Format::Json, ..Logging::default() });
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(line["message"], "drop opened");
        assert_eq!(line["drop"], "caiyun-100-25");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn directives_choose_what_is_heard() {
        assert_eq!(logged(&Logging { level: "warn".to_owned(), ..Logging::default() }), "");
        assert_eq!(
            logged(&Logging { level: "warn,claimrush=debug".to_owned(), ..Logging::default() })
                .lines()
                .count(),
            2
        );
    }

    #[test]
    fn a_wrong_level_is_named() {
        let wrong = Logging { level: "info,claimrush=loud".to_owned(), ..Logging::default() };
        let error = wrong.check().unwrap_err().to_string();
        assert!(error.starts_with("log level \"info,claimrush=loud\": "), "{error}");
    }
}
