//! Files that a configuration or a command names to be read: whole, up to a bound, and told apart from what they were before.
//!
//! Owns that nobody reads to the end of a file that has none. What stands in a file, and how wrong is told, is the reader's.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What tells one version of a file from the next: when it was changed, its length and its number. One that is written while it is
/// read, or twice within the clock's grain, is seen to be another by its length; a renamed file may be older than the one before; and
/// a change of its mode or owner counts too, for it may be what makes it readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    changed_at: (i64, i64),
    bytes: u64,
    number: u64,
}

impl Version {
    /// The version that these facts are of.
    pub(crate) fn of(meta: &Metadata) -> Self {
        Self { changed_at: (meta.ctime(), meta.ctime_nsec()), bytes: meta.len(), number: meta.ino() }
    }
}

/// All bytes of a file that has no more than `bytes_max`.
///
/// # Errors
/// The system's own, and [`ErrorKind::FileTooLarge`]: what is longer is not read further, as it may have no end.
pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(length).unwrap_or(u64::MAX) > bytes_max {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("has more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// The same as a text.
///
/// # Errors
/// Those of [`read`], and [`ErrorKind::InvalidData`] where it is no UTF-8.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    let bytes = read(path, bytes_max)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_its_bound_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(
            (read(&path, 3).unwrap(), read_text(&path, 4).unwrap()),
            (b"abc".to_vec(), "abc".to_owned())
        );
        for (path, bytes_max) in [(&*path, 2), (Path::new("/dev/zero"), 7)] {
            let error = read(path, bytes_max).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::FileTooLarge);
            assert_eq!(error.to_string(), format!("has more than {bytes_max} bytes"));
        }
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(read_text(&path, 9).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(read(&folder.path().join("gone"), 9).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
