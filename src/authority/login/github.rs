//! GitHub: OAuth without ID tokens. Accounts are known by their number, which stays; names change
//! hands. The same for GitHub Enterprise Server at another address.

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::authority::app::Authority;
use crate::authority::outbound::OutboundError;
use crate::domain::Secret;

use super::error::UpstreamError;
use super::identity::{self, Identity};
use super::oidc::{ask_token_endpoint, tokens};
use super::provider::Provider;
use super::transaction::Transaction;

const API_VERSION: HeaderName = HeaderName::from_static("x-github-api-version");

#[derive(Deserialize)]
struct Account {
    id: u64,
    login: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    avatar_url: Option<String>,
}

#[derive(Deserialize)]
struct Address {
    email: String,
    primary: bool,
    verified: bool,
}

/// Where browsers are sent.
pub(super) fn authorization_endpoint(provider: &Provider) -> String {
    format!("{}/login/oauth/authorize", provider.issuer)
}

/// Where codes are redeemed.
pub(super) fn token_endpoint(provider: &Provider) -> String {
    format!("{}/login/oauth/access_token", provider.issuer)
}

fn api(provider: &Provider, path: &str) -> String {
    if provider.issuer == "https://github.com" {
        format!("https://api.github.com{path}")
    } else {
        format!("{}/api/v3{path}", provider.issuer)
    }
}

/// Redeems a code and finds out who has logged in.
pub(super) async fn identify(
    authority: &Authority,
    provider: &Provider,
    transaction: &Transaction,
    code: &str,
) -> Result<Identity, UpstreamError> {
    let redirect_uri = provider.redirect_uri(authority);
    let form = [
        ("code", code),
        ("redirect_uri", redirect_uri.as_str()),
        ("code_verifier", transaction.verifier.as_str()),
    ];
    let endpoint = token_endpoint(provider);
    let answer = ask_token_endpoint(authority, provider, &endpoint, &form).await?;
    let tokens = tokens(provider, answer, authority.clock.now());
    let account: Account = get(authority, &api(provider, "/user"), &tokens.access).await?;
    let addresses: Vec<Address> =
        get(authority, &api(provider, "/user/emails"), &tokens.access).await?;
    let primary = addresses
        .iter()
        .find(|address| address.primary && address.verified);
    let named = account.name.as_deref().and_then(identity::display_name);
    Ok(Identity {
        subject: account.id.to_string(),
        name: named.or_else(|| identity::display_name(&account.login)),
        email: primary.and_then(|address| identity::email(&address.email)),
        email_verified: primary.is_some(),
        picture: account.avatar_url.as_deref().and_then(identity::picture),
        locale: None,
        hosted_domain: None,
        groups: Vec::new(),
        authenticated_at: None,
        amr: Vec::new(),
        acr: None,
        sid: None,
        tokens,
    })
}

async fn get<T: DeserializeOwned>(
    authority: &Authority,
    url: &str,
    token: &Secret<String>,
) -> Result<T, UpstreamError> {
    let bearer = Secret::new(format!("Bearer {}", token.expose()));
    let mut bearer = HeaderValue::from_str(bearer.expose())
        .map_err(|_| UpstreamError::Answer("its token is no header value"))?;
    bearer.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, bearer);
    headers.insert(
        ACCEPT,
        HeaderValue::from_static("application/vnd.github+json"),
    );
    headers.insert(API_VERSION, HeaderValue::from_static("2022-11-28"));
    let answer = authority.outbound.get(url, headers).await?;
    if answer.status != StatusCode::OK {
        return Err(OutboundError::Status(answer.status).into());
    }
    Ok(answer.json()?)
}
