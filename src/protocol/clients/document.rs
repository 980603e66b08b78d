//! An app as somebody declares it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::uri::{self, UriError};
use crate::domain::app::{
    AppSpec, ApplicationType, AuthMethod, GrantType, GrantTypes, IdTokenAlg, RefreshBinding,
};
use crate::domain::client::FULL_SCOPE;
use crate::domain::text::misleads;
use crate::domain::{ClientIdentifier, Scopes};
use crate::protocol::problem::Mistake;

/// The longest list.
const MAX_ITEMS: usize = 20;
/// The longest key set, as JSON.
const MAX_JWKS_LEN: usize = 16 * 1024;
/// Scopes that an app has unless it says otherwise.
const DEFAULT_SCOPE: &str = "openid profile email";
/// The platform's own scopes that an app may have.
const PLATFORM_SCOPES: [&str; 2] = ["doorward:organizations", FULL_SCOPE];
/// Members of a JWK that belong to a private or a symmetric key.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// An app's registration, as a document or a part of one. Only what differs from the defaults needs
/// to be there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AppDocument {
    /// A name for people; the public one if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it runs: `web` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_type: Option<ApplicationType>,
    /// How it proves itself: a web app by `client_secret_basic`, a native one not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_method: Option<AuthMethod>,
    /// The ways in which it gets tokens: `authorization_code` and `refresh_token` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_types: Option<Vec<GrantType>>,
    /// The most it may ask for, space-delimited: `openid profile email` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Where codes may be sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// Where people may be sent after they logged out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it hears of a session's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
    /// The audiences it may ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Its public keys, a JSON Web Key Set, for `private_key_jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// Of the house: people are not asked for consent.
    #[serde(default)]
    pub first_party: bool,
    /// Only pushed authorization requests count.
    #[serde(default)]
    pub require_par: bool,
    /// Only DPoP-bound tokens are given.
    #[serde(default)]
    pub dpop_bound: bool,
    /// How long its refresh tokens live: as long as the session if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_binding: Option<RefreshBinding>,
    /// What signs its ID tokens: `RS256` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_alg: Option<IdTokenAlg>,
    /// A picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// Its home page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// Its privacy policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// Its terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
}

/// Notes mistakes while a document is read.
struct Checker(Vec<Mistake>);

impl Checker {
    fn note(&mut self, pointer: impl fmt::Display, detail: impl Into<String>) {
        self.0.push(Mistake::new(pointer, detail));
    }

    fn uris(&mut self, field: &str, uris: &[String], check: impl Fn(&str) -> Result<(), UriError>) {
        if uris.len() > MAX_ITEMS {
            self.note(
                format!("/{field}"),
                format!("at most {MAX_ITEMS} are taken"),
            );
        }
        for (place, uri) in uris.iter().enumerate() {
            if let Err(error) = check(uri) {
                self.note(format!("/{field}/{place}"), error.to_string());
            } else if uris.iter().take(place).any(|before| before == uri) {
                self.note(format!("/{field}/{place}"), "it stands there twice");
            }
        }
    }

    fn link(&mut self, field: &str, uri: Option<&str>, local: bool) {
        if let Some(Err(error)) = uri.map(|uri| uri::https(uri, local)) {
            self.note(format!("/{field}"), error.to_string());
        }
    }
}

impl AppDocument {
    /// Checks the document and fills in what it leaves out.
    ///
    /// # Errors
    ///
    /// Every mistake, with a pointer into the document.
    pub fn check(&self, identifier: &ClientIdentifier) -> Result<AppSpec, Vec<Mistake>> {
        let mut checker = Checker(Vec::new());
        if identifier.is_url() {
            checker.note(
                "/client_id",
                "the document at a URL is its only registration",
            );
        }
        self.checked(identifier, checker)
    }

    /// The same for the document at the identifier itself.
    pub(super) fn check_fetched(
        &self,
        identifier: &ClientIdentifier,
    ) -> Result<AppSpec, Vec<Mistake>> {
        self.checked(identifier, Checker(Vec::new()))
    }

    fn checked(
        &self,
        identifier: &ClientIdentifier,
        mut checker: Checker,
    ) -> Result<AppSpec, Vec<Mistake>> {
        if uuid::Uuid::try_parse(identifier.as_str()).is_ok() {
            // `sub` of a client's own token is this name: it must never read like a user's.
            checker.note("/client_id", "it looks like the id of a user");
        }
        let name = self.name.clone().unwrap_or_else(|| identifier.to_string());
        if !(1..=100).contains(&name.chars().count()) || name.chars().any(misleads) {
            let wanted = "1 to 100 characters are wanted, none of them a control character";
            checker.note("/name", wanted);
        }
        let application_type = self.application_type.unwrap_or(ApplicationType::Web);
        let auth_method = self.auth_method.unwrap_or(match application_type {
            ApplicationType::Web => AuthMethod::ClientSecretBasic,
            ApplicationType::Native => AuthMethod::None,
        });
        let grant_types = self.grants(&mut checker, auth_method);
        self.addresses(&mut checker, application_type);
        let scopes = self.scopes(&mut checker);
        let jwks = self.keys(&mut checker, auth_method);
        if !checker.0.is_empty() {
            return Err(checker.0);
        }
        Ok(AppSpec {
            identifier: identifier.clone(),
            name,
            application_type,
            auth_method,
            grant_types,
            scopes,
            redirect_uris: self.redirect_uris.clone(),
            post_logout_redirect_uris: self.post_logout_redirect_uris.clone(),
            backchannel_logout_uri: self.backchannel_logout_uri.clone(),
            resources: self.resources.clone(),
            jwks,
            first_party: self.first_party,
            require_par: self.require_par,
            dpop_bound: self.dpop_bound,
            refresh_binding: self.refresh_binding.unwrap_or(RefreshBinding::Session),
            id_token_alg: self.id_token_alg.unwrap_or(IdTokenAlg::RS256),
            logo_uri: self.logo_uri.clone(),
            client_uri: self.client_uri.clone(),
            policy_uri: self.policy_uri.clone(),
            tos_uri: self.tos_uri.clone(),
        })
    }

    fn grants(&self, checker: &mut Checker, auth_method: AuthMethod) -> GrantTypes {
        let default = [GrantType::AuthorizationCode, GrantType::RefreshToken];
        let grants: GrantTypes = self
            .grant_types
            .as_deref()
            .unwrap_or(&default)
            .iter()
            .copied()
            .collect();
        let code = grants.contains(GrantType::AuthorizationCode);
        let device = grants.contains(GrantType::DeviceCode);
        if grants.is_empty() {
            checker.note("/grant_types", "at least one is wanted");
        }
        if grants.contains(GrantType::RefreshToken) && !(code || device) {
            let detail = "`refresh_token` needs `authorization_code` or the device grant beside it";
            checker.note("/grant_types", detail);
        }
        if grants.contains(GrantType::ClientCredentials) && auth_method == AuthMethod::None {
            let detail = "`client_credentials` needs an `auth_method` other than `none`";
            checker.note("/grant_types", detail);
        }
        if code && self.redirect_uris.is_empty() {
            let detail = "`authorization_code` needs at least one";
            checker.note("/redirect_uris", detail);
        }
        grants
    }

    fn addresses(&self, checker: &mut Checker, application_type: ApplicationType) {
        let browser = |uri: &str| uri::redirect(uri, application_type);
        checker.uris("redirect_uris", &self.redirect_uris, browser);
        let after = &self.post_logout_redirect_uris;
        checker.uris("post_logout_redirect_uris", after, browser);
        checker.uris("resources", &self.resources, uri::resource);
        let logout = self.backchannel_logout_uri.as_deref();
        checker.link("backchannel_logout_uri", logout, true);
        for (field, link) in [
            ("logo_uri", &self.logo_uri),
            ("client_uri", &self.client_uri),
            ("policy_uri", &self.policy_uri),
            ("tos_uri", &self.tos_uri),
        ] {
            checker.link(field, link.as_deref(), false);
        }
    }

    fn scopes(&self, checker: &mut Checker) -> Scopes {
        let text = self.scope.as_deref().unwrap_or(DEFAULT_SCOPE);
        let scopes = match Scopes::parse(text) {
            Ok(scopes) => scopes,
            Err(error) => {
                checker.note("/scope", error.to_string());
                return Scopes::default();
            }
        };
        for scope in scopes.iter().map(crate::domain::Scope::as_str) {
            if scope.starts_with("doorward:") && !PLATFORM_SCOPES.contains(&scope) {
                checker.note("/scope", format!("an app may not have scope `{scope}`"));
            }
            if scope == FULL_SCOPE && !self.first_party {
                let detail = format!("only an app with `first_party` may have `{FULL_SCOPE}`");
                checker.note("/scope", detail);
            }
        }
        scopes
    }

    fn keys(&self, checker: &mut Checker, auth_method: AuthMethod) -> Option<String> {
        let wanted = auth_method == AuthMethod::PrivateKeyJwt;
        match &self.jwks {
            None => {
                if wanted {
                    checker.note("/jwks", "`private_key_jwt` needs the app's public keys");
                }
                None
            }
            Some(_) if !wanted => {
                checker.note("/jwks", "keys are for `auth_method` `private_key_jwt` only");
                None
            }
            Some(set) => {
                if let Err(detail) = public_keys(set) {
                    checker.note("/jwks", detail);
                }
                Some(set.to_string())
            }
        }
    }
}

/// Whether a value is a set of public keys that can verify something.
fn public_keys(set: &Value) -> Result<(), &'static str> {
    if set.to_string().len() > MAX_JWKS_LEN {
        return Err("at most 16 KiB are taken");
    }
    let keys = set
        .get("keys")
        .and_then(Value::as_array)
        .ok_or("a JSON Web Key Set is wanted: `{\"keys\": [ … ]}`")?;
    if keys.is_empty() || keys.len() > MAX_ITEMS {
        return Err("1 to 20 keys are wanted");
    }
    for key in keys {
        let key = key.as_object().ok_or("each key is an object")?;
        if PRIVATE_MEMBERS
            .iter()
            .any(|member| key.contains_key(*member))
        {
            return Err(
                "a private key stands there: register the public one, and replace this one",
            );
        }
        if !matches!(
            key.get("kty").and_then(Value::as_str),
            Some("RSA" | "EC" | "OKP")
        ) {
            return Err("each key has a `kty` of `RSA`, `EC` or `OKP`");
        }
    }
    Ok(())
}

/// The whole registration, nothing left to defaults.
impl From<&AppSpec> for AppDocument {
    fn from(spec: &AppSpec) -> Self {
        Self {
            name: Some(spec.name.clone()),
            application_type: Some(spec.application_type),
            auth_method: Some(spec.auth_method),
            grant_types: Some(spec.grant_types.iter().collect()),
            scope: Some(spec.scopes.to_string()),
            redirect_uris: spec.redirect_uris.clone(),
            post_logout_redirect_uris: spec.post_logout_redirect_uris.clone(),
            backchannel_logout_uri: spec.backchannel_logout_uri.clone(),
            resources: spec.resources.clone(),
            jwks: spec
                .jwks
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok()),
            first_party: spec.first_party,
            require_par: spec.require_par,
            dpop_bound: spec.dpop_bound,
            refresh_binding: Some(spec.refresh_binding),
            id_token_alg: Some(spec.id_token_alg),
            logo_uri: spec.logo_uri.clone(),
            client_uri: spec.client_uri.clone(),
            policy_uri: spec.policy_uri.clone(),
            tos_uri: spec.tos_uri.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(document: Value) -> Result<AppSpec, Vec<Mistake>> {
        let document: AppDocument = serde_json::from_value(document).unwrap();
        document.check(&"board".parse().unwrap())
    }

    #[test]
    fn a_redirect_uri_is_registration_enough() {
        let spec = check(json!({"redirect_uris": ["https://board.example/cb"]})).unwrap();
        assert_eq!(spec.name, "board");
        assert_eq!(spec.auth_method, AuthMethod::ClientSecretBasic);
        assert_eq!(
            spec.grant_types.to_string(),
            "authorization_code refresh_token"
        );
        assert_eq!(spec.scopes.to_string(), "email openid profile");
        assert!(!spec.first_party);
        let native = check(json!({
            "application_type": "native", "redirect_uris": ["com.example.board:/cb"],
        }));
        assert_eq!(native.unwrap().auth_method, AuthMethod::None);
    }

    #[test]
    fn a_registration_round_trips_through_its_document() {
        let spec = check(json!({
            "name": "Board", "auth_method": "private_key_jwt", "scope": "openid docs:read doorward:full",
            "grant_types": ["authorization_code", "client_credentials"], "first_party": true,
            "redirect_uris": ["https://board.example/cb"], "resources": ["https://api.example"],
            "post_logout_redirect_uris": ["https://board.example/"], "require_par": true,
            "backchannel_logout_uri": "http://127.0.0.1:9/logout", "dpop_bound": true,
            "jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": "a", "y": "b"}]},
            "refresh_binding": "standalone", "id_token_alg": "ES256",
            "logo_uri": "https://board.example/logo.png", "client_uri": "https://board.example/",
            "policy_uri": "https://board.example/p", "tos_uri": "https://board.example/t",
        }))
        .unwrap();
        let document = AppDocument::from(&spec);
        assert_eq!(document.check(&spec.identifier).unwrap(), spec);
    }

    #[test]
    fn every_mistake_is_told_with_where_it_is() {
        let mistakes = check(json!({
            "name": "a\u{202e}b",
            "auth_method": "none",
            "grant_types": ["client_credentials", "refresh_token"],
            "scope": "doorward:admin doorward:full",
            "redirect_uris": ["https://a.example/#x", "https://b.example/", "https://b.example/"],
            "post_logout_redirect_uris": ["http://a.example/"],
            "backchannel_logout_uri": "http://a.example/",
            "resources": ["api"],
            "jwks": {"keys": []},
            "logo_uri": "javascript:alert(1)",
        }))
        .unwrap_err();
        let places: Vec<&str> = mistakes.iter().map(|one| one.pointer.as_str()).collect();
        for place in [
            "/name",
            "/grant_types",
            "/redirect_uris/0",
            "/redirect_uris/2",
            "/post_logout_redirect_uris/0",
            "/backchannel_logout_uri",
            "/resources/0",
            "/scope",
            "/jwks",
            "/logo_uri",
        ] {
            assert!(places.contains(&place), "{place} is missing in {places:?}");
        }
        assert_eq!(places.iter().filter(|place| **place == "/scope").count(), 2);
    }

    #[test]
    fn a_private_key_is_never_taken() {
        for key in [
            json!({"kty": "EC", "crv": "P-256", "x": "a", "y": "b", "d": "secret"}),
            json!({"kty": "oct", "k": "secret"}),
            json!({"kty": "oct"}),
            json!("a"),
        ] {
            let refused = check(json!({
                "redirect_uris": ["https://board.example/cb"], "auth_method": "private_key_jwt",
                "jwks": {"keys": [key]},
            }));
            let mistakes = refused.unwrap_err();
            assert_eq!(mistakes[0].pointer, "/jwks");
            assert!(!mistakes[0].detail.contains("secret"));
        }
    }

    #[test]
    fn an_unknown_field_or_word_is_refused() {
        for document in [
            json!({"redirect_uri": "https://a.example/"}),
            json!({"auth_method": "tls_client_auth"}),
            json!({"grant_types": ["implicit"]}),
            json!({"grant_types": ["password"]}),
        ] {
            assert!(serde_json::from_value::<AppDocument>(document).is_err());
        }
    }
}
