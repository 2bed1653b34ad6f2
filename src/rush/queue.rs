//! A bounded queue from the connections of one core to its batcher.
//!
//! Owns the order of arrival and the bound. Everything that waits is taken in one step, which a channel that
//! hands items over one by one cannot do, and its only allocation is kept from batch to batch.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Debug)]
struct Shared<T> {
    waiting: Mutex<VecDeque<T>>,
    arrived: Notify,
    /// Items that may wait.
    max: AtomicUsize,
    /// An item was given back since somebody asked.
    refused: AtomicBool,
}

impl<T> Shared<T> {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The near end. The queue ends when the last one is dropped.
#[derive(Debug)]
pub(super) struct Sender<T>(Arc<Shared<T>>, Arc<Open<T>>);

/// Dropped with the last sender: wakes the receiver, so that it sees the end.
#[derive(Debug)]
struct Open<T>(Arc<Shared<T>>);

impl<T> Drop for Open<T> {
    fn drop(&mut self) {
        self.0.arrived.notify_one();
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), Arc::clone(&self.1))
    }
}

/// The far end.
#[derive(Debug)]
pub(super) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    open: std::sync::Weak<Open<T>>,
}

/// A queue of at most `max` items.
pub(super) fn bounded<T>(max: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        waiting: Mutex::default(),
        arrived: Notify::new(),
        max: AtomicUsize::new(max),
        refused: AtomicBool::new(false),
    });
    let open = Arc::new(Open(Arc::clone(&shared)));
    let receiver = Receiver { shared: Arc::clone(&shared), open: Arc::downgrade(&open) };
    (Sender(shared, open), receiver)
}

impl<T> Sender<T> {
    /// Appends an item; gives it back when the queue is full.
    pub(super) fn push(&self, item: T) -> Result<(), T> {
        let mut waiting = self.0.waiting();
        if waiting.len() >= self.0.max.load(Ordering::Relaxed) {
            drop(waiting);
            self.0.refused.store(true, Ordering::Relaxed);
            return Err(item);
        }
        waiting.push_back(item);
        let first = waiting.len() == 1;
        drop(waiting);
        if first {
            self.0.arrived.notify_one();
        }
        Ok(())
    }
}

impl<T> Receiver<T> {
    /// Waits until something is there; false when nothing is there and nothing can come any more.
    pub(super) async fn ready(&mut self) -> bool {
        loop {
            // Asked before the look: a last sender that goes after it leaves a permit behind.
            let ended = self.open.strong_count() == 0;
            if self.len() > 0 {
                return true;
            }
            if ended {
                return false;
            }
            self.shared.arrived.notified().await;
        }
    }

    /// Moves up to `max` items that are there to `into`, oldest first.
    pub(super) fn take(&mut self, into: &mut Vec<T>, max: usize) {
        let mut waiting = self.shared.waiting();
        let count = waiting.len().min(max);
        into.extend(waiting.drain(..count));
    }

    /// Sets how many may wait from now on; those that wait already stay.
    pub(super) fn set_max(&self, max: usize) {
        self.shared.max.store(max, Ordering::Relaxed);
    }

    /// Whether an item was given back since this was last asked.
    pub(super) fn refused_any(&self) -> bool {
        self.shared.refused.swap(false, Ordering::Relaxed)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.shared.waiting().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn items_come_in_order_and_in_one_step() {
        let (near, mut far) = bounded(3);
        for item in 1..=3 {
            assert_eq!(near.push(item), Ok(()));
        }
        assert_eq!(near.push(4), Err(4));
        let mut taken = Vec::new();
        assert!(far.ready().await);
        far.take(&mut taken, 2);
        assert_eq!((taken.as_slice(), far.len()), (&[1, 2][..], 1));
        drop(near);
        assert!(far.ready().await, "what waits is there after the last sender has gone");
        far.take(&mut taken, 2);
        assert_eq!(taken, [1, 2, 3]);
        assert!(!far.ready().await);
    }

    #[tokio::test]
    async fn a_smaller_bound_refuses_newcomers_and_keeps_who_waits() {
        let (near, mut far) = bounded(3);
        assert_eq!((near.push(1), near.push(2)), (Ok(()), Ok(())));
        assert!(!far.refused_any());
        far.set_max(1);
        assert_eq!(near.push(3), Err(3));
        assert_eq!((far.refused_any(), far.refused_any()), (true, false));
        let mut taken = Vec::new();
        far.take(&mut taken, 3);
        assert_eq!(taken, [1, 2]);
    }

    #[tokio::test]
    async fn a_waiting_receiver_is_woken_by_an_item_and_by_the_end() {
        let (near, mut far) = bounded::<u8>(1);
        let waiter = tokio::spawn(async move {
            let mut taken = Vec::new();
            let first = far.ready().await;
            far.take(&mut taken, 1);
            (first, far.ready().await, taken)
        });
        tokio::task::yield_now().await;
        assert_eq!(near.push(7), Ok(()));
        tokio::task::yield_now().await;
        drop(near);
        assert_eq!(waiter.await.unwrap(), (true, false, vec![7]));
    }
}
