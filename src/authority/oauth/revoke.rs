//! A client gives a token back (RFC 7009): what was granted to it ends, at once and everywhere.

use serde_json::json;

use crate::authority::app::Authority;
use crate::authority::proxies::ClientAddress;
use crate::authority::revocation::revoke_grant;
use crate::crypto::digest::token_digest;
use crate::domain::GrantId;
use crate::protocol::oauth::{OAuthError, OAuthErrorCode, TokenQuery};
use crate::store::{StoreError, audit, grants, refresh_tokens};

use super::Refused;
use super::client_auth::authenticate_client;
use super::introspect::verified;
use super::issue::REFRESH_PREFIX;

/// The path of the revocation endpoint, below the issuer.
pub const REVOKE_PATH: &str = "/oauth2/revoke";

/// Revokes the grant that a token came from. An unknown token, or another client's, changes nothing
/// and is answered alike.
///
/// # Errors
///
/// `unsupported_token_type` for a client's own access token: it came from no grant, and ends by
/// itself soon.
pub async fn revoke(
    authority: &Authority,
    query: &TokenQuery,
    from: ClientAddress,
) -> Result<(), Refused> {
    let asking = authenticate_client(authority, &query.client, from)
        .await?
        .client;
    let now = authority.clock.now();
    let grant = if query.token.expose().starts_with(REFRESH_PREFIX) {
        let digest = token_digest(&query.token);
        let of_token = authority
            .store
            .read::<_, StoreError>(move |tx| {
                let live = refresh_tokens::find(tx, digest)?.map(|token| token.grant_id);
                match live {
                    Some(grant) => Ok(Some(grant)),
                    None => Ok(refresh_tokens::used(tx, digest)?.map(|used| used.grant_id)),
                }
            })
            .await?;
        let Some(grant) = of_token else {
            return Ok(());
        };
        grant
    } else {
        let Some(claims) = verified(authority, &query.token, now) else {
            return Ok(());
        };
        if claims.client_id != asking.identifier {
            return Ok(());
        }
        claims.gid.ok_or_else(|| {
            OAuthError::new(
                OAuthErrorCode::UnsupportedTokenType,
                "a client's own access token cannot be revoked: it ends by itself soon",
            )
        })?
    };
    end(authority, asking, grant).await
}

async fn end(
    authority: &Authority,
    asking: crate::store::clients::Client,
    grant: GrantId,
) -> Result<(), Refused> {
    let (now, lifetimes) = (authority.clock.now(), authority.config.lifetimes);
    let entry = authority.audit(
        format!("client:{}", asking.identifier),
        "grant.revoked",
        format!("grant:{grant}"),
        json!({ "reason": "client" }),
    );
    authority
        .store
        .write::<_, StoreError>(move |tx| {
            let own = grants::find(tx, grant)?.is_some_and(|found| found.client_id == asking.id);
            if own && revoke_grant(tx, grant, now, &lifetimes, "client")? {
                audit::record(tx, &entry)?;
            }
            Ok(())
        })
        .await?;
    Ok(())
}
