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
        let mut writer = Writer {
            form: self.config.form,
            masks: Masks::new(&self.config),
            fsync: self.config.fsync,
            stdout: self.config.stdout,
            spool: self.spool,
            queues: self.queues,
            counts: self.counts,
            state,
            times: Times::default(),
            roles: Roles::default(),
            taken: Vec::new(),
            lines: Vec::new(),
            in_lines: 0,
            synced: None,
            failing: false,
        };
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
    taken: Vec<u8>,
    /// Lines that are not written yet, and how many.
    lines: Vec<u8>,
    in_lines: u64,
    /// When the first write since the last sync was.
    synced: Option<Instant>,
    failing: bool,
}

impl Writer {
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
        if !self.flush() {
            return;
        }
        for place in 0..self.queues.len() {
            let mut taken = std::mem::take(&mut self.taken);
            if let Some(queue) = self.queues.get(place) {
                queue.take(&mut taken);
            }
            self.format(&taken);
            self.taken = taken;
        }
        self.flush();
    }

    fn format(&mut self, records: &[u8]) {
        let state = Arc::clone(&self.state);
        let view = state.view();
        let mut decoder = minicbor::Decoder::new(records);
        while decoder.position() < records.len() {
            let record: Record<'_> = match decoder.decode() {
                Ok(record) => record,
                Err(error) => {
                    // Our own bytes: a mistake of this program's.
                    tracing::error!(%error, "records of the decision log cannot be read");
                    LogCounts::add(&self.counts.lost, 1);
                    return;
                }
            };
            let at = Timestamp::from_unix_micros(record.at);
            let roles = record.roles.map(|set| self.roles.of(&view, set));
            let line = Line::of(&record, &self.masks, self.times.text(at), roles);
            line.write(self.form, at, &mut self.lines);
            self.in_lines += 1;
            if self.lines.len() >= BATCH && !self.failing {
                self.flush();
            }
        }
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
            self.failed("synced", &error);
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
        LogCounts::add(&self.counts.lost, self.in_lines);
        self.sync();
    }
}
