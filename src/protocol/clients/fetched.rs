//! The document at a `client_id` that is a URL (draft-ietf-oauth-client-id-metadata-document).
//!
//! It is written for every authorization server there is, so what this one does not know or give is
//! passed over. What would let somebody else act for the client, or send people away from the host that
//! vouches for it, is not.

use serde_json::{Map, Value};

use super::document::AppDocument;
use super::metadata::{ClientMetadata, WrongMember, member_of, word};
use super::uri;
use crate::domain::app::{AppSpec, ApplicationType, AuthMethod, GrantType, GrantTypes};
use crate::domain::{ClientIdentifier, Scopes};

/// The most redirect URIs that are looked at.
const MOST: usize = 50;

/// Why a document does not describe a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchedError {
    /// It is no JSON object.
    #[error("it is not a JSON object")]
    Form,
    /// A member of it.
    #[error(transparent)]
    Member(#[from] WrongMember),
}

/// Reads what was found at the URL. `most` is what any such client may ask its users for.
///
/// # Errors
///
/// [`FetchedError`].
pub fn read(url: &ClientIdentifier, body: &[u8], most: &Scopes) -> Result<AppSpec, FetchedError> {
    let Ok(Value::Object(mut object)) = serde_json::from_slice(body) else {
        return Err(FetchedError::Form);
    };
    let method = method(&mut object)?;
    let metadata = ClientMetadata::read(object)?;
    if metadata.client_id.as_deref() != Some(url.as_str()) {
        return Err(WrongMember::new("client_id", "is not the URL that it was found at").into());
    }
    if metadata.client_secret.is_some() || metadata.client_secret_expires_at {
        let why = "cannot be in a document that everybody reads";
        return Err(WrongMember::new("client_secret", why).into());
    }
    if metadata.require_pushed_authorization_requests {
        let why = "is not possible for a client whose id is a URL";
        return Err(WrongMember::new("require_pushed_authorization_requests", why).into());
    }
    let origin = uri::document(url.as_str())
        .map_err(|error| WrongMember::new("client_id", format!("is refused: {error}")))?;
    let redirect_uris = redirects(&metadata, origin)?;
    let https = |uri: &String| is_https(uri);
    let own = |uri: &Option<String>| uri.clone().filter(|uri| is_below(uri, origin));
    let document = AppDocument {
        name: Some(
            metadata
                .client_name
                .clone()
                .unwrap_or_else(|| host_of(origin).to_owned()),
        ),
        application_type: Some(if redirect_uris.iter().all(https) {
            ApplicationType::Web
        } else {
            ApplicationType::Native
        }),
        auth_method: Some(method),
        grant_types: Some(grants(&metadata)?.iter().collect()),
        scope: Some(scopes(&metadata, most)?.to_string()),
        redirect_uris,
        post_logout_redirect_uris: metadata
            .post_logout_redirect_uris
            .iter()
            .flatten()
            .filter(|uri| is_below(uri, origin) && uri::https(uri, true).is_ok())
            .take(20)
            .cloned()
            .collect(),
        backchannel_logout_uri: own(&metadata.backchannel_logout_uri),
        resources: Vec::new(),
        jwks: metadata
            .jwks
            .clone()
            .filter(|_| method == AuthMethod::PrivateKeyJwt),
        first_party: false,
        require_par: false,
        dpop_bound: metadata.dpop_bound_access_tokens,
        refresh_binding: None,
        id_token_alg: word(
            "id_token_signed_response_alg",
            metadata.id_token_signed_response_alg.as_deref(),
        )?,
        // A picture from elsewhere would tell its host of each person who is asked.
        logo_uri: None,
        client_uri: own(&metadata.client_uri),
        policy_uri: own(&metadata.policy_uri),
        tos_uri: own(&metadata.tos_uri),
    };
    document.check_fetched(url).map_err(|mistakes| {
        let first = mistakes.into_iter().next();
        let member = first
            .as_ref()
            .map_or("client_id", |one| member_of(&one.pointer));
        let detail = first.map_or_else(String::new, |one| one.detail);
        WrongMember::new(member, format!("is refused: {detail}")).into()
    })
}

/// How the client proves itself: not by a secret, which no document can hold.
fn method(object: &mut Map<String, Value>) -> Result<AuthMethod, WrongMember> {
    const MEMBER: &str = "token_endpoint_auth_method";
    let method = match object.get(MEMBER) {
        None | Some(Value::Null) => AuthMethod::None,
        Some(Value::String(text)) => match text.parse() {
            Ok(method @ (AuthMethod::None | AuthMethod::PrivateKeyJwt)) => method,
            _ => {
                return Err(WrongMember::new(
                    MEMBER,
                    "can only be `none` or `private_key_jwt`",
                ));
            }
        },
        Some(_) => return Err(WrongMember::new(MEMBER, "must be a text")),
    };
    if method == AuthMethod::None {
        object.remove("jwks_uri");
    }
    Ok(method)
}

fn grants(metadata: &ClientMetadata) -> Result<GrantTypes, WrongMember> {
    let code = GrantType::AuthorizationCode;
    let grants: GrantTypes = match &metadata.grant_types {
        None => std::iter::once(code).collect(),
        Some(words) => words
            .iter()
            .filter_map(|word| word.parse::<GrantType>().ok())
            .filter(|grant| [code, GrantType::RefreshToken].contains(grant))
            .collect(),
    };
    let responses = metadata.response_types.as_deref();
    let answered = responses.is_none_or(|kinds| kinds.iter().any(|kind| kind == "code"));
    if !answered {
        return Err(WrongMember::new("response_types", "must hold `code`"));
    }
    if !grants.contains(code) {
        return Err(WrongMember::new(
            "grant_types",
            "must hold `authorization_code`",
        ));
    }
    Ok(grants)
}

fn scopes(metadata: &ClientMetadata, most: &Scopes) -> Result<Scopes, WrongMember> {
    let Some(text) = &metadata.scope else {
        return Ok(most.clone());
    };
    let scopes: Scopes = text
        .split(' ')
        .filter_map(|word| most.iter().find(|scope| scope.as_str() == word))
        .cloned()
        .collect();
    if scopes.is_empty() {
        return Err(WrongMember::new(
            "scope",
            "holds nothing that is given here",
        ));
    }
    Ok(scopes)
}

/// The redirect URIs that lead back to whoever vouches for the client, to the person's own machine or
/// to an app on it.
fn redirects(metadata: &ClientMetadata, origin: &str) -> Result<Vec<String>, WrongMember> {
    const MEMBER: &str = "redirect_uris";
    let all = metadata.redirect_uris.as_deref().unwrap_or_default();
    if all.len() > MOST {
        return Err(WrongMember::new(MEMBER, format!("holds more than {MOST}")));
    }
    let mut kept: Vec<String> = Vec::new();
    for uri in all {
        let fits = uri::redirect(uri, ApplicationType::Native).is_ok();
        let own = !is_https(uri) || is_below(uri, origin);
        if fits && own && !kept.contains(uri) {
            kept.push(uri.clone());
        }
    }
    if kept.is_empty() {
        let why = "must lead to the document's own host, to the loopback address or to an app";
        return Err(WrongMember::new(MEMBER, why));
    }
    Ok(kept)
}

/// A scheme is read without case.
fn is_https(uri: &str) -> bool {
    uri.get(..6)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
}

/// Whether a URI is of the origin.
fn is_below(uri: &str, origin: &str) -> bool {
    uri.strip_prefix(origin)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

fn host_of(origin: &str) -> &str {
    origin.split_once("://").map_or(origin, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://app.example/client.json";

    fn read_with(change: &Value) -> Result<AppSpec, FetchedError> {
        let mut document = serde_json::json!({
            "client_id": URL,
            "client_name": "An app",
            "redirect_uris": ["https://app.example/cb", "http://127.0.0.1/cb"],
            "grant_types": ["authorization_code", "refresh_token", "urn:x"],
            "scope": "openid email admin",
            "logo_uri": "https://app.example/logo.png",
            "x-more": {},
        });
        for (name, value) in change.as_object().unwrap() {
            document[name] = value.clone();
        }
        let most = Scopes::parse("openid profile email").unwrap();
        read(
            &URL.parse().unwrap(),
            document.to_string().as_bytes(),
            &most,
        )
    }

    #[test]
    fn a_document_makes_a_third_partys_app() {
        let spec = read_with(&serde_json::json!({})).unwrap();
        assert_eq!(spec.identifier.as_str(), URL);
        assert_eq!(spec.auth_method, AuthMethod::None);
        assert_eq!(
            spec.grant_types.to_string(),
            "authorization_code refresh_token"
        );
        assert_eq!(spec.scopes.to_string(), "email openid");
        assert_eq!(spec.redirect_uris.len(), 2);
        assert!(!spec.first_party && spec.logo_uri.is_none());
        let nameless = read_with(&serde_json::json!({ "client_name": null })).unwrap();
        assert_eq!(nameless.name, "app.example");
    }

    #[test]
    fn redirects_that_lead_elsewhere_are_passed_over() {
        let spec = read_with(&serde_json::json!({ "redirect_uris": [
            "https://app.example/cb", "https://app.example.evil.test/cb", "https://evil.test/cb",
            "http://evil.test/cb", "javascript:alert(1)", "https://app.example:8443/cb",
            "com.example.app:/cb", "https://app.example@evil.test/", "HTTPS://evil.test/cb",
        ] }))
        .unwrap();
        assert_eq!(
            spec.redirect_uris,
            ["https://app.example/cb", "com.example.app:/cb"]
        );
        let spec = read_with(&serde_json::json!({
            "client_uri": "https://other.test/", "backchannel_logout_uri": "https://other.test/",
        }))
        .unwrap();
        assert_eq!((spec.client_uri, spec.backchannel_logout_uri), (None, None));
    }

    #[test]
    fn a_document_that_could_be_anothers_is_refused() {
        for (change, member) in [
            (
                serde_json::json!({ "client_id": "https://app.example/client.json/" }),
                "client_id",
            ),
            (serde_json::json!({ "client_id": null }), "client_id"),
            (serde_json::json!({ "client_secret": "x" }), "client_secret"),
            (
                serde_json::json!({ "client_secret_expires_at": 0 }),
                "client_secret",
            ),
            (
                serde_json::json!({ "token_endpoint_auth_method": "client_secret_basic" }),
                "token_endpoint_auth_method",
            ),
            (
                serde_json::json!({ "token_endpoint_auth_method": "private_key_jwt" }),
                "jwks",
            ),
            (
                serde_json::json!({ "redirect_uris": ["https://evil.test/"] }),
                "redirect_uris",
            ),
            (
                serde_json::json!({ "redirect_uris": "https://app.example/" }),
                "redirect_uris",
            ),
            (
                serde_json::json!({ "grant_types": ["implicit"] }),
                "grant_types",
            ),
            (
                serde_json::json!({ "response_types": ["token"] }),
                "response_types",
            ),
            (serde_json::json!({ "scope": "admin" }), "scope"),
            (
                serde_json::json!({ "client_name": "a\u{202E}b" }),
                "client_name",
            ),
            (
                serde_json::json!({ "require_pushed_authorization_requests": true }),
                "require_pushed_authorization_requests",
            ),
        ] {
            let error = read_with(&change).unwrap_err().to_string();
            assert!(error.contains(member), "{change}: {error}");
        }
        assert_eq!(
            read(&URL.parse().unwrap(), b"[]", &Scopes::default()),
            Err(FetchedError::Form)
        );
    }
}
