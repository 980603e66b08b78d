//! What every way to get tokens asks first.

use crate::domain::app::{AuthMethod, GrantType};
use crate::protocol::oauth::{OAuthError, OAuthErrorCode};
use crate::store::apps::App;
use crate::store::grants::Grant;

use super::client_auth::AuthenticatedClient;
use super::dpop::ProvenKey;

/// Which tokens of a grant are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// The first.
    First,
    /// Those that follow.
    Refresh,
}

/// The error of a grant type that is not the client's.
pub(super) fn unauthorized_client() -> OAuthError {
    OAuthError::new(
        OAuthErrorCode::UnauthorizedClient,
        "the client may not use this `grant_type`",
    )
}

/// The error of a proof that was shown before.
pub(super) fn used_proof() -> OAuthError {
    OAuthError::new(
        OAuthErrorCode::InvalidDpopProof,
        "the proof was used before",
    )
}

/// The client as the app it must be.
pub(super) fn app_of(client: &AuthenticatedClient, grant: GrantType) -> Result<&App, OAuthError> {
    client
        .app
        .as_ref()
        .filter(|app| app.spec.grant_types.contains(grant))
        .ok_or_else(unauthorized_client)
}

/// Whether the key that was proved, or none, is the one that the client and the grant call for.
///
/// A client that has a secret of its own may change its key when it refreshes (RFC 9449 §5); it may
/// not go back to having none.
pub(super) fn key_fits(
    app: &App,
    grant: &Grant,
    key: Option<&ProvenKey>,
    used: Use,
) -> Result<(), OAuthError> {
    let Some(key) = key else {
        return if app.spec.dpop_bound || grant.dpop_jkt.is_some() {
            Err(OAuthError::new(
                OAuthErrorCode::InvalidDpopProof,
                "a `DPoP` proof is wanted",
            ))
        } else {
            Ok(())
        };
    };
    let may_change = used == Use::Refresh && app.spec.auth_method != AuthMethod::None;
    match &grant.dpop_jkt {
        Some(jkt) if *jkt != key.jkt && !may_change => Err(OAuthError::invalid_grant()),
        // A refresh token that was given to a bearer is not bound afterwards.
        _ => Ok(()),
    }
}
