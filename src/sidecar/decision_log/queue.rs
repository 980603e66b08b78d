//! What waits to be written: bounded, and never waited for.

use std::mem;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What the log did, in numbers.
#[derive(Debug, Default)]
pub(in crate::sidecar) struct LogCounts {
    /// Records written to all that is written to.
    pub(in crate::sidecar) written: AtomicU64,
    /// Records dropped because the queue was full.
    pub(in crate::sidecar) dropped: AtomicU64,
    /// Records lost since nothing could be written until the end.
    pub(in crate::sidecar) lost: AtomicU64,
    /// Attempts to write that failed.
    pub(in crate::sidecar) failures: AtomicU64,
    /// Last lines that were found torn at a start, and cut off.
    pub(in crate::sidecar) torn: AtomicU64,
}

impl LogCounts {
    pub(super) fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }
}

/// One thread's queue of encoded records.
#[derive(Debug)]
pub(super) struct Queue {
    bytes: Mutex<Vec<u8>>,
    /// How many bytes wait: read without the lock, to see whether it is full.
    waiting: AtomicUsize,
    capacity: usize,
}

/// What a hand-over found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handed {
    /// The writer must be told: the queue was empty, or has become half full.
    Tell,
    /// The writer knows.
    Known,
}

impl Queue {
    /// An empty queue; it is full from `capacity` bytes on.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            bytes: Mutex::default(),
            waiting: AtomicUsize::new(0),
            capacity,
        }
    }

    /// Whether nothing more may be handed over.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= self.capacity
    }

    /// Takes the records of one request, whole: it grows beyond its capacity by these at most.
    pub(super) fn hand_over(&self, records: &[u8]) -> Handed {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = bytes.len();
        bytes.extend_from_slice(records);
        let now = bytes.len();
        self.waiting.store(now, Ordering::Relaxed);
        let half = self.capacity / 2;
        if before == 0 || (before < half && now >= half) {
            Handed::Tell
        } else {
            Handed::Known
        }
    }

    /// Gives all that waits in exchange for an empty buffer.
    pub(super) fn take(&self, into: &mut Vec<u8>) {
        into.clear();
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut *bytes, into);
        self.waiting.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_is_told_of_the_first_record_and_of_a_queue_half_full() {
        let queue = Queue::new(100);
        assert_eq!(queue.hand_over(&[0; 10]), Handed::Tell);
        assert_eq!(queue.hand_over(&[0; 10]), Handed::Known);
        assert_eq!(queue.hand_over(&[0; 40]), Handed::Tell);
        assert_eq!(queue.hand_over(&[0; 39]), Handed::Known);
        assert!(!queue.is_full());
        assert_eq!(queue.hand_over(&[0; 30]), Handed::Known);
        assert!(queue.is_full());
        let mut taken = vec![1; 5];
        queue.take(&mut taken);
        assert_eq!(taken, vec![0; 129]);
        assert!(!queue.is_full());
        assert_eq!(queue.hand_over(&[0]), Handed::Tell);
    }
}
