//! Wire form of the token endpoint: RFC 6749 with resource indicators (RFC 8707), and its metadata
//! (RFC 8414).

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::domain::{PlainToken, Scopes};

/// The media type of a token request.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// A client's name and secret, as presented. Nothing about them is believed yet.
#[derive(Debug, Clone)]
pub struct PresentedCredentials {
    /// The name; it may be no client identifier at all.
    pub client_id: String,
    /// The secret.
    pub secret: PlainToken,
}

/// What a token request asks for.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// Who asks.
    pub credentials: PresentedCredentials,
    /// How.
    pub grant: Grant,
    /// For what; `None` asks for everything the client may have.
    pub scope: Option<Scopes>,
    /// For whom (RFC 8707); empty means the authority itself.
    pub resources: Vec<String>,
}

/// The grant types that exist here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// The client asks for itself.
    ClientCredentials,
}

/// RFC 6749 §5.2 and RFC 8707 §2: what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Too many failures; later.
    SlowDown,
    /// The store cannot be reached; later.
    TemporarilyUnavailable,
    /// Our fault.
    ServerError,
}

impl OAuthErrorCode {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidClient => 401,
            Self::SlowDown => 429,
            Self::ServerError => 500,
            Self::TemporarilyUnavailable => 503,
            _ => 400,
        }
    }
}

/// The body of a refused token request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
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

    fn invalid_request(description: impl Into<String>) -> Self {
        Self::new(OAuthErrorCode::InvalidRequest, description)
    }
}

/// The body of a granted token request (RFC 6749 §5.1).
#[derive(Serialize, Deserialize)]
pub struct TokenResponse {
    /// The token.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds.
    pub expires_in: u64,
    /// What was granted.
    pub scope: String,
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenResponse(…, {:?})", self.scope)
    }
}

/// Authorization-server metadata (RFC 8414), as far as it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The issuer URL.
    pub issuer: String,
    /// Where tokens are.
    pub token_endpoint: String,
    /// Where keys are.
    pub jwks_uri: String,
    /// The scopes of the authority's own API.
    pub scopes_supported: Vec<String>,
    /// Required by the RFC; empty without an authorization endpoint.
    pub response_types_supported: Vec<String>,
    /// How tokens can be asked for.
    pub grant_types_supported: Vec<String>,
    /// How clients authenticate.
    pub token_endpoint_auth_methods_supported: Vec<String>,
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
    let credentials = credentials(authorization, &mut form)?;
    let grant = match form.take("grant_type").as_ref().map(|text| text.as_str()) {
        Some("client_credentials") => Grant::ClientCredentials,
        Some(_) => {
            return Err(OAuthError::new(
                OAuthErrorCode::UnsupportedGrantType,
                "`grant_type` must be `client_credentials`",
            ));
        }
        None => return Err(OAuthError::invalid_request("`grant_type` is missing")),
    };
    let scope = form
        .take("scope")
        .map(|text| {
            Scopes::parse(&text).map_err(|_| {
                OAuthError::new(
                    OAuthErrorCode::InvalidScope,
                    "`scope` is not a list of scopes",
                )
            })
        })
        .transpose()?;
    Ok(TokenRequest {
        credentials,
        grant,
        scope,
        resources: form.resources,
    })
}

/// The parameters of a form. A parameter without a value counts as not sent (RFC 6749 §3.2);
/// unknown ones are ignored, as the RFC wants.
struct Form {
    parameters: BTreeMap<String, Zeroizing<String>>,
    /// The one parameter that may come more than once.
    resources: Vec<String>,
}

impl Form {
    fn parse(body: &[u8]) -> Result<Self, OAuthError> {
        let mut form = Self {
            parameters: BTreeMap::new(),
            resources: Vec::new(),
        };
        for (name, value) in form_urlencoded::parse(body) {
            if value.is_empty() {
                continue;
            }
            if name == "resource" {
                form.resources.push(value.into_owned());
                continue;
            }
            let value = Zeroizing::new(value.into_owned());
            if form.parameters.insert(name.into_owned(), value).is_some() {
                return Err(OAuthError::invalid_request("a parameter was sent twice"));
            }
        }
        Ok(form)
    }

    fn take(&mut self, name: &str) -> Option<Zeroizing<String>> {
        self.parameters.remove(name)
    }
}

fn credentials(
    authorization: Option<&[u8]>,
    form: &mut Form,
) -> Result<PresentedCredentials, OAuthError> {
    let in_form = (form.take("client_id"), form.take("client_secret"));
    let Some(header) = authorization else {
        return match in_form {
            (Some(client_id), Some(secret)) => Ok(PresentedCredentials {
                client_id: client_id.to_string(),
                secret: PlainToken::presented(secret.to_string()),
            }),
            _ => Err(OAuthError::invalid_client()),
        };
    };
    if in_form.1.is_some() {
        return Err(OAuthError::invalid_request(
            "the client authenticated in two ways at once",
        ));
    }
    let presented = basic(header).ok_or_else(OAuthError::invalid_client)?;
    if in_form
        .0
        .is_some_and(|client_id| *client_id != presented.client_id)
    {
        return Err(OAuthError::invalid_request(
            "`client_id` is not the client that authenticated",
        ));
    }
    Ok(presented)
}

/// RFC 6749 §2.3.1: both halves are form-encoded before they are joined and put in base64.
fn basic(header: &[u8]) -> Option<PresentedCredentials> {
    let (scheme, encoded) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let decoded = Zeroizing::new(BASE64.decode(encoded.trim_ascii()).ok()?);
    let text = std::str::from_utf8(&decoded).ok()?;
    let (client_id, secret) = text.split_once(':')?;
    Some(PresentedCredentials {
        client_id: form_decoded(client_id)?,
        secret: PlainToken::presented(form_decoded(secret)?),
    })
}

/// One form-encoded value. `&` and `=` would have been encoded: raw, they are part of the value.
fn form_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(authorization: Option<&str>, body: &str) -> OAuthErrorCode {
        parse_token_request(authorization.map(str::as_bytes), body.as_bytes())
            .unwrap_err()
            .error
    }

    fn basic_of(text: &str) -> String {
        format!("Basic {}", BASE64.encode(text.as_bytes()))
    }

    #[test]
    fn both_ways_to_authenticate_are_read() {
        let body = "grant_type=client_credentials&scope=b+a&resource=https://a&resource=https://b";
        let request = parse_token_request(
            Some(basic_of("billing%2Dx:s%3A+%26").as_bytes()),
            body.as_bytes(),
        )
        .unwrap();
        assert_eq!(request.credentials.client_id, "billing-x");
        assert_eq!(request.credentials.secret.expose(), "s: &");
        assert_eq!(request.scope.unwrap().to_string(), "a b");
        assert_eq!(request.resources, ["https://a", "https://b"]);

        let body = "grant_type=client_credentials&client_id=billing&client_secret=a%3Db&scope=";
        let request = parse_token_request(None, body.as_bytes()).unwrap();
        assert_eq!(request.credentials.secret.expose(), "a=b");
        assert_eq!(request.scope, None);
    }

    #[test]
    fn what_is_wrong_is_told_in_the_words_of_the_rfc() {
        use OAuthErrorCode::{InvalidClient, InvalidRequest, InvalidScope, UnsupportedGrantType};
        let grant = "grant_type=client_credentials";
        let ok = basic_of("a:b");
        for (header, body, wanted) in [
            (None, grant, InvalidClient),
            (
                None,
                "grant_type=client_credentials&client_id=a",
                InvalidClient,
            ),
            (Some("Bearer abc"), grant, InvalidClient),
            (Some("Basic"), grant, InvalidClient),
            (Some("Basic !"), grant, InvalidClient),
            (Some(ok.as_str()), "", InvalidRequest),
            (
                Some(ok.as_str()),
                "grant_type=password",
                UnsupportedGrantType,
            ),
            (
                Some(ok.as_str()),
                "grant_type=a&grant_type=a",
                InvalidRequest,
            ),
            (
                Some(ok.as_str()),
                "grant_type=client_credentials&client_id=a&client_secret=b",
                InvalidRequest,
            ),
            (
                Some(ok.as_str()),
                "grant_type=client_credentials&client_id=other",
                InvalidRequest,
            ),
            (
                Some(ok.as_str()),
                "grant_type=client_credentials&scope=%22",
                InvalidScope,
            ),
        ] {
            assert_eq!(code(header, body), wanted, "{header:?} {body}");
        }
        let broken = basic_of("a%2:b");
        assert_eq!(code(Some(&broken), grant), InvalidClient);
    }

    #[test]
    fn an_error_never_repeats_the_secret() {
        let error = parse_token_request(
            Some(basic_of("a:s3cret").as_bytes()),
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

        #[test]
        fn any_secret_survives_basic(secret in "\\PC+", client in "[a-z~._-]{1,20}") {
            let encode = |text: &str| {
                form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
            };
            let header = basic_of(&format!("{}:{}", encode(&client), encode(&secret)));
            let request = parse_token_request(
                Some(header.as_bytes()),
                b"grant_type=client_credentials",
            ).unwrap();
            prop_assert_eq!(request.credentials.client_id, client);
            prop_assert_eq!(request.credentials.secret.expose(), secret);
        }
    }
}
