//! Where a large table lies.
//!
//! Each line that is asked for lies on another page, and the processor knows the places of some thousand pages only: for the
//! others it walks the page tables, which are in no cache either. So large tables ask for pages of 2 MiB, where the system has
//! those to give (Linux; "madvise" or "always" in `/sys/kernel/mm/transparent_hugepage/enabled`). Without them all is the same,
//! but slower.
//!
//! ```text
//!   below 16 KiB   the heap
//!   up to 1 MiB    a piece of a stretch that many tables share; it goes to the next table of its size
//!   above          a mapping of its own, which goes back to the system
//! ```
//!
//! Shards of a table grow one by one. A mapping each would never fill a huge page, and one that goes would break the
//! huge page of its neighbours: hence the pieces.

use std::fmt;
use std::ops::{Deref, DerefMut};
#[cfg(target_os = "linux")]
use std::sync::{Mutex, PoisonError};

use bytemuck::Pod;
#[cfg(target_os = "linux")]
use memmap2::{Advice, MmapMut};

/// What is as large as this is made a whole number of huge pages.
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;
/// The smallest piece; each kind of piece is twice as large as the one before.
#[cfg(target_os = "linux")]
const PIECE_MIN: usize = 16 << 10;
/// The largest piece.
#[cfg(target_os = "linux")]
const PIECE_MAX: usize = HUGE_PAGE / 2;
/// Kinds of pieces.
#[cfg(target_os = "linux")]
const PIECE_KINDS: usize = (PIECE_MAX / PIECE_MIN).trailing_zeros() as usize + 1;
/// What pieces are cut from. Untouched it costs address space, not memory.
#[cfg(target_os = "linux")]
const STRETCH: usize = 16 * HUGE_PAGE;

/// A fixed number of items, in huge pages if they are many. Untouched ones cost address space, not memory.
pub(crate) struct Memory<T> {
    at: Place<T>,
    len: usize,
}

enum Place<T> {
    Heap(Box<[T]>),
    #[cfg(target_os = "linux")]
    Piece(Piece),
    #[cfg(target_os = "linux")]
    Mapped(MmapMut),
}

/// A piece of a stretch, all of whose bytes are 0 at first.
#[cfg(target_os = "linux")]
struct Piece(&'static mut [u8]);

/// The pieces that nobody has.
#[cfg(target_os = "linux")]
struct Pieces {
    /// By kind, all of whose bytes are 0.
    free: [Vec<&'static mut [u8]>; PIECE_KINDS],
    /// What was not cut yet of the last stretch.
    rest: &'static mut [u8],
}

#[cfg(target_os = "linux")]
static PIECES: Mutex<Pieces> =
    Mutex::new(Pieces { free: [const { Vec::new() }; PIECE_KINDS], rest: &mut [] });

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

    /// How many items there are: what a slice of them would say, without making one.
    pub(crate) fn len(&self) -> usize {
        self.len
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
        let bytes = len.checked_mul(size_of::<T>())?;
        match bytes {
            ..PIECE_MIN => None,
            PIECE_MIN..=PIECE_MAX => Piece::take(bytes).map(Self::Piece),
            _ => map(bytes.checked_next_multiple_of(HUGE_PAGE)?).map(Self::Mapped),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn mapped(_: usize) -> Option<Self> {
        None
    }
}

#[cfg(target_os = "linux")]
fn map(bytes: usize) -> Option<MmapMut> {
    let memory = MmapMut::map_anon(bytes).ok()?;
    // A kernel that was built without huge pages says no.
    let _ = memory.advise(Advice::HugePage);
    Some(memory)
}

#[cfg(target_os = "linux")]
impl Piece {
    /// The smallest that has so many bytes.
    fn take(bytes: usize) -> Option<Self> {
        PIECES.lock().unwrap_or_else(PoisonError::into_inner).take(bytes.next_power_of_two()).map(Self)
    }
}

#[cfg(target_os = "linux")]
impl Drop for Piece {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        bytes.fill(0);
        PIECES.lock().unwrap_or_else(PoisonError::into_inner).give_back(bytes);
    }
}

#[cfg(target_os = "linux")]
impl Pieces {
    fn of_kind(&mut self, bytes: usize) -> Option<&mut Vec<&'static mut [u8]>> {
        self.free.get_mut((bytes / PIECE_MIN).trailing_zeros() as usize)
    }

    /// One of just so many bytes, a power of two.
    fn take(&mut self, bytes: usize) -> Option<&'static mut [u8]> {
        if let Some(piece) = self.of_kind(bytes)?.pop() {
            return Some(piece);
        }
        if self.rest.len() < bytes {
            // Stretches stay to the end: what is given back is needed again at the next release.
            self.rest = &mut **Box::leak(Box::new(map(STRETCH)?));
        }
        let (piece, rest) = std::mem::take(&mut self.rest).split_at_mut_checked(bytes)?;
        self.rest = rest;
        Some(piece)
    }

    fn give_back(&mut self, piece: &'static mut [u8]) {
        if let Some(free) = self.of_kind(piece.len()) {
            free.push(piece);
        }
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
    #[inline]
    fn deref(&self) -> &[T] {
        match &self.at {
            Place::Heap(items) => items,
            #[cfg(target_os = "linux")]
            Place::Piece(Piece(memory)) => bytemuck::cast_slice(&memory[bytes_of::<T>(self.len)]),
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
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.at {
            Place::Heap(items) => items,
            #[cfg(target_os = "linux")]
            Place::Piece(Piece(memory)) => bytemuck::cast_slice_mut(&mut memory[bytes_of::<T>(self.len)]),
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
    fn where_it_lies_goes_by_its_size() {
        let lies = |bytes| match &Memory::<u8>::zeroed(bytes).at {
            Place::Heap(_) => 0,
            Place::Piece(Piece(memory)) => memory.len(),
            Place::Mapped(memory) => memory.len(),
        };
        let sizes = [PIECE_MIN - 1, PIECE_MIN, PIECE_MIN + 1, PIECE_MAX, PIECE_MAX + 1, HUGE_PAGE + 1];
        assert_eq!(sizes.map(lies), [0, PIECE_MIN, 2 * PIECE_MIN, PIECE_MAX, HUGE_PAGE, 2 * HUGE_PAGE]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn pieces_lie_apart_and_come_again_empty() {
        for round in 1..=3 {
            let mut tables: Vec<_> =
                (1..=200_u8).map(|n| (n, Memory::<u8>::zeroed(PIECE_MIN << (n % 7)))).collect();
            for (n, table) in &mut tables {
                assert!(table.iter().all(|byte| *byte == 0), "table {n} in round {round}");
                table.fill(*n);
            }
            assert!(tables.iter().all(|(n, table)| table.iter().all(|byte| byte == n)), "round {round}");
        }
    }
}
