//! A thread's side of the log.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::config::DecisionLogConfig;
use super::queue::{Handed, LogCounts, Queue};
use super::record::Record;
use super::sampling::Sampling;
use crate::domain::DecisionId;
use crate::runtime::Entropy;

/// Notes the decisions of one thread. Dropping it tells the writer that no more come.
#[derive(Debug)]
pub(in crate::sidecar) struct Notes {
    maker: u64,
    count: u64,
    sampling: Sampling,
    /// Whether requests' contexts are recorded.
    context: bool,
    /// The records of the request being answered: it may be asked again.
    pending: Vec<u8>,
    queue: Arc<Queue>,
    counts: Arc<LogCounts>,
    writer: mpsc::Sender<()>,
}

impl Notes {
    pub(super) fn new(
        config: &DecisionLogConfig,
        queue: Arc<Queue>,
        counts: Arc<LogCounts>,
        writer: mpsc::Sender<()>,
        entropy: &dyn Entropy,
    ) -> Self {
        let number = || {
            let mut bytes = [0; 8];
            entropy.fill(&mut bytes);
            u64::from_ne_bytes(bytes)
        };
        Self {
            maker: number(),
            count: 0,
            sampling: Sampling::new(config, number()),
            context: config.context,
            pending: Vec::new(),
            queue,
            counts,
            writer,
        }
    }

    /// Begins a request, or begins it anew: what was noted and not handed over is forgotten.
    pub(in crate::sidecar) fn begin(&mut self) {
        self.pending.clear();
    }

    /// Notes a decision, if it is to be recorded, and says under which id. `make` is called only
    /// then.
    pub(in crate::sidecar) fn note<'r>(
        &mut self,
        allow: bool,
        make: impl FnOnce() -> Record<'r>,
    ) -> Option<DecisionId> {
        if !self.sampling.takes(allow) {
            return None;
        }
        if self.queue.is_full() {
            LogCounts::add(&self.counts.dropped, 1);
            return None;
        }
        self.count += 1;
        let id = DecisionId::new(self.maker, self.count);
        let mut record = Record {
            id: id.parts(),
            allow,
            ..make()
        };
        if !self.context {
            record.context = None;
        }
        record.encode(&mut self.pending);
        Some(id)
    }

    /// Hands over what was noted.
    pub(in crate::sidecar) fn finish(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if self.queue.hand_over(&self.pending) == Handed::Tell {
            // One that was not taken yet says the same.
            let _ = self.writer.try_send(());
        }
        self.pending.clear();
    }
}
