//! One line a second while a run lasts.

use std::{
    io::IsTerminal,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::worker::Meter;

/// Tells how a run goes: a bar on a terminal, plain lines elsewhere, nothing when quiet.
pub struct Progress {
    bar: Option<ProgressBar>,
    meters: Vec<Arc<Meter>>,
    start: Instant,
    answers_before: u64,
    told_at: Instant,
}

impl Progress {
    /// Starts to tell; `quiet` tells nothing.
    #[must_use]
    pub fn start(meters: Vec<Arc<Meter>>, duration: Duration, start: Instant, quiet: bool) -> Self {
        let bar = (!quiet).then(|| {
            if !std::io::stderr().is_terminal() {
                return ProgressBar::hidden();
            }
            let bar = ProgressBar::new(duration.as_secs());
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} s  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, meters, start, answers_before: 0, told_at: start }
    }

    /// Tells the last second.
    pub fn tick(&mut self) {
        let Some(bar) = &self.bar else { return };
        let sum = |read: fn(&Meter) -> u64| self.meters.iter().map(|meter| read(meter)).sum::<u64>();
        let answers = sum(|meter| meter.answers.load(Ordering::Relaxed));
        let granted = sum(|meter| meter.granted.load(Ordering::Relaxed));
        let lost = sum(|meter| meter.lost.load(Ordering::Relaxed));
        let now = Instant::now();
        let rate = (answers - self.answers_before) as f64 / (now - self.told_at).as_secs_f64().max(0.001);
        (self.answers_before, self.told_at) = (answers, now);
        let message = format!("{rate:>9.0}/s  answers {answers}  granted {granted}  lost {lost}");
        let elapsed = (now - self.start).as_secs();
        if bar.is_hidden() {
            eprintln!("{elapsed:>4} s {message}");
        } else {
            bar.set_position(elapsed);
            bar.set_message(message);
        }
    }

    /// Removes the bar.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
