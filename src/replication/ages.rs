//! When which revision was the head: what retention by age goes by, also after a restart.

use std::time::Duration;

use crate::domain::{Revision, Timestamp};
use crate::store::{StoreError, Tx, installation};

/// Where the samples are kept.
const NAME: &str = "feed-ages";
/// Samples per retention time: a revision is kept at most this part of it longer.
const SAMPLES: u32 = 144;

/// The newest revision that was the head `age` ago, when it was noted then. Notes the present one
/// now and then.
pub(super) fn older_than(
    tx: &mut dyn Tx,
    now: Timestamp,
    age: Duration,
    head: Revision,
) -> Result<Option<Revision>, StoreError> {
    let mut samples = installation::find(tx, NAME)?.map_or_else(Vec::new, |bytes| decode(&bytes));
    let past = samples
        .iter()
        .filter(|(at, _)| now.since(*at) >= age)
        .count();
    // The newest of the old ones stays: it is the answer until the next one is old enough.
    samples.drain(..past.saturating_sub(1));
    let old = samples
        .first()
        .filter(|_| past > 0)
        .map(|(_, revision)| *revision);
    let due = samples
        .last()
        .is_none_or(|(at, _)| now.since(*at) >= age / SAMPLES);
    if due {
        samples.push((now, head));
        installation::set(tx, NAME, &encode(&samples))?;
    }
    Ok(old)
}

fn encode(samples: &[(Timestamp, Revision)]) -> Vec<u8> {
    samples
        .iter()
        .flat_map(|(at, revision)| {
            let at = at.unix_micros().to_be_bytes();
            at.into_iter().chain(revision.get().to_be_bytes())
        })
        .collect()
}

/// Bytes that are none of ours give no samples: nothing is removed for a while, no more.
fn decode(bytes: &[u8]) -> Vec<(Timestamp, Revision)> {
    let (samples, []) = bytes.as_chunks::<16>() else {
        return Vec::new();
    };
    let mut samples: Vec<_> = samples
        .iter()
        .filter_map(|sample| {
            let (at, revision) = sample.split_first_chunk::<8>()?;
            let at = Timestamp::from_unix_micros(i64::from_be_bytes(*at));
            let revision = u64::from_be_bytes(revision.try_into().ok()?);
            Some((at, Revision::new(revision)))
        })
        .collect();
    samples.sort();
    samples
}
