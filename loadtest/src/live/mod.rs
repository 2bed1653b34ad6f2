//! The live view of a run.
//!
//! Owns what people see while a run lasts, and how they end it early. It is told sums by the run and asks the
//! service by itself; neither the load nor the results depend on it, and no failure of its own stops a run.
//!
//! - [`reading`]: what the view is told
//! - [`feed`]: rates and times made of it
//! - [`scrape`]: what the service says of itself (over `fetch`, read by `exposition`)
//! - `scene`: what is shown, in `words`
//! - `screen`, `panels`, `tables`, `small`, `palette`, `terminal`: as a screen
//! - `plain`: as lines
//! - `interrupts`: Ctrl-C and other signals

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use anyhow::Result;

mod exposition;
pub mod feed;
mod fetch;
mod interrupts;
mod palette;
mod panels;
mod plain;
pub mod reading;
#[cfg(test)]
mod sample;
mod scene;
pub mod scrape;
mod screen;
mod small;
mod tables;
mod terminal;
mod words;

pub use feed::Feed;
pub use interrupts::Watch;
pub use reading::Reading;
pub use scrape::{Scrape, ScrapeTargets};

use palette::Palette;
use scene::Scene;
use terminal::Screen;

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A full screen, on standard error.
    Screen,
    /// One line a second, on standard error.
    Plain,
    /// Not at all.
    Quiet,
}

impl Mode {
    /// A screen if standard error is a terminal that can show one, unless something else is wanted.
    #[must_use]
    pub fn choose(quiet: bool, plain: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
        if quiet {
            Self::Quiet
        } else if plain || dumb || !io::stderr().is_terminal() {
            Self::Plain
        } else {
            Self::Screen
        }
    }
}

/// What somebody at the terminal, or a signal, has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Nothing.
    No,
    /// No more arrivals; the answers under way are waited for, and the results told.
    Gently,
    /// Leave at once.
    Now,
}

/// What a view shows, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// How.
    pub mode: Mode,
    /// What is rehearsed: the scenario's name.
    pub title: String,
    /// The service's public address.
    pub target: String,
    /// How long arrivals come.
    pub planned: Duration,
    /// Where the service is asked how it is; it is not asked if this is none.
    pub scrape: Option<ScrapeTargets>,
}

/// Shows a run until it is finished or dropped. Nothing else may write to the terminal meanwhile.
pub struct View {
    options: Options,
    palette: Palette,
    feed: Feed,
    scrape: Option<Scrape>,
    face: Face,
    interrupts: Watch,
    /// How often a key asked for the end.
    keys: u8,
}

enum Face {
    Screen(Screen),
    Plain,
    Quiet,
}

impl View {
    /// Takes the terminal, listens for signals, and starts to ask the service. A screen that the terminal cannot
    /// show becomes plain lines.
    ///
    /// # Errors
    /// An address of the scrape cannot be understood, or the system has no thread left.
    pub fn start(options: Options) -> Result<Self> {
        let asked = options.scrape.as_ref().filter(|_| options.mode != Mode::Quiet);
        let scrape = asked.map(Scrape::start).transpose()?;
        let feed = Feed::new()?;
        let interrupts = Watch::start();
        let face = match options.mode {
            Mode::Screen => Screen::open().map_or(Face::Plain, Face::Screen),
            Mode::Plain => Face::Plain,
            Mode::Quiet => Face::Quiet,
        };
        Ok(Self { options, palette: Palette::from_environment(), feed, scrape, face, interrupts, keys: 0 })
    }

    /// Shows the newest reading: a screen at every call (some four times a second), lines once a second. Does not
    /// wait for anything but the terminal.
    pub fn tell(&mut self, reading: &Reading) {
        let is_whole_second = self.feed.tell(reading);
        let stop = self.asked_to_stop();
        let service = self.scrape.as_ref().map(Scrape::state);
        let scene = Scene {
            title: &self.options.title,
            target: &self.options.target,
            planned: self.options.planned,
            feed: &self.feed,
            service: service.as_ref(),
            stop,
        };
        match &mut self.face {
            Face::Screen(screen) => {
                if screen.draw(|frame| screen::draw(&scene, self.palette, frame)).is_err() {
                    self.face = Face::Plain;
                }
            }
            // Nobody reads any more: that is no reason to end a run.
            Face::Plain if is_whole_second => drop(writeln!(io::stderr(), "{}", plain::line(&scene))),
            Face::Plain | Face::Quiet => {}
        }
    }

    /// What the keys and signals since the start ask for.
    pub fn asked_to_stop(&mut self) -> Stop {
        if let Face::Screen(screen) = &self.face {
            self.keys = self.keys.saturating_add(screen.stop_keys());
        }
        match self.keys.saturating_add(self.interrupts.asked()) {
            0 => Stop::No,
            1 => Stop::Gently,
            _ => Stop::Now,
        }
    }

    /// Says something to those who have no screen that says it.
    pub fn say(&self, line: &str) {
        if !matches!(self.face, Face::Screen(_)) {
            // Nobody reads any more: that is no reason to end a run.
            let _unread = writeln!(io::stderr(), "{line}");
        }
    }

    /// Gives the terminal back. A signal ends the process as usual from when what this gives has gone: a run that a first one
    /// has ended must not lose its results to a second one that came just after its last answer.
    #[must_use = "from when it has gone, a signal ends the process"]
    pub fn finish(self) -> Watch {
        let Self { interrupts, .. } = self;
        interrupts
    }
}
