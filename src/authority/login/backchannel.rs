//! Logouts that providers tell of (OpenID Connect Back-Channel Logout 1.0): our sessions end too.

use std::sync::Arc;

use serde_json::json;

use crate::authority::app::{Authority, mint_uuid};
use crate::authority::revocation;
use crate::crypto::digest::token_digest;
use crate::domain::PlainToken;
use crate::domain::provider::ProviderKind;
use crate::protocol::oidc::upstream::{LogoutTokenClaims, LogoutTokenError};
use crate::store::audit::{self, AuditEntry};
use crate::store::{StoreError, Tx, sessions, used_jtis};

use super::error::UpstreamError;
use super::provider::Provider;

/// Why a logout token is not followed.
#[derive(Debug, thiserror::Error)]
pub enum BackchannelError {
    /// The provider speaks no OpenID Connect.
    #[error("this provider sends no logout tokens")]
    NotSpoken,
    /// The signature.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The claims.
    #[error(transparent)]
    Claims(#[from] LogoutTokenError),
    /// It counted already.
    #[error("the token was used before")]
    Replayed,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Follows a logout token, and tells how many sessions ended.
///
/// # Errors
///
/// [`BackchannelError`]; no session ended.
pub async fn end_sessions(
    authority: &Authority,
    provider: &Provider,
    token: &str,
) -> Result<usize, BackchannelError> {
    if provider.kind == ProviderKind::Github {
        return Err(BackchannelError::NotSpoken);
    }
    let claims: LogoutTokenClaims = authority
        .directory
        .verify(authority, provider, token, &["logout+jwt", "JWT"])
        .await?;
    let now = authority.clock.now();
    claims.check(&provider.issuer, &provider.client_id, now)?;
    // Of issuer and name together, so that no two issuers get in each other's way.
    let name = token_digest(&PlainToken::presented(format!(
        "{}\n{}",
        claims.jti, provider.issuer
    )));
    let (issuer, slug) = (provider.issuer.clone(), provider.slug.clone());
    let (lifetimes, entropy) = (authority.config.lifetimes, Arc::clone(&authority.entropy));
    let written = authority
        .store
        .write(move |tx: &mut dyn Tx| {
            if !used_jtis::insert(tx, &issuer, name, claims.remembered_until())? {
                return Err(BackchannelError::Replayed);
            }
            let found =
                sessions::by_upstream(tx, &slug, claims.sub.as_deref(), claims.sid.as_deref())?;
            let mut mint = || mint_uuid(now, &*entropy);
            for session in &found {
                revocation::end_session(tx, session.id, now, &lifetimes, &mut mint)?;
                let entry = AuditEntry {
                    id: mint(),
                    at: now,
                    actor: format!("provider:{slug}"),
                    event: "session.ended",
                    organization: None,
                    target: Some(format!("user:{}", session.user_id)),
                    details: json!({ "session": session.id, "reason": "upstream_logout" }),
                };
                audit::record(tx, &entry)?;
            }
            Ok(found.len())
        })
        .await?;
    Ok(written.value)
}
