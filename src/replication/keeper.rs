//! The keeper of the authority's copy: follows the outbox, compares with the store, makes snapshots.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::apply::{Fault, OwnCopy, Step};
use super::snapshot::{self, Snapshot};
use super::supplier::{Supplier, SupplyError, Wanted};
use crate::domain::Revision;
use crate::store::feed;
use crate::store::replica::Replica;

/// Keeps the authority's copy and makes snapshots of it, on a thread of its own.
pub(super) struct Keeper {
    pub(super) supplier: Arc<Supplier>,
    pub(super) requests: mpsc::Receiver<Wanted>,
    /// The snapshot that is handed out.
    pub(super) latest: Option<Arc<Snapshot>>,
}

impl Keeper {
    /// Runs until the supplier is gone.
    pub(super) async fn run(mut self) {
        let mut head = self.supplier.store.subscribe();
        let mut copy = None;
        let mut audit = tokio::time::interval(self.supplier.config.audit_every);
        audit.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once; what was just opened was just checked.
        audit.reset();
        loop {
            tokio::select! {
                wanted = self.requests.recv() => {
                    let Some(wanted) = wanted else { return };
                    let result = self.supply(&mut copy, wanted.at_least).await;
                    let _ = wanted.answer.send(result);
                }
                _ = audit.tick() => {
                    if let Err(error) = self.audit(&mut copy).await {
                        tracing::warn!(%error, "the authority's copy could not be audited");
                    }
                }
                changed = head.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if let Err(error) = self.keep(&mut copy).await {
                        tracing::warn!(%error, "the authority's copy does not follow");
                    }
                }
            }
        }
    }

    async fn keep<'c>(&self, copy: &'c mut Option<OwnCopy>) -> Result<&'c Replica, SupplyError> {
        let copy = if let Some(copy) = copy {
            copy
        } else {
            let path = self.supplier.config.folder.join("replica.db");
            let store = self.supplier.store.clone();
            copy.insert(OwnCopy::open(store, path, &self.supplier.signer).await?)
        };
        copy.catch_up().await
    }

    /// Compares the copy with the store. One that differs is built anew, and what was made of it is
    /// handed out no more.
    async fn audit(&mut self, copy: &mut Option<OwnCopy>) -> Result<(), SupplyError> {
        self.keep(copy).await?;
        let Some(own) = copy.as_mut() else {
            return Ok(());
        };
        metrics::counter!("doorward_feed_audits_total").increment(1);
        if let Some(fault) = own.audit().await? {
            metrics::counter!("doorward_feed_audit_mismatches_total").increment(1);
            tracing::error!(?fault, "the authority's copy is not what the store holds");
            self.latest = None;
            own.catch_up().await?;
            if fault == Fault::History {
                // The followers applied the same frames: only a snapshot mends them.
                self.supplier.store.write(feed::reset).await?;
            }
        }
        Ok(())
    }

    async fn supply(
        &mut self,
        copy: &mut Option<OwnCopy>,
        at_least: Revision,
    ) -> Result<Arc<Snapshot>, SupplyError> {
        if let Some(latest) = &self.latest
            && self.still_good(latest, at_least).await?
        {
            return Ok(Arc::clone(latest));
        }
        let replica = self.keep(copy).await?;
        let snapshot =
            snapshot::build(replica, &self.supplier.config.folder, &self.supplier.signer)?;
        metrics::counter!("doorward_snapshots_built_total").increment(1);
        self.latest = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }

    /// Whether a snapshot is new enough, and of a history that goes on.
    async fn still_good(&self, latest: &Snapshot, at_least: Revision) -> Result<bool, SupplyError> {
        let (position, config) = (latest.manifest.position(), &self.supplier.config);
        let step = Step::after(&self.supplier.store, position.revision, 0, 0).await?;
        let head = step.head.position.revision.get();
        let behind = head.checked_sub(position.revision.get());
        let age = self.supplier.clock.now().since(latest.manifest.time);
        Ok(step.continues(&position)
            && position.revision >= at_least
            && behind.is_some_and(|behind| behind <= config.snapshot_revisions)
            && age <= config.snapshot_age)
    }
}
