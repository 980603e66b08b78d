//! Initial access tokens (RFC 7591 §1.2): an operator says who may register clients, how many, until
//! when, and what they may be.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::authority::access::Denied;
use crate::authority::app::Authority;
use crate::crypto::digest::token_digest;
use crate::domain::registration::RegistrationPolicy;
use crate::domain::{PlainToken, RegistrationTokenId};
use crate::store::registration_tokens::{self, RegistrationToken};
use crate::store::{StoreError, Written, audit};

use super::Doer;
use super::clients::{PERMISSION, is_name};

/// Begins every initial access token.
pub const TOKEN_PREFIX: &str = "dwt_";
/// The most tokens at once.
pub const MOST: i64 = 1_000;

/// Why there is no such token.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationTokensError {
    /// The actor may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The name is empty or too long.
    #[error("a name of 1 to 100 characters is wanted, none of them a control character")]
    Name,
    /// There are too many.
    #[error("there are {MOST} registration tokens: revoke some first")]
    TooMany,
    /// No such token.
    #[error("there is no registration token `{0}`")]
    Unknown(RegistrationTokenId),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// A token to be made. Its numbers are within their bounds.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// A name for people.
    pub name: String,
    /// How many clients may register with it.
    pub uses: u32,
    /// For how long.
    pub lifetime: Duration,
    /// What they may be.
    pub policy: RegistrationPolicy,
}

/// Makes a token, to be shown once.
pub async fn create(
    authority: &Authority,
    doer: &Doer,
    new: NewToken,
) -> Result<(RegistrationToken, PlainToken), RegistrationTokensError> {
    if !is_name(&new.name) {
        return Err(RegistrationTokensError::Name);
    }
    let now = authority.clock.now();
    let token = PlainToken::from_random(TOKEN_PREFIX, authority.entropy.token_bits());
    let digest = token_digest(&token);
    let row = RegistrationToken {
        id: RegistrationTokenId::mint(now, authority.entropy.id_bits()),
        name: new.name,
        uses_left: i64::from(new.uses),
        policy: json!(new.policy).to_string(),
        created_by: doer.audit_name(),
        created_at: now,
        expires_at: now.plus(new.lifetime),
    };
    let entry = authority.audit(
        doer.audit_name(),
        "registration_token.created",
        format!("registration_token:{}", row.id),
        json!({
            "name": row.name,
            "uses": row.uses_left,
            "expires_at": row.expires_at,
            "policy": new.policy,
        }),
    );
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    let written = authority
        .store
        .write(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            if registration_tokens::count(tx, now)? >= MOST {
                return Err(RegistrationTokensError::TooMany);
            }
            registration_tokens::insert(tx, &row, digest)?;
            audit::record(tx, &entry)?;
            Ok(row.clone())
        })
        .await?;
    Ok((written.value, token))
}

/// Tokens that have not expired, in the order they were made.
pub async fn page(
    authority: &Authority,
    doer: &Doer,
    page: (RegistrationTokenId, i64),
) -> Result<Vec<RegistrationToken>, RegistrationTokensError> {
    let now = authority.clock.now();
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    authority
        .store
        .read(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            Ok(registration_tokens::page(tx, page, now)?)
        })
        .await
}

/// Takes a token back. Clients that registered with it stay: they are retired one by one.
pub async fn revoke(
    authority: &Authority,
    doer: &Doer,
    id: RegistrationTokenId,
) -> Result<Written<()>, RegistrationTokensError> {
    let entry = authority.audit(
        doer.audit_name(),
        "registration_token.revoked",
        format!("registration_token:{id}"),
        json!({}),
    );
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    authority
        .store
        .write(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            if !registration_tokens::delete(tx, id)? {
                return Err(RegistrationTokensError::Unknown(id));
            }
            Ok(audit::record(tx, &entry)?)
        })
        .await
}
