//! What a server says about itself: OpenID Connect Discovery 1.0 and RFC 8414 in one document, with
//! what later specifications add to it.

use serde::{Deserialize, Serialize};

/// The metadata. Lists hold what works and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the members of a document that others have specified"
)]
pub struct ProviderMetadata {
    /// The issuer URL.
    pub issuer: String,
    /// Where people log in.
    pub authorization_endpoint: String,
    /// Where tokens are.
    pub token_endpoint: String,
    /// Where a user's claims are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_endpoint: Option<String>,
    /// Where keys are.
    pub jwks_uri: String,
    /// Where clients register (RFC 7591).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// Where requests are pushed (RFC 9126).
    pub pushed_authorization_request_endpoint: String,
    /// Where devices ask (RFC 8628).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_authorization_endpoint: Option<String>,
    /// Where tokens are looked at (RFC 7662).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint: Option<String>,
    /// Where tokens are given back (RFC 7009).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// Where people log out (RP-Initiated Logout).
    pub end_session_endpoint: String,
    /// Scopes that every installation has.
    pub scopes_supported: Vec<String>,
    /// Claims of ID tokens and of the userinfo endpoint.
    pub claims_supported: Vec<String>,
    /// `code`.
    pub response_types_supported: Vec<String>,
    /// How answers travel.
    pub response_modes_supported: Vec<String>,
    /// How tokens can be asked for.
    pub grant_types_supported: Vec<String>,
    /// What a request's `prompt` may ask for.
    pub prompt_values_supported: Vec<String>,
    /// `public`: a user has one `sub` for all clients.
    pub subject_types_supported: Vec<String>,
    /// Languages of the pages.
    pub ui_locales_supported: Vec<String>,
    /// How ID tokens are signed.
    pub id_token_signing_alg_values_supported: Vec<String>,
    /// How clients authenticate, here and at every endpoint that asks for it.
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// How their assertions may be signed.
    pub token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// The same at the introspection endpoint, where public clients are nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub introspection_endpoint_auth_methods_supported: Vec<String>,
    /// The same as at the token endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revocation_endpoint_auth_methods_supported: Vec<String>,
    /// `S256`.
    pub code_challenge_methods_supported: Vec<String>,
    /// How proofs of possession may be signed (RFC 9449).
    pub dpop_signing_alg_values_supported: Vec<String>,
    /// Whether answers name their issuer (RFC 9207).
    pub authorization_response_iss_parameter_supported: bool,
    /// Whether every client must push its requests.
    pub require_pushed_authorization_requests: bool,
    /// Whether the `claims` parameter counts.
    pub claims_parameter_supported: bool,
    /// Whether request objects are read.
    pub request_parameter_supported: bool,
    /// Whether they are read from elsewhere. Left out, it would mean yes.
    pub request_uri_parameter_supported: bool,
    /// Whether clients hear of a logout.
    pub backchannel_logout_supported: bool,
    /// Whether they hear of which session.
    pub backchannel_logout_session_supported: bool,
    /// Whether a `client_id` may be the URL of a document about the client.
    pub client_id_metadata_document_supported: bool,
}
