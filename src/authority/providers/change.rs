//! What a declaration makes of a provider's row, and the writing of it.

use data_encoding::HEXLOWER;
use serde_json::json;
use uuid::Uuid;

use crate::authority::login::ProviderError;
use crate::authority::login::provider::{open_secret, seal_secret};
use crate::crypto::digest::{constant_time_eq, sha256};
use crate::crypto::seal::KeyRing;
use crate::domain::provider::{ProviderKind, ProviderSource, ProviderSpec};
use crate::domain::{Secret, Timestamp};
use crate::protocol::providers::{ProviderAction, ProviderPlan, SecretChange, changes};
use crate::store::audit::{self, AuditEntry};
use crate::store::providers::{self, StoredProvider};
use crate::store::{StoreError, Tx};

/// What a declaration wants of our secret at the provider.
#[derive(Debug, Clone)]
pub(super) enum WantedSecret {
    /// As it is.
    Keep,
    /// This one, or none.
    Be(Option<Secret<String>>),
}

/// A provider as it is to be.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) spec: ProviderSpec,
    pub(super) secret: WantedSecret,
    pub(super) source: ProviderSource,
}

/// What would be written.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) plan: ProviderPlan,
    pub(super) after: StoredProvider,
    known: bool,
}

/// `active` or `retired`.
pub(super) const fn state(enabled: bool) -> &'static str {
    if enabled { "active" } else { "retired" }
}

/// What the declaration changes. `owner` says that another source has the provider, whose row stays
/// its own then.
pub(super) fn change_in(
    tx: &mut dyn Tx,
    ring: &KeyRing,
    wanted: &Wanted,
    owner: Option<ProviderSource>,
    now: Timestamp,
) -> Result<Change, ProviderError> {
    let live = providers::list(tx)?;
    let name = wanted.spec.provider.as_str();
    check_identity(&live, &wanted.spec)?;
    let found = live.into_iter().find(|row| row.provider == name);
    let (secret, sealed_secret) = secret(ring, wanted, found.as_ref())?;
    let after = StoredProvider {
        provider: name.to_owned(),
        kind: wanted.spec.kind,
        issuer: wanted.spec.issuer.clone(),
        name: wanted.spec.name.clone(),
        client_id: wanted.spec.client_id.clone(),
        sealed_secret,
        settings: wanted.spec.settings.clone(),
        source: owner.unwrap_or(wanted.source),
        enabled: true,
        created_at: found.as_ref().map_or(now, |row| row.created_at),
        updated_at: now,
    };
    let before = match &found {
        Some(row) => Some((row.spec()?, row.source, state(row.enabled))),
        None => None,
    };
    let before = before
        .as_ref()
        .map(|(spec, source, state)| (spec, *source, *state));
    let changes = changes(before, (&wanted.spec, after.source, state(true)));
    let action = match &found {
        None => ProviderAction::Create,
        Some(_) if changes.is_empty() && secret == SecretChange::Kept => ProviderAction::None,
        Some(_) => ProviderAction::Update,
    };
    let bound = json!([name, after.source, action, changes, secret]);
    Ok(Change {
        plan: ProviderPlan {
            provider: wanted.spec.provider.clone(),
            action,
            changes,
            client_secret: secret,
            owner,
            plan_hash: HEXLOWER.encode(&sha256(bound.to_string().as_bytes())),
        },
        after,
        known: found.is_some(),
    })
}

/// A name stands for one issuer and one kind of subject for ever, and an issuer has one name.
fn check_identity(live: &[StoredProvider], wanted: &ProviderSpec) -> Result<(), ProviderError> {
    for row in live {
        let same = row.provider == wanted.provider.as_str();
        if same && !row.kind.shares_subjects_with(wanted.kind) {
            return Err(ProviderError::Kind {
                provider: row.provider.clone(),
                kind: row.kind,
            });
        }
        // The demo's accounts are its own whatever its port.
        if same && row.issuer != wanted.issuer && wanted.kind != ProviderKind::Demo {
            return Err(ProviderError::Issuer {
                provider: row.provider.clone(),
                issuer: row.issuer.clone(),
            });
        }
        if !same && row.issuer == wanted.issuer {
            return Err(ProviderError::IssuerTaken {
                provider: row.provider.clone(),
                issuer: row.issuer.clone(),
            });
        }
    }
    Ok(())
}

/// What becomes of the secret, and how it will lie in the row.
fn secret(
    ring: &KeyRing,
    wanted: &Wanted,
    found: Option<&StoredProvider>,
) -> Result<(SecretChange, Option<Vec<u8>>), ProviderError> {
    let sealed = found.and_then(|row| row.sealed_secret.clone());
    let WantedSecret::Be(secret) = &wanted.secret else {
        return Ok((SecretChange::Kept, sealed));
    };
    if same_secret(ring, found, secret.as_ref())? {
        return Ok((SecretChange::Kept, sealed));
    }
    match secret {
        Some(secret) => {
            let sealed = seal_secret(ring, wanted.spec.provider.as_str(), secret)?;
            Ok((SecretChange::Set, Some(sealed)))
        }
        None => Ok((SecretChange::Removed, None)),
    }
}

/// Whether the row has exactly this secret, or none if none is given.
pub(super) fn same_secret(
    ring: &KeyRing,
    found: Option<&StoredProvider>,
    secret: Option<&Secret<String>>,
) -> Result<bool, ProviderError> {
    let held = match found {
        Some(row) => open_secret(ring, row).map_err(|source| ProviderError::Sealed {
            provider: row.provider.clone(),
            source,
        })?,
        None => None,
    };
    Ok(match (&held, secret) {
        (None, None) => true,
        (Some(held), Some(wanted)) => {
            constant_time_eq(held.expose().as_bytes(), wanted.expose().as_bytes())
        }
        _ => false,
    })
}

/// Who writes, when, under which id of an audit row.
#[derive(Debug, Clone)]
pub(super) struct Writing<'a> {
    pub(super) actor: &'a str,
    pub(super) now: Timestamp,
    pub(super) audit_id: Uuid,
}

/// Carries out a change, if it is one.
pub(super) fn write(
    tx: &mut dyn Tx,
    change: &Change,
    writing: &Writing<'_>,
) -> Result<(), StoreError> {
    if change.plan.action == ProviderAction::None {
        return Ok(());
    }
    let event = if change.known {
        providers::update(tx, &change.after)?;
        "provider.changed"
    } else {
        providers::insert(tx, &change.after)?;
        "provider.created"
    };
    let fields: Vec<&str> = change
        .plan
        .changes
        .iter()
        .map(|one| one.field.as_str())
        .collect();
    let more = json!({ "fields": fields, "client_secret": change.plan.client_secret });
    record(tx, &change.after, event, writing, more)
}

/// Retires a provider: nobody logs in through it until it is declared again.
pub(super) fn retire(
    tx: &mut dyn Tx,
    row: StoredProvider,
    writing: &Writing<'_>,
) -> Result<StoredProvider, StoreError> {
    let gone = StoredProvider {
        enabled: false,
        updated_at: writing.now,
        ..row
    };
    providers::update(tx, &gone)?;
    record(tx, &gone, "provider.retired", writing, json!({}))?;
    Ok(gone)
}

fn record(
    tx: &mut dyn Tx,
    row: &StoredProvider,
    event: &'static str,
    writing: &Writing<'_>,
    more: serde_json::Value,
) -> Result<(), StoreError> {
    let mut details = json!({ "kind": row.kind, "issuer": row.issuer, "source": row.source });
    if let (Some(details), serde_json::Value::Object(more)) = (details.as_object_mut(), more) {
        details.extend(more);
    }
    audit::record(
        tx,
        &AuditEntry {
            id: writing.audit_id,
            at: writing.now,
            actor: writing.actor.to_owned(),
            event,
            organization: None,
            target: Some(format!("provider:{}", row.provider)),
            details,
        },
    )
}
