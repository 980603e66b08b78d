//! Wire form of ID tokens: OpenID Connect Core §2.

use serde::{Deserialize, Serialize};

use crate::domain::{ClientIdentifier, SessionId, UserId};

/// The `typ` header of an ID token.
pub const ID_TOKEN_TYPE: &str = "JWT";

/// The claims of an ID token. It tells the client who logged in, and is of no use anywhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdTokenClaims {
    /// The authority's issuer URL.
    pub iss: String,
    /// The user.
    pub sub: UserId,
    /// The client.
    pub aud: ClientIdentifier,
    /// Its end.
    pub exp: i64,
    /// When it was made.
    pub iat: i64,
    /// When the user proved who they are.
    pub auth_time: i64,
    /// What the authorization request held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// How strongly the user proved who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// How (RFC 8176).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// The login session, by which logouts name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// Ties it to the access token that comes with it.
    pub at_hash: String,
}
