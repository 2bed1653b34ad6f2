//! Room on the disk of the data folder: Redis' append-only file and the embedded ledger end when there is none.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::statvfs;
use tokio_util::sync::CancellationToken;

use super::core::Shared;

/// How often the disk is asked.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Bytes of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// That this process may still write.
    free: u64,
    /// In all.
    size: u64,
}

impl Room {
    fn of(path: &Path) -> io::Result<Self> {
        let disk = statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Ok(Self { free: bytes(disk.f_bavail), size: bytes(disk.f_blocks) })
    }
}

/// Keeps the gauges of the disk true, until `stop`.
pub(super) async fn watch(folder: PathBuf, shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut could_ask = true;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let path = folder.clone();
        // A disk on the network may keep who asks waiting, and nobody else is to wait with it.
        let asked = tokio::task::spawn_blocking(move || Room::of(&path));
        let Some(asked) = stop.run_until_cancelled(asked).await else { return };
        match asked.map_err(io::Error::other).flatten() {
            Ok(Room { free, size }) => {
                shared.metrics.data_free_bytes.set(free as f64);
                shared.metrics.data_size_bytes.set(size as f64);
                could_ask = true;
            }
            Err(error) => {
                if could_ask {
                    tracing::warn!(folder = %folder.display(), %error, "the disk does not say how much room it has");
                }
                could_ask = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_says_how_much_room_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::of(folder.path()).unwrap();
        assert!(0 < room.free && room.free <= room.size, "{room:?}");
        let gone = folder.path().join("gone");
        assert_eq!(Room::of(&gone).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
