//! Files of lines: `decisions.jsonl`, and those before it, `decisions-<time>.jsonl`.
//!
//! A line counts once its end is there. Whatever stands behind the last end (a process was killed
//! between two writes of one line, the machine lost power) is cut off when the file is opened, and
//! so is what a failed write left. A line that was written survives the process; it survives the
//! machine once it is synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use serde_json::Value;

use super::config::DecisionLogConfig;
use crate::domain::{DecisionId, Timestamp};
use crate::runtime::files::{DirectoryLock, FileError, create_private_dir};

/// The file that is written to.
pub const ACTIVE: &str = "decisions.jsonl";

/// What the names of those before it begin and end with.
const BEFORE: (&str, &str) = ("decisions-", ".jsonl");

/// How much is looked through at a time for the end of the last line.
const BLOCK: usize = 64 * 1024;

/// A link is not followed, and what waits for a reader is not waited for.
const NOT_ELSEWHERE: i32 = (OFlags::NOFOLLOW.bits() | OFlags::NONBLOCK.bits()).cast_signed();

/// The longest line that is looked for.
const LINE_MAX: u64 = 1024 * 1024;

/// The spool, held by this process.
#[derive(Debug)]
pub(super) struct Spool {
    directory: PathBuf,
    rotate_bytes: u64,
    rotate_age: Duration,
    total_bytes: u64,
    /// `None` after a failure: opened and mended by the next write.
    open: Option<Open>,
    dirty: bool,
    /// By what the last file that made way is named: later ones are named later, whatever the clock
    /// says.
    last: i64,
    /// Lines found torn.
    torn: u64,
    _lock: DirectoryLock,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
    /// When its first line was written.
    since: Timestamp,
}

impl Spool {
    /// Opens the directory, makes it if it is not there, and cuts off a torn last line.
    ///
    /// # Errors
    ///
    /// [`FileError`]; `ResourceBusy` if another process writes there.
    pub(super) fn open(
        directory: &Path,
        config: &DecisionLogConfig,
        now: Timestamp,
    ) -> Result<Self, FileError> {
        create_private_dir(directory)?;
        let lock = DirectoryLock::take(directory)?;
        let mut spool = Self {
            directory: directory.to_owned(),
            rotate_bytes: config.rotate_bytes,
            rotate_age: config.rotate_age,
            total_bytes: config.total_bytes,
            open: None,
            dirty: false,
            last: 0,
            torn: 0,
            _lock: lock,
        };
        let path = spool.active();
        spool.reopen(now).map_err(FileError::new("open", &path))?;
        spool
            .prune(0)
            .map_err(FileError::new("list", &spool.directory))?;
        Ok(spool)
    }

    fn active(&self) -> PathBuf {
        self.directory.join(ACTIVE)
    }

    fn reopen(&mut self, now: Timestamp) -> io::Result<&mut Open> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .custom_flags(NOT_ELSEWHERE)
            .open(self.active())?;
        let found = file.metadata()?;
        if !found.is_file() {
            // Nothing that somebody put there leads to another file, which would be cut.
            return Err(io::Error::other("it is no regular file"));
        }
        let length = found.len();
        let whole = end_of_lines(&mut file, length)?;
        if whole < length {
            file.set_len(whole)?;
            self.torn += 1;
        }
        let since = first_time(&mut file)?.unwrap_or(now);
        Ok(self.open.insert(Open {
            file,
            bytes: whole,
            since,
        }))
    }

    /// How many torn lines were cut off since the last call.
    pub(super) fn take_torn(&mut self) -> u64 {
        std::mem::take(&mut self.torn)
    }

    /// Appends whole lines, to a new file where the present one is too large or too old.
    ///
    /// # Errors
    ///
    /// Nothing of `lines` counts then: what was written of them is cut off.
    pub(super) fn append(&mut self, lines: &[u8], now: Timestamp) -> io::Result<()> {
        let written = self.try_append(lines, now);
        if written.is_err()
            && let Some(open) = self.open.take()
        {
            // What does not succeed here is done when the file is opened again.
            let _ = open.file.set_len(open.bytes);
        }
        written
    }

    fn try_append(&mut self, lines: &[u8], now: Timestamp) -> io::Result<()> {
        let more = lines.len() as u64;
        let (limit, age) = (self.rotate_bytes, self.rotate_age);
        let open = match &mut self.open {
            Some(open) => open,
            None => self.reopen(now)?,
        };
        let ended = open.bytes > 0 && (open.bytes + more > limit || now.since(open.since) >= age);
        let open = if ended { self.rotate(now)? } else { open };
        if open.bytes == 0 {
            open.since = now;
        }
        open.file.write_all(lines)?;
        open.bytes += more;
        self.dirty = true;
        Ok(())
    }

    fn rotate(&mut self, now: Timestamp) -> io::Result<&mut Open> {
        self.sync()?;
        self.open = None;
        let mut micros = now.unix_micros().max(self.last + 1);
        let before = loop {
            let time: String = Timestamp::from_unix_micros(micros)
                .to_string()
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .collect();
            // `Z` apart, so that names sort by time whatever the length of their fractions.
            let (time, _) = time.split_at(time.len().min(15));
            let fraction = micros.rem_euclid(1_000_000);
            let name = format!("{}{time}.{fraction:06}{}", BEFORE.0, BEFORE.1);
            let path = self.directory.join(name);
            if !path.exists() {
                break path;
            }
            micros += 1;
        };
        self.last = micros;
        fs::rename(self.active(), before)?;
        File::open(&self.directory)?.sync_all()?;
        self.prune(self.rotate_bytes)?;
        self.reopen(now)
    }

    /// Deletes the oldest files until, with `room` more bytes, all are within the bound.
    fn prune(&self, room: u64) -> io::Result<()> {
        let before = rotated(&self.directory)?;
        let active = fs::metadata(self.active()).map_or(0, |file| file.len());
        let mut sizes = Vec::with_capacity(before.len());
        for path in &before {
            sizes.push(fs::metadata(path).map_or(0, |file| file.len()));
        }
        let mut total = active + room + sizes.iter().sum::<u64>();
        for (path, size) in before.iter().zip(sizes) {
            if total <= self.total_bytes {
                break;
            }
            match fs::remove_file(path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            total -= size;
        }
        Ok(())
    }

    /// Whether something was written since the last sync.
    pub(super) const fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Makes what was written survive a loss of power.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.dirty {
            return Ok(());
        }
        match &self.open {
            Some(open) => open.file.sync_data()?,
            // Closed after a failure, with lines before it that are not synced.
            None => OpenOptions::new()
                .append(true)
                .custom_flags(NOT_ELSEWHERE)
                .open(self.active())?
                .sync_data()?,
        }
        self.dirty = false;
        Ok(())
    }
}

/// The files before the active one, oldest first.
fn rotated(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let ours = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(BEFORE.0) && name.ends_with(BEFORE.1));
        if ours {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Where the last whole line of a file of `length` bytes ends.
fn end_of_lines(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut block = vec![0; BLOCK];
    while end > 0 {
        let begin = end.saturating_sub(BLOCK as u64);
        let size = usize::try_from(end - begin).unwrap_or(BLOCK);
        let block = block.get_mut(..size).unwrap_or_default();
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(block)?;
        if let Some(place) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + place as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

/// When the first line was written, whichever its form.
fn first_time(file: &mut File) -> io::Result<Option<Timestamp>> {
    file.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    BufReader::new(file.take(LINE_MAX)).read_until(b'\n', &mut line)?;
    let line: Value = serde_json::from_slice(&line).unwrap_or_default();
    Ok(match line.get("time") {
        Some(Value::String(text)) => text.parse().ok(),
        Some(Value::Number(ms)) => ms
            .as_i64()
            .map(|ms| Timestamp::from_unix_micros(ms.saturating_mul(1000))),
        _ => None,
    })
}

/// The line of a decision in the files of a directory, the newest looked through first. A line that
/// has no end yet is none.
///
/// # Errors
///
/// The directory or a file cannot be read.
pub fn find(directory: &Path, id: DecisionId) -> io::Result<Option<String>> {
    match find_once(directory, id)? {
        // A file may have made way between the list and the look.
        None => find_once(directory, id),
        found => Ok(found),
    }
}

fn find_once(directory: &Path, id: DecisionId) -> io::Result<Option<String>> {
    let mut files = rotated(directory)?;
    files.push(directory.join(ACTIVE));
    let text = id.text();
    for path in files.iter().rev() {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(NOT_ELSEWHERE)
            .open(path);
        let file = match opened {
            Ok(file) if file.metadata()?.is_file() => file,
            Ok(_) => continue,
            // Deleted or renamed meanwhile; without a first file there is no log yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::with_capacity(BLOCK, file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            // Ours stands near the beginning of a line; others may quote it.
            let here = line.windows(text.len()).any(|part| part == text);
            if here && line.ends_with(b"\n") && is_of(&line, id) {
                return Ok(String::from_utf8(line).ok());
            }
            line.clear();
        }
    }
    Ok(None)
}

fn is_of(line: &[u8], id: DecisionId) -> bool {
    let line: Value = serde_json::from_slice(line).unwrap_or_default();
    let found = line.get("id").or_else(|| line.pointer("/metadata/uid"));
    found
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        == Some(id)
}
