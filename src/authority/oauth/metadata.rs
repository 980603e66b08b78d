//! What the authority says about itself. A test asks every endpoint that is named here.

use bytes::Bytes;

use crate::authority::app::Authority;
use crate::authority::http::pages::Locale;
use crate::crypto::sign::CLIENT_ALGORITHMS;
use crate::domain::app::{AuthMethod, IdTokenAlg};
use crate::protocol::oidc::discovery::ProviderMetadata;

use super::authorize::AUTHORIZE;
use super::device::DEVICE_AUTHORIZATION_PATH;
use super::introspect::INTROSPECT_PATH;
use super::logout::LOGOUT;
use super::par::PAR_PATH;
use super::revoke::REVOKE_PATH;
use super::token::{GRANT_TYPES, TOKEN_PATH};
use super::userinfo::USERINFO_PATH;

/// Where clients register themselves.
pub const REGISTER: &str = "/oauth2/register";

/// How long whoever fetched the document may keep it.
pub const CACHE_CONTROL: &str = "public, max-age=300";

/// The document as the body of an answer. Nothing in it changes while the authority runs.
pub fn body(authority: &Authority) -> Bytes {
    let made = || {
        serde_json::to_vec(&document(authority))
            .unwrap_or_default()
            .into()
    };
    authority.metadata.get_or_init(made).clone()
}

/// The document.
pub fn document(authority: &Authority) -> ProviderMetadata {
    let issuer = authority.config.issuer.as_str();
    let at = |path: &str| format!("{issuer}{path}");
    ProviderMetadata {
        issuer: issuer.to_owned(),
        authorization_endpoint: at(AUTHORIZE),
        token_endpoint: at(TOKEN_PATH),
        userinfo_endpoint: Some(at(USERINFO_PATH)),
        jwks_uri: at("/.well-known/jwks.json"),
        registration_endpoint: authority.config.registration.dynamic.then(|| at(REGISTER)),
        pushed_authorization_request_endpoint: at(PAR_PATH),
        device_authorization_endpoint: Some(at(DEVICE_AUTHORIZATION_PATH)),
        introspection_endpoint: Some(at(INTROSPECT_PATH)),
        revocation_endpoint: Some(at(REVOKE_PATH)),
        end_session_endpoint: at(LOGOUT),
        scopes_supported: texts([
            "openid",
            "profile",
            "email",
            "offline_access",
            "doorward:admin",
            "doorward:feed",
            "doorward:manifest",
            "doorward:organizations",
        ]),
        claims_supported: texts([
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "nonce",
            "acr",
            "amr",
            "sid",
            "at_hash",
            "name",
            "picture",
            "locale",
            "updated_at",
            "email",
            "email_verified",
        ]),
        response_types_supported: texts(["code"]),
        response_modes_supported: texts(["query", "form_post"]),
        grant_types_supported: texts(GRANT_TYPES.iter().copied()),
        prompt_values_supported: texts(["none", "login", "consent", "select_account"]),
        subject_types_supported: texts(["public"]),
        ui_locales_supported: texts(Locale::ALL.iter().map(|locale| locale.tag())),
        id_token_signing_alg_values_supported: texts(
            IdTokenAlg::ALL.iter().map(|algorithm| algorithm.as_str()),
        ),
        token_endpoint_auth_methods_supported: texts(
            AuthMethod::ALL.iter().map(|method| method.as_str()),
        ),
        token_endpoint_auth_signing_alg_values_supported: texts(CLIENT_ALGORITHMS.iter().copied()),
        introspection_endpoint_auth_methods_supported: texts(
            AuthMethod::ALL
                .iter()
                .filter(|method| **method != AuthMethod::None)
                .map(|method| method.as_str()),
        ),
        revocation_endpoint_auth_methods_supported: texts(
            AuthMethod::ALL.iter().map(|method| method.as_str()),
        ),
        code_challenge_methods_supported: texts(["S256"]),
        dpop_signing_alg_values_supported: texts(CLIENT_ALGORITHMS.iter().copied()),
        authorization_response_iss_parameter_supported: true,
        require_pushed_authorization_requests: false,
        claims_parameter_supported: false,
        request_parameter_supported: false,
        request_uri_parameter_supported: false,
        backchannel_logout_supported: true,
        backchannel_logout_session_supported: true,
        client_id_metadata_document_supported: authority.config.registration.metadata_documents,
    }
}

fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}
