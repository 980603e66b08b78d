//! What a user's own token tells of them: OpenID Connect Core §5.3.

use crate::authority::app::Authority;
use crate::domain::{Scopes, UserId};
use crate::protocol::oidc::userinfo::UserInfo;
use crate::store::{StoreError, users};

/// The path of the userinfo endpoint, below the issuer.
pub const USERINFO_PATH: &str = "/oauth2/userinfo";

/// The claims that scopes name (OpenID Connect Core §5.4), for metadata.
pub const CLAIMS: &[&str] = &[
    "sub",
    "name",
    "picture",
    "locale",
    "updated_at",
    "email",
    "email_verified",
];

/// What `scopes` show of a user; `None` when there is no such user.
pub async fn userinfo(
    authority: &Authority,
    user: UserId,
    scopes: &Scopes,
) -> Result<Option<UserInfo>, StoreError> {
    let (profile, email) = (scopes.contains("profile"), scopes.contains("email"));
    authority
        .store
        .read(move |tx| {
            let Some(found) = users::find(tx, user)? else {
                return Ok(None);
            };
            let locale = if profile {
                users::find_locale(tx, user)?
            } else {
                None
            };
            // Only verified addresses are kept there; who has none has a placeholder.
            let address = Some(found.email).filter(|text| email && !text.ends_with(".invalid"));
            Ok(Some(UserInfo {
                sub: user,
                name: profile.then_some(found.display_name),
                picture: found.avatar_url.filter(|_| profile),
                locale,
                updated_at: profile.then(|| found.updated_at.unix_seconds()),
                email_verified: address.is_some().then_some(true),
                email: address,
            }))
        })
        .await
}
