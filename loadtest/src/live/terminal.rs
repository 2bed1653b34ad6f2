//! The terminal while it shows the screen, and its restoration.
//!
//! Owns raw mode and the alternate screen. Whatever way the program takes out (the view's end, an error, a panic
//! in any thread, a signal), [`restore`] has run before it is gone.

use std::{
    io::{self, BufWriter, Stderr, Write},
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::Show,
        event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};

/// The terminal shows the screen now.
static UP: AtomicBool = AtomicBool::new(false);
static PANIC_HOOK: Once = Once::new();

/// The screen on standard error, so that standard output stays free for results.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stderr>>>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It is none, or cannot do what a screen needs; it is then as it was before.
    pub(crate) fn open() -> io::Result<Self> {
        PANIC_HOOK.call_once(|| {
            let told_before = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                restore();
                told_before(panic);
            }));
        });
        UP.store(true, Ordering::SeqCst);
        let opened = enable_raw_mode().and_then(|()| execute!(io::stderr(), EnterAlternateScreen));
        let screen = opened.and_then(|()| {
            let backend = CrosstermBackend::new(BufWriter::new(io::stderr()));
            Ok(Self { terminal: Terminal::new(backend)? })
        });
        if screen.is_err() {
            restore();
        }
        screen
    }

    /// Draws a frame of the terminal's present size.
    ///
    /// # Errors
    /// The terminal is gone, or was restored because a thread panicked.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        if !UP.load(Ordering::SeqCst) {
            return Err(io::Error::other("the terminal was restored"));
        }
        self.terminal.draw(draw)?;
        self.terminal.backend_mut().flush()
    }

    /// How often q or Ctrl-C was pressed since the last call. Does not wait.
    #[expect(clippy::unused_self, reason = "keys are the screen's while there is one")]
    pub(crate) fn stop_keys(&self) -> u8 {
        let mut pressed = 0_u8;
        // A terminal without keys to read (closed input) has none pressed.
        while event::poll(Duration::ZERO).unwrap_or(false) {
            match event::read() {
                Ok(event) => pressed = pressed.saturating_add(u8::from(asks_to_stop(&event))),
                Err(_) => break,
            }
        }
        pressed
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back as it was; does nothing if it shows no screen.
pub(crate) fn restore() {
    if UP.swap(false, Ordering::SeqCst) {
        // Both are tried, whatever becomes of the first; a terminal that is gone needs neither.
        let _cooked = disable_raw_mode();
        let _left = execute!(io::stderr(), LeaveAlternateScreen, Show);
    }
}

/// In raw mode Ctrl-C is a key like any other.
fn asks_to_stop(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    let quit = matches!(key.code, KeyCode::Char('q' | 'Q'));
    key.kind == KeyEventKind::Press && (ctrl_c || quit)
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn only_the_announced_keys_stop() {
        let key = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        assert!(asks_to_stop(&key(KeyCode::Char('q'), KeyModifiers::NONE)));
        assert!(asks_to_stop(&key(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert!(!asks_to_stop(&key(KeyCode::Char('c'), KeyModifiers::NONE)));
        assert!(!asks_to_stop(&key(KeyCode::Enter, KeyModifiers::NONE)));
        assert!(!asks_to_stop(&Event::Resize(80, 24)));
    }
}
