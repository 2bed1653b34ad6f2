//! Lets requests leave on schedule, whatever the service does.
//!
//! Owns the hand-over from the schedule to free connections within one thread, and what is known of lateness.
//! An arrival that finds no free connection waits in a bounded backlog with its intended start; it is never
//! forgotten silently. Touches no socket but its own timer.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    os::fd::OwnedFd,
    rc::Rc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::arrivals::Arrivals;

/// A send is late when it leaves more than this after its intended start.
pub const LATE_AFTER: Duration = Duration::from_millis(10);

/// The pacer wakes no more often than this: at high rates one wake-up lets several arrivals go.
const TICK_MIN: Duration = Duration::from_micros(100);

/// How a thread kept to its schedule.
#[derive(Debug, Clone, Copy, Default)]
pub struct Punctuality {
    /// Arrivals that were due during the run.
    pub scheduled: u64,
    /// Arrivals that the generator itself let go late: it had no CPU left.
    pub late_generator: u64,
    /// Arrivals that left late because every connection still waited for an answer.
    pub late_connections: u64,
    /// Arrivals that never left: the backlog was full, or the run ended before a connection was free.
    pub dropped: u64,
}

impl Punctuality {
    /// Adds another thread's.
    pub fn merge(&mut self, other: Self) {
        self.scheduled += other.scheduled;
        self.late_generator += other.late_generator;
        self.late_connections += other.late_connections;
        self.dropped += other.dropped;
    }
}

/// One request that is due.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Its intended start.
    pub due: Instant,
    /// The generator let it go late.
    released_late: bool,
}

struct Slot {
    arrival: Cell<Option<Arrival>>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Default)]
struct State {
    free: VecDeque<Rc<Slot>>,
    backlog: VecDeque<Arrival>,
    punctuality: Punctuality,
    ended: bool,
}

/// One thread's pacer.
pub struct Pacer {
    state: RefCell<State>,
    backlog_max: usize,
}

impl Pacer {
    /// A pacer that keeps at most `backlog_max` arrivals waiting.
    #[must_use]
    pub fn new(backlog_max: usize) -> Self {
        Self { state: RefCell::new(State::default()), backlog_max }
    }

    /// The next request, once one is due; `None` when the run is over.
    pub async fn next(&self) -> Option<Arrival> {
        let slot = Rc::new(Slot { arrival: Cell::new(None), waker: RefCell::new(None) });
        let mut queued = false;
        std::future::poll_fn(|context| {
            if let Some(arrival) = slot.arrival.take() {
                return Poll::Ready(Some(arrival));
            }
            let mut state = self.state.borrow_mut();
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

    /// Notes that an arrival left, for the count of late ones.
    pub fn sent(&self, arrival: Arrival, sent_at: Instant) {
        if !arrival.released_late && sent_at.duration_since(arrival.due) > LATE_AFTER {
            self.state.borrow_mut().punctuality.late_connections += 1;
        }
    }

    /// Notes that an arrival could not leave before the end.
    pub fn dropped(&self) {
        self.state.borrow_mut().punctuality.dropped += 1;
    }

    /// Takes back an arrival for which there was no ticket left, and ends the schedule.
    pub fn out_of_tickets(&self) {
        let mut state = self.state.borrow_mut();
        state.punctuality.scheduled =
            state.punctuality.scheduled.saturating_sub(1 + state.backlog.len() as u64);
        state.backlog.clear();
        end(&mut state);
    }

    /// Lets arrivals go when they are due, until `until` or until the tickets are used up.
    ///
    /// # Errors
    /// The timer cannot be made or read.
    pub async fn run(&self, arrivals: Arrivals, start: Instant, until: Instant) -> io::Result<()> {
        let timer = Timer::new()?;
        let mut n = 0;
        loop {
            let now = Instant::now();
            loop {
                let due = start + arrivals.due(n);
                if due > now || due >= until || self.state.borrow().ended {
                    break;
                }
                self.release(due, now);
                n += 1;
            }
            let next = start + arrivals.due(n);
            if next >= until || now >= until || self.state.borrow().ended {
                break;
            }
            timer.wait_for(next.max(now + TICK_MIN) - now).await?;
        }
        if !self.state.borrow().ended {
            tokio::time::sleep_until(until.into()).await;
        }
        let mut state = self.state.borrow_mut();
        state.punctuality.dropped += state.backlog.len() as u64;
        state.backlog.clear();
        end(&mut state);
        Ok(())
    }

    fn release(&self, due: Instant, now: Instant) {
        let mut state = self.state.borrow_mut();
        state.punctuality.scheduled += 1;
        let arrival = Arrival { due, released_late: now.duration_since(due) > LATE_AFTER };
        state.punctuality.late_generator += u64::from(arrival.released_late);
        if let Some(slot) = state.free.pop_front() {
            slot.arrival.set(Some(arrival));
            if let Some(waker) = slot.waker.borrow_mut().take() {
                waker.wake();
            }
        } else if state.backlog.len() < self.backlog_max {
            state.backlog.push_back(arrival);
        } else {
            state.punctuality.dropped += 1;
        }
    }

    /// What is known of lateness so far.
    pub fn punctuality(&self) -> Punctuality {
        self.state.borrow().punctuality
    }
}

fn end(state: &mut State) {
    state.ended = true;
    for slot in state.free.drain(..) {
        if let Some(waker) = slot.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// A kernel timer: the runtime's own is too coarse (1 ms) for response times below a millisecond.
struct Timer {
    descriptor: AsyncFd<OwnedFd>,
}

impl Timer {
    #[expect(
        deprecated,
        reason = "its successor is unsafe; its one condition, a descriptor that nobody else closes, holds here"
    )]
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?;
        Ok(Self { descriptor })
    }

    async fn wait_for(&self, wait: Duration) -> io::Result<()> {
        let wait = wait.max(Duration::from_nanos(1));
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(wait.subsec_nanos()),
            },
        };
        timerfd_settime(self.descriptor.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        let mut expirations = [0_u8; 8];
        loop {
            let mut guard = self.descriptor.readable().await?;
            match guard.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut expirations)?)) {
                Ok(read) => return read.map(drop),
                Err(_would_block) => {}
            }
        }
    }
}
