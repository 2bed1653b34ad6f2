//! The screen's colours.
//!
//! Owns what a colour means. Only the terminal's own sixteen are used, so that the screen suits light and dark
//! ones alike; without colours (`NO_COLOR`, <https://no-color.org/>) meaning is left to words and weight.

use ratatui::style::{Color, Modifier, Style};

/// What matters most.
pub(crate) const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
/// What only explains.
pub(crate) const FAINT: Style = Style::new().add_modifier(Modifier::DIM);

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Palette {
    coloured: bool,
}

impl Palette {
    /// With or without colours.
    pub(crate) fn new(coloured: bool) -> Self {
        Self { coloured }
    }

    /// As the environment asks for.
    pub(crate) fn from_environment() -> Self {
        Self::new(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    /// What is measured.
    pub(crate) fn measure(self) -> Style {
        self.with(Color::Cyan)
    }

    /// What a person came for.
    pub(crate) fn good(self) -> Style {
        self.with(Color::Green)
    }

    /// A refusal, or something to look at.
    pub(crate) fn attention(self) -> Style {
        self.with(Color::Yellow)
    }

    /// A failure.
    pub(crate) fn bad(self) -> Style {
        self.with(Color::Red)
    }

    /// The style of an answer with this status.
    pub(crate) fn status(self, status: u16) -> Style {
        match status {
            200..=299 => self.good(),
            500.. => self.bad(),
            _ => self.attention(),
        }
    }

    fn with(self, colour: Color) -> Style {
        if self.coloured { Style::new().fg(colour) } else { Style::new() }
    }
}
