//! The demo provider: an identity provider inside this process, where one picks who one is. For
//! trying things out without an account anywhere. It lets anybody be anybody, so nothing but
//! `doorward dev` starts it.
//!
//! It speaks OpenID Connect like any other, over HTTP, so that what is tried is what will run.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::authority::app::Authority;
use crate::authority::config::Issuer;
use crate::crypto::digest::{constant_time_eq, sha256};
use crate::crypto::seal::SealError;
use crate::crypto::sign::{JwtAlgorithm, JwtSigner, KeyError};
use crate::domain::Timestamp;
use crate::domain::provider::{ProviderKind, ProviderSettings, ProviderSpec};
use crate::domain::user::UserError;

use super::provider::{ConfiguredProvider, ProviderError};

/// Its name in paths and rows.
pub const DEMO: &str = "demo";
/// Below the issuer's path.
pub const PATH: &str = "/demo-provider";

/// Who one can be: a short name, which is the subject, and the name to show.
pub const PEOPLE: [(&str, &str); 3] = [
    ("alice", "Alice Abara"),
    ("bob", "Bob Berg"),
    ("carol", "Carol Costa"),
];

const CLIENT_ID: &str = "doorward";
const CODE: &str = "demo-code";
const CODE_TIME: Duration = Duration::from_mins(1);
const TOKEN_TIME: Duration = Duration::from_mins(5);

/// Its key, of this process only.
#[derive(Debug)]
pub struct DemoProvider {
    signer: JwtSigner,
}

/// The demo as a provider of the configuration.
///
/// # Errors
///
/// Never: its name is one.
pub fn configured(issuer: &Issuer) -> Result<ConfiguredProvider, UserError> {
    Ok(ConfiguredProvider {
        spec: ProviderSpec {
            provider: DEMO.parse()?,
            kind: ProviderKind::Demo,
            issuer: format!("{issuer}{PATH}"),
            name: "Demo".to_owned(),
            client_id: CLIENT_ID.to_owned(),
            settings: ProviderSettings::default(),
        },
        secret: None,
    })
}

/// A request to choose somebody, as it came from a login.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DemoRequest {
    redirect_uri: String,
    state: String,
    nonce: String,
    code_challenge: String,
}

#[derive(Serialize, Deserialize)]
struct Code {
    subject: String,
    request: DemoRequest,
    authenticated_at: i64,
}

/// The request is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not what a login of this server sends")]
pub struct InvalidDemoRequest(&'static str);

impl DemoProvider {
    pub(in crate::authority) fn new() -> Result<Self, ProviderError> {
        let signer = JwtSigner::generate(JwtAlgorithm::Es256)
            .map_err(|_: KeyError| ProviderError::Seal(SealError::Failed))?;
        Ok(Self { signer })
    }

    /// Its discovery document.
    pub fn metadata(&self, authority: &Authority) -> Value {
        let issuer = issuer(authority);
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "authorization_response_iss_parameter_supported": true,
        })
    }

    /// Its keys.
    pub fn keys(&self) -> Value {
        json!({ "keys": [self.signer.jwk()] })
    }

    /// Reads an authorization request, by `field`. It knows one client: this server.
    ///
    /// # Errors
    ///
    /// [`InvalidDemoRequest`] names the parameter.
    pub fn read_request<'f>(
        &self,
        authority: &Authority,
        field: impl Fn(&str) -> Option<&'f str>,
    ) -> Result<DemoRequest, InvalidDemoRequest> {
        let take = |name: &'static str| {
            field(name)
                .filter(|value| !value.is_empty())
                .map(str::to_owned)
                .ok_or(InvalidDemoRequest(name))
        };
        let redirect_uri = format!("{}/login/callback/{DEMO}", authority.config.issuer);
        for (name, wanted) in [
            ("client_id", CLIENT_ID),
            ("response_type", "code"),
            ("code_challenge_method", "S256"),
            ("redirect_uri", redirect_uri.as_str()),
        ] {
            if field(name) != Some(wanted) {
                return Err(InvalidDemoRequest(name));
            }
        }
        Ok(DemoRequest {
            redirect_uri,
            state: take("state")?,
            nonce: take("nonce")?,
            code_challenge: take("code_challenge")?,
        })
    }

    /// Where the browser goes with the choice of `subject`; `None` for somebody unknown.
    pub fn choose(
        &self,
        authority: &Authority,
        request: &DemoRequest,
        subject: &str,
    ) -> Result<Option<String>, SealError> {
        if !PEOPLE.iter().any(|(known, _)| *known == subject) {
            return Ok(None);
        }
        let now = authority.clock.now();
        let code = Code {
            subject: subject.to_owned(),
            request: request.clone(),
            authenticated_at: now.unix_seconds(),
        };
        let sealer = authority.keys.sealer();
        let code = sealer.seal(CODE, &code, now.plus(CODE_TIME))?;
        Ok(Some(answer(authority, request, ("code", &code))))
    }

    /// Where the browser goes when nobody was chosen.
    pub fn refuse(&self, authority: &Authority, request: &DemoRequest) -> String {
        answer(authority, request, ("error", "access_denied"))
    }

    /// What a code is worth: the token endpoint's answer, or its error code. A code may be used
    /// again within its minute: it is good for nothing without its verifier.
    pub fn redeem<'f>(
        &self,
        authority: &Authority,
        field: impl Fn(&str) -> Option<&'f str>,
    ) -> Result<Value, &'static str> {
        if field("grant_type") != Some("authorization_code") {
            return Err("unsupported_grant_type");
        }
        let now = authority.clock.now();
        let text = field("code").unwrap_or_default();
        let code: Code = authority
            .keys
            .sealer()
            .open(CODE, text, now)
            .map_err(|_| "invalid_grant")?;
        let verifier = field("code_verifier").unwrap_or_default();
        let challenge = BASE64URL_NOPAD.encode(&sha256(verifier.as_bytes()));
        let fits = constant_time_eq(challenge.as_bytes(), code.request.code_challenge.as_bytes())
            && field("redirect_uri") == Some(code.request.redirect_uri.as_str())
            && field("client_id") == Some(CLIENT_ID);
        if !fits {
            return Err("invalid_grant");
        }
        let token = self
            .id_token(authority, &code, now)
            .map_err(|_| "server_error")?;
        Ok(json!({
            "access_token": BASE64URL_NOPAD.encode(authority.entropy.token_bits().as_slice()),
            "token_type": "Bearer",
            "expires_in": TOKEN_TIME.as_secs(),
            "id_token": token,
        }))
    }

    fn id_token(
        &self,
        authority: &Authority,
        code: &Code,
        now: Timestamp,
    ) -> Result<String, KeyError> {
        let subject = code.subject.as_str();
        let name = PEOPLE
            .iter()
            .find(|(known, _)| *known == subject)
            .map(|(_, name)| *name);
        let claims = json!({
            "iss": issuer(authority),
            "sub": subject,
            "aud": CLIENT_ID,
            "iat": now.unix_seconds(),
            "exp": now.plus(TOKEN_TIME).unix_seconds(),
            "auth_time": code.authenticated_at,
            "nonce": code.request.nonce,
            "amr": ["demo"],
            "name": name,
            "preferred_username": subject,
            "email": format!("{subject}@example.com"),
            "email_verified": true,
        });
        self.signer.sign("JWT", &claims)
    }
}

fn issuer(authority: &Authority) -> String {
    format!("{}{PATH}", authority.config.issuer)
}

/// The login's callback with an answer.
fn answer(authority: &Authority, request: &DemoRequest, (name, value): (&str, &str)) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair(name, value)
        .append_pair("state", &request.state)
        .append_pair("iss", &issuer(authority))
        .finish();
    format!("{}?{query}", request.redirect_uri)
}
