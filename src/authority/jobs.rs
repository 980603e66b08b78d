//! Work that nobody asks for: the cleaner, which keeps tables of transient rows flat, the rotation
//! of keys and the audit log's chain.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::MissedTickBehavior;

use crate::runtime::Clock;
use crate::store::audit::{self, AuditEntry};
use crate::store::clients::{self, ClientState};
use crate::store::transient::{TRANSIENT, ended_clients, purge};
use crate::store::{Lock, Store, StoreError};

use super::app::Authority;
use super::audit_chain;
use super::keys::rotation;

/// How often the cleaner and the chain look.
const EVERY: Duration = Duration::from_mins(1);
/// Rows of one transaction: a write waits no longer than for this many.
const MOST: u32 = 1_000;

/// Starts all of it. Several authorities on one database each run their own: cleaning twice does no
/// harm, and the rest goes by leases.
pub fn start(authority: &Arc<Authority>) {
    // What this process is called in leases.
    let holder: Arc<str> = authority.mint_uuid().to_string().into();
    every(authority, "cleaner", EVERY, |authority| async move {
        let ended = retire_ended_clients(&authority).await;
        let cleaned = clean(&authority.store, &*authority.clock).await;
        if let Err(error) = ended.and(cleaned) {
            metrics::counter!("doorward_cleaner_errors_total").increment(1);
            tracing::warn!(%error, "expired rows cannot be deleted");
        }
    });
    let name = Arc::clone(&holder);
    every(authority, "keys", rotation::LOOK_EVERY, move |authority| {
        let name = Arc::clone(&name);
        async move {
            match rotation::look(&authority, &name).await {
                Ok(false) => {}
                Ok(true) => tracing::info!("the signing keys have changed"),
                Err(error) => {
                    metrics::counter!("doorward_keys_errors_total").increment(1);
                    tracing::error!(%error, "the signing keys cannot be rotated or loaded");
                }
            }
        }
    });
    every(authority, "audit chain", EVERY, move |authority| {
        let name = Arc::clone(&holder);
        async move {
            if let Err(error) = audit_chain::chain(&authority, &name).await {
                metrics::counter!("doorward_audit_chain_errors_total").increment(1);
                tracing::warn!(%error, "audit rows cannot be chained");
            }
        }
    });
}

/// Does `work` now and every `period` from then on, until the authority stops.
fn every<F>(
    authority: &Arc<Authority>,
    name: &'static str,
    period: Duration,
    work: impl Fn(Arc<Authority>) -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (shared, stop) = (Arc::clone(authority), authority.stop());
    authority.tasks.spawn(name, async move {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.requested() => return,
                _ = ticks.tick() => {}
            }
            work(Arc::clone(&shared)).await;
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

/// Retires clients whose time is over: registered ones, and ones known by their metadata. The
/// cleaner deletes them later. Tells how many there were.
///
/// # Errors
///
/// [`StoreError`]; those retired before it stay so.
pub async fn retire_ended_clients(authority: &Authority) -> Result<u64, StoreError> {
    let now = authority.clock.now();
    let ended = authority
        .store
        .read::<_, StoreError>(move |tx| ended_clients(tx, now, MOST))
        .await?;
    let mut retired = 0;
    for id in ended {
        let entry = authority.audit(
            "system".to_owned(),
            "client.ended",
            String::new(),
            json!({}),
        );
        let written = authority
            .store
            .write::<_, StoreError>(move |tx| {
                tx.lock(Lock::Client(id))?;
                let active =
                    clients::find(tx, id)?.filter(|client| client.state == ClientState::Active);
                let Some(client) = active else {
                    return Ok(false);
                };
                match clients::retire(tx, &client, now) {
                    // Another authority's cleaner was faster.
                    Err(StoreError::ForeignKey) => return Ok(false),
                    retired => retired?,
                }
                let entry = AuditEntry {
                    target: Some(format!("client:{}", client.identifier)),
                    ..entry.clone()
                };
                audit::record(tx, &entry)?;
                Ok(true)
            })
            .await?;
        retired += u64::from(written.value);
    }
    metrics::counter!("doorward_ended_clients_total").increment(retired);
    Ok(retired)
}
