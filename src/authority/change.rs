//! What every write brings along: who asks, when, and the judge.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::domain::{OrganizationId, Timestamp};
use crate::runtime::Entropy;
use crate::store::audit::{self, AuditEntry};
use crate::store::{StoreError, Tx};

use super::access::Access;
use super::credentials::Actor;

/// The circumstances of one write. Made before the transaction, which may run more than once.
#[derive(Debug, Clone)]
pub struct Change {
    /// The judge.
    pub access: Arc<Access>,
    /// Who asks.
    pub actor: Actor,
    /// When.
    pub now: Timestamp,
    audit_id: Uuid,
}

/// What the audit log says of a write.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What happened: `member.added`.
    pub name: &'static str,
    /// In which organization.
    pub organization: Option<OrganizationId>,
    /// To what: `user:<id>`.
    pub target: Option<String>,
    /// More, in ids and names of roles; never e-mails.
    pub details: Value,
}

impl Change {
    /// A write that is about to begin.
    pub fn new(access: Arc<Access>, actor: Actor, now: Timestamp, entropy: &dyn Entropy) -> Self {
        let audit_id =
            uuid::Builder::from_unix_timestamp_millis(now.unix_millis(), &entropy.id_bits())
                .into_uuid();
        Self {
            access,
            actor,
            now,
            audit_id,
        }
    }

    /// Writes the one audit row of this write.
    pub fn record(&self, tx: &mut dyn Tx, event: Event) -> Result<(), StoreError> {
        audit::record(
            tx,
            &AuditEntry {
                id: self.audit_id,
                at: self.now,
                actor: self.actor.audit_name(),
                event: event.name,
                organization: event.organization,
                target: event.target,
                details: event.details,
            },
        )
    }
}
