//! Files that a run leaves: whole or not at all.
//!
//! Owns how such a file takes its name: a disk that is full takes nothing away of what stood there before, and leaves no
//! half of a document for a build server to read. A name that leads to something else than a file (`/dev/stdout`, a pipe)
//! is written to as it is.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use tempfile::{Builder, NamedTempFile};

/// What a new file may be for others, as far as the process' umask lets it.
const MODE: u32 = 0o666;

/// Writes a file, or replaces the one that is there at the end; a link goes on leading to it.
///
/// # Errors
/// It cannot be written, and is named; what was there before is there still.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    replace(path, content.as_ref()).with_context(|| format!("cannot write {}", path.display()))
}

/// Whether a file can be made there: asked before a run, so that it is not the run that is lost. What is no file is not
/// touched: whoever reads from a pipe takes its first writer's going for the end.
///
/// # Errors
/// It cannot; it is named.
pub(crate) fn check(path: &Path) -> Result<()> {
    let checked = match place(path) {
        Ok(Place::File(to)) => beside(&to).map(drop),
        Ok(Place::Direct) => Ok(()),
        Err(error) => Err(error),
    };
    checked.with_context(|| format!("cannot write {}", path.display()))
}

/// A folder to which no other run writes, as long as this is there.
#[derive(Debug)]
pub(crate) struct Taken(#[expect(dead_code, reason = "its lock goes with it")] Option<File>);

/// Takes a folder for the results of one run: two would take each other's away.
///
/// # Errors
/// It cannot be opened, or another run has it.
pub(crate) fn take(folder: &Path) -> Result<Taken> {
    let shown = folder.display();
    let opened = File::open(folder).with_context(|| format!("cannot open the folder {shown}"))?;
    match opened.try_lock() {
        Ok(()) => Ok(Taken(Some(opened))),
        Err(TryLockError::WouldBlock) => {
            bail!("another run writes its results to {shown}: give --out another folder")
        }
        // Its file system knows no locks.
        Err(TryLockError::Error(_)) => Ok(Taken(None)),
    }
}

/// Where a name leads to.
enum Place {
    /// To a file, or to nothing yet.
    File(PathBuf),
    /// To something that is there and is no file, or is an open file of this process.
    Direct,
}

fn place(path: &Path) -> io::Result<Place> {
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) if !there.is_file() || is_open_already(path) => Ok(Place::Direct),
        Ok(_) => Ok(Place::File(path.canonicalize()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Place::File(path.to_owned())),
        Err(error) => Err(error),
    }
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    match place(path)? {
        Place::Direct => OpenOptions::new().append(true).open(path)?.write_all(content),
        Place::File(to) => {
            let mut file = beside(&to)?;
            file.write_all(content)?;
            file.as_file().sync_all()?;
            file.persist(to).map_err(|error| error.error)?;
            Ok(())
        }
    }
}

/// A new file in the folder of another, which goes again unless it takes that one's name.
fn beside(to: &Path) -> io::Result<NamedTempFile> {
    let folder = to.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    // Else the error would name the temporary file.
    fs::metadata(folder)?;
    let kept = fs::metadata(to).map(|there| there.permissions());
    let mode = kept.unwrap_or_else(|_| Permissions::from_mode(MODE));
    Builder::new().permissions(mode).tempfile_in(folder).map_err(|error| error.kind().into())
}

/// Whether the name is one of a process' open files: `/proc/self/fd/1`, or a link to it, as `/dev/stdout` is.
fn is_open_already(path: &Path) -> bool {
    path.starts_with("/proc") || fs::read_link(path).is_ok_and(|to| to.starts_with("/proc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        write(&path, "older").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        check(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "older");
        write(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("out"), folder.path().join("link"));
        fs::write(&path, "older").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn what_cannot_be_written_is_named_before_and_after() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("none/out"), folder.path().to_owned()] {
            for error in [check(&path).unwrap_err(), write(&path, "").unwrap_err()] {
                let error = format!("{error:#}");
                assert!(error.starts_with(&format!("cannot write {}: ", path.display())), "{error}");
                assert!(!error.contains("out/.tmp") && !error.contains("none/.tmp"), "{error}");
            }
        }
        let full = format!("{:#}", write(Path::new("/dev/full"), "x").unwrap_err());
        assert!(full.starts_with("cannot write /dev/full: No space left"), "{full}");
        check(Path::new("/dev/full")).unwrap();
    }
}
