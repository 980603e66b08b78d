//! A login about to be written.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::authority::config::Lifetimes;
use crate::authority::login::identity::Identity;
use crate::authority::login::provider::Provider;
use crate::authority::login::request::LoginPurpose;
use crate::authority::login::transaction::ATTEMPT;
use crate::domain::{AccountId, SessionId, Timestamp, TokenDigest, UserId};
use crate::store::accounts::{self, SealedTokens};
use crate::store::audit::{self, AuditEntry};
use crate::store::sessions::Session;
use crate::store::{StoreError, Tx, providers};

use super::write::{FinishError, LINK_PROOF};

/// A login about to be written: everything is minted, because the transaction may run twice.
pub(in crate::authority::login) struct Arrival {
    pub(in crate::authority::login) provider: Provider,
    pub(in crate::authority::login) identity: Identity,
    pub(in crate::authority::login) now: Timestamp,
    pub(super) purpose: LoginPurpose,
    pub(super) user_id: UserId,
    pub(super) account_id: AccountId,
    pub(super) session_id: SessionId,
    pub(super) digest: TokenDigest,
    /// The session that the browser has already.
    pub(super) current: Option<Session>,
    pub(super) user_agent: Option<String>,
    pub(super) network: Option<String>,
    pub(super) lifetimes: Lifetimes,
    /// By the row that they will be in.
    pub(super) sealed: Option<SealedTokens>,
    pub(super) audit_ids: Vec<Uuid>,
}

/// How the transaction ended. Refusals that leave an audit row are no errors of it.
pub(super) enum Outcome {
    Session,
    Linked,
    Refused(FinishError),
}

impl Arrival {
    pub(super) fn write(
        &self,
        tx: &mut dyn Tx,
        mint: &mut dyn FnMut() -> Uuid,
    ) -> Result<Outcome, FinishError> {
        let live = providers::find(tx, &self.provider.slug)?;
        if !live.is_some_and(|row| row.enabled && row.issuer == self.provider.issuer) {
            return Err(FinishError::Disabled);
        }
        let known = accounts::find(tx, &self.provider.slug, &self.identity.subject)?;
        match self.purpose {
            LoginPurpose::SignIn => self.sign_in(tx, known, mint),
            LoginPurpose::Link { user, session } => self.link(tx, known, (user, session), mint),
        }
    }

    pub(super) fn entry(
        &self,
        index: usize,
        event: &'static str,
        user: Option<UserId>,
        details: Value,
    ) -> Result<AuditEntry, StoreError> {
        let id = self.audit_ids.get(index).copied().ok_or_else(too_many)?;
        Ok(AuditEntry {
            id,
            at: self.now,
            actor: user.map_or_else(|| self.provider_actor(), |user| format!("user:{user}")),
            event,
            organization: None,
            target: Some(user.map_or_else(|| self.provider_actor(), |user| format!("user:{user}"))),
            details,
        })
    }

    pub(super) fn record(
        &self,
        tx: &mut dyn Tx,
        index: usize,
        event: &'static str,
        user: Option<UserId>,
        details: Value,
    ) -> Result<(), StoreError> {
        audit::record(tx, &self.entry(index, event, user, details)?)
    }

    /// How the audit log names the provider as an actor.
    pub(in crate::authority::login) fn provider_actor(&self) -> String {
        format!("provider:{}", self.provider.slug)
    }
}

/// The account page asked in time if the way through the provider may take as long as it may.
pub(super) const LINK_LIMIT: Duration = LINK_PROOF.saturating_add(ATTEMPT);

/// Audit rows that a login may write, roles apart; each has its place.
pub(super) const AUDITS: usize = 4;

fn too_many() -> StoreError {
    StoreError::Other("more audit rows than were minted".to_owned())
}
