//! The numbers of a closed model's arrivals: whoever is free takes the next.
//!
//! Shared by the threads of a process, so that no thread has tickets left while another has none, and so that a
//! process uses its tickets in order. Processes do not ask each other: each has the numbers of its own slots.

use std::sync::atomic::{AtomicU64, Ordering};

use super::job::Place;

/// Hands out the numbers of one process.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Turns {
    taken: AtomicU64,
    first: u64,
    threads: u64,
    of: u64,
}

impl Turns {
    /// Those of the slots from `place.first` on, one a thread.
    pub(crate) fn new(place: Place, threads: usize) -> Self {
        let Place { first, of } = place;
        Self { taken: AtomicU64::new(0), first: first as u64, threads: threads.max(1) as u64, of: of as u64 }
    }

    /// The next number, from 0 over all processes of the run.
    pub(crate) fn next(&self) -> u64 {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        taken / self.threads * self.of + self.first + taken % self.threads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_its_numbers_in_order_and_all_take_each_number_once() {
        let take = |first, threads| {
            let turns = Turns::new(Place { first, of: 5 }, threads);
            move |number| (0..number).map(|_| turns.next()).collect::<Vec<_>>()
        };
        assert_eq!(take(0, 2)(6), [0, 1, 5, 6, 10, 11]);
        let mut all = [take(0, 2)(6), take(2, 3)(9)].concat();
        all.sort_unstable();
        assert_eq!(all, (0..15).collect::<Vec<_>>());
    }
}
