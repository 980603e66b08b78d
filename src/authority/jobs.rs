//! Work that nobody asks for: the cleaner, which keeps tables of transient rows flat.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::runtime::{Clock, Tasks};
use crate::store::transient::{TRANSIENT, purge};
use crate::store::{Store, StoreError};

/// How often the cleaner looks.
const EVERY: Duration = Duration::from_mins(1);
/// Rows of one transaction: a write waits no longer than for this many.
const MOST: u32 = 1_000;

/// Starts the cleaner. Several authorities on one database may run one each.
pub fn start_cleaner(store: &Store, clock: &Arc<dyn Clock>, tasks: &Tasks) {
    let (store, clock, stop) = (store.clone(), Arc::clone(clock), tasks.stop());
    tasks.spawn("cleaner", async move {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.requested() => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = clean(&store, &*clock).await {
                metrics::counter!("doorward_cleaner_errors_total").increment(1);
                tracing::warn!(%error, "expired rows cannot be deleted");
            }
        }
    });
}

/// Deletes every row whose time has come, and tells how many there were.
///
/// # Errors
///
/// [`StoreError`]; what was deleted before it stays deleted.
pub async fn clean(store: &Store, clock: &dyn Clock) -> Result<u64, StoreError> {
    let mut all = 0;
    for what in TRANSIENT.iter().copied() {
        loop {
            let now = clock.now();
            let deleted = store
                .write::<_, StoreError>(move |tx| purge(tx, what, now, MOST))
                .await?
                .value;
            metrics::counter!("doorward_cleaner_rows_total", "table" => what.table)
                .increment(deleted);
            all += deleted;
            if deleted < u64::from(MOST) {
                break;
            }
        }
    }
    Ok(all)
}
