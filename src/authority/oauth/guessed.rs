//! Who a client is, as far as it is not being guessed.

use crate::authority::app::Authority;
use crate::authority::attempts;
use crate::authority::proxies::ClientAddress;
use crate::protocol::oauth::{OAuthErrorCode, PresentedClient};

use super::Refused;
use super::client_auth::{AuthenticatedClient, authenticate_client};

/// Finds out who the client is. A wrong proof is counted by where it came from and answered "later"
/// when there were too many; a right one costs nothing here and is never kept out.
///
/// # Errors
///
/// As [`authenticate_client`], or [`Refused::TooMany`].
pub(super) async fn authenticate_from(
    authority: &Authority,
    presented: &PresentedClient,
    from: ClientAddress,
) -> Result<AuthenticatedClient, Refused> {
    let refused = match authenticate_client(authority, presented).await {
        Err(refused) => refused,
        proved => return proved,
    };
    if !matches!(&refused, Refused::OAuth(error) if error.error == OAuthErrorCode::InvalidClient) {
        return Err(refused);
    }
    match attempts::client_failed(authority, &presented.client_id, from).await? {
        Some(wait) => Err(Refused::TooMany(wait)),
        None => Err(refused),
    }
}
