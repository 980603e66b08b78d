//! Rotation: staged → active → retired → gone, each step at a computed time.
//!
//! A key is published before it signs for longer than anybody may keep the key set
//! ([`PUBLISH_AHEAD`]), and stays published after it has signed for as long as something that it
//! signed can count ([`Schedule::kept`]). Steps are taken by one instance at a time, under a lease;
//! the others load the keys again when the rows have changed. One that signs with a retired key for
//! a moment longer does no harm: the key is still published.
//!
//! A key of access tokens that has leaked cannot wait for that: a rotation that is to be at once
//! deletes it, and what it signed is refused.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::crypto::seal::KeyRing;
use crate::crypto::sign::LEEWAY;
use crate::domain::Timestamp;
use crate::runtime::Entropy;
use crate::store::audit::{self, AuditEntry};
use crate::store::keys::{KeyPurpose, KeyState, StoredKey};
use crate::store::{StoreError, Tx, keys, leases};

use super::super::app::{Authority, mint_uuid};
use super::super::config::Config;
use super::KeysError;
use super::set::JWKS_MAX_AGE;
use super::stored::{self, KINDS, KeyKind};

/// How often every instance looks whether there is something to do or to load.
pub const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How long a key is published before it signs: whoever fetched the key set just before has fetched
/// it again, and every instance has loaded the key. With room for clocks that differ.
pub const PUBLISH_AHEAD: Duration = Duration::from_secs(JWKS_MAX_AGE + 5 * 60);

const LEASE: &str = "keys";
const LEASE_TIME: Duration = Duration::from_mins(2);
/// What a key signed just before an instance heard of its retirement must still be verified.
const LATE: Duration = Duration::from_mins(5);

/// When keys change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// How long a key signs before the next one does.
    pub every: Duration,
    /// The longest life of an access token.
    pub access: Duration,
    /// For how long an ID token may come back: as a hint while its session lives.
    pub id_token: Duration,
}

impl Schedule {
    /// As configured.
    pub fn of(config: &Config) -> Self {
        let lifetimes = &config.lifetimes;
        Self {
            every: config.rotate_keys_every,
            access: lifetimes.access.max(lifetimes.user),
            id_token: lifetimes.id_token.max(lifetimes.session),
        }
    }

    /// How long a key stays published after it has signed last.
    pub fn kept(&self, purpose: KeyPurpose) -> Duration {
        let longest = match purpose {
            KeyPurpose::AccessToken => self.access,
            KeyPurpose::IdToken => self.id_token.max(self.access),
            KeyPurpose::Feed => Duration::ZERO,
        };
        longest + LEEWAY + LATE
    }
}

/// What is wanted of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Of which keys; all but the feed's if absent.
    pub purpose: Option<KeyPurpose>,
    /// Whether the new key signs at once: verifiers that keep the key set have to fetch it again. The
    /// old key of access tokens is deleted, not retired.
    pub at_once: bool,
}

impl Rotation {
    fn names(self, kind: KeyKind) -> bool {
        // The feed's key is pinned by every sidecar: a new one means enrolling them again.
        kind != KeyKind::Feed && self.purpose.is_none_or(|purpose| purpose == kind.purpose())
    }
}

/// Makes the keys that a rotation will stage, as far as none is staged already. Slow: RSA.
pub fn prepare(
    ring: &KeyRing,
    rows: &[StoredKey],
    rotation: Rotation,
    now: Timestamp,
) -> Result<Vec<StoredKey>, KeysError> {
    KINDS
        .iter()
        .filter(|kind| rotation.names(**kind) && in_state(rows, **kind, KeyState::Staged).is_none())
        .map(|kind| stage(ring, *kind, now))
        .collect()
}

fn stage(ring: &KeyRing, kind: KeyKind, now: Timestamp) -> Result<StoredKey, KeysError> {
    let times = (now, now.plus(PUBLISH_AHEAD));
    stored::make(ring, kind, KeyState::Staged, times)
}

/// Who takes steps, and how they are told in the audit log.
#[derive(Debug)]
pub struct Steps<'a> {
    /// Who, as the audit log names them.
    pub actor: String,
    /// When.
    pub now: Timestamp,
    /// When keys change.
    pub schedule: Schedule,
    /// Chance, for ids of audit rows.
    pub entropy: &'a dyn Entropy,
}

impl Steps<'_> {
    /// Stages what [`prepare`] made, unless another instance was faster, and with `at_once` brings
    /// the staged keys into use.
    pub fn rotate(
        &mut self,
        tx: &mut dyn Tx,
        rotation: Rotation,
        made: &[StoredKey],
    ) -> Result<Vec<StoredKey>, KeysError> {
        let rows = keys::list(tx)?;
        let mut changed = Vec::new();
        for kind in KINDS.iter().filter(|kind| rotation.names(**kind)) {
            let staged = if let Some(staged) = in_state(&rows, *kind, KeyState::Staged) {
                staged.clone()
            } else {
                let Some(new) = made.iter().find(|key| kind.names(key)) else {
                    continue;
                };
                keys::insert(tx, new)?;
                self.tell(tx, "key.staged", new)?;
                new.clone()
            };
            if rotation.at_once {
                changed.extend(self.activate(tx, &rows, staged, true)?);
            } else {
                changed.push(staged);
            }
        }
        Ok(changed)
    }

    /// Brings into use what is due, and takes away what nothing needs any more.
    pub fn advance(&mut self, tx: &mut dyn Tx) -> Result<(), KeysError> {
        let rows = keys::list(tx)?;
        for key in &rows {
            if key.state == KeyState::Staged && key.activates_at <= self.now {
                self.activate(tx, &rows, key.clone(), false)?;
            }
            if key.purge_at.is_some_and(|at| at <= self.now) {
                keys::delete(tx, &key.kid)?;
                self.tell(tx, "key.removed", key)?;
            }
        }
        Ok(())
    }

    /// The staged key signs from now on, and the one that did is retired. With `leaked`, what that one
    /// signed must not count: a key of access tokens goes at once. One of ID tokens stays, for hints.
    fn activate(
        &mut self,
        tx: &mut dyn Tx,
        rows: &[StoredKey],
        staged: StoredKey,
        leaked: bool,
    ) -> Result<Vec<StoredKey>, KeysError> {
        let mut changed = Vec::new();
        let same_kind =
            |key: &&StoredKey| key.purpose == staged.purpose && key.algorithm == staged.algorithm;
        for key in rows.iter().filter(same_kind) {
            if key.state == KeyState::Active && leaked && key.purpose == KeyPurpose::AccessToken {
                keys::delete(tx, &key.kid)?;
                self.tell(tx, "key.removed", key)?;
            } else if key.state == KeyState::Active {
                let retired = StoredKey {
                    state: KeyState::Retired,
                    retires_at: Some(self.now),
                    purge_at: Some(self.now.plus(self.schedule.kept(key.purpose))),
                    ..key.clone()
                };
                keys::set_state(tx, &retired)?;
                self.tell(tx, "key.retired", &retired)?;
                changed.push(retired);
            }
        }
        let active = StoredKey {
            state: KeyState::Active,
            activates_at: self.now,
            ..staged
        };
        keys::set_state(tx, &active)?;
        self.tell(tx, "key.activated", &active)?;
        changed.push(active);
        Ok(changed)
    }

    fn tell(
        &mut self,
        tx: &mut dyn Tx,
        event: &'static str,
        key: &StoredKey,
    ) -> Result<(), StoreError> {
        let entry = AuditEntry {
            id: mint_uuid(self.now, self.entropy),
            at: self.now,
            actor: self.actor.clone(),
            event,
            organization: None,
            target: Some(format!("key:{}", key.kid)),
            details: json!({
                "purpose": key.purpose.as_str(),
                "algorithm": key.algorithm,
                "activates_at": key.activates_at,
                "purge_at": key.purge_at,
            }),
        };
        audit::record(tx, &entry)
    }
}

fn in_state(rows: &[StoredKey], kind: KeyKind, state: KeyState) -> Option<&StoredKey> {
    rows.iter()
        .find(|key| key.state == state && kind.names(key))
}

/// Of which keys the schedule wants the next one staged by `now`.
fn due(rows: &[StoredKey], schedule: Schedule, now: Timestamp) -> Vec<KeyKind> {
    let ahead = schedule.every.saturating_sub(PUBLISH_AHEAD);
    KINDS
        .iter()
        .copied()
        .filter(|kind| *kind != KeyKind::Feed)
        .filter(|kind| in_state(rows, *kind, KeyState::Staged).is_none())
        .filter(|kind| {
            in_state(rows, *kind, KeyState::Active)
                .is_some_and(|key| key.activates_at.plus(ahead) <= now)
        })
        .collect()
}

/// Rotates, as somebody on the host or on the API asked, and loads the keys again. Gives the keys
/// that changed.
pub async fn rotate(
    authority: &Authority,
    actor: String,
    rotation: Rotation,
) -> Result<Vec<StoredKey>, KeysError> {
    let now = authority.clock.now();
    let ring = authority.keys.sealer().shared_ring();
    // Making an RSA key takes a while: on a thread that may block.
    let made = authority
        .store
        .read::<_, KeysError>(move |tx| prepare(&ring, &keys::list(tx)?, rotation, now))
        .await?;
    let (schedule, entropy) = (
        Schedule::of(&authority.config),
        Arc::clone(&authority.entropy),
    );
    let written = authority
        .store
        .write::<_, KeysError>(move |tx| {
            let mut steps = Steps {
                actor: actor.clone(),
                now,
                schedule,
                entropy: &*entropy,
            };
            steps.rotate(tx, rotation, &made)
        })
        .await?;
    reload(authority).await?;
    Ok(written.value)
}

/// Loads the keys again if the rows have changed, and takes over a changed key file.
pub async fn reload(authority: &Authority) -> Result<bool, KeysError> {
    let (current, file) = (
        Arc::clone(&authority.keys),
        authority.config.key_file.clone(),
    );
    authority
        .store
        .read(move |tx| {
            current.take_over(&file);
            current.reload(tx)
        })
        .await
}

/// One look: takes the steps that are due, if the lease can be had, and loads the keys again if
/// they have changed. Tells whether they had.
pub async fn look(authority: &Authority, holder: &str) -> Result<bool, KeysError> {
    let now = authority.clock.now();
    let schedule = Schedule::of(&authority.config);
    let rows = authority.store.read::<_, StoreError>(keys::list).await?;
    let steps_due = rows.iter().any(|key| {
        (key.state == KeyState::Staged && key.activates_at <= now)
            || key.purge_at.is_some_and(|at| at <= now)
    });
    let kinds = due(&rows, schedule, now);
    if steps_due || !kinds.is_empty() {
        let ring = authority.keys.sealer().shared_ring();
        let made = authority
            .store
            .read::<_, KeysError>(move |_| {
                kinds
                    .iter()
                    .map(|kind| stage(&ring, *kind, now))
                    .collect::<Result<Vec<_>, _>>()
            })
            .await?;
        step(authority, holder, made, (now, schedule)).await?;
    }
    reload(authority).await
}

async fn step(
    authority: &Authority,
    holder: &str,
    made: Vec<StoredKey>,
    (now, schedule): (Timestamp, Schedule),
) -> Result<(), KeysError> {
    let (holder, entropy) = (holder.to_owned(), Arc::clone(&authority.entropy));
    authority
        .store
        .write::<_, KeysError>(move |tx| {
            if !leases::take(tx, LEASE, &holder, (now, now.plus(LEASE_TIME)))? {
                return Ok(());
            }
            let mut steps = Steps {
                actor: "system".to_owned(),
                now,
                schedule,
                entropy: &*entropy,
            };
            steps.advance(tx)?;
            // Only what was due: `rotate` leaves alone what is staged meanwhile.
            for key in &made {
                let rotation = Rotation {
                    purpose: Some(key.purpose),
                    at_once: false,
                };
                steps.rotate(tx, rotation, std::slice::from_ref(key))?;
            }
            Ok(())
        })
        .await?;
    Ok(())
}
