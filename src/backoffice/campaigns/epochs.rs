//! The epochs in which numbers of claims may have been given, as this front end's data folder remembers them.
//!
//! Owns that no number is given twice where the ledger was brought back from a backup of before an epoch, and Redis is lost as
//! well: then neither of the two knows of it, while persons have its codes. Drops are remembered by their numbers, as codes
//! carry those, whichever drop has them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::datadir::{DataDir, DataDirError};
use crate::domain::ids::{DropNumber, Epoch};

/// The highest epoch of each drop.
#[derive(Debug, Default)]
pub struct EpochMemory {
    /// Where they stand; nowhere in a memory that ends with its process.
    folder: Option<DataDir>,
    known: Mutex<BTreeMap<u32, u16>>,
}

impl EpochMemory {
    /// What a folder remembers.
    ///
    /// # Errors
    /// [`DataDirError::File`] when it cannot be read.
    pub fn of(folder: DataDir) -> Result<Self, DataDirError> {
        let known = Mutex::new(folder.epochs()?);
        Ok(Self { folder: Some(folder), known })
    }

    /// The highest epoch of a drop.
    pub(in crate::backoffice) fn highest(&self, drop: DropNumber) -> Option<Epoch> {
        self.known().get(&drop.0).copied().map(Epoch)
    }

    /// Remembers epochs. To be called before anybody is granted a number in them.
    pub(super) fn note(&self, epochs: impl IntoIterator<Item = (DropNumber, Epoch)>) {
        let mut known = self.known();
        let mut is_new = false;
        for (drop, epoch) in epochs {
            let highest = known.entry(drop.0).or_default();
            is_new |= *highest < epoch.0;
            *highest = epoch.0.max(*highest);
        }
        if let (true, Some(folder)) = (is_new, &self.folder)
            && let Err(error) = folder.write_epochs(&known)
        {
            tracing::warn!(%error, "the data folder does not remember in which epochs numbers are given");
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<u32, u16>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_epoch_of_each_drop_is_remembered() {
        let place = tempfile::tempdir().unwrap();
        let open = || EpochMemory::of(DataDir::open(place.path()).unwrap()).unwrap();
        let memory = open();
        assert_eq!(memory.highest(DropNumber(1)), None);
        memory.note([(DropNumber(1), Epoch(3)), (DropNumber(2), Epoch(1)), (DropNumber(1), Epoch(2))]);
        memory.note([(DropNumber(2), Epoch(1))]);
        let found = [1, 2, 3].map(|drop| open().highest(DropNumber(drop)));
        assert_eq!(found, [Some(Epoch(3)), Some(Epoch(1)), None]);
        std::fs::write(place.path().join("epochs.json"), "[]").unwrap();
        let error = EpochMemory::of(DataDir::open(place.path()).unwrap()).unwrap_err().to_string();
        assert!(error.contains("epochs.json: is not a list of epochs"), "{error}");
    }
}
