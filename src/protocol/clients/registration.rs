//! Dynamic registration (RFC 7591) and its management (RFC 7592): requests and refusals.

use serde::Serialize;
use serde_json::Value;

use super::document::AppDocument;
use super::metadata::{ClientMetadata, WrongMember, member_of, word};
use crate::domain::app::{AppSpec, AuthMethod, GrantType, GrantTypes};
use crate::domain::registration::RegistrationPolicy;
use crate::domain::{ClientIdentifier, Scopes, Secret};

/// RFC 7591 §3.2.2, and RFC 6750 §3.1 for the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RegistrationErrorCode {
    /// One of `redirect_uris` may not be registered.
    InvalidRedirectUri,
    /// Another member may not be registered as it is.
    InvalidClientMetadata,
    /// Nobody vouches for clients here.
    UnapprovedSoftwareStatement,
    /// The token is missing, wrong, used up or over.
    InvalidToken,
    /// Too many wrong tokens came from there; later.
    SlowDown,
    /// The store cannot be reached; later.
    TemporarilyUnavailable,
}

/// A refused registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[error("{error_description}")]
pub struct RegistrationError {
    /// The code.
    pub error: RegistrationErrorCode,
    /// For the client's developer. Names the member; never repeats what was sent.
    pub error_description: String,
}

impl RegistrationError {
    /// A refusal with its description.
    pub fn new(error: RegistrationErrorCode, description: impl Into<String>) -> Self {
        Self {
            error,
            error_description: description.into(),
        }
    }
}

impl From<WrongMember> for RegistrationError {
    fn from(wrong: WrongMember) -> Self {
        let code = match wrong.member {
            "redirect_uris" => RegistrationErrorCode::InvalidRedirectUri,
            "software_statement" => RegistrationErrorCode::UnapprovedSoftwareStatement,
            _ => RegistrationErrorCode::InvalidClientMetadata,
        };
        Self::new(code, wrong.to_string())
    }
}

/// What a client wants to be registered as.
#[derive(Debug, Clone)]
pub struct RegistrationRequest(ClientMetadata);

impl RegistrationRequest {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// `invalid_client_metadata` for what is no JSON object, or has a member of the wrong kind.
    pub fn read(body: &[u8]) -> Result<Self, RegistrationError> {
        let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
            let code = RegistrationErrorCode::InvalidClientMetadata;
            return Err(RegistrationError::new(
                code,
                "the body must be a JSON object",
            ));
        };
        Ok(Self(ClientMetadata::read(object)?))
    }

    /// The `client_id` that an update is about.
    pub fn client_id(&self) -> Option<&str> {
        self.0.client_id.as_deref()
    }

    /// The secret that an update repeats.
    pub const fn client_secret(&self) -> Option<&Secret<String>> {
        self.0.client_secret.as_ref()
    }

    /// Where the authority itself is to call.
    pub fn backchannel_logout_uri(&self) -> Option<&str> {
        self.0.backchannel_logout_uri.as_deref()
    }

    /// Checks what is wanted against what is allowed, and fills in what RFC 7591 §2 has as defaults.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`] that names the member.
    pub fn check(
        &self,
        identifier: &ClientIdentifier,
        policy: &RegistrationPolicy,
    ) -> Result<AppSpec, RegistrationError> {
        let wanted = &self.0;
        if wanted.software_statement {
            let why = "is not taken here: nobody vouches for clients";
            return Err(WrongMember::new("software_statement", why).into());
        }
        let grant_types = grants(wanted, policy)?;
        responses(wanted, &grant_types)?;
        if wanted
            .subject_type
            .as_deref()
            .is_some_and(|kind| kind != "public")
        {
            return Err(WrongMember::new("subject_type", "can only be `public`").into());
        }
        let document = AppDocument {
            name: wanted.client_name.clone(),
            application_type: word("application_type", wanted.application_type.as_deref())?,
            auth_method: Some(
                word(
                    "token_endpoint_auth_method",
                    wanted.token_endpoint_auth_method.as_deref(),
                )?
                .unwrap_or(AuthMethod::ClientSecretBasic),
            ),
            grant_types: Some(grant_types.iter().collect()),
            scope: Some(scopes(wanted, policy)?.to_string()),
            redirect_uris: wanted.redirect_uris.clone().unwrap_or_default(),
            post_logout_redirect_uris: wanted.post_logout_redirect_uris.clone().unwrap_or_default(),
            backchannel_logout_uri: wanted.backchannel_logout_uri.clone(),
            resources: policy.resources.clone(),
            jwks: wanted.jwks.clone(),
            first_party: false,
            require_par: wanted.require_pushed_authorization_requests,
            dpop_bound: wanted.dpop_bound_access_tokens,
            refresh_binding: None,
            id_token_alg: word(
                "id_token_signed_response_alg",
                wanted.id_token_signed_response_alg.as_deref(),
            )?,
            logo_uri: wanted.logo_uri.clone(),
            client_uri: wanted.client_uri.clone(),
            policy_uri: wanted.policy_uri.clone(),
            tos_uri: wanted.tos_uri.clone(),
        };
        let spec = document.check(identifier).map_err(|mistakes| {
            let first = mistakes.into_iter().next();
            first.map_or_else(
                || WrongMember::new("client_id", "cannot be registered"),
                |mistake| {
                    let what = format!("is refused: {}", mistake.detail);
                    WrongMember::new(member_of(&mistake.pointer), what)
                },
            )
        })?;
        destinations(&spec, policy)?;
        Ok(spec)
    }
}

fn grants(wanted: &ClientMetadata, policy: &RegistrationPolicy) -> Result<GrantTypes, WrongMember> {
    let grants: GrantTypes = match &wanted.grant_types {
        None => std::iter::once(GrantType::AuthorizationCode).collect(),
        Some(words) => words
            .iter()
            .map(|word| word.parse::<GrantType>())
            .collect::<Result<_, _>>()
            .map_err(|error| WrongMember::new("grant_types", format!("holds what is {error}")))?,
    };
    if grants.is_subset(&policy.grant_types) {
        Ok(grants)
    } else {
        let why = format!("may hold no more than `{}`", policy.grant_types);
        Err(WrongMember::new("grant_types", why))
    }
}

fn responses(wanted: &ClientMetadata, grants: &GrantTypes) -> Result<(), WrongMember> {
    let code = grants.contains(GrantType::AuthorizationCode);
    let fits = match wanted.response_types.as_deref() {
        None => true,
        Some([]) => !code,
        Some([one]) => code && one == "code",
        Some(_) => false,
    };
    if fits {
        return Ok(());
    }
    let why = "can only be `code`, and only with the grant type `authorization_code`";
    Err(WrongMember::new("response_types", why))
}

fn scopes(wanted: &ClientMetadata, policy: &RegistrationPolicy) -> Result<Scopes, WrongMember> {
    let Some(text) = &wanted.scope else {
        return Ok(policy.scope.clone());
    };
    match Scopes::parse(text) {
        Ok(scopes) if scopes.is_subset(&policy.scope) => Ok(scopes),
        _ => {
            let why = format!("may hold no more than `{}`", policy.scope);
            Err(WrongMember::new("scope", why))
        }
    }
}

/// Whether people, and what is told of their logouts, are sent only where the policy says.
fn destinations(spec: &AppSpec, policy: &RegistrationPolicy) -> Result<(), WrongMember> {
    let called = spec.backchannel_logout_uri.iter();
    for (member, uri) in (spec.redirect_uris.iter().map(|uri| ("redirect_uris", uri)))
        .chain(
            (spec.post_logout_redirect_uris.iter()).map(|uri| ("post_logout_redirect_uris", uri)),
        )
        .chain(called.map(|uri| ("backchannel_logout_uri", uri)))
    {
        if !policy.allows_redirect(uri) {
            let why = "leads where the initial access token does not allow";
            return Err(WrongMember::new(member, why));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RegistrationPolicy {
        RegistrationPolicy {
            redirect_hosts: vec!["app.example".parse().unwrap()],
            loopback: true,
            ..RegistrationPolicy::default()
        }
    }

    fn check(body: &str) -> Result<AppSpec, RegistrationError> {
        RegistrationRequest::read(body.as_bytes())?.check(&"app-1".parse().unwrap(), &policy())
    }

    #[test]
    fn what_is_left_out_is_as_rfc_7591_says() {
        let spec =
            check(r#"{"redirect_uris": ["https://app.example/cb"], "x-more": [1]}"#).unwrap();
        assert_eq!(spec.auth_method, AuthMethod::ClientSecretBasic);
        assert_eq!(spec.grant_types.to_string(), "authorization_code");
        assert_eq!(spec.scopes, policy().scope);
        assert!(!spec.first_party);
        let told = Value::Object(super::super::metadata::registered(&spec));
        assert_eq!(told["response_types"], serde_json::json!(["code"]));
        assert_eq!(told["client_id"], "app-1");
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn each_refusal_names_its_member() {
        use RegistrationErrorCode::{
            InvalidClientMetadata as Metadata, InvalidRedirectUri as Redirect,
            UnapprovedSoftwareStatement as Statement,
        };
        let at = |more: &str| format!(r#"{{"redirect_uris": ["https://app.example/cb"]{more}}}"#);
        for (body, code, member) in [
            ("[]".to_owned(), Metadata, "body"),
            ("{".to_owned(), Metadata, "body"),
            ("{}".to_owned(), Redirect, "redirect_uris"),
            (
                r#"{"redirect_uris": "https://app.example/cb"}"#.to_owned(),
                Redirect,
                "redirect_uris",
            ),
            (
                r#"{"redirect_uris": ["https://evil.example/cb"]}"#.to_owned(),
                Redirect,
                "redirect_uris",
            ),
            (
                r#"{"redirect_uris": ["https://app.example/cb#x"]}"#.to_owned(),
                Redirect,
                "redirect_uris",
            ),
            (
                r#"{"redirect_uris": ["http://app.example/cb"]}"#.to_owned(),
                Redirect,
                "redirect_uris",
            ),
            (
                at(r#", "grant_types": ["implicit"]"#),
                Metadata,
                "grant_types",
            ),
            (
                at(r#", "grant_types": ["client_credentials"]"#),
                Metadata,
                "grant_types",
            ),
            (
                at(r#", "response_types": ["token"]"#),
                Metadata,
                "response_types",
            ),
            (
                at(r#", "scope": "openid billing:write""#),
                Metadata,
                "scope",
            ),
            (at(r#", "scope": 5"#), Metadata, "scope"),
            (
                at(r#", "token_endpoint_auth_method": "tls_client_auth""#),
                Metadata,
                "token_endpoint_auth_method",
            ),
            (
                at(r#", "token_endpoint_auth_method": "private_key_jwt""#),
                Metadata,
                "jwks",
            ),
            (
                at(r#", "jwks_uri": "https://app.example/keys""#),
                Metadata,
                "jwks_uri",
            ),
            (
                at(r#", "client_name": "a\u0000b""#),
                Metadata,
                "client_name",
            ),
            (
                at(r#", "logo_uri": "javascript:alert(1)""#),
                Metadata,
                "logo_uri",
            ),
            (
                at(r#", "subject_type": "pairwise""#),
                Metadata,
                "subject_type",
            ),
            (
                at(r#", "post_logout_redirect_uris": ["https://evil.example/"]"#),
                Metadata,
                "post_logout_redirect_uris",
            ),
            (
                at(r#", "backchannel_logout_uri": "https://evil.example/""#),
                Metadata,
                "backchannel_logout_uri",
            ),
            (
                at(r#", "software_statement": "eyJ""#),
                Statement,
                "software_statement",
            ),
        ] {
            let error = check(&body).unwrap_err();
            assert_eq!(error.error, code, "{body}: {error}");
            assert!(error.error_description.contains(member), "{body}: {error}");
            assert!(!error.error_description.contains("evil"), "{error}");
        }
    }
}
