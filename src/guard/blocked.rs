//! Persons whom staff keep out, with an end and a reason: by a list, and one by one.
//!
//! Owns the form of the list and the question on the hot path: a hash, and one look at a pointer and a counter while nobody is
//! blocked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use ahash::RandomState;
use arc_swap::ArcSwap;
use dashmap::DashMap;

use super::hashed::HashedAlready;
use crate::clock::UnixMs;
use crate::domain::ids::check_person;
use crate::limits;
use crate::lines::Table;

/// By what persons are hashed here, seeded anew in every process: one hash does for every list and for the bans.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A person, as they stand among those who are blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockedKey(u64);

impl BlockedKey {
    fn of(person: &str) -> Self {
        Self(HASHER.hash_one(person))
    }
}

/// A list as it was read.
#[derive(Debug)]
pub struct BlockList {
    /// Until when, by person.
    until_ms: Table<4>,
}

impl Default for BlockList {
    fn default() -> Self {
        Self { until_ms: Table::with_room(0) }
    }
}

/// What is wrong with a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BlockListError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it; names nobody.
    pub what: &'static str,
}

impl BlockList {
    /// Reads `person,until,reason` a line: `until` is RFC 3339 or empty for ever; what comes after it is for people. Empty
    /// lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`BlockListError`] for the first wrong line; a list is taken whole or not at all.
    pub fn read(text: &str) -> Result<Self, BlockListError> {
        let mut list = Self::default();
        for (line, row) in (1..).zip(text.lines()) {
            let row = row.trim();
            if row.is_empty() || row.starts_with('#') {
                continue;
            }
            let wrong = |what| BlockListError { line, what };
            let mut fields = row.splitn(3, ',').map(str::trim);
            let person = fields.next().unwrap_or_default();
            check_person(person).map_err(|_| wrong("the first field is no person"))?;
            let until_ms = match fields.next().unwrap_or_default() {
                "" => UnixMs::MAX,
                until => until
                    .parse::<jiff::Timestamp>()
                    .map_err(|_| {
                        wrong("the second field must be empty or a date like 2026-01-31T00:00:00+08:00")
                    })?
                    .as_millisecond(),
            };
            if list.until_ms.len() >= limits::BLOCKED_MAX {
                return Err(wrong("there are more lines than are kept"));
            }
            list.set(person, until_ms);
        }
        Ok(list)
    }

    /// How many persons it names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.until_ms.len()
    }

    /// Whether it names nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A later line for the same person takes the place of an earlier one.
    fn set(&mut self, person: &str, until_ms: UnixMs) {
        let until_ms = until_ms.cast_unsigned();
        if let Some(known) = self.until_ms.get_or_put(BlockedKey::of(person).0, || until_ms) {
            *known = until_ms;
        }
    }

    fn prefetch(&self, person: BlockedKey) {
        if !self.is_empty() {
            self.until_ms.prefetch(person.0);
        }
    }

    fn blocks(&self, person: BlockedKey, now_ms: UnixMs) -> bool {
        !self.is_empty()
            && self.until_ms.get(person.0).is_some_and(|until_ms| now_ms < until_ms.cast_signed())
    }
}

/// Who is kept out now. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Blocked {
    list: Arc<ArcSwap<BlockList>>,
    bans: Arc<Bans>,
}

/// Bans that came one by one.
#[derive(Debug, Default)]
struct Bans {
    /// Until when, and by which revision of the ban, by person. One that was lifted stays with an end
    /// that is past, lest an older revision that comes later brings it back.
    ends: DashMap<u64, (UnixMs, u64), HashedAlready>,
    /// How many there are: a look at it costs the hot path less than one at the map.
    count: AtomicUsize,
}

impl Blocked {
    /// By what a person will be looked for. Has what the list says of them fetched from memory meanwhile.
    #[must_use]
    pub fn prefetch(&self, person: &str) -> BlockedKey {
        let key = BlockedKey::of(person);
        self.list.load().prefetch(key);
        key
    }

    /// Whether a person is kept out.
    #[must_use]
    pub fn is(&self, person: &str, now_ms: UnixMs) -> bool {
        self.is_key(BlockedKey::of(person), now_ms)
    }

    /// [`Blocked::is`] by a key that was got ready for it.
    #[must_use]
    pub fn is_key(&self, person: BlockedKey, now_ms: UnixMs) -> bool {
        self.list.load().blocks(person, now_ms) || self.bans.hold(person, now_ms)
    }

    /// Puts another list in the place of the one before.
    pub fn replace(&self, list: BlockList) {
        self.list.store(Arc::new(list));
    }

    /// Keeps a person out until `ends_at_ms` by this revision of their ban; an end that is past lets them in. An older
    /// revision changes nothing.
    pub fn ban(&self, person: &str, ends_at_ms: UnixMs, revision: u64) {
        let Bans { ends, count } = &*self.bans;
        let mut known = ends.entry(BlockedKey::of(person).0).or_insert_with(|| {
            count.fetch_add(1, Ordering::Relaxed);
            (UnixMs::MIN, 0)
        });
        if known.1 < revision {
            *known = (ends_at_ms, revision);
        }
    }

    /// Persons who are or were banned one by one.
    #[must_use]
    pub fn bans(&self) -> usize {
        self.bans.count.load(Ordering::Relaxed)
    }
}

impl Bans {
    fn hold(&self, person: BlockedKey, now_ms: UnixMs) -> bool {
        self.count.load(Ordering::Relaxed) > 0
            && self.ends.get(&person.0).is_some_and(|known| now_ms < known.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_blocked_until_their_time_is_over() {
        let blocked = Blocked::default();
        assert!(!blocked.is("ann", 0));
        let text = "# why\n\nann,,scalper, proven\nbob, 2023-11-20T10:00:00+08:00 ,trial\n";
        blocked.replace(BlockList::read(text).unwrap());
        let end_ms = 1_700_445_600_000;
        assert!(blocked.is("ann", UnixMs::MAX - 1) && !blocked.is("cid", 0));
        assert!(blocked.is("bob", end_ms - 1) && !blocked.is("bob", end_ms));
    }

    #[test]
    fn a_ban_ends_is_lifted_and_does_not_come_back() {
        let blocked = Blocked::default();
        blocked.ban("ann", UnixMs::MAX, 1);
        blocked.ban("bob", 50, 1);
        let shared = blocked.clone();
        assert!(shared.is("ann", UnixMs::MAX - 1) && shared.is("bob", 49));
        assert!(!shared.is("bob", 50) && !shared.is("cid", 0));
        blocked.replace(BlockList::read("cid,,").unwrap());
        assert!(shared.is("ann", 0) && shared.is("cid", 0), "a list takes no ban's place");
        blocked.ban("ann", UnixMs::MIN, 2);
        blocked.ban("ann", UnixMs::MAX, 1);
        assert!(!shared.is("ann", 0), "an older revision came later");
        blocked.ban("ann", UnixMs::MAX, 3);
        assert!(shared.is("ann", 0));
        assert_eq!(shared.bans(), 2);
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, line) in [("ann\nb b,,x", 2), ("ann,soon", 1), (",,", 1)] {
            assert_eq!(BlockList::read(text).unwrap_err().line, line, "{text}");
        }
        assert_eq!(BlockList::read("ann\nann\n").unwrap().len(), 1);
    }
}
