//! Files that people name to be written, as with `--out`: whole or not at all, and readable by their owner alone.
//!
//! Owns how such a file takes its name. A name that leads to something else than a file (`/dev/stdout`, a pipe) is written
//! to as it is, since a file in its place would take it away from every other program of the machine. So is an open file of
//! the process, as behind `/dev/stdout`: who opened it waits for what comes there.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that is being written.
#[derive(Debug)]
pub(crate) enum OutFile {
    /// A new one, which takes its name when it is whole.
    Whole { file: NamedTempFile, to: PathBuf },
    /// Something that is there and is no file.
    Direct(File),
}

impl OutFile {
    /// Begins to write to `path`: a file that is there is replaced at the end, and a link goes on leading to it.
    ///
    /// # Errors
    /// Why nothing can be written there.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let to = match fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(there) if !there.is_file() || is_open_already(path) => {
                return OpenOptions::new().append(true).open(path).map(Self::Direct);
            }
            Ok(_) => path.canonicalize()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error),
        };
        let folder = to.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        fs::metadata(folder)?;
        // A temporary file has mode 0600 from the start.
        let file = NamedTempFile::new_in(folder)?;
        Ok(Self::Whole { file, to })
    }

    /// Whether it has a beginning to which one can go back.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self, Self::Whole { .. })
    }

    /// What is written to.
    pub(crate) fn file(&self) -> &File {
        match self {
            Self::Whole { file, .. } => file.as_file(),
            Self::Direct(file) => file,
        }
    }

    /// Gives the file its name, when it is on the disk.
    ///
    /// # Errors
    /// Why it has not got it; what was there before is there still.
    pub(crate) fn finish(self) -> io::Result<()> {
        let Self::Whole { file, to } = self else { return Ok(()) };
        file.as_file().sync_all()?;
        file.persist(to).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Whether the name is one of a process' open files: `/proc/self/fd/1`, or a link to it, as `/dev/stdout` is.
fn is_open_already(path: &Path) -> bool {
    path.starts_with("/proc") || fs::read_link(path).is_ok_and(|to| to.starts_with("/proc"))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    use super::*;

    fn write(path: &Path, text: &str) -> io::Result<()> {
        let out = OutFile::create(path)?;
        out.file().write_all(text.as_bytes())?;
        out.finish()
    }

    #[test]
    fn a_file_is_there_when_it_is_whole_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "older").unwrap();
        drop(OutFile::create(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "older");
        write(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("out"), folder.path().join("link"));
        fs::write(&path, "older").unwrap();
        symlink(&path, &link).unwrap();
        write(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn what_is_no_file_is_written_to_and_stays_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        write(&pipe, "through").unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    }

    #[test]
    fn an_open_file_is_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("out"), folder.path().join("stdout"));
        let mut open = File::create(&path).unwrap();
        open.write_all(b"before ").unwrap();
        symlink(format!("/proc/self/fd/{}", open.as_raw_fd()), &link).unwrap();
        write(&link, "through").unwrap();
        open.seek(io::SeekFrom::End(0)).unwrap();
        open.write_all(b" after").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before through after");
    }

    #[test]
    fn where_nothing_can_be_written_the_reason_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("none/out"), "").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!error.to_string().contains(".tmp"), "{error}");
        assert_eq!(write(folder.path(), "").unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }
}
