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
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    epochs: BTreeMap<u32, u16>,
    /// The folder does not have all of it: it could not be written when it was to be.
    is_unwritten: bool,
}

impl EpochMemory {
    /// What a folder remembers.
    ///
    /// # Errors
    /// [`DataDirError::File`] when it cannot be read.
    pub fn of(folder: DataDir) -> Result<Self, DataDirError> {
        let known = Mutex::new(Known { epochs: folder.epochs()?, is_unwritten: false });
        Ok(Self { folder: Some(folder), known })
    }

    /// The highest epoch of a drop.
    pub(in crate::backoffice) fn highest(&self, drop: DropNumber) -> Option<Epoch> {
        self.known().epochs.get(&drop.0).copied().map(Epoch)
    }

    /// Remembers epochs. To be called before anybody is granted a number in them.
    pub(super) fn note(&self, epochs: impl IntoIterator<Item = (DropNumber, Epoch)>) {
        let mut known = self.known();
        let mut is_new = false;
        for (drop, epoch) in epochs {
            let highest = known.epochs.entry(drop.0).or_default();
            is_new |= *highest < epoch.0;
            *highest = epoch.0.max(*highest);
        }
        if !is_new {
            return;
        }
        known.is_unwritten = true;
        if let Err(error) = self.write(&mut known) {
            tracing::warn!(%error, "the data folder does not remember in which epochs numbers are given");
        }
    }

    /// Writes what could not be written when it was new.
    pub(super) fn write_again(&self) {
        // That it cannot was said then.
        let _ = self.write(&mut self.known());
    }

    fn write(&self, known: &mut Known) -> Result<(), DataDirError> {
        if let Some(folder) = self.folder.as_ref().filter(|_| known.is_unwritten) {
            folder.write_epochs(&known.epochs)?;
            known.is_unwritten = false;
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
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

    #[test]
    fn what_could_not_be_written_is_written_as_soon_as_it_can_be() {
        let place = tempfile::tempdir().unwrap();
        let (data, away) = (place.path().join("data"), place.path().join("away"));
        std::fs::create_dir(&data).unwrap();
        let memory = EpochMemory::of(DataDir::open(&data).unwrap()).unwrap();
        std::fs::rename(&data, &away).unwrap();
        memory.note([(DropNumber(1), Epoch(2))]);
        memory.write_again();
        std::fs::rename(&away, &data).unwrap();
        memory.write_again();
        let open = EpochMemory::of(DataDir::open(&data).unwrap()).unwrap();
        assert_eq!(open.highest(DropNumber(1)), Some(Epoch(2)));
    }
}
