//! Enrolment of sidecars: an operator makes a one-time join token, the sidecar turns it into
//! credentials of its own.
//!
//! The printed join token carries the public feed key, so that a sidecar knows from its first
//! contact on whose signatures to believe.

use std::sync::Arc;

use serde_json::json;

use crate::authority::access::Denied;
use crate::authority::app::Authority;
use crate::authority::attempts::{self, JOIN_TOKEN};
use crate::authority::proxies::ClientAddress;
use crate::crypto::digest::token_digest;
use crate::domain::{ClientKind, PlainToken, SidecarId, Timestamp};
use crate::protocol::credentials::{JOIN_TOKEN_PREFIX, JoinToken};
use crate::store::clients::ClientState;
use crate::store::sidecars::{JoinToken as StoredJoinToken, Sidecar};
use crate::store::{Lock, StoreError, Written, audit, clients, sidecars};

use super::Doer;
use super::clients::{ClientsError, NewClient, is_name, prepare};

/// Why a sidecar does not join, is not shown or is not revoked.
#[derive(Debug, thiserror::Error)]
pub enum SidecarsError {
    /// The actor may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The name is empty or too long.
    #[error("a name of 1 to 100 characters is wanted, none of them a control character")]
    Name,
    /// The join token was used, has expired, or never was.
    #[error("the join token is wrong, used up or expired")]
    JoinToken,
    /// Too many wrong join tokens.
    #[error("too many failed attempts")]
    TooMany(std::time::Duration),
    /// No such sidecar.
    #[error("there is no sidecar `{0}`")]
    Unknown(SidecarId),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// A join token that was just made.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// What to print.
    pub token: JoinToken,
    /// Until when it works.
    pub expires_at: Timestamp,
}

/// Makes a join token for one sidecar.
pub async fn invite(
    authority: &Authority,
    doer: &Doer,
    name: String,
) -> Result<Invitation, SidecarsError> {
    check_name(&name)?;
    let now = authority.clock.now();
    let expires_at = now.plus(authority.config.lifetimes.join);
    let token = PlainToken::from_random(JOIN_TOKEN_PREFIX, authority.entropy.token_bits());
    let digest = token_digest(&token);
    let row = StoredJoinToken {
        id: authority.mint_uuid(),
        name,
        created_by: doer.audit_name(),
        created_at: now,
        expires_at,
    };
    let entry = authority.audit(
        doer.audit_name(),
        "sidecar.invited",
        format!("join_token:{}", row.id),
        json!({ "name": row.name, "expires_at": expires_at }),
    );
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    authority
        .store
        .write(move |tx| {
            doer.require(&access, tx, "auth:sidecar:enroll")?;
            sidecars::purge_join_tokens(tx, now)?;
            sidecars::insert_join_token(tx, &row, digest)?;
            Ok::<_, SidecarsError>(audit::record(tx, &entry)?)
        })
        .await?;
    Ok(Invitation {
        token: JoinToken {
            token,
            feed_key: authority.keys.feed().public().to_string(),
        },
        expires_at,
    })
}

/// A sidecar that just joined, with the secret that is shown this once.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// The sidecar.
    pub sidecar: Sidecar,
    /// Its client's secret.
    pub secret: PlainToken,
}

/// Turns a join token into a sidecar. Of several who bring the same token one joins.
///
/// # Errors
///
/// [`SidecarsError::JoinToken`] whether it was used, has expired or never was.
pub async fn enroll(
    authority: &Authority,
    token: PlainToken,
    name: Option<String>,
    from: ClientAddress,
) -> Result<Enrolled, SidecarsError> {
    if let Some(name) = &name {
        check_name(name)?;
    }
    let now = authority.clock.now();
    let id = SidecarId::mint(now, authority.entropy.id_bits());
    let new = new_client(id).map_err(|_| SidecarsError::Name)?;
    let (client, secret) = prepare(authority, new);
    let actor = format!("client:{}", client.identifier);
    let target = format!("sidecar:{id}");
    let entry = authority.audit(actor, "sidecar.enrolled", target, json!({}));
    let (presented, digest) = (token_digest(&token), token_digest(&secret));
    let outcome = authority
        .store
        .write(move |tx| {
            let invitation = sidecars::take_join_token(tx, presented)?
                .filter(|token| now < token.expires_at)
                .ok_or(SidecarsError::JoinToken)?;
            clients::insert(tx, &client, Some(digest))?;
            let sidecar = Sidecar {
                id,
                client_id: client.id,
                identifier: client.identifier.clone(),
                name: name.clone().unwrap_or(invitation.name),
                created_at: now,
                revoked_at: None,
            };
            sidecars::insert(tx, &sidecar)?;
            let mut entry = entry.clone();
            entry.details = json!({ "name": sidecar.name, "invited_by": invitation.created_by });
            audit::record(tx, &entry)?;
            Ok(sidecar)
        })
        .await;
    match outcome {
        Ok(written) => Ok(Enrolled {
            sidecar: written.value,
            secret,
        }),
        Err(SidecarsError::JoinToken) => {
            let who = from.counted_as().to_string();
            match attempts::slowed(authority, &[(JOIN_TOKEN, &who)]).await? {
                Some(wait) => Err(SidecarsError::TooMany(wait)),
                None => Err(SidecarsError::JoinToken),
            }
        }
        Err(error) => Err(error),
    }
}

fn new_client(id: SidecarId) -> Result<NewClient, ClientsError> {
    let identifier = format!("sidecar-{id}")
        .parse()
        .map_err(|_| ClientsError::Name)?;
    NewClient::new(
        identifier,
        format!("Sidecar {id}"),
        ClientKind::Sidecar,
        None,
    )
}

/// Sidecars in order of id, from after `after` on.
pub async fn page(
    authority: &Authority,
    doer: &Doer,
    after: SidecarId,
    limit: i64,
) -> Result<Vec<Sidecar>, SidecarsError> {
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    authority
        .store
        .read(move |tx| {
            doer.require(&access, tx, "auth:sidecar:read")?;
            Ok(sidecars::page(tx, after, limit)?)
        })
        .await
}

/// One sidecar.
pub async fn load(
    authority: &Authority,
    doer: &Doer,
    id: SidecarId,
) -> Result<Sidecar, SidecarsError> {
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    authority
        .store
        .read(move |tx| {
            doer.require(&access, tx, "auth:sidecar:read")?;
            sidecars::find(tx, id)?.ok_or(SidecarsError::Unknown(id))
        })
        .await
}

/// Puts a sidecar out for ever: its client is retired, so that its tokens and its stream end. Again
/// changes nothing.
pub async fn revoke(
    authority: &Authority,
    doer: &Doer,
    id: SidecarId,
) -> Result<Written<()>, SidecarsError> {
    let now = authority.clock.now();
    let entry = authority.audit(
        doer.audit_name(),
        "sidecar.revoked",
        format!("sidecar:{id}"),
        json!({}),
    );
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    authority
        .store
        .write(move |tx| {
            doer.require(&access, tx, "auth:sidecar:revoke")?;
            let sidecar = sidecars::find(tx, id)?.ok_or(SidecarsError::Unknown(id))?;
            tx.lock(Lock::Client(sidecar.client_id))?;
            let active = clients::find(tx, sidecar.client_id)?
                .filter(|client| client.state == ClientState::Active);
            if let Some(client) = &active {
                clients::retire(tx, client, now)?;
            }
            // Its client may have been retired by name: then this only says so.
            if active.is_some() || sidecar.revoked_at.is_none() {
                sidecars::set_revoked(tx, id, now)?;
                audit::record(tx, &entry)?;
            }
            Ok(())
        })
        .await
}

fn check_name(name: &str) -> Result<(), SidecarsError> {
    if is_name(name) {
        Ok(())
    } else {
        Err(SidecarsError::Name)
    }
}
