//! The connections of a worker: so many at a time, and strangers make room for newcomers.
//!
//! Owns the count of connections and who of them is a stranger: one that has made no call with the right token yet. Knows nothing of
//! calls.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::desk::lock;

/// Room for connections.
#[derive(Debug)]
pub(super) struct Room {
    places: Arc<Semaphore>,
    /// In the order in which they came, each with the word that it is to leave.
    strangers: Mutex<VecDeque<Arc<Notify>>>,
}

impl Room {
    pub(super) fn new(connections_max: usize) -> Arc<Self> {
        Arc::new(Self { places: Arc::new(Semaphore::new(connections_max)), strangers: Mutex::default() })
    }

    /// Gives a newcomer a place. Where there is none the stranger who has been here longest leaves for them: whoever knows the token
    /// shows it at once, and 64 who say nothing would keep everybody out. Among none but those who are known it waits for one.
    pub(super) async fn enter(self: &Arc<Self>) -> Option<Guest> {
        if self.places.available_permits() == 0
            && let Some(stranger) = lock(&self.strangers).pop_front()
        {
            stranger.notify_one();
        }
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let leave = Arc::new(Notify::new());
        lock(&self.strangers).push_back(Arc::clone(&leave));
        Some(Guest { room: Arc::clone(self), leave, _place: place })
    }
}

/// The place of one connection, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    room: Arc<Room>,
    leave: Arc<Notify>,
    _place: OwnedSemaphorePermit,
}

impl Guest {
    /// They have shown the token, and leave for nobody.
    pub(super) fn is_known(&self) {
        lock(&self.room.strangers).retain(|stranger| !Arc::ptr_eq(stranger, &self.leave));
    }

    /// Ready when they are to leave for somebody else.
    pub(super) async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.is_known();
    }
}
