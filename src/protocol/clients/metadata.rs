//! Client metadata as clients write it themselves: the members of RFC 7591 §2, OpenID Connect
//! Registration §2 and their companions. A member that nobody here knows is passed over; one that asks
//! for more safety than there is is refused, not forgotten.

use serde_json::{Map, Value};

use crate::domain::Secret;
use crate::domain::app::{AppSpec, GrantType};

/// A member that is not what it has to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{member}` {detail}")]
pub struct WrongMember {
    /// Its name, one of those known here.
    pub member: &'static str,
    /// What is wrong, without repeating what was sent.
    pub detail: String,
}

impl WrongMember {
    /// What is wrong with a member.
    pub fn new(member: &'static str, detail: impl Into<String>) -> Self {
        Self {
            member,
            detail: detail.into(),
        }
    }
}

/// Members that ask for what is not done here.
const REFUSED: [(&str, &str); 11] = [
    ("jwks_uri", "is not fetched here: send the keys as `jwks`"),
    (
        "sector_identifier_uri",
        "is for pairwise subjects, which there are none of",
    ),
    (
        "id_token_encrypted_response_alg",
        "asks for encryption, which there is none of",
    ),
    (
        "userinfo_signed_response_alg",
        "asks for signed answers, which there are none of",
    ),
    (
        "userinfo_encrypted_response_alg",
        "asks for encryption, which there is none of",
    ),
    (
        "introspection_signed_response_alg",
        "asks for signed answers, which there are none of",
    ),
    (
        "authorization_signed_response_alg",
        "asks for signed answers, which there are none of",
    ),
    (
        "request_object_signing_alg",
        "asks for request objects, which are not read here",
    ),
    (
        "require_signed_request_object",
        "asks for request objects, which are not read here",
    ),
    (
        "default_max_age",
        "is not kept here: send `max_age` with each request",
    ),
    (
        "tls_client_certificate_bound_access_tokens",
        "asks for certificates, which are not used here",
    ),
];

/// What a client says of itself; not checked yet, but for the kinds of values.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the member of its name")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the members of a wire form"
)]
pub struct ClientMetadata {
    pub client_id: Option<String>,
    pub client_secret: Option<Secret<String>>,
    pub client_name: Option<String>,
    pub redirect_uris: Option<Vec<String>>,
    pub post_logout_redirect_uris: Option<Vec<String>>,
    pub token_endpoint_auth_method: Option<String>,
    pub grant_types: Option<Vec<String>>,
    pub response_types: Option<Vec<String>>,
    pub application_type: Option<String>,
    pub scope: Option<String>,
    pub jwks: Option<Value>,
    pub id_token_signed_response_alg: Option<String>,
    pub subject_type: Option<String>,
    pub backchannel_logout_uri: Option<String>,
    pub require_pushed_authorization_requests: bool,
    pub dpop_bound_access_tokens: bool,
    pub logo_uri: Option<String>,
    pub client_uri: Option<String>,
    pub policy_uri: Option<String>,
    pub tos_uri: Option<String>,
    /// Whether somebody else vouches for the client.
    pub software_statement: bool,
    /// Whether it says when a secret ends.
    pub client_secret_expires_at: bool,
}

/// Reads members; `null` is as if it were not there (RFC 7592 §2.2).
struct Members(Map<String, Value>);

impl Members {
    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &'static str) -> Result<Option<String>, WrongMember> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(WrongMember::new(name, "must be a text")),
        }
    }

    fn flag(&mut self, name: &'static str) -> Result<bool, WrongMember> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(value),
            Some(_) => Err(WrongMember::new(name, "must be true or false")),
        }
    }

    fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, WrongMember> {
        let wrong = || WrongMember::new(name, "must be a list of texts");
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Ok(text),
                    _ => Err(wrong()),
                })
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(wrong()),
        }
    }
}

impl ClientMetadata {
    /// Reads a JSON object.
    ///
    /// # Errors
    ///
    /// [`WrongMember`] for the first member that is of the wrong kind, or that asks for what there is
    /// not.
    pub fn read(object: Map<String, Value>) -> Result<Self, WrongMember> {
        let mut members = Members(object);
        for (name, why) in REFUSED {
            match members.take(name) {
                // To say that something is not wanted is fine.
                None | Some(Value::Bool(false)) => {}
                Some(_) => return Err(WrongMember::new(name, why)),
            }
        }
        Ok(Self {
            client_id: members.text("client_id")?,
            client_secret: members.text("client_secret")?.map(Secret::new),
            client_name: members.text("client_name")?,
            redirect_uris: members.texts("redirect_uris")?,
            post_logout_redirect_uris: members.texts("post_logout_redirect_uris")?,
            token_endpoint_auth_method: members.text("token_endpoint_auth_method")?,
            grant_types: members.texts("grant_types")?,
            response_types: members.texts("response_types")?,
            application_type: members.text("application_type")?,
            scope: members.text("scope")?,
            jwks: members.take("jwks"),
            id_token_signed_response_alg: members.text("id_token_signed_response_alg")?,
            subject_type: members.text("subject_type")?,
            backchannel_logout_uri: members.text("backchannel_logout_uri")?,
            require_pushed_authorization_requests: members
                .flag("require_pushed_authorization_requests")?,
            dpop_bound_access_tokens: members.flag("dpop_bound_access_tokens")?,
            logo_uri: members.text("logo_uri")?,
            client_uri: members.text("client_uri")?,
            policy_uri: members.text("policy_uri")?,
            tos_uri: members.text("tos_uri")?,
            software_statement: members.take("software_statement").is_some(),
            client_secret_expires_at: members.take("client_secret_expires_at").is_some(),
        })
    }
}

/// A member that is one word of an enum.
pub(super) fn word<T>(member: &'static str, text: Option<&str>) -> Result<Option<T>, WrongMember>
where
    T: std::str::FromStr<Err = crate::domain::app::UnknownWord>,
{
    text.map(str::parse)
        .transpose()
        .map_err(|error| WrongMember::new(member, format!("is {error}")))
}

/// The member that a field of [`AppDocument`](super::AppDocument) is, by the pointer of a mistake.
pub(super) fn member_of(pointer: &str) -> &'static str {
    const MEMBERS: [(&str, &str); 16] = [
        ("name", "client_name"),
        ("application_type", "application_type"),
        ("auth_method", "token_endpoint_auth_method"),
        ("grant_types", "grant_types"),
        ("scope", "scope"),
        ("redirect_uris", "redirect_uris"),
        ("post_logout_redirect_uris", "post_logout_redirect_uris"),
        ("backchannel_logout_uri", "backchannel_logout_uri"),
        ("jwks", "jwks"),
        ("require_par", "require_pushed_authorization_requests"),
        ("dpop_bound", "dpop_bound_access_tokens"),
        ("id_token_alg", "id_token_signed_response_alg"),
        ("logo_uri", "logo_uri"),
        ("client_uri", "client_uri"),
        ("policy_uri", "policy_uri"),
        ("tos_uri", "tos_uri"),
    ];
    let field = pointer.split('/').nth(1).unwrap_or_default();
    MEMBERS
        .iter()
        .find(|(name, _)| *name == field)
        .map_or("client_id", |(_, member)| member)
}

/// A registration in the words of RFC 7591 §3.2.1, without credentials.
pub fn registered(spec: &AppSpec) -> Map<String, Value> {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| {
        members.insert(name.to_owned(), value);
    };
    let code = spec.grant_types.contains(GrantType::AuthorizationCode);
    put("client_id", spec.identifier.as_str().into());
    put("client_name", spec.name.as_str().into());
    put("application_type", spec.application_type.as_str().into());
    put("redirect_uris", spec.redirect_uris.clone().into());
    put(
        "token_endpoint_auth_method",
        spec.auth_method.as_str().into(),
    );
    let grants: Vec<&str> = spec.grant_types.iter().map(GrantType::as_str).collect();
    put("grant_types", grants.into());
    put(
        "response_types",
        if code { vec!["code"] } else { Vec::new() }.into(),
    );
    put("scope", spec.scopes.to_string().into());
    put(
        "id_token_signed_response_alg",
        spec.id_token_alg.as_str().into(),
    );
    put("subject_type", "public".into());
    put(
        "require_pushed_authorization_requests",
        spec.require_par.into(),
    );
    put("dpop_bound_access_tokens", spec.dpop_bound.into());
    if !spec.post_logout_redirect_uris.is_empty() {
        let uris = spec.post_logout_redirect_uris.clone();
        put("post_logout_redirect_uris", uris.into());
    }
    let jwks = spec
        .jwks
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    if let Some(jwks) = jwks {
        put("jwks", jwks);
    }
    for (name, uri) in [
        ("backchannel_logout_uri", &spec.backchannel_logout_uri),
        ("logo_uri", &spec.logo_uri),
        ("client_uri", &spec.client_uri),
        ("policy_uri", &spec.policy_uri),
        ("tos_uri", &spec.tos_uri),
    ] {
        if let Some(uri) = uri {
            put(name, uri.as_str().into());
        }
    }
    members
}
