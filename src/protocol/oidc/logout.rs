//! Wire forms of logging out: OpenID Connect RP-Initiated Logout and Back-Channel Logout.

use serde::{Deserialize, Serialize};

use crate::domain::{ClientIdentifier, SessionId};
use crate::protocol::oauth::authorize::{Parameters, Repeated};

/// The `typ` header of a logout token (Back-Channel Logout §2.4): it can stand in for no other.
pub const LOGOUT_TOKEN_TYPE: &str = "logout+jwt";

/// The most characters of a value.
const VALUE_MAX: usize = 2 * 1024;

/// What a client asks the logout endpoint for. Nothing in it is believed yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogoutRequest {
    /// An ID token that the client was given.
    pub id_token_hint: Option<String>,
    /// The client, when there is no hint, or besides it.
    pub client_id: Option<String>,
    /// Where the browser goes afterwards.
    pub post_logout_redirect_uri: Option<String>,
    /// Echoed there.
    pub state: Option<String>,
}

/// Why a logout request is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogoutRequestError {
    /// A parameter came twice.
    #[error(transparent)]
    Repeated(#[from] Repeated),
    /// A value is longer than any is.
    #[error("a parameter is too long")]
    TooLong,
}

impl LogoutRequest {
    /// Reads one. `logout_hint` and `ui_locales` are let pass: nothing depends on them.
    ///
    /// # Errors
    ///
    /// [`LogoutRequestError`].
    pub fn read(parameters: &Parameters) -> Result<Self, LogoutRequestError> {
        if parameters.any_repeated() {
            return Err(Repeated.into());
        }
        let short = |name| match parameters.sole(name) {
            Some(value) if value.len() > VALUE_MAX => Err(LogoutRequestError::TooLong),
            value => Ok(value.map(str::to_owned)),
        };
        Ok(Self {
            id_token_hint: parameters.sole("id_token_hint").map(str::to_owned),
            client_id: short("client_id")?,
            post_logout_redirect_uri: short("post_logout_redirect_uri")?,
            state: short("state")?,
        })
    }
}

/// The claims of a logout token (Back-Channel Logout §2.4). It has no `nonce`, so that it is never
/// taken for an ID token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutTokenClaims {
    /// The authority's issuer URL.
    pub iss: String,
    /// The user's id.
    pub sub: String,
    /// The client that is told.
    pub aud: ClientIdentifier,
    /// When it was made.
    pub iat: i64,
    /// Refused from this second on.
    pub exp: i64,
    /// Its own id.
    pub jti: String,
    /// What it says.
    pub events: LogoutEvents,
    /// The session that ended; without it, all of the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
}

/// The one event there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutEvents {
    /// An empty object.
    #[serde(rename = "http://schemas.openid.net/event/backchannel-logout")]
    pub backchannel_logout: NoMembers,
}

/// An empty JSON object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoMembers {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<LogoutRequest, LogoutRequestError> {
        LogoutRequest::read(&Parameters::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_logout_request_is_read_and_a_repeated_parameter_refused() {
        let request = read(
            "id_token_hint=a.b.c&client_id=app&post_logout_redirect_uri=https://a/bye&state=s\
             &logout_hint=ada&ui_locales=de",
        )
        .unwrap();
        assert_eq!(request.id_token_hint.as_deref(), Some("a.b.c"));
        assert_eq!(request.client_id.as_deref(), Some("app"));
        assert_eq!(
            request.post_logout_redirect_uri.as_deref(),
            Some("https://a/bye")
        );
        assert_eq!(request.state.as_deref(), Some("s"));
        assert_eq!(read("").unwrap(), LogoutRequest::default());
        assert_eq!(
            read("state=a&state=b").unwrap_err(),
            LogoutRequestError::Repeated(Repeated)
        );
        let long = format!("state={}", "a".repeat(2049));
        assert_eq!(read(&long).unwrap_err(), LogoutRequestError::TooLong);
    }

    #[test]
    fn a_logout_token_says_what_the_specification_wants_and_no_more() {
        let claims = LogoutTokenClaims {
            iss: "https://id.example".to_owned(),
            sub: "1".to_owned(),
            aud: "app".parse().unwrap(),
            iat: 1,
            exp: 2,
            jti: "j".to_owned(),
            events: LogoutEvents::default(),
            sid: None,
        };
        assert_eq!(
            serde_json::to_value(&claims).unwrap(),
            json!({
                "iss": "https://id.example", "sub": "1", "aud": "app", "iat": 1, "exp": 2,
                "jti": "j",
                "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
            })
        );
    }
}
