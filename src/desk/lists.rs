//! Lists of persons in files: who may take part, and who may not. Read again when they change, without a stop.
//!
//! Owns the folder and the form of allow-lists. An allow-list keeps eight bytes a person: ten million take 80 MB, and
//! twice that while another one takes its place.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::Duration;

use ahash::RandomState;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::guard::blocked::{BlockList, Blocked};
use crate::infile::{self, Version};
use crate::limits;

/// The list of those who are kept out.
const BLOCKED_FILE: &str = "blocked.csv";
/// The longest line of an allow-list, in bytes.
const LINE_BYTES_MAX: u64 = 4_096;
/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why a list was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It could not be read. That may pass by itself, without any change of the file.
    #[error("{0}")]
    Unread(#[from] std::io::Error),
    /// What stands in it is wrong, with the line.
    #[error("{0}")]
    Wrong(String),
}

/// Persons who may take part.
#[derive(Debug, Default)]
pub struct AllowList {
    /// A keyed hash of the SHA-256 of each account, in order.
    accounts: Vec<u64>,
}

/// By what digests are hashed again, seeded anew in every process: whoever knows a list and may choose the name of an account
/// cannot look for one that passes for another, as they could by a part of the digest itself.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl AllowList {
    /// Reads one SHA-256 of an account (`sub` of its identity) a line, 64 hex digits; what comes after a comma is for
    /// people. Empty lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// What is wrong, with the line; a list is taken whole or not at all.
    pub fn read(mut text: impl BufRead) -> Result<Self, ListError> {
        let (mut accounts, mut row) = (Vec::new(), String::new());
        for line in 1_usize.. {
            let wrong = |what: &str| ListError::Wrong(format!("line {line}: {what}"));
            row.clear();
            let length = text.by_ref().take(LINE_BYTES_MAX + 1).read_line(&mut row).map_err(|error| {
                match error.kind() {
                    ErrorKind::InvalidData => wrong(&error.to_string()),
                    _ => ListError::Unread(error),
                }
            })?;
            match u64::try_from(length) {
                Ok(0) => break,
                Ok(1..=LINE_BYTES_MAX) => {}
                // It is not read further: it may have no end.
                _ => return Err(wrong(&format!("has more than {LINE_BYTES_MAX} bytes"))),
            }
            let row = row.trim();
            if row.is_empty() || row.starts_with('#') {
                continue;
            }
            let hex = row.split(',').next().unwrap_or_default().trim();
            let digest = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok();
            let digest: Option<[u8; 32]> = digest.and_then(|digest| digest.try_into().ok());
            let digest = digest.ok_or_else(|| wrong("must begin with 64 hex digits"))?;
            if accounts.len() >= limits::ALLOW_LIST_MAX {
                return Err(wrong("there are more lines than are kept"));
            }
            accounts.push(HASHER.hash_one(digest));
        }
        accounts.sort_unstable();
        accounts.dedup();
        accounts.shrink_to_fit();
        Ok(Self { accounts })
    }

    /// Whether an account stands on it.
    #[must_use]
    pub fn has(&self, account: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(account).into();
        self.accounts.binary_search(&HASHER.hash_one(digest)).is_ok()
    }

    /// How many it names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether it names nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }
}

fn version_of(path: &Path) -> std::io::Result<Version> {
    path.metadata().map(|meta| Version::of(&meta))
}

fn is_list(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "csv")
}

fn is_of_blocked(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == BLOCKED_FILE)
}

/// The lists of a folder.
#[derive(Debug, Default)]
pub struct Lists {
    folder: Option<PathBuf>,
    blocked: Blocked,
    allowed: RwLock<HashMap<String, Arc<AllowList>>>,
    /// What became of each file at the last look.
    seen: std::sync::Mutex<HashMap<PathBuf, Seen>>,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// This version of it was read, and taken or found wrong.
    Read(Version),
    /// It could not be read, for this reason: it is tried again at the next look.
    Unread(String),
}

impl Lists {
    /// The lists of `folder`, not read yet; none without one. `blocked` is what the hot path looks at.
    #[must_use]
    pub fn new(folder: Option<PathBuf>, blocked: Blocked) -> Self {
        Self { folder, blocked, ..Self::default() }
    }

    /// Whether an account stands on the list of this name; nothing where there is no such list.
    #[must_use]
    pub fn allows(&self, name: &str, account: &str) -> Option<bool> {
        let lists = self.allowed.read().unwrap_or_else(PoisonError::into_inner);
        lists.get(name).map(|list| list.has(account))
    }

    /// Reads all of them for the first time. Blocks.
    ///
    /// # Errors
    /// The folder cannot be read, or what is wrong with a list, of which there is none before that could hold on: that of those
    /// who are kept out first, without which they would all be let in.
    pub fn open(&self) -> Result<(), String> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let files = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut files: Vec<_> =
            files.flatten().map(|file| file.path()).filter(|path| is_list(path)).collect();
        // Asked for by its name: who reads a folder while its files are exchanged may miss one.
        let blocked = folder.join(BLOCKED_FILE);
        // A link to nowhere is there and cannot be read.
        if blocked.symlink_metadata().err().is_none_or(|error| error.kind() != ErrorKind::NotFound) {
            files.push(blocked);
        }
        files.sort_by_key(|path| (!is_of_blocked(path), path.clone()));
        files.dedup();
        for path in files {
            // Before it is read: what changes meanwhile is read once more.
            let version = version_of(&path);
            let file = path.display();
            let count = self.read(&path).map_err(|error| format!("{file}: {error}"))?;
            if let Ok(version) = version {
                self.note(&path, Seen::Read(version));
            }
            tracing::info!(%file, count, "a list was read");
        }
        Ok(())
    }

    /// Reads what has changed, and what could not be read the last time. Blocks: to be called where that hurts nobody.
    pub fn refresh(&self) {
        let Some(folder) = &self.folder else { return };
        let files = match std::fs::read_dir(folder) {
            Ok(files) => files,
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "the lists cannot be read");
                return;
            }
        };
        for path in files.flatten().map(|file| file.path()) {
            if let (true, Ok(version)) = (is_list(&path), version_of(&path))
                && self.is_news(&path, version)
            {
                self.read_again(&path, version);
            }
        }
    }

    fn read_again(&self, path: &Path, version: Version) {
        let file = path.display();
        match self.read(path) {
            Ok(count) => {
                self.note(path, Seen::Read(version));
                tracing::info!(%file, count, "a list was read");
            }
            Err(ListError::Wrong(error)) => {
                self.note(path, Seen::Read(version));
                tracing::error!(%file, error, "a list is wrong; the one before, if there is one, holds on");
            }
            // Said once, and not at every attempt.
            Err(ListError::Unread(error)) => {
                if self.note(path, Seen::Unread(error.to_string())) {
                    tracing::error!(%file, %error, "a list cannot be read and is tried again; the one before, if there is one, holds on");
                }
            }
        }
    }

    fn is_news(&self, path: &Path, version: Version) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(path) != Some(&Seen::Read(version))
    }

    /// Notes what became of a file; whether that is another thing than the last time.
    fn note(&self, path: &Path, now: Seen) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(path.to_owned(), now.clone()) != Some(now)
    }

    fn read(&self, path: &Path) -> Result<usize, ListError> {
        if is_of_blocked(path) {
            let text = infile::read_text(path, limits::BLOCKED_FILE_BYTES_MAX);
            let text = text.map_err(|error| match error.kind() {
                ErrorKind::InvalidData | ErrorKind::FileTooLarge => ListError::Wrong(error.to_string()),
                _ => ListError::Unread(error),
            })?;
            let list = BlockList::read(&text).map_err(|error| ListError::Wrong(error.to_string()))?;
            let count = list.len();
            self.blocked.replace(list);
            return Ok(count);
        }
        let list = AllowList::read(BufReader::new(std::fs::File::open(path)?))?;
        let (count, name) = (list.len(), path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        self.allowed.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(list));
        Ok(count)
    }

    /// Reads what changes, until `stop`.
    pub async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        if self.folder.is_none() {
            return;
        }
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let lists = Arc::clone(&self);
            let _ = tokio::task::spawn_blocking(move || lists.refresh()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn hashed(account: &str) -> String {
        data_encoding::HEXLOWER.encode(&Sha256::digest(account))
    }

    #[test]
    fn an_allow_list_knows_its_accounts() {
        let text =
            format!("# vip\n{},ann\n\n{}\n{}\n", hashed("ann"), hashed("bob").to_uppercase(), hashed("ann"));
        let list = AllowList::read(text.as_bytes()).unwrap();
        assert_eq!((list.len(), list.has("ann"), list.has("bob"), list.has("cid")), (2, true, true, false));
        let error = AllowList::read(format!("{}\nann\n", hashed("x")).as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "line 2: must begin with 64 hex digits");
        assert!(matches!(AllowList::read(&[0xff_u8, 0xfe][..]), Err(ListError::Wrong(_))));
        // A digest counts whole: the beginning of one can be found again by trying names.
        let near = format!("{:0<64}", &hashed("ann")[..60]);
        assert!(!AllowList::read(near.as_bytes()).unwrap().has("ann"));
    }

    #[test]
    fn a_changed_file_takes_its_place_and_a_wrong_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let lists = Lists::new(Some(folder.path().to_owned()), Blocked::default());
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(path, text).unwrap();
            lists.refresh();
        };
        assert_eq!(lists.allows("vip", "ann"), None);
        write("vip.csv", &hashed("ann"));
        assert_eq!((lists.allows("vip", "ann"), lists.allows("vip", "bob")), (Some(true), Some(false)));
        write("vip.csv", "nonsense");
        assert_eq!(lists.allows("vip", "ann"), Some(true), "the one before holds on");
        write("vip.csv", &hashed("bob"));
        assert_eq!((lists.allows("vip", "ann"), lists.allows("vip", "bob")), (Some(false), Some(true)));
        write("blocked.csv", "ann,,why");
        assert!(lists.blocked.is("ann", 0));
        assert_eq!(lists.allows("blocked", "ann"), None);
    }

    #[test]
    fn a_file_whose_mode_was_changed_is_looked_at_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vip.csv");
        std::fs::write(&path, hashed("ann")).unwrap();
        let lists = Lists::new(Some(folder.path().to_owned()), Blocked::default());
        // As if it could not be read the first time.
        lists.refresh();
        lists.allowed.write().unwrap().clear();
        lists.refresh();
        assert_eq!(lists.allows("vip", "ann"), None, "nothing has changed");
        let mode = path.metadata().unwrap().permissions().mode();
        // The clock of files goes in steps.
        let before = version_of(&path).unwrap();
        while version_of(&path).unwrap() == before {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode ^ 0o040)).unwrap();
        }
        lists.refresh();
        assert_eq!(lists.allows("vip", "ann"), Some(true));
    }

    #[test]
    fn what_could_not_be_read_is_tried_again_without_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let lists = Lists::new(Some(folder.path().to_owned()), Blocked::default());
        for name in ["vip.csv", "blocked.csv"] {
            let path = folder.path().join(name);
            // It is there, may be opened, and what is read first gives EIO.
            std::os::unix::fs::symlink("/proc/self/mem", &path).unwrap();
            lists.refresh();
            let version = version_of(&path).unwrap();
            assert!(lists.is_news(&path, version), "{name}: it is tried again");
            let cause = lists.read(&path).unwrap_err();
            assert!(matches!(cause, ListError::Unread(_)), "{name}: {cause}");
            assert!(!lists.note(&path, Seen::Unread(cause.to_string())), "{name}: it was said");
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, "no list").unwrap();
            lists.refresh();
            assert!(!lists.is_news(&path, version_of(&path).unwrap()), "{name}: what is wrong stays wrong");
        }
    }

    #[test]
    fn nothing_is_opened_with_a_list_that_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let (blocked, path) = (Blocked::default(), folder.path().join("blocked.csv"));
        let open = |folder: &Path| Lists::new(Some(folder.to_owned()), blocked.clone()).open();
        assert_eq!(open(folder.path()), Ok(()), "nobody is kept out");
        std::fs::write(&path, "ann,,why\n").unwrap();
        std::fs::write(folder.path().join("notes.txt"), "nonsense").unwrap();
        assert_eq!((open(folder.path()), blocked.is("ann", 0)), (Ok(()), true));
        let vip = folder.path().join("a.csv");
        std::fs::write(&vip, "nonsense").unwrap();
        let error = open(folder.path()).unwrap_err();
        assert_eq!(error, format!("{}: line 1: must begin with 64 hex digits", vip.display()));
        std::fs::write(&path, "ann,,why\nbob,soon\n").unwrap();
        let error = open(folder.path()).unwrap_err();
        assert!(
            error.starts_with(&format!("{}: line 2: ", path.display())),
            "those who are kept out first: {error}"
        );
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert_eq!(error, format!("{}: No such file or directory (os error 2)", path.display()));
        let nowhere = folder.path().join("nowhere");
        let error = open(&nowhere).unwrap_err();
        assert_eq!(error, format!("{}: No such file or directory (os error 2)", nowhere.display()));
    }
}
