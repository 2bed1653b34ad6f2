//! Hands arrivals to free connections, within one thread.
//!
//! An arrival that finds no free connection waits in a bounded backlog with its intended start; it is never
//! forgotten silently. Knows neither schedules nor sockets.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

/// The longest that an arrival may wait for a free connection: while the first has waited longer, later ones are
/// dropped.
const BACKLOG_WAIT: Duration = Duration::from_secs(10);
/// The most arrivals that wait, within one thread.
const BACKLOG_MAX: usize = 1_000_000;

/// One person who comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// Its number within the run, from 0.
    pub(crate) n: u64,
    /// Its person's number, from 1.
    pub(crate) person: u64,
    /// Which persona it is.
    pub(crate) persona: usize,
    /// Its intended start.
    pub(crate) due: Instant,
    /// The generator let it go late, or let it wait for its turn.
    pub(crate) is_late: bool,
    /// No connection was free when it came.
    pub(crate) waited: bool,
}

struct Slot {
    arrival: Cell<Option<Arrival>>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Default)]
struct State {
    free: VecDeque<Rc<Slot>>,
    backlog: VecDeque<Arrival>,
    ended: bool,
}

/// One thread's pacer.
#[derive(Default)]
pub(crate) struct Pacer(RefCell<State>);

impl Pacer {
    /// The next arrival, once there is one; `None` when none will come any more.
    pub(crate) async fn next(&self) -> Option<Arrival> {
        let slot = Rc::new(Slot { arrival: Cell::new(None), waker: RefCell::new(None) });
        let mut queued = false;
        std::future::poll_fn(|context| {
            if let Some(arrival) = slot.arrival.take() {
                return Poll::Ready(Some(arrival));
            }
            let mut state = self.0.borrow_mut();
            if let Some(arrival) = state.backlog.pop_front() {
                return Poll::Ready(Some(arrival));
            }
            if state.ended {
                return Poll::Ready(None);
            }
            *slot.waker.borrow_mut() = Some(context.waker().clone());
            if !queued {
                state.free.push_back(Rc::clone(&slot));
                queued = true;
            }
            Poll::Pending
        })
        .await
    }

    /// Gives an arrival to the connection that has been free for longest, or lets it wait for one; `false` when too
    /// many wait already, or nobody is let in any more.
    pub(crate) fn offer(&self, arrival: Arrival, now: Instant) -> bool {
        let mut state = self.0.borrow_mut();
        if state.ended {
            return false;
        }
        if let Some(slot) = state.free.pop_front() {
            slot.arrival.set(Some(arrival));
            if let Some(waker) = slot.waker.borrow_mut().take() {
                waker.wake();
            }
            return true;
        }
        let first_waits =
            state.backlog.front().map_or(Duration::ZERO, |first| now.saturating_duration_since(first.due));
        let takes = first_waits <= BACKLOG_WAIT && state.backlog.len() < BACKLOG_MAX;
        if takes {
            state.backlog.push_back(Arrival { waited: true, ..arrival });
        }
        takes
    }

    /// Says that no arrival will be offered any more; those that wait are still served.
    pub(crate) fn end(&self) {
        let mut state = self.0.borrow_mut();
        state.ended = true;
        for slot in state.free.drain(..) {
            if let Some(waker) = slot.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// Sends those away who wait; returns how many they were.
    pub(crate) fn clear(&self) -> u64 {
        let mut state = self.0.borrow_mut();
        let waiting = state.backlog.len();
        state.backlog.clear();
        waiting as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(n: u64, due: Instant) -> Arrival {
        Arrival { n, person: n + 1, persona: 0, due, is_late: false, waited: false }
    }

    #[tokio::test(flavor = "local")]
    async fn arrivals_wait_in_order_and_none_comes_after_the_end() {
        let (pacer, now) = (Pacer::default(), Instant::now());
        assert!(pacer.offer(arrival(0, now), now) && pacer.offer(arrival(1, now), now));
        assert_eq!(pacer.next().await.unwrap().n, 0);
        pacer.end();
        assert_eq!(pacer.next().await.unwrap().n, 1);
        assert!(pacer.next().await.is_none());
        assert!(
            !pacer.offer(arrival(2, now), now),
            "nobody would serve it, and nobody would count it as dropped"
        );
    }

    #[tokio::test(flavor = "local")]
    async fn a_free_connection_is_given_the_arrival_directly() {
        let pacer = Rc::new(Pacer::default());
        let waiting = tokio::task::spawn_local({
            let pacer = Rc::clone(&pacer);
            async move { pacer.next().await }
        });
        tokio::task::yield_now().await;
        let now = Instant::now();
        assert!(pacer.offer(arrival(7, now), now));
        assert_eq!(waiting.await.unwrap().unwrap().n, 7);
        assert_eq!(pacer.clear(), 0);
    }

    #[test]
    fn nobody_joins_a_line_that_stands_still() {
        let (pacer, now) = (Pacer::default(), Instant::now());
        assert!(pacer.offer(arrival(0, now), now));
        let later = now + BACKLOG_WAIT;
        assert!(pacer.offer(arrival(1, later), later));
        let too_late = later + Duration::from_millis(1);
        assert!(!pacer.offer(arrival(2, too_late), too_late));
        assert_eq!(pacer.clear(), 2);
    }
}
