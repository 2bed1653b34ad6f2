//! Claims before looks: whoever only looks waits for a turn, a few between two looks at the sockets.
//!
//! Owns the line of one core. A burst of requests for the page and for how a drop stands would otherwise be answered
//! whole before a claim, or Redis' reply, that came meanwhile is as much as read. No timer, and nothing to do while
//! nobody looks. Knows nothing of what is asked: the caller says who has to take a turn.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The line of one core.
#[derive(Debug)]
pub(super) struct Turns {
    /// Turns between two looks at the sockets.
    each: usize,
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Line {
    /// Turns that are left until the sockets are looked at.
    left: usize,
    /// The number of the place at the front: who had an earlier one has its turn.
    front: u64,
    /// Who waits, in order of arrival, at most one for each open connection; `None` is one that went away.
    waiting: VecDeque<Option<Waker>>,
    /// The keeper of the line, while it has nothing to do.
    keeper: Option<Waker>,
}

impl Turns {
    /// A line in which `each` may go between two looks at the sockets.
    pub(super) fn new(each: usize) -> Self {
        let line = Line { left: each, front: 0, waiting: VecDeque::new(), keeper: None };
        Self { each, line: Mutex::new(line) }
    }

    /// A turn, to be waited for: at once while there are some left. Whoever drops it leaves the line.
    pub(super) fn take(&self) -> Turn<'_> {
        Turn { turns: self, place: None }
    }

    /// Keeps the line, for ever. To be run by a task of the single-threaded runtime whose connections stand in it.
    pub(super) async fn keep(&self) {
        loop {
            std::future::poll_fn(|context| self.line().poll_begun(self.each, context)).await;
            // On such a runtime this comes back when all that was ready has run and the sockets have been looked at: what
            // they had is before whoever is woken below.
            tokio::task::yield_now().await;
            self.line().go_on(self.each);
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Ready once somebody has taken a turn or waits for one.
    fn poll_begun(&mut self, each: usize, context: &Context<'_>) -> Poll<()> {
        if self.left < each || !self.waiting.is_empty() {
            return Poll::Ready(());
        }
        self.keeper = Some(context.waker().clone());
        Poll::Pending
    }

    /// Gives the next turns.
    fn go_on(&mut self, each: usize) {
        self.left = each;
        while self.left > 0
            && let Some(place) = self.waiting.pop_front()
        {
            self.front += 1;
            if let Some(waker) = place {
                self.left -= 1;
                waker.wake();
            }
        }
    }

    fn wake_keeper(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.wake();
        }
    }

    /// Somebody went away. Its place is passed over, and gone at once if it was the last.
    fn leave(&mut self, number: u64) {
        if let Some(place) = self.place(number) {
            *place = None;
        }
        while let Some(None) = self.waiting.back() {
            self.waiting.pop_back();
        }
    }

    /// The place of this number, while it is in the line.
    fn place(&mut self, number: u64) -> Option<&mut Option<Waker>> {
        let index = usize::try_from(number.checked_sub(self.front)?).ok()?;
        self.waiting.get_mut(index)
    }
}

/// One turn; see [`Turns::take`].
#[derive(Debug)]
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    /// The number of its place, once it has had to wait.
    place: Option<u64>,
}

impl Future for Turn<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let turns = self.turns;
        let mut line = turns.line();
        let Some(number) = self.place else {
            line.wake_keeper();
            if line.left > 0 {
                line.left -= 1;
                return Poll::Ready(());
            }
            self.place = Some(line.front + line.waiting.len() as u64);
            line.waiting.push_back(Some(context.waker().clone()));
            return Poll::Pending;
        };
        match line.place(number) {
            Some(Some(waker)) if waker.will_wake(context.waker()) => Poll::Pending,
            Some(place) => {
                *place = Some(context.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.place {
            self.turns.line().leave(number);
        }
    }
}

#[cfg(test)]
mod tests;
