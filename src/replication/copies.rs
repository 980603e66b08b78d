//! The files of a data directory: `copy-<epoch>-<revision>.db`, which one is current, and the one
//! before it for a fallback start. A live file is never overwritten.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::crypto::sign::FeedPublicKey;
use crate::domain::Position;
use crate::store::replica::{Replica, ReplicaError};

/// Names the current file.
const CURRENT: &str = "current";

/// A directory of copies. One process uses it at a time.
#[derive(Debug)]
pub struct Copies {
    folder: PathBuf,
}

impl Copies {
    /// Uses (and makes) a directory.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Opens the newest copy that holds, whole and under this key. Each damaged one on the way is
    /// removed and logged.
    pub fn start(&self, key: &FeedPublicKey) -> Option<Replica> {
        for path in self.candidates() {
            match open_checked(&path, key) {
                Ok(Some(replica)) => return Some(replica),
                Ok(None) => {}
                Err(error) if error.discard() => {
                    tracing::warn!(path = %path.display(), %error, "a copy is thrown away");
                    metrics::counter!("doorward_copies_discarded_total").increment(1);
                    remove(&path);
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a copy cannot be opened");
                }
            }
        }
        None
    }

    /// A name for a copy at this position that no file has.
    pub fn name_for(&self, position: &Position) -> PathBuf {
        let stem = format!("copy-{}-{}", position.epoch, position.revision);
        let mut path = self.folder.join(format!("{stem}.db"));
        let mut number = 1_u32;
        while path.exists() {
            number = number.saturating_add(1);
            path = self.folder.join(format!("{stem}-{number}.db"));
        }
        path
    }

    /// Where a download is written.
    pub fn download_path(&self) -> PathBuf {
        self.folder.join("download.tmp")
    }

    /// Makes `path` the current copy, and removes all but it and the one before.
    pub fn set_current(&self, path: &Path) -> io::Result<()> {
        let before = self.candidates().into_iter().find(|other| other != path);
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::other("a copy without a name"))?;
        let pointer = self.folder.join("current.tmp");
        fs::write(&pointer, name.as_encoded_bytes())?;
        fs::File::open(&pointer)?.sync_all()?;
        fs::rename(&pointer, self.folder.join(CURRENT))?;
        fs::File::open(&self.folder)?.sync_all()?;
        for other in self.candidates() {
            if other != path && Some(&other) != before.as_ref() {
                remove(&other);
            }
        }
        Ok(())
    }

    /// The copy of a directory that a start would try first; the directory may be another process's.
    pub fn newest_in(folder: &Path) -> Option<PathBuf> {
        let copies = Self {
            folder: folder.to_owned(),
        };
        copies.candidates().into_iter().next()
    }

    /// The copies: the current one first, then the others, the newest first.
    fn candidates(&self) -> Vec<PathBuf> {
        let current = fs::read_to_string(self.folder.join(CURRENT))
            .ok()
            .map(|name| self.folder.join(name.trim()));
        let mut others: Vec<(std::time::SystemTime, PathBuf)> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .filter(|entry| {
                let name = entry.file_name();
                let name = Path::new(&name);
                name.extension().is_some_and(|end| end == "db")
                    && name.to_string_lossy().starts_with("copy-")
            })
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .filter(|(_, path)| Some(path) != current.as_ref())
            .collect();
        others.sort();
        current
            .into_iter()
            .filter(|path| path.exists())
            .chain(others.into_iter().rev().map(|(_, path)| path))
            .collect()
    }
}

/// Opens a copy and checks all of it.
pub(super) fn open_checked(
    path: &Path,
    key: &FeedPublicKey,
) -> Result<Option<Replica>, ReplicaError> {
    let Some(replica) = Replica::open(path)? else {
        return Ok(None);
    };
    if replica.meta().feed_key != key.to_string() {
        return Err(ReplicaError::Schema(
            "it follows another feed key".to_owned(),
        ));
    }
    replica.verify()?;
    Ok(Some(replica))
}

/// Removes a copy and what the engine keeps beside it.
pub(super) fn remove(path: &Path) {
    if let Err(error) = Replica::remove(path) {
        tracing::warn!(path = %path.display(), %error, "a file cannot be removed");
    }
}
