//! Files: reading with a bound, and writing whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A file operation that failed, with the file's name and what was tried.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} `{}`", .path.display())]
pub struct FileError {
    /// `read`, `write`, `create`.
    pub what: &'static str,
    /// The file.
    pub path: PathBuf,
    /// The system's word.
    pub source: io::Error,
}

impl FileError {
    /// For `map_err`.
    pub fn new(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { what, path, source }
    }

    /// Whether the file is not there.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// Reads a text of at most `limit` bytes.
///
/// # Errors
///
/// [`FileError`]; a longer file and one that is not UTF-8 are `InvalidData`.
pub fn read_text(path: &Path, limit: u64) -> Result<Zeroizing<String>, FileError> {
    let fail = |source| FileError::new("read", path)(source);
    let file = File::open(path).map_err(fail)?;
    let mut text = Zeroizing::new(String::new());
    file.take(limit + 1)
        .read_to_string(&mut text)
        .map_err(fail)?;
    if text.len() as u64 > limit {
        return Err(fail(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is longer than {limit} bytes"),
        )));
    }
    Ok(text)
}

/// Creates a directory for one user (0700), with its parents; one that exists is left alone.
///
/// # Errors
///
/// [`FileError`].
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(FileError::new("create the directory", path))
}

/// Writes a new file that only its owner may read (0600), synced with its directory. A file that
/// exists is never touched.
///
/// # Errors
///
/// [`FileError`]; `AlreadyExists` if it does.
pub fn create_private(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    let fail = |source| FileError::new("create", path)(source);
    if path.symlink_metadata().is_ok() {
        return Err(fail(io::ErrorKind::AlreadyExists.into()));
    }
    // Whole or not at all: written beside it, then linked to the name, which fails if it is taken.
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = write_private(&beside, contents).and_then(|()| fs::hard_link(&beside, path));
    let removed = fs::remove_file(&beside);
    written.map_err(fail)?;
    removed.map_err(fail)?;
    sync_parent(path).map_err(fail)
}

/// Replaces a private file (0600) in one step: readers see the old text or the new one.
///
/// # Errors
///
/// [`FileError`].
pub fn replace_private(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    let fail = |source| FileError::new("write", path)(source);
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    write_private(&beside, contents)
        .and_then(|()| fs::rename(&beside, path))
        .map_err(fail)?;
    sync_parent(path).map_err(fail)
}

/// Holds a directory for one process, until dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the directory. The lock is the file `lock` in it, which stays behind.
    ///
    /// # Errors
    ///
    /// [`FileError`]; `ResourceBusy` if another process (or another part of this one) holds it.
    pub fn take(directory: &Path) -> Result<Self, FileError> {
        let path = directory.join("lock");
        let fail = |source| FileError::new("hold", directory)(source);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(fail)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(
            |errno| {
                fail(if errno == rustix::io::Errno::WOULDBLOCK {
                    io::Error::new(
                        io::ErrorKind::ResourceBusy,
                        "another process uses it; give each its own directory",
                    )
                } else {
                    errno.into()
                })
            },
        )?;
        Ok(Self { _file: file })
    }
}

fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_is_held_once_until_the_lock_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirectoryLock::take(dir.path()).unwrap();
        let refused = DirectoryLock::take(dir.path()).unwrap_err();
        assert_eq!(refused.source.kind(), io::ErrorKind::ResourceBusy);
        drop(first);
        assert!(DirectoryLock::take(dir.path()).is_ok());
    }

    #[test]
    fn a_private_file_is_its_owners_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("doorward.keys");
        create_private(&path, b"one").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = create_private(&path, b"two").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read_text(&path, 10).unwrap().as_str(), "one");
        replace_private(&path, b"three").unwrap();
        assert_eq!(read_text(&path, 10).unwrap().as_str(), "three");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_too_long_or_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long");
        fs::write(&path, "12345").unwrap();
        assert!(read_text(&path, 5).is_ok());
        let error = read_text(&path, 4).unwrap_err();
        assert!(error.to_string().contains("long"), "{error}");
        assert!(
            read_text(&dir.path().join("none"), 4)
                .unwrap_err()
                .is_not_found()
        );
    }
}
