//! Wire form of introspection (RFC 7662) and revocation (RFC 7009).

use serde::{Deserialize, Serialize};

use crate::domain::{ClientIdentifier, GrantId, OrganizationId, PlainToken, SessionId};
use crate::protocol::jose::{Audience, Confirmation};

use super::{Form, OAuthError, PresentedClient};

/// A request about one token: what it is, or that it shall end.
#[derive(Debug, Clone)]
pub struct TokenQuery {
    /// Who asks.
    pub client: PresentedClient,
    /// About what. What kind of token it is, it tells itself: `token_type_hint` is not needed.
    pub token: PlainToken,
}

/// Reads a request to introspect or to revoke.
///
/// # Errors
///
/// As the token endpoint's.
pub fn parse_token_query(
    authorization: Option<&[u8]>,
    body: &[u8],
) -> Result<TokenQuery, OAuthError> {
    let mut form = Form::parse(body)?;
    Ok(TokenQuery {
        client: PresentedClient::read(authorization, &mut form)?,
        token: form.require_secret("token")?,
    })
}

/// What a token is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Introspection {
    /// Whether it counts. Of one that does not, nothing else is told.
    pub active: bool,
    /// Space-delimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// To whom it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientIdentifier>,
    /// `Bearer`, `DPoP`, or `refresh_token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type: Option<String>,
    /// Its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// Whom it speaks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// For whom it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<Audience>,
    /// Who issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Its own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The organization that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dw_org: Option<OrganizationId>,
    /// The session that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// The grant that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<GrantId>,
    /// The key that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_its_client_and_its_token() {
        let query = parse_token_query(
            None,
            b"client_id=a&client_secret=b&token=t&token_type_hint=x",
        )
        .unwrap();
        assert_eq!(query.client.client_id, "a");
        assert_eq!(query.token.expose(), "t");
        assert!(parse_token_query(None, b"client_id=a").is_err());
        assert!(parse_token_query(None, b"token=t").is_err());
    }

    #[test]
    fn of_a_dead_token_nothing_is_told() {
        let text = serde_json::to_string(&Introspection::default()).unwrap();
        assert_eq!(text, r#"{"active":false}"#);
    }
}
