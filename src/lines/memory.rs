//! Where a large table lies.
//!
//! Each line that is asked for lies on another page, and the processor knows the places of some thousand pages only: for the
//! others it walks the page tables, which are in no cache either. So large tables ask for pages of 2 MiB, where the system has
//! those to give (Linux; "madvise" or "always" in `/sys/kernel/mm/transparent_hugepage/enabled`). Without them all is the same,
//! but slower.

use std::fmt;
use std::ops::{Deref, DerefMut};

use bytemuck::Pod;
#[cfg(target_os = "linux")]
use memmap2::{Advice, MmapMut};

/// From how many bytes on memory is asked for apart from all else. Neighbours of a system's own making share huge pages.
#[cfg(target_os = "linux")]
const MAPPED_MIN: usize = 64 << 10;
/// What is as large as this is made a whole number of huge pages.
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;

/// A fixed number of items, in huge pages if they are many. Untouched ones cost address space, not memory.
pub(crate) struct Memory<T> {
    at: Place<T>,
    len: usize,
}

enum Place<T> {
    Heap(Box<[T]>),
    #[cfg(target_os = "linux")]
    Mapped(MmapMut),
}

impl<T> fmt::Debug for Memory<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<T: Pod> Memory<T> {
    /// So many items, all of whose bytes are 0.
    pub(crate) fn zeroed(len: usize) -> Self {
        let at = Place::mapped(len).unwrap_or_else(|| Place::Heap(vec![T::zeroed(); len].into()));
        Self { at, len }
    }
}

impl<T: Pod> From<&[T]> for Memory<T> {
    fn from(items: &[T]) -> Self {
        let mut memory = Self::zeroed(items.len());
        memory.copy_from_slice(items);
        memory
    }
}

impl<T: Pod> Place<T> {
    /// Nothing for what is small, or when the system has no more mappings to give.
    #[cfg(target_os = "linux")]
    fn mapped(len: usize) -> Option<Self> {
        let bytes = len.checked_mul(size_of::<T>()).filter(|bytes| *bytes >= MAPPED_MIN)?;
        let bytes = if bytes < HUGE_PAGE { bytes } else { bytes.checked_next_multiple_of(HUGE_PAGE)? };
        let memory = MmapMut::map_anon(bytes).ok()?;
        // A kernel that was built without huge pages says no.
        let _ = memory.advise(Advice::HugePage);
        Some(Self::Mapped(memory))
    }

    #[cfg(not(target_os = "linux"))]
    fn mapped(_: usize) -> Option<Self> {
        None
    }
}

/// The items in the memory, which begins with a page and may have more bytes than they need.
#[cfg(target_os = "linux")]
fn bytes_of<T>(len: usize) -> std::ops::RangeTo<usize> {
    ..len * size_of::<T>()
}

impl<T: Pod> Deref for Memory<T> {
    type Target = [T];

    #[cfg_attr(
        target_os = "linux",
        expect(clippy::indexing_slicing, reason = "as many bytes were asked for at least")
    )]
    fn deref(&self) -> &[T] {
        match &self.at {
            Place::Heap(items) => items,
            #[cfg(target_os = "linux")]
            Place::Mapped(memory) => bytemuck::cast_slice(&memory[bytes_of::<T>(self.len)]),
        }
    }
}

impl<T: Pod> DerefMut for Memory<T> {
    #[cfg_attr(
        target_os = "linux",
        expect(clippy::indexing_slicing, reason = "as many bytes were asked for at least")
    )]
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.at {
            Place::Heap(items) => items,
            #[cfg(target_os = "linux")]
            Place::Mapped(memory) => bytemuck::cast_slice_mut(&mut memory[bytes_of::<T>(self.len)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_whatever_its_size() {
        for len in [0, 1, 7, 10_000, 200_001] {
            let mut memory = Memory::<[u64; 3]>::zeroed(len);
            assert_eq!(memory.len(), len);
            assert!(memory.iter().all(|item| *item == [0; 3]));
            for (number, item) in (1..).zip(memory.iter_mut()) {
                *item = [number, number * 2, number * 3];
            }
            let copy = Memory::from(&*memory);
            let expected = (1..).map(|number| [number, number * 2, number * 3]).take(len);
            assert!(copy.iter().copied().eq(expected), "{len}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn only_what_is_large_is_mapped() {
        let is_mapped = |bytes| matches!(Memory::<u8>::zeroed(bytes).at, Place::Mapped(_));
        assert!(!is_mapped(MAPPED_MIN - 1) && is_mapped(MAPPED_MIN) && is_mapped(HUGE_PAGE + 1));
    }
}
