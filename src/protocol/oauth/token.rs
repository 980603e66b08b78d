//! Wire form of the token endpoint: RFC 6749 with resource indicators (RFC 8707), device codes
//! (RFC 8628) and proofs of possession (RFC 9449), and its metadata (RFC 8414).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::{PlainToken, Scopes};

use super::{Form, PresentedClient};

/// The `grant_type` of RFC 8628.
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What a token request asks for.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// Who asks.
    pub client: PresentedClient,
    /// How.
    pub grant: TokenGrant,
    /// For what; `None` asks for everything there is to have.
    pub scope: Option<Scopes>,
    /// For whom (RFC 8707); empty means whom the grant names, or the authority itself.
    pub resources: Vec<String>,
}

/// The grant types that exist here.
#[derive(Debug, Clone)]
pub enum TokenGrant {
    /// The client asks for itself.
    ClientCredentials,
    /// A user has just agreed.
    AuthorizationCode {
        /// What the redirect brought.
        code: PlainToken,
        /// The redirect URI of the authorization request; OAuth 2.1 has it no more.
        redirect_uri: Option<String>,
        /// PKCE (RFC 7636).
        code_verifier: PlainToken,
    },
    /// A user agreed before.
    RefreshToken {
        /// What the response before brought.
        refresh_token: PlainToken,
    },
    /// A user agrees on another device (RFC 8628).
    DeviceCode {
        /// What the device was given.
        device_code: PlainToken,
    },
}

/// RFC 6749 §5.2 and RFC 8707 §2: what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OAuthErrorCode {
    /// The request is malformed.
    InvalidRequest,
    /// Name or secret are wrong, or missing.
    InvalidClient,
    /// The client may not use this grant.
    UnauthorizedClient,
    /// There is no such grant here.
    UnsupportedGrantType,
    /// The scope is malformed or more than the client may have.
    InvalidScope,
    /// No token for this resource.
    InvalidTarget,
    /// Too many failures, or polled too often (RFC 8628); later.
    SlowDown,
    /// The store cannot be reached; later.
    TemporarilyUnavailable,
    /// Our fault.
    ServerError,
    /// The code or token is wrong, over, used, or another client's.
    InvalidGrant,
    /// The user has not decided yet (RFC 8628).
    AuthorizationPending,
    /// The user said no (RFC 8628).
    AccessDenied,
    /// The device code is over (RFC 8628).
    ExpiredToken,
    /// The proof of possession is missing or wrong (RFC 9449).
    InvalidDpopProof,
    /// The proof must hold the nonce that comes with this answer (RFC 9449).
    UseDpopNonce,
    /// Tokens of this kind cannot be revoked one by one (RFC 7009).
    UnsupportedTokenType,
}

impl OAuthErrorCode {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidClient => 401,
            Self::ServerError => 500,
            Self::TemporarilyUnavailable => 503,
            _ => 400,
        }
    }
}

/// The body of a refused token request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[error("{error_description}")]
pub struct OAuthError {
    /// The code.
    pub error: OAuthErrorCode,
    /// For the developer of the client. Never repeats what was sent.
    pub error_description: String,
}

impl OAuthError {
    /// An error with its description.
    pub fn new(error: OAuthErrorCode, description: impl Into<String>) -> Self {
        Self {
            error,
            error_description: description.into(),
        }
    }

    /// The same words whatever was wrong with the credentials: unknown name, wrong secret, retired
    /// client.
    pub fn invalid_client() -> Self {
        Self::new(
            OAuthErrorCode::InvalidClient,
            "the client's credentials are missing or wrong",
        )
    }

    /// The same words whatever was wrong with a code or a refresh token.
    pub fn invalid_grant() -> Self {
        Self::new(
            OAuthErrorCode::InvalidGrant,
            "the code or token is wrong, over, used before or another client's",
        )
    }

    /// The request is malformed.
    pub fn invalid_request(description: impl Into<String>) -> Self {
        Self::new(OAuthErrorCode::InvalidRequest, description)
    }
}

/// The body of a granted token request (RFC 6749 §5.1).
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TokenResponse {
    /// The token.
    pub access_token: String,
    /// `Bearer` or `DPoP`.
    pub token_type: String,
    /// Seconds.
    pub expires_in: u64,
    /// What was granted.
    pub scope: String,
    /// For the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Who the user is (OpenID Connect Core §3.1.3.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenResponse(…, {:?})", self.scope)
    }
}

/// Reads a token request: the `Authorization` header, if there is one, and the form.
///
/// # Errors
///
/// What RFC 6749 §5.2 wants said: `invalid_request` for a parameter sent twice or two ways to
/// authenticate, `invalid_client` for none.
pub fn parse_token_request(
    authorization: Option<&[u8]>,
    body: &[u8],
) -> Result<TokenRequest, OAuthError> {
    let mut form = Form::parse(body)?;
    let client = PresentedClient::read(authorization, &mut form)?;
    let grant_type = form.require("grant_type")?;
    let grant = match grant_type.as_str() {
        "client_credentials" => TokenGrant::ClientCredentials,
        "authorization_code" => TokenGrant::AuthorizationCode {
            code: form.require_secret("code")?,
            redirect_uri: form.take("redirect_uri").map(|text| text.to_string()),
            code_verifier: verifier(form.require_secret("code_verifier")?)?,
        },
        "refresh_token" => TokenGrant::RefreshToken {
            refresh_token: form.require_secret("refresh_token")?,
        },
        DEVICE_CODE => TokenGrant::DeviceCode {
            device_code: form.require_secret("device_code")?,
        },
        _ => {
            return Err(OAuthError::new(
                OAuthErrorCode::UnsupportedGrantType,
                "there is no such `grant_type` here",
            ));
        }
    };
    Ok(TokenRequest {
        client,
        grant,
        scope: form.take_scope()?,
        resources: form.take_resources(),
    })
}

/// RFC 7636 §4.1: 43 to 128 unreserved characters.
fn verifier(verifier: PlainToken) -> Result<PlainToken, OAuthError> {
    let text = verifier.expose();
    let fits = (43..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    if fits {
        Ok(verifier)
    } else {
        Err(OAuthError::invalid_request(
            "`code_verifier` must be 43 to 128 unreserved characters",
        ))
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &str) -> Result<TokenRequest, OAuthErrorCode> {
        let header = format!("Basic {}", BASE64.encode(b"a:s3cret"));
        parse_token_request(Some(header.as_bytes()), body.as_bytes()).map_err(|error| error.error)
    }

    #[test]
    fn each_grant_is_read_with_what_it_needs() {
        let request =
            parse("grant_type=client_credentials&scope=b+a&resource=https://a&resource=https://b")
                .unwrap();
        assert_eq!(request.client.client_id, "a");
        assert_eq!(request.scope.unwrap().to_string(), "a b");
        assert_eq!(request.resources, ["https://a", "https://b"]);
        assert!(matches!(request.grant, TokenGrant::ClientCredentials));

        let verifier = "v".repeat(43);
        let body = format!("grant_type=authorization_code&code=c&code_verifier={verifier}");
        assert!(matches!(
            parse(&body).unwrap().grant,
            TokenGrant::AuthorizationCode { redirect_uri: None, code, .. } if code.expose() == "c"
        ));
        assert!(matches!(
            parse("grant_type=refresh_token&refresh_token=r")
                .unwrap()
                .grant,
            TokenGrant::RefreshToken { .. }
        ));
        assert!(matches!(
            parse(&format!("grant_type={DEVICE_CODE}&device_code=d"))
                .unwrap()
                .grant,
            TokenGrant::DeviceCode { .. }
        ));
    }

    #[test]
    fn what_is_wrong_is_told_in_the_words_of_the_rfc() {
        use OAuthErrorCode::{InvalidRequest, InvalidScope, UnsupportedGrantType};
        for (body, wanted) in [
            ("", InvalidRequest),
            ("grant_type=password", UnsupportedGrantType),
            ("grant_type=a&grant_type=a", InvalidRequest),
            ("grant_type=authorization_code&code=c", InvalidRequest),
            (
                "grant_type=authorization_code&code=c&code_verifier=short",
                InvalidRequest,
            ),
            (
                "grant_type=authorization_code&code_verifier=x",
                InvalidRequest,
            ),
            ("grant_type=refresh_token", InvalidRequest),
            ("grant_type=client_credentials&scope=%22", InvalidScope),
        ] {
            assert_eq!(parse(body).unwrap_err(), wanted, "{body}");
        }
    }

    #[test]
    fn an_error_never_repeats_the_secret() {
        let header = format!("Basic {}", BASE64.encode(b"a:s3cret"));
        let error = parse_token_request(
            Some(header.as_bytes()),
            b"grant_type=client_credentials&client_secret=s3cret",
        )
        .unwrap_err();
        let body = serde_json::to_string(&error).unwrap();
        assert!(body.starts_with(r#"{"error":"invalid_request""#) && !body.contains("s3cret"));
    }

    #[test]
    fn an_issued_token_is_not_printed() {
        let response = TokenResponse {
            access_token: "eyJ.s3cret".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: 600,
            scope: "doorward:feed".to_owned(),
            refresh_token: Some("dwr_s3cret".to_owned()),
            id_token: Some("eyJ.s3cret".to_owned()),
        };
        let printed = format!("{response:?}");
        assert!(printed.contains("doorward:feed") && !printed.contains("s3cret"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(header in any::<Vec<u8>>(), body in any::<Vec<u8>>()) {
            let _ = parse_token_request(Some(&header), &body);
            let _ = parse_token_request(None, &body);
        }
    }
}
