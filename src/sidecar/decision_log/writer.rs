//! The writer: one thread that empties the queues.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::config::{DecisionLogConfig, Form};
use super::format::{Line, Masks, Times};
use super::notes::Notes;
use super::packed::Unpack;
use super::queue::{LogCounts, Queue};
use super::record::Record;
use super::spool::Spool;
use crate::domain::Timestamp;
use crate::runtime::files::FileError;
use crate::runtime::tasks::Tasks;
use crate::runtime::{Entropy, telemetry};
use crate::sidecar::view::{State, View};

/// How long a first record waits for others: what a killed process loses at most.
const LINGER: Duration = Duration::from_millis(100);

/// After a failure, how long until the next attempt.
const AGAIN: Duration = Duration::from_secs(1);

/// Lines are written when so many bytes of them are there.
const BATCH: usize = 256 * 1024;

/// Sets of roles whose names are kept as text.
const NAMED_MAX: usize = 10_000;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[error("the decision log cannot be opened")]
pub struct DecisionLogError(#[from] FileError);

/// An open log.
#[derive(Debug)]
pub(in crate::sidecar) struct DecisionLog {
    config: DecisionLogConfig,
    spool: Option<Spool>,
    queues: Vec<Arc<Queue>>,
    counts: Arc<LogCounts>,
    sender: mpsc::Sender<()>,
    receiver: mpsc::Receiver<()>,
}

impl DecisionLog {
    /// Opens what is to be written to.
    ///
    /// # Errors
    ///
    /// [`DecisionLogError`]: a sidecar that is told to record and cannot does not start.
    pub(in crate::sidecar) fn open(
        config: &DecisionLogConfig,
        now: Timestamp,
    ) -> Result<Self, DecisionLogError> {
        let counts = Arc::new(LogCounts::default());
        let spool = match &config.directory {
            Some(directory) => Some(Spool::open(directory, config, now)?),
            None => None,
        };
        let (sender, receiver) = mpsc::channel(1);
        Ok(Self {
            config: config.clone(),
            spool,
            queues: Vec::new(),
            counts,
            sender,
            receiver,
        })
    }

    /// Makes a thread's side.
    pub(in crate::sidecar) fn notes(&mut self, entropy: &dyn Entropy) -> Notes {
        let queue = Arc::new(Queue::new(self.config.queue_bytes));
        self.queues.push(Arc::clone(&queue));
        Notes::new(
            &self.config,
            queue,
            Arc::clone(&self.counts),
            self.sender.clone(),
            entropy,
        )
    }

    /// Its numbers.
    pub(in crate::sidecar) fn counts(&self) -> Arc<LogCounts> {
        Arc::clone(&self.counts)
    }

    /// Starts writing, until every [`Notes`] is dropped and all is written.
    ///
    /// # Errors
    ///
    /// The system has no more threads.
    pub(in crate::sidecar) fn start(self, state: Arc<State>, tasks: &Tasks) -> io::Result<()> {
        let mut receiver = self.receiver;
        let mut writer = Writer::new(&self.config, self.spool, self.queues, self.counts, state);
        // What dies with this function's own sender would keep the writer from its end.
        drop(self.sender);
        tasks.spawn_worker("decision-log", move || async move {
            writer.run(&mut receiver).await;
        })
    }
}

/// The names of sets of roles, as JSON, under one engine.
#[derive(Debug, Default)]
struct Roles {
    policies: u64,
    named: HashMap<u32, Box<RawValue>, foldhash::fast::RandomState>,
}

impl Roles {
    fn of(&mut self, view: &View, set: u32) -> &RawValue {
        if self.policies != view.policies || self.named.len() >= NAMED_MAX {
            self.policies = view.policies;
            self.named.clear();
        }
        self.named.entry(set).or_insert_with(|| {
            let roles = view.engine.sets().roles_at(set as usize);
            // One that nobody declares any more is told by its id.
            let names: Vec<String> = roles
                .iter()
                .map(|id| {
                    view.engine
                        .role(*id)
                        .map_or_else(|| id.to_string(), ToString::to_string)
                })
                .collect();
            serde_json::value::to_raw_value(&names).unwrap_or_else(|_| RawValue::NULL.to_owned())
        })
    }
}

struct Writer {
    form: Form,
    masks: Masks,
    fsync: Duration,
    stdout: bool,
    spool: Option<Spool>,
    queues: Vec<Arc<Queue>>,
    counts: Arc<LogCounts>,
    state: Arc<State>,
    times: Times,
    roles: Roles,
    /// Records, and up to where they are lines already.
    taken: Vec<u8>,
    written: usize,
    /// Lines that are not written yet, and how many.
    lines: Vec<u8>,
    in_lines: u64,
    /// When the first write since the last sync was.
    synced: Option<Instant>,
    failing: bool,
}

impl Writer {
    fn new(
        config: &DecisionLogConfig,
        spool: Option<Spool>,
        queues: Vec<Arc<Queue>>,
        counts: Arc<LogCounts>,
        state: Arc<State>,
    ) -> Self {
        Self {
            form: config.form,
            masks: Masks::new(config),
            fsync: config.fsync,
            stdout: config.stdout,
            spool,
            queues,
            counts,
            state,
            times: Times::default(),
            roles: Roles::default(),
            taken: Vec::new(),
            written: 0,
            lines: Vec::new(),
            in_lines: 0,
            synced: None,
            failing: false,
        }
    }

    async fn run(&mut self, told: &mut mpsc::Receiver<()>) {
        self.note_torn();
        loop {
            let open = match self.pause() {
                None => told.recv().await.is_some(),
                // Something is left to do without being told.
                Some(pause) => !matches!(timeout(pause, told.recv()).await, Ok(None)),
            };
            if open && !self.due() && !self.failing {
                // Others come with the first; a queue that is half full says so.
                let _ = timeout(LINGER, told.recv()).await;
            }
            self.empty_queues();
            self.sync_if_due();
            if !open {
                return;
            }
        }
    }

    /// How long to sleep if nobody says anything; `None` is for ever.
    fn pause(&self) -> Option<Duration> {
        if self.failing {
            return Some(AGAIN);
        }
        self.synced
            .map(|since| self.fsync.saturating_sub(since.elapsed()))
    }

    fn due(&self) -> bool {
        self.synced
            .is_some_and(|since| since.elapsed() >= self.fsync)
    }

    /// Writes all that waits. What cannot be written stays, and the queues fill meanwhile.
    fn empty_queues(&mut self) {
        // What an attempt that failed left.
        if !self.write_taken() {
            return;
        }
        for place in 0..self.queues.len() {
            if let Some(queue) = self.queues.get(place) {
                queue.take(&mut self.taken);
            }
            if !self.write_taken() {
                return;
            }
        }
        self.flush();
    }

    /// Makes lines of what was taken, and writes them in pieces: no more is held as text than a
    /// piece, whatever waits. `false`: the rest is still there.
    fn write_taken(&mut self) -> bool {
        let taken = std::mem::take(&mut self.taken);
        let mut rest = Unpack(taken.get(self.written..).unwrap_or_default());
        let state = Arc::clone(&self.state);
        let view = state.view();
        let mut goes_on = true;
        while !rest.0.is_empty() {
            if (self.failing || self.lines.len() >= BATCH) && !self.flush() {
                goes_on = false;
                break;
            }
            let Some(record) = Record::decode(&mut rest) else {
                // Our own bytes: a mistake of this program's.
                tracing::error!("records of the decision log cannot be read");
                LogCounts::add(&self.counts.lost, 1);
                rest = Unpack(&[]);
                break;
            };
            let at = Timestamp::from_unix_micros(record.at);
            let roles = record.roles.map(|set| self.roles.of(&view, set));
            let line = Line::of(&record, &self.masks, self.times.text(at), roles);
            line.write(self.form, at, &mut self.lines);
            self.in_lines += 1;
        }
        self.written = taken.len() - rest.0.len();
        self.taken = taken;
        if goes_on {
            self.taken.clear();
            self.written = 0;
        }
        goes_on
    }

    /// Writes the lines. `false`: they are still there.
    fn flush(&mut self) -> bool {
        if self.lines.is_empty() {
            return true;
        }
        let written = match &mut self.spool {
            Some(spool) => spool.append(&self.lines, self.state.clock().now()),
            None => Ok(()),
        };
        self.note_torn();
        if let Err(error) = written {
            self.failed("written", &error);
            return false;
        }
        if std::mem::take(&mut self.failing) {
            tracing::info!("the decision log is written again");
        }
        if self.spool.as_ref().is_some_and(Spool::is_dirty) && self.synced.is_none() {
            self.synced = Some(Instant::now());
        }
        // After the file, which alone is tried again.
        if self.stdout
            && let Err(error) = telemetry::write_stdout(&self.lines)
        {
            LogCounts::add(&self.counts.failures, 1);
            if self.spool.is_none() {
                LogCounts::add(&self.counts.lost, self.in_lines);
                self.in_lines = 0;
            }
            tracing::error!(%error, "the decision log cannot be written to standard output");
        }
        LogCounts::add(&self.counts.written, self.in_lines);
        self.lines.clear();
        self.in_lines = 0;
        true
    }

    fn failed(&mut self, what: &str, error: &io::Error) {
        LogCounts::add(&self.counts.failures, 1);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(%error, "the decision log cannot be {what}: records wait, then drop");
        }
    }

    fn sync_if_due(&mut self) {
        if self.due() {
            self.sync();
        }
    }

    fn sync(&mut self) {
        self.synced = None;
        if let Some(spool) = &mut self.spool
            && let Err(error) = spool.sync()
        {
            // Again with the next attempt.
            self.synced = Some(Instant::now());
            self.failed("synced", &error);
        } else if self.lines.is_empty() {
            self.failing = false;
        }
    }

    fn note_torn(&mut self) {
        let torn = self.spool.as_mut().map_or(0, Spool::take_torn);
        if torn > 0 {
            tracing::warn!("the last line of the decision log was torn and is cut off");
            LogCounts::add(&self.counts.torn, torn);
        }
    }
}

impl Drop for Writer {
    /// Also when it is dropped at the deadline of a stop: what is there is written.
    fn drop(&mut self) {
        self.empty_queues();
        let mut lost = self.in_lines + count(self.taken.get(self.written..).unwrap_or_default());
        for queue in &self.queues {
            queue.take(&mut self.taken);
            lost += count(&self.taken);
        }
        LogCounts::add(&self.counts.lost, lost);
        self.sync();
    }
}

/// How many records there are.
fn count(records: &[u8]) -> u64 {
    let mut rest = Unpack(records);
    let mut count = 0;
    while Record::decode(&mut rest).is_some() {
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::policy::CustomPolicies;
    use crate::runtime::ManualClock;
    use crate::sidecar::config::Config;

    fn writer(directory: &Path, config: &DecisionLogConfig) -> Writer {
        let settings = Config::for_data(directory);
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let custom = CustomPolicies::none();
        let state = State::new(&settings.cache, settings.mapping, custom, clock).unwrap();
        let spool = Spool::open(directory, config, Timestamp::EPOCH).unwrap();
        let queues = vec![Arc::new(Queue::new(config.queue_bytes))];
        Writer::new(config, Some(spool), queues, Arc::default(), Arc::new(state))
    }

    fn records(count: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in 0..count {
            let record = Record {
                id: (1, number),
                reason: "roles",
                ..Record::default()
            };
            record.encode(&mut bytes);
        }
        bytes
    }

    fn sizes(directory: &Path) -> Vec<u64> {
        fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect()
    }

    #[test]
    fn a_backlog_is_written_in_pieces_and_no_file_outgrows_its_size() {
        const COUNT: u64 = 40_000;
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("log");
        let config = DecisionLogConfig {
            rotate_bytes: 1 << 20,
            ..DecisionLogConfig::default()
        };
        let mut writer = writer(&directory, &config);
        // Nothing can be renamed or made: it fails in the middle.
        let away = folder.path().join("away");
        writer.queues.first().unwrap().hand_over(&records(COUNT));
        fs::rename(&directory, &away).unwrap();
        for _ in 0..3 {
            writer.empty_queues();
            assert!(writer.failing);
            assert!(writer.lines.len() < 2 * BATCH, "{}", writer.lines.len());
        }
        fs::rename(&away, &directory).unwrap();
        writer.empty_queues();
        assert!(!writer.failing);
        assert_eq!(
            writer
                .counts
                .written
                .load(std::sync::atomic::Ordering::Relaxed),
            COUNT
        );
        let sizes = sizes(&directory);
        assert!(sizes.len() > 4, "{sizes:?}");
        assert!(
            sizes.iter().all(|size| *size <= config.rotate_bytes),
            "{sizes:?}"
        );
    }

    #[test]
    fn what_is_never_written_is_counted_as_lost_wherever_it_waits() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("log");
        let config = DecisionLogConfig {
            rotate_bytes: 1 << 20,
            ..DecisionLogConfig::default()
        };
        let mut writer = writer(&directory, &config);
        let counts = Arc::clone(&writer.counts);
        writer.queues.first().unwrap().hand_over(&records(40_000));
        fs::rename(&directory, folder.path().join("away")).unwrap();
        writer.empty_queues();
        writer.queues.first().unwrap().hand_over(&records(7));
        drop(writer);
        let number =
            |count: &std::sync::atomic::AtomicU64| count.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(number(&counts.written) + number(&counts.lost), 40_007);
        assert!(number(&counts.lost) > 7);
    }
}
